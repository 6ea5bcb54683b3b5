//! What the model found, made small.

use super::compare::{Difference, compare};
use super::fold::fold;
use super::history::{Chunk, Code, Event, History, Moment, Names, Row, Sms, Step, phone};
use super::planted::{event, told};
use super::proxy::Tamper;
use super::world::play;

fn differences(history: &History) -> Vec<Difference> {
    let observed = play(history, Tamper::Nothing);
    compare(history, &fold(history, &observed.course), &observed)
}

/// One person, who is known by id when their mailbox is named alone, and only then comes to have it.
#[test]
fn what_named_a_mailbox_alone_is_its_persons_whenever_it_comes() {
    let event = |second, code, names, number: usize| Event {
        names,
        email: format!("p0.{number}@example.com"),
        ..event(0, second, code, &[])
    };
    let events = vec![
        event(-300, Code::View, Names::Whole, 0),
        event(-200, Code::Changed, Names::Whole, 1),
        event(-100, Code::Campaign, Names::Address, 1),
    ];
    let plan =
        vec![Step::Push(vec![0]), Step::Rest, Step::Campaign(2), Step::Rest, Step::Push(vec![1]), Step::Rest];
    assert_eq!(differences(&told(events, plan)), []);
}

/// What waited when somebody went never goes to Brevo, so that the same is news when they are back.
#[test]
fn who_comes_back_as_they_went_is_delivered() {
    let unknown = |second, code| Event { flag: None, ..event(0, second, code, &[("plan", "free")]) };
    let back = event(0, -100, Code::Changed, &[("plan", "free")]);
    let events = vec![unknown(-300, Code::View), unknown(-200, Code::Closed), back];
    let plan = (0..3).flat_map(|n| [Step::Push(vec![n]), Step::Rest]).collect();
    assert_eq!(differences(&History { soft: true, ..told(events, plan) }), []);
}

/// What they say when they are back rides on what was called for before they went, where it is the
/// same, whenever the word comes that they are gone.
#[test]
fn who_is_back_before_it_is_known_that_they_went_is_delivered() {
    let view = Event { flag: None, ..event(0, -300, Code::View, &[("plan", "free")]) };
    let events = vec![
        view.clone(),
        Event { flag: None, ..event(0, -200, Code::Closed, &[]) },
        Event { at: Moment { phase: 0, second: -100 }, ..view },
        event(0, -50, Code::Open, &[]),
    ];
    let plan = [0, 2, 1, 3].into_iter().flat_map(|n| [Step::Push(vec![n]), Step::Rest]).collect();
    assert_eq!(differences(&History { soft: true, ..told(events, plan) }), []);
}

/// The same of who is to be in a list.
#[test]
fn who_is_back_in_a_list_before_it_is_known_that_they_went_joins_it() {
    let unknown =
        |phase, second, code| Event { flag: None, at: Moment { phase, second }, ..event(0, 0, code, &[]) };
    let events = vec![
        unknown(0, -300, Code::View),
        unknown(1, 1, Code::Closed),
        Event { flag: Some(false), ..unknown(1, 2, Code::Open) },
    ];
    let chunk =
        |execution| Step::Chunk(Chunk { list: 0, execution, part: 0, rows: vec![(0, true, Row::Both)] });
    let first = told(events, vec![Step::Push(vec![0]), Step::Rest, chunk(0), Step::Rest]);
    let then = vec![chunk(1), Step::Rest, Step::Push(vec![1]), Step::Rest, Step::Push(vec![2]), Step::Rest];
    let profiles = vec![first.profiles[0].clone(); 2];
    let plan = vec![first.plan[0].clone(), then];
    assert_eq!(differences(&History { soft: true, profiles, plan, ..first }), []);
}

/// Two have one mailbox, and each a number of their own.
#[test]
fn an_opt_out_of_texts_is_nobodys_who_only_shares_the_mailbox() {
    let of = |person, second, sms| Event {
        email: "both@example.com".to_owned(),
        phone: Some(phone(person, 0)),
        sms: Some(sms),
        ..event(person, second, Code::View, &[])
    };
    let events = vec![of(0, -300, Sms::In), of(1, -200, Sms::Out)];
    let plan = vec![Step::Push(vec![0]), Step::Rest, Step::Push(vec![1]), Step::Rest];
    assert_eq!(differences(&History { shared: Some((0, 1)), ..told(events, plan) }), []);
}

/// Whoever of both comes first has the contact, and what one of them wants is not the other's to lift.
#[test]
fn one_of_two_with_a_mailbox_wants_nothing_and_the_other_one_opts_in() {
    let both = |person, second, code| Event {
        email: "both@example.com".to_owned(),
        flag: Some(code == Code::OptOut),
        ..event(person, second, code, &[])
    };
    for order in [[0, 1, 2, 3], [1, 0, 2, 3], [1, 3, 0, 2]] {
        let events = vec![
            both(0, -400, Code::View),
            both(1, -300, Code::View),
            both(0, -200, Code::OptOut),
            both(1, -100, Code::OptIn),
        ];
        let plan = order.into_iter().flat_map(|n| [Step::Push(vec![n]), Step::Rest]).collect();
        assert_eq!(differences(&History { shared: Some((0, 1)), ..told(events, plan) }), []);
    }
}

/// Brevo has the address, the host meets it there, and then learns whose it is.
#[test]
fn whom_brevo_had_by_address_only_is_the_person_who_comes_to_have_it() {
    let events = vec![
        event(0, -300, Code::View, &[]),
        event(0, -200, Code::Campaign, &[]),
        Event { names: Names::Address, ..event(0, -100, Code::Campaign, &[]) },
    ];
    let plan =
        vec![Step::Campaign(2), Step::Rest, Step::Campaign(1), Step::Rest, Step::Push(vec![0]), Step::Rest];
    assert_eq!(differences(&History { existing: Some((0, false)), ..told(events, plan) }), []);
}
