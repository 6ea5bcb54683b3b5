//! What the model found, made small.

use std::collections::BTreeMap;

use super::compare::compare;
use super::fold::fold;
use super::history::{Code, Event, History, Moment, Names, Profile, Step};
use super::proxy::Tamper;
use super::world::play;

/// One person, who is known by id when their mailbox is named alone, and only then comes to have it.
#[test]
fn what_named_a_mailbox_alone_is_its_persons_whenever_it_comes() {
    let event = |second, code, names, number: usize| Event {
        person: 0,
        at: Moment { phase: 0, second },
        code,
        names,
        email: format!("p0.{number}@example.com"),
        attributes: BTreeMap::new(),
        flag: Some(false),
        live: true,
        filed: false,
    };
    let events = vec![
        event(-300, Code::View, Names::Whole, 0),
        event(-200, Code::Changed, Names::Whole, 1),
        event(-100, Code::Campaign, Names::Address, 1),
    ];
    let plan =
        vec![Step::Push(vec![0]), Step::Rest, Step::Campaign(2), Step::Rest, Step::Push(vec![1]), Step::Rest];
    let history = History {
        people: 1,
        shared: None,
        existing: None,
        erased: None,
        events,
        profiles: vec![vec![Profile::default()]],
        polls: false,
        plan: vec![plan],
    };
    assert_eq!(compare(&history, &fold(&history), &play(&history, Tamper::Nothing)), []);
}
