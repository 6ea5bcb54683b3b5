#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use super::*;
use crate::store::{Store, dead_letters};

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("host.db")).unwrap();
    (directory, store)
}

fn action(effect: u8) -> NewAction<'static> {
    NewAction {
        installation: 1,
        destination: 1,
        person: Some(7),
        subject: r#"{"Person":{"external_id":"u1","email":null,"phone":null,"aliases":[]}}"#,
        effect: Digest([effect; 16]),
        name: "brevo/upsert-contact",
        payload: r#"{"attributes":{"FIRSTNAME":"Ada"}}"#,
        occurred_at: None,
        received_at: 10,
        rank: 0,
        observation: Digest([0; 16]),
        not_before: None,
        not_after: None,
        coalesce_key: None,
        list: None,
        thing: None,
        class: Class::Live,
        batch: 1,
        position: 0,
        state: State::Waiting,
        code: None,
    }
}

fn state_of(store: &Store, id: i64) -> State {
    store.read::<_, StoreError>(|tx| Ok(get(tx, id)?.unwrap().state)).unwrap()
}

#[test]
fn an_effect_is_admitted_once() {
    let (_directory, store) = store();
    let first = store.write(|tx| admit(tx, &action(1))).unwrap();
    let again = store.write(|tx| admit(tx, &action(1))).unwrap();
    assert_eq!(again, Admission::AlreadyAdmitted(first.id()));
    assert_eq!(store.read(|tx| counts(tx, 1)).unwrap(), BTreeMap::from([(State::Waiting, 1)]));
}

#[test]
fn a_waiting_action_with_the_same_key_is_replaced_and_one_in_flight_is_not() {
    let (_directory, store) = store();
    let keyed = |effect| NewAction { coalesce_key: Some("contact"), ..action(effect) };
    let (flying, waiting, newest) = store
        .write::<_, StoreError>(|tx| {
            let flying = admit(tx, &keyed(1))?.id();
            take(tx, flying, 20)?;
            let waiting = admit(tx, &keyed(2))?.id();
            Ok((flying, waiting, admit(tx, &keyed(3))?.id()))
        })
        .unwrap();
    assert_eq!(state_of(&store, flying), State::InFlight);
    assert_eq!(state_of(&store, waiting), State::Coalesced);
    assert_eq!(state_of(&store, newest), State::Waiting);
}

#[test]
fn nothing_is_replaced_that_the_new_action_does_not_carry() {
    let (_directory, store) = store();
    let keyed = |effect, payload| NewAction { coalesce_key: Some("contact"), payload, ..action(effect) };
    let (other, consent) = store
        .write::<_, StoreError>(|tx| {
            let other = admit(tx, &keyed(1, r#"{"attributes":{"LASTNAME":"Lovelace"}}"#))?.id();
            let consent = NewAction { name: "brevo/set-consent", ..keyed(2, "{}") };
            let consent_id = admit(tx, &consent)?.id();
            admit(tx, &keyed(3, r#"{"attributes":{"FIRSTNAME":"Ada"}}"#))?;
            admit(tx, &NewAction { effect: Digest([4; 16]), ..consent })?;
            Ok((other, consent_id))
        })
        .unwrap();
    assert_eq!(state_of(&store, other), State::Waiting);
    assert_eq!(state_of(&store, consent), State::Waiting);
}

#[test]
fn another_persons_action_is_not_replaced() {
    let (_directory, store) = store();
    let first = store
        .write::<_, StoreError>(|tx| {
            let first = admit(tx, &NewAction { coalesce_key: Some("contact"), ..action(1) })?.id();
            admit(tx, &NewAction { coalesce_key: Some("contact"), person: Some(8), ..action(2) })?;
            Ok(first)
        })
        .unwrap();
    assert_eq!(state_of(&store, first), State::Waiting);
}

#[test]
fn an_action_ends_once() {
    let (_directory, store) = store();
    let end = |tx: &Transaction<'_>, id| {
        step(
            tx,
            &Transition {
                id,
                from: State::InFlight,
                to: State::Delivered,
                due_at: None,
                code: None,
                intent: None,
            },
        )
    };
    let id = store.write(|tx| admit(tx, &action(1))).unwrap().id();
    assert!(matches!(store.write(|tx| end(tx, id)), Err(StoreError::Conflict)));
    store.write(|tx| take(tx, id, 20)).unwrap();
    assert!(matches!(store.write(|tx| take(tx, id, 20)), Err(StoreError::Conflict)));
    store.write(|tx| end(tx, id)).unwrap();
    assert!(matches!(store.write(|tx| end(tx, id)), Err(StoreError::Conflict)));
}

#[test]
fn only_what_waits_for_consent_or_contact_is_released() {
    let (_directory, store) = store();
    let (mine, others) = store
        .write::<_, StoreError>(|tx| {
            let held = |effect, code| NewAction { state: State::Held, code: Some(code), ..action(effect) };
            let mine = admit(tx, &held(1, held::CONSENT_UNKNOWN))?.id();
            let others = admit(tx, &held(2, "baseline"))?.id();
            assert_eq!(release_held(tx, 7, 50)?, 1);
            Ok((mine, others))
        })
        .unwrap();
    assert_eq!(state_of(&store, mine), State::Waiting);
    assert_eq!(state_of(&store, others), State::Held);
}

#[test]
fn every_state_has_its_number() {
    for (number, state) in State::ALL.into_iter().enumerate() {
        assert_eq!(state.number(), number as i64);
        assert_eq!(State::from_number(number as i64), Some(state));
    }
    assert_eq!(State::from_number(11), None);
    assert_eq!(State::from_number(-1), None);
}

fn stopped(store: &Store, state: State, code: &str) -> (i64, i64) {
    store
        .write::<_, StoreError>(|tx| {
            let id = admit(tx, &action(1))?.id();
            step(
                tx,
                &Transition {
                    id,
                    from: State::Waiting,
                    to: state,
                    due_at: None,
                    code: Some(code),
                    intent: None,
                },
            )?;
            let letter = dead_letters::NewDeadLetter {
                installation: 1,
                stage: "deliver",
                code,
                actor: dead_letters::Actor::Operator,
                message: "It did not work.",
                remedy: "Look at it.",
                journal: None,
                pointer: None,
                record: Some((1, 0)),
                action: Some(id),
            };
            Ok((id, dead_letters::insert(tx, &letter, 30)?))
        })
        .unwrap()
}

#[test]
fn a_requeue_keeps_the_effect_and_closes_the_letter() {
    let (_directory, store) = store();
    let (id, letter) = stopped(&store, State::Failed, "brevo-unavailable");
    let requeued = store.write(|tx| dead_letters::requeue_action(tx, letter, false, 40)).unwrap();
    assert_eq!(requeued, id);
    let action = store.read(|tx| get(tx, id)).unwrap().unwrap();
    assert_eq!((action.state, action.attempts, action.due_at), (State::Waiting, 0, Some(40)));
    assert_eq!(action.effect, Digest([1; 16]));
    assert_eq!(store.read(|tx| dead_letters::open_count(tx, 1)).unwrap(), 0);
    let again = store.write(|tx| dead_letters::requeue_action(tx, letter, true, 41));
    assert!(matches!(again, Err(dead_letters::RequeueError::Closed(_))));
}

#[test]
fn what_may_be_at_brevo_is_sent_again_only_by_an_operators_word() {
    let (_directory, store) = store();
    let (id, letter) = stopped(&store, State::Parked, OUTCOME_UNPROVEN);
    let refused = store.write(|tx| dead_letters::requeue_action(tx, letter, false, 40));
    assert!(matches!(refused, Err(dead_letters::RequeueError::NeedsConfirmation(_))));
    assert_eq!(state_of(&store, id), State::Parked);
    store.write(|tx| dead_letters::requeue_action(tx, letter, true, 40)).unwrap();
    assert_eq!(state_of(&store, id), State::Waiting);
}

#[test]
fn letters_are_listed_oldest_first_and_once_where_asked() {
    let (_directory, store) = store();
    let (_, first) = stopped(&store, State::Failed, "brevo-unavailable");
    let about = dead_letters::NewDeadLetter {
        installation: 1,
        stage: "deliver",
        code: "attribute-missing",
        actor: dead_letters::Actor::Operator,
        message: "The attribute is missing.",
        remedy: "Create it.",
        journal: None,
        pointer: Some("attribute:TIER"),
        record: None,
        action: None,
    };
    let (second, repeat) = store
        .write::<_, StoreError>(|tx| {
            Ok((dead_letters::insert_once(tx, &about, 50)?, dead_letters::insert_once(tx, &about, 51)?))
        })
        .unwrap();
    assert_eq!(repeat, None);
    let all = store.read(|tx| dead_letters::list(tx, dead_letters::Filter::default(), 10)).unwrap();
    assert_eq!(all.iter().map(|l| l.id).collect::<Vec<_>>(), [first, second.unwrap()]);
    let filter = dead_letters::Filter { code: Some("attribute-missing"), ..Default::default() };
    assert_eq!(store.read(|tx| dead_letters::list(tx, filter, 10)).unwrap().len(), 1);
}
