//! What the model found, made small.

use std::collections::BTreeMap;

use super::compare::compare;
use super::fold::fold;
use super::history::{Code, Event, History, Moment, Names, Profile, Step};
use super::proxy::Tamper;
use super::world::play;

fn event(person: usize, second: i64, code: Code, names: Names, email: &str) -> Event {
    Event {
        person,
        at: Moment { phase: 0, second },
        code,
        names,
        email: email.to_owned(),
        attributes: BTreeMap::new(),
        flag: Some(code == Code::OptOut),
        live: true,
        filed: false,
    }
}

/// What is told, one after the other, each at rest before the next.
fn told(people: usize, events: Vec<Event>, order: &[usize]) -> History {
    let step = |n: &usize| match events[*n].code {
        Code::Campaign => Step::Campaign(*n),
        _ => Step::Push(vec![*n]),
    };
    let plan = order.iter().flat_map(|n| [step(n), Step::Rest]).collect();
    History {
        people,
        shared: None,
        existing: None,
        erased: None,
        events,
        profiles: vec![vec![Profile::default(); people]],
        polls: false,
        plan: vec![plan],
    }
}

fn assert_as_the_fold(history: &History) {
    assert_eq!(compare(history, &fold(history), &play(history, Tamper::Nothing)), []);
}

/// One person, who is known by id when their mailbox is named alone, and only then comes to have it.
#[test]
fn what_named_a_mailbox_alone_is_its_persons_whenever_it_comes() {
    let (before, after) = ("p0.0@example.com", "p0.1@example.com");
    let events = vec![
        event(0, -300, Code::View, Names::Whole, before),
        event(0, -200, Code::Changed, Names::Whole, after),
        event(0, -100, Code::Campaign, Names::Address, after),
    ];
    assert_as_the_fold(&told(1, events, &[0, 2, 1]));
}

/// Whoever of both comes first has the contact, and what one of them wants is not the other's to lift.
#[test]
fn one_of_two_with_a_mailbox_wants_nothing_and_the_other_one_opts_in() {
    let both = "both@example.com";
    for order in [[0, 1, 2, 3], [1, 0, 2, 3], [1, 3, 0, 2]] {
        let events = vec![
            event(0, -400, Code::View, Names::Whole, both),
            event(1, -300, Code::View, Names::Whole, both),
            event(0, -200, Code::OptOut, Names::Whole, both),
            event(1, -100, Code::OptIn, Names::Whole, both),
        ];
        assert_as_the_fold(&History { shared: Some((0, 1)), ..told(2, events, &order) });
    }
}

/// Brevo has the address, the host meets it there, and then learns whose it is.
#[test]
fn whom_brevo_had_by_address_only_is_the_person_who_comes_to_have_it() {
    let email = "p0.0@example.com";
    let events = vec![
        event(0, -300, Code::View, Names::Whole, email),
        event(0, -200, Code::Campaign, Names::Whole, email),
        event(0, -100, Code::Campaign, Names::Address, email),
    ];
    assert_as_the_fold(&History { existing: Some((0, false)), ..told(1, events, &[2, 1, 0]) });
}
