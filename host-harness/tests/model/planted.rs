//! The comparison is itself tested: a broken host of each kind is found, by the name of what it did.

use std::collections::BTreeMap;

use serde_json::json;

use super::compare::{Class, Difference, compare};
use super::fold::fold;
use super::history::*;
use super::proxy::Tamper;
use super::world::play;

/// What person says and does, with consent to mails.
pub fn event(person: usize, second: i64, code: Code, attributes: &[(&'static str, &str)]) -> Event {
    Event {
        person,
        at: Moment { phase: 0, second },
        code,
        names: Names::Whole,
        email: format!("p{person}.0@example.com"),
        attributes: attributes.iter().map(|(name, value)| (*name, json!(value))).collect(),
        flag: Some(false),
        phone: None,
        sms: None,
        live: true,
        filed: false,
    }
}

/// A history of one phase, whose people are those of the events.
pub fn told(events: Vec<Event>, plan: Vec<Step>) -> History {
    let people = events.iter().map(|event| event.person + 1).max().unwrap();
    let profiles = vec![vec![Profile { attributes: BTreeMap::new(), ..Profile::default() }; people]];
    History { people, events, profiles, plan: vec![plan], ..History::default() }
}

/// Each event is told alone, and settled before the next one.
fn one_by_one(events: &[Event]) -> Vec<Step> {
    (0..events.len()).flat_map(|n| [Step::Push(vec![n]), Step::Rest]).collect()
}

/// Two people. One changes three times, is told of with and without a city, and opts out; the other
/// is erased.
fn small() -> History {
    let events = vec![
        event(0, -600, Code::View, &[("plan", "free"), ("city", "Ghent")]),
        event(1, -500, Code::View, &[("plan", "free")]),
        event(0, -400, Code::Changed, &[("plan", "plus")]),
        event(0, -300, Code::Changed, &[("plan", "pro")]),
        Event { flag: Some(true), ..event(0, -200, Code::OptOut, &[]) },
    ];
    let mut plan = one_by_one(&events);
    plan.extend([Step::Erase(1), Step::Rest]);
    History { erased: Some(1), ..told(events, plan) }
}

/// Somebody who gets a text, a note and a task, and then wants no more texts.
fn texts() -> History {
    let number = Some(phone(0, 0));
    let events = vec![
        Event { phone: number.clone(), sms: Some(Sms::In), ..event(0, -600, Code::Parcel, &[]) },
        event(0, -500, Code::Call, &[]),
        Event { phone: number, sms: Some(Sms::Out), ..event(0, -400, Code::Changed, &[]) },
    ];
    let plan = one_by_one(&events);
    told(events, plan)
}

/// Somebody in a list is deleted softly; then comes what they did before, and what they do when they
/// are back.
fn deleted() -> History {
    let later = |second, code| Event { at: Moment { phase: 1, second }, ..event(0, 0, code, &[]) };
    let events = vec![
        event(0, -600, Code::View, &[("plan", "free")]),
        later(10, Code::Order),
        later(20, Code::Closed),
        later(30, Code::Open),
    ];
    let joins = Chunk { list: 0, execution: 0, part: 0, rows: vec![(0, true, Row::Both)] };
    let member = vec![Step::Push(vec![0]), Step::Rest, Step::Chunk(joins), Step::Rest];
    let gone = [2, 1, 3].into_iter().flat_map(|n| [Step::Push(vec![n]), Step::Rest]).collect();
    let first = told(events, member);
    let profiles = vec![first.profiles[0].clone(); 2];
    History { soft: true, profiles, plan: vec![first.plan[0].clone(), gone], ..first }
}

/// Somebody unsubscribes at Brevo itself and changes afterwards.
fn unsubscribed() -> History {
    let events = vec![
        event(0, -600, Code::View, &[("plan", "free")]),
        event(0, -500, Code::Changed, &[("plan", "plus")]),
    ];
    let plan = vec![Step::Push(vec![0]), Step::Rest, Step::Unsubscribe(0), Step::Push(vec![1]), Step::Rest];
    told(events, plan)
}

/// Some people come from files, and so by an import.
fn imported() -> History {
    let from_files = |person| Event {
        live: false,
        filed: true,
        ..event(person, -600 + person as i64, Code::View, &[("plan", "free")])
    };
    History { imports: true, ..told((0..5).map(from_files).collect(), vec![Step::Files, Step::Rest]) }
}

/// A product and a campaign that change, and an alert.
fn things() -> History {
    let shown = |name: &str, price| Things {
        products: [("P001".to_owned(), (format!("mug-{name}"), price))].into(),
        campaigns: [(0, (format!("campaign-0.{name}"), "ACTIVE"))].into(),
    };
    let mut read = RESOURCES.map(Step::Read).to_vec();
    read.push(Step::Rest);
    let begin = [vec![Step::Alert(0), Step::Alert(0)], read.clone()].concat();
    let first = told(vec![event(0, -600, Code::View, &[])], Vec::new());
    History {
        things: Some(vec![shown("old", Some(5)), shown("new", None)]),
        profiles: vec![first.profiles[0].clone(); 2],
        plan: vec![[vec![Step::Push(vec![0])], begin].concat(), read],
        ..first
    }
}

fn found(history: &History, tamper: Tamper) -> Vec<Difference> {
    let observed = play(history, tamper);
    compare(history, &fold(history, &observed.course), &observed)
}

fn assert_found(history: &History, tamper: Tamper, class: Class, name: &str) {
    let differences = found(history, tamper);
    let classes: Vec<Class> = differences.iter().map(|difference| difference.class).collect();
    assert!(!classes.is_empty() && classes.iter().all(|found| *found == class), "{differences:#?}");
    assert!(format!("{differences:?}").contains(name), "{differences:#?}");
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    for history in [small(), texts(), deleted(), unsubscribed(), imported(), things()] {
        assert_eq!(found(&history, Tamper::Nothing), [], "{history:#?}");
    }
}

#[test]
fn nothing_is_found_where_a_host_was_killed() {
    let history = texts();
    let mut plan = history.plan.concat();
    plan.insert(1, Step::Kill(Some(("delivery-after-in-flight", 1))));
    plan.insert(4, Step::Kill(None));
    assert_eq!(found(&History { killed: true, plan: vec![plan], ..history }, Tamper::Nothing), []);
}

#[test]
fn a_lost_event_is_found() {
    assert_found(&small(), Tamper::Lose("/v3/events", ""), Class::Lost, "lost: event");
}

#[test]
fn a_doubled_event_is_found() {
    assert_found(&small(), Tamper::Double("/v3/events"), Class::Doubled, "doubled: event");
}

#[test]
fn a_doubled_text_note_or_task_is_found() {
    for (path, name) in
        [("/v3/transactionalSMS/send", "text"), ("/v3/crm/notes", "note"), ("/v3/crm/tasks", "task")]
    {
        assert_found(&texts(), Tamper::Double(path), Class::Doubled, &format!("doubled: {name}"));
    }
}

#[test]
fn a_lost_text_or_task_is_found() {
    let text = Tamper::Lose("/v3/transactionalSMS/send", "");
    assert_found(&texts(), text, Class::Lost, "lost: text");
    assert_found(&texts(), Tamper::Lose("/v3/crm/tasks", ""), Class::Lost, "lost: task");
}

#[test]
fn somebody_who_was_re_subscribed_is_found() {
    assert_found(&small(), Tamper::Resubscribe, Class::Resubscribed, "re-subscribed");
}

#[test]
fn somebody_who_unsubscribed_at_brevo_and_was_unblocked_is_found() {
    assert_found(&unsubscribed(), Tamper::Unblock, Class::Resubscribed, "re-subscribed: 0 wants nothing");
}

#[test]
fn a_lost_opt_out_of_texts_is_found() {
    assert_found(&texts(), Tamper::LoseSmsOptOut, Class::Resubscribed, "wants no texts");
}

#[test]
fn somebody_who_was_resurrected_is_found() {
    assert_found(&small(), Tamper::Resurrect, Class::Resurrected, "resurrected");
}

#[test]
fn somebody_who_was_deleted_and_written_again_is_found() {
    assert_found(&deleted(), Tamper::WriteDeleted, Class::Resurrected, "resurrected: event uuid-1");
    assert_found(&deleted(), Tamper::JoinDeleted, Class::Resurrected, "is in the list Quiet");
}

#[test]
fn two_writes_in_the_wrong_order_are_found() {
    assert_found(&small(), Tamper::Misorder, Class::Misordered, "misordered");
}

#[test]
fn a_value_that_was_cleared_by_absence_is_found() {
    assert_found(&small(), Tamper::Clear, Class::Cleared, "cleared by absence");
}

#[test]
fn a_lost_row_of_an_import_is_found() {
    let differences = found(&imported(), Tamper::LoseRow);
    let lost = |one: &&Difference| one.class == Class::Lost && one.what.starts_with("contact of");
    assert_eq!(differences.iter().filter(lost).count(), 1, "{differences:#?}");
}

#[test]
fn a_lost_change_of_a_thing_is_found() {
    let product = Tamper::Lose("/v3/products", "mug-new");
    assert_found(&things(), product, Class::Misordered, "product P001");
    let record = Tamper::Lose("/v3/objects/", "campaign-0.new");
    assert_found(&things(), record, Class::Misordered, "campaign-0");
}

#[test]
fn a_doubled_note_of_an_alert_is_found() {
    assert_found(&things(), Tamper::Double("/v3/crm/notes"), Class::Doubled, "note of alert-0");
}
