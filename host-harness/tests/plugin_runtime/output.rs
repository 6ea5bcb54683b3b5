//! Nothing that a guest returns is believed.

use host_harness::contract::{Cursor, Position};
use host_harness::plugin::Runtime;
use host_harness::unit::UnitError;
use proptest::prelude::*;

use crate::guests;
use crate::stage::*;

#[test]
fn g09_what_is_not_the_guests_own_loses_the_unit() {
    let plugin = load("wrong-id");
    for sin in [
        "other-connector",
        "other-workspace",
        "other-kind",
        "no-key",
        "undeclared-kind",
        "wrong-door",
        "bad-code",
        "unknown-slot",
    ] {
        let (code, message) = fault(run(&plugin, &webhook(sin)));
        assert_eq!(code, "guest-output", "{sin}");
        assert!(message.contains("rule of the contract"), "{sin}: {message}");
        goes_on(&plugin);
    }
}

#[test]
fn g09_what_is_wrong_in_one_record_quarantines_that_record() {
    let plugin = load("wrong-id");
    for sin in ["body", "time", "no-name"] {
        let outcome = run(&plugin, &webhook(sin)).unwrap();
        let Err(UnitError::Fault { code, .. }) = &outcome.records[0].mapping else { panic!("{sin}") };
        assert_eq!(code, "guest-output", "{sin}");
        assert!(outcome.records[1].mapping.is_ok(), "{sin}");
    }
    let sins = "same-slot\nbad-payload\nbad-instant\nmany-actions\nnothing-said\ngood";
    let outcome = run(&plugin, &webhook(sins)).unwrap();
    let (good, bad) = outcome.records.split_last().unwrap();
    assert!(good.mapping.is_ok());
    for mapped in bad {
        assert!(
            matches!(&mapped.mapping, Err(UnitError::Fault { code, .. }) if code == "guest-output"),
            "{mapped:?}"
        );
    }
}

#[test]
fn g09_a_cursor_is_the_guests_own_and_moves() {
    let plugin = load("wrong-id");
    let here = Position::Cursor(Cursor { version: 1, bytes: b"here".to_vec() });
    for sin in ["foreign-version", "huge-cursor", "same-cursor", "over-budget"] {
        let unit = page(&format!("\"{sin}\""), "pages", here.clone());
        assert_eq!(fault(run(&plugin, &unit)).0, "guest-output", "{sin}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A webhook of ids that the guest made up: each is one of its own installation and kind, or all of
    /// them are refused.
    #[test]
    fn g09_whatever_ids_a_guest_makes_up_they_are_its_own_or_refused(
        parts in prop::collection::vec(prop::sample::select(vec![
            "example", "exampl", "other", ":", ":", ":", "w1", "w1:contact", "w2", "contact", "event", "x", "/", "%3A", "\u{0}",
            "\u{ff1a}", "\u{202e}", "EXAMPLE", " ",
        ]), 0..8),
        tail in ".{0,12}",
        owned in any::<bool>(),
    ) {
        let made_up = format!("{}{}{tail}", if owned { "example:w1:contact:" } else { "" }, parts.concat());
        match run(&load("wrong-id"), &webhook(&format!("id={made_up}"))) {
            Ok(outcome) => {
                for mapped in &outcome.records {
                    let key = mapped.record.id.strip_prefix("example:w1:contact:");
                    prop_assert!(key.is_some_and(|key| !key.is_empty()), "{made_up:?}");
                    prop_assert!(!made_up.chars().any(char::is_control) && made_up.len() <= 512);
                    prop_assert_eq!(&mapped.record.id, &made_up);
                }
            }
            Err(UnitError::Fault { code, message }) => {
                prop_assert_eq!(code, "guest-output");
                prop_assert!(made_up.len() < 9 || !message.contains(&made_up), "a rule, never the data");
            }
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }
}

#[test]
fn g10_the_same_unit_gives_the_same_outcome() {
    let plugin = load("calm");
    let mut outcomes = (0..3).map(|_| {
        let mut outcome = run(&plugin, &webhook("x\ny\nz")).unwrap();
        // Real time differs, and nothing else does.
        (outcome.cost.wall_us, outcome.cost.read_us, outcome.cost.map_us) = (0, 0, 0);
        serde_json::to_string(&outcome).unwrap()
    });
    let first = outcomes.next().unwrap();
    assert!(outcomes.all(|other| other == first));
}

#[test]
fn g10_what_differs_from_one_time_to_the_next_does_not_differ_for_a_guest() {
    let of = |settings: &str, runtime: &Runtime| {
        let plugin = runtime.load(&guests::component("fickle"), &manifest()).unwrap();
        let outcome = run(&plugin, &webhook_with(settings, "x")).unwrap();
        outcome.records[0].record.id.clone()
    };
    let (one, other) = (Runtime::new(options()).unwrap(), Runtime::new(options()).unwrap());
    let first = of("{}", &one);
    for again in [of("{}", &one), of("{}", &other), of("{}", &other)] {
        assert_eq!(again, first, "a unit that is run again comes to the same records");
    }
    assert_ne!(
        of("{\"other\":1}", &one),
        first,
        "it does use what it was given: the seed is of the settings"
    );
}

#[test]
fn g11_more_records_than_a_unit_may_hold_are_refused_whole() {
    let plugin = load("huge-result");
    let (code, message) = fault(run(&plugin, &webhook("many")));
    assert!(code == "guest-output" && message.contains("20,000"), "{code} {message}");
    let (code, message) = fault(run(&plugin, &webhook("notes")));
    assert!(code == "guest-output" && message.contains("1,000"), "{code} {message}");
    // A million is not even copied out of the guest.
    assert_eq!(fault(run(&plugin, &webhook("million"))).0, "guest-output-size");
    goes_on(&plugin);
}
