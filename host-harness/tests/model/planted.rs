//! The comparison is itself tested: a broken host of each kind is found, by the name of what it did.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::compare::{Class, Difference, compare};
use super::fold::fold;
use super::history::{Code, Event, History, Moment, Names, Profile, Step};
use super::proxy::Tamper;
use super::world::play;

/// Two people. One changes three times, is told of with and without a city, and opts out; the other
/// is erased.
fn small() -> History {
    let event = |person: usize, second, code, attributes: &[(&'static str, &str)]| Event {
        person,
        at: Moment { phase: 0, second },
        code,
        names: Names::Whole,
        email: format!("p{person}.0@example.com"),
        attributes: attributes.iter().map(|(name, value)| (*name, json!(value))).collect(),
        flag: Some(false),
        live: true,
        filed: false,
    };
    let events = vec![
        event(0, -600, Code::View, &[("plan", "free"), ("city", "Ghent")]),
        event(1, -500, Code::View, &[("plan", "free")]),
        event(0, -400, Code::Changed, &[("plan", "plus")]),
        event(0, -300, Code::Changed, &[("plan", "pro")]),
        Event { flag: Some(true), ..event(0, -200, Code::OptOut, &[]) },
    ];
    let told = |push: usize| [Step::Push(vec![push]), Step::Rest];
    let mut plan: Vec<Step> = (0..events.len()).flat_map(told).collect();
    plan.extend([Step::Erase(1), Step::Rest]);
    let profiles = vec![vec![Profile { attributes: BTreeMap::<_, Value>::new(), ..Profile::default() }; 2]];
    History {
        people: 2,
        shared: None,
        existing: None,
        erased: Some(1),
        events,
        profiles,
        polls: false,
        plan: vec![plan],
    }
}

fn found(tamper: Tamper) -> Vec<Difference> {
    let history = small();
    compare(&history, &fold(&history), &play(&history, tamper))
}

fn assert_found(tamper: Tamper, class: Class, name: &str) {
    let differences = found(tamper);
    let classes: Vec<Class> = differences.iter().map(|difference| difference.class).collect();
    assert!(!classes.is_empty() && classes.iter().all(|found| *found == class), "{differences:#?}");
    assert!(format!("{differences:?}").contains(name), "{differences:#?}");
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(found(Tamper::Nothing), []);
}

#[test]
fn a_lost_event_is_found() {
    assert_found(Tamper::Lose, Class::Lost, "lost");
}

#[test]
fn a_doubled_event_is_found() {
    assert_found(Tamper::Double, Class::Doubled, "doubled");
}

#[test]
fn somebody_who_was_re_subscribed_is_found() {
    assert_found(Tamper::Resubscribe, Class::Resubscribed, "re-subscribed");
}

#[test]
fn somebody_who_was_resurrected_is_found() {
    assert_found(Tamper::Resurrect, Class::Resurrected, "resurrected");
}

#[test]
fn two_writes_in_the_wrong_order_are_found() {
    assert_found(Tamper::Misorder, Class::Misordered, "misordered");
}

#[test]
fn a_value_that_was_cleared_by_absence_is_found() {
    assert_found(Tamper::Clear, Class::Cleared, "cleared by absence");
}
