//! Mails: whom they reach, and that no second one ever comes of a call without an answer.

use serde_json::{Value, json};

use super::bench::{Bench, MINUTE, START, ada, person};
use super::fake::{FakeContact, Fault, unless_killed};
use crate::brevo::mails;
use crate::config::UnknownConsent;
use crate::contract::{Person, Subject};
use crate::people::fields::{self, Standing, Wanted};
use crate::people::identity::PersonId;
use crate::people::{consent, tombstone};
use crate::registry::ConsentBasis::{Flag, Signal};
use crate::registry::ConsentStatus::{OptedIn, OptedOut};
use crate::registry::{Channel, SetConsent, SuppressionReason};
use crate::store::dead_letters::{self, RequeueError};
use crate::store::installations::DestinationId;
use crate::store::outbox::State;
use crate::store::{Digest, StoreError};

const SEND: &str = "brevo/send-email";
const POST: &str = "POST /smtp/email";
const LOG: &str = "GET /smtp/emails";
/// The settle time, and a little.
const SETTLED: i64 = 16 * MINUTE;

fn welcome() -> Value {
    json!({ "template_id": 101, "params": { "name": "Ada" }, "tags": ["welcome"] })
}

fn order() -> Value {
    json!({ "template_id": 101, "even_if_opted_out": true })
}

fn about(person: &Person) -> Subject {
    Subject::Person(person.clone())
}

fn mail(bench: &Bench, person: &Person, payload: Value) -> i64 {
    bench.send(SEND, &about(person), payload)
}

/// As a contact that was there before.
fn contact(person: &Person) -> FakeContact {
    FakeContact { email: person.email.clone(), ext_id: person.external_id.clone(), ..FakeContact::default() }
}

fn with_ada() -> Bench {
    let bench = Bench::new();
    bench.brevo.put(contact(&ada()));
    bench
}

fn mails_sent(bench: &Bench) -> usize {
    bench.brevo.state().sends.mails.len()
}

fn posts(bench: &Bench) -> usize {
    bench.brevo.state().journal.iter().filter(|(label, _)| label == POST).count()
}

/// Nothing more is tried of it, and an operator finds it.
#[track_caller]
fn assert_shown(bench: &Bench, id: i64) {
    bench.assert_end(id, State::Parked, "outcome-unproven");
    let letter = bench.letters().pop().unwrap();
    assert_eq!(
        (letter.action, letter.code.as_str(), letter.actor.as_str()),
        (Some(id), "outcome-unproven", "operator")
    );
    assert!(letter.remedy.contains("tag"), "{}", letter.remedy);
    let refused = bench.store.write(|tx| dead_letters::requeue_action(tx, letter.id, false, bench.now()));
    assert!(matches!(refused, Err(RequeueError::NeedsConfirmation(_))));
}

#[test]
fn a_mail_goes_once_under_a_key_that_is_its_effects() {
    let bench = with_ada();
    let id = mail(&bench, &ada(), welcome());
    bench.run();
    bench.assert_end(id, State::Delivered, "");
    let effect = bench.action(id).effect;
    let state = bench.brevo.state();
    let [sent] = state.sends.mails.as_slice() else { panic!("{:?}", state.sends.mails) };
    assert_eq!((sent.to.as_str(), sent.template), ("ada@x.org", 101));
    assert_eq!(sent.params["name"], "Ada");
    assert_eq!(sent.key, mails::key(effect));
    assert_eq!(sent.tags, ["welcome".to_owned(), mails::tag(effect)]);
    assert_eq!(state.contacts.len(), 1);
}

#[test]
fn who_gets_a_mail() {
    let opted_out = |bench: &Bench| {
        bench.consent(&ada(), OptedOut, Flag, START);
    };
    let bounced = |bench: &Bench| {
        bench.suppress(&ada(), SuppressionReason::HardBounce, START);
    };
    let opted_in_again = |bench: &Bench| {
        bench.consent(&ada(), OptedOut, Signal, START);
        bench.consent(&ada(), OptedIn, Signal, START + 1);
    };
    let nothing = |_: &Bench| {};
    let at_brevo = |bench: &Bench| {
        bench.brevo.put(contact(&ada()));
    };
    let unsubscribed = |bench: &Bench| {
        let blocked =
            FakeContact { email_blocked: true, user_unsubscribed_at: Some(START - 1), ..contact(&ada()) };
        bench.brevo.put(blocked);
    };
    let blocked = |bench: &Bench| {
        bench.brevo.put(FakeContact { email_blocked: true, ..contact(&ada()) });
    };
    let blocked_by_address = |bench: &Bench| {
        bench.brevo.put(FakeContact {
            ext_id: Some("u1".into()),
            email: Some("new@x.org".into()),
            ..FakeContact::default()
        });
        bench.brevo.put(FakeContact { email_blocked: true, email: ada().email, ..FakeContact::default() });
    };
    let flagged = |bench: &Bench| {
        bench.mailable(&ada());
    };
    type Set<'a> = &'a dyn Fn(&Bench);
    type End = (State, &'static str);
    type Row<'a> = (&'static str, Set<'a>, Set<'a>, End, End);
    let sent = (State::Delivered, "");
    let refused = |code| (State::Refused, code);
    let held = (State::Held, "consent-unknown");
    let rows: [Row<'_>; 10] = [
        ("unknown is not opted out", &at_brevo, &nothing, sent, sent),
        ("opted out", &at_brevo, &opted_out, refused("opted-out"), sent),
        ("opted in again", &at_brevo, &opted_in_again, sent, sent),
        ("bounced", &at_brevo, &bounced, refused("suppressed"), refused("suppressed")),
        ("unsubscribed at Brevo", &unsubscribed, &nothing, refused("blocked-at-brevo"), sent),
        (
            "blocked at Brevo for no known reason",
            &blocked,
            &nothing,
            refused("blocked-at-brevo"),
            refused("blocked-at-brevo"),
        ),
        (
            "the address is another contact's, which is blocked",
            &blocked_by_address,
            &nothing,
            refused("blocked-at-brevo"),
            refused("blocked-at-brevo"),
        ),
        ("not at Brevo and unknown", &nothing, &nothing, held, sent),
        ("not at Brevo and known", &nothing, &flagged, sent, sent),
        ("not at Brevo and opted out", &nothing, &opted_out, refused("opted-out"), sent),
    ];
    for (what, at_brevo, known, marketing, necessary) in rows {
        for (payload, (state, code)) in [(welcome(), marketing), (order(), necessary)] {
            let bench = Bench::new();
            at_brevo(&bench);
            known(&bench);
            let id = mail(&bench, &ada(), payload);
            bench.run_until(START + 60 * MINUTE);
            assert_eq!(
                bench.end(id),
                (state, Some(code.to_owned()).filter(|code| !code.is_empty())),
                "{what}"
            );
            assert_eq!(mails_sent(&bench), usize::from(state == State::Delivered), "{what}");
        }
    }
    let bench = Bench::new();
    let nobodys = Person { email: None, ..ada() };
    let id = mail(&bench, &nobodys, order());
    bench.run();
    bench.assert_end(id, State::Refused, "no-address");
}

#[test]
fn a_block_that_nothing_explains_is_shown_where_the_mail_was_to_come_all_the_same() {
    let bench = Bench::new();
    let brevos = bench.brevo.put(FakeContact { email_blocked: true, ..contact(&ada()) });
    let id = mail(&bench, &ada(), order());
    bench.run_until(START + MINUTE);
    bench.assert_end(id, State::Refused, "blocked-at-brevo");
    assert_eq!(bench.letters()[0].actor, "tenant");
    bench.brevo.state().contacts.get_mut(&brevos).unwrap().email_blocked = false;
    bench.requeue(false);
    bench.run();
    bench.assert_end(id, State::Delivered, "");
}

#[test]
fn a_mail_to_somebody_unknown_waits_for_the_flag_or_the_tenants_word() {
    let mut bench = Bench::new();
    let id = mail(&bench, &ada(), welcome());
    bench.run_until(START + MINUTE);
    bench.assert_end(id, State::Held, "consent-unknown");
    bench.mailable(&ada());
    bench.run_until(START + 2 * MINUTE);
    bench.assert_end(id, State::Delivered, "");
    assert_eq!(bench.brevo.calls("POST /contacts "), 0, "a mail creates nobody");

    bench = Bench::new();
    bench.options.unknown_consent = UnknownConsent::Create;
    let id = mail(&bench, &ada(), welcome());
    bench.run();
    bench.assert_end(id, State::Delivered, "");
}

#[test]
fn a_contact_that_was_delivered_and_is_gone_is_the_operators() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    bench.run();
    bench.brevo.state().contacts.clear();
    let id = mail(&bench, &ada(), welcome());
    bench.run_until(bench.now() + MINUTE);
    bench.assert_end(id, State::Parked, "contact-gone");
    assert_eq!(mails_sent(&bench), 0);
}

#[test]
fn it_goes_to_the_address_that_holds_now() {
    let bench = with_ada();
    bench.mailable(&ada());
    let moved = Person { email: Some("Ada.New@x.org".into()), ..ada() };
    let fold = |person: &Person, at: i64| {
        let id = PersonId(bench.person_id(person));
        let offered = [(fields::EMAIL.to_owned(), Value::from(person.email.clone()))].into();
        let standing = Standing::new(at, 32, Digest([0; 16]));
        bench.store.write::<_, StoreError>(|tx| {
            let mut wanted = Wanted::default();
            wanted.fold(tx, id, &offered, &standing)?;
            wanted.flush(tx)
        })
    };
    fold(&ada(), START).unwrap();
    let before = mail(&bench, &ada(), welcome());
    bench.wait(1);
    // Learned last, and not what holds: an old record.
    let old = Person { email: Some("ada.old@x.org".into()), ..ada() };
    fold(&old, START - 1).unwrap();
    bench.run_until(bench.now());
    bench.wait(1);
    fold(&moved, START + 2).unwrap();
    let after = mail(&bench, &ada(), welcome());
    bench.wait(1);
    fold(&old, START - 1).unwrap();
    let spelled = mail(&bench, &moved, welcome());
    bench.run();
    for id in [before, after, spelled] {
        bench.assert_end(id, State::Delivered, "");
    }
    let to: Vec<String> = bench.brevo.state().sends.mails.iter().map(|mail| mail.to.clone()).collect();
    assert_eq!(to[0], "ada@x.org");
    assert_eq!(to[1].to_lowercase(), "ada.new@x.org");
    assert_eq!(to[2], "Ada.New@x.org");
}

/// Whatever breaks at whichever call, exactly one mail comes of it while Brevo knows the key.
#[test]
fn h01_w10_any_call_may_break_and_one_mail_comes_of_it() {
    let run = |disturbed: Option<(usize, Fault)>| {
        let bench = with_ada();
        if let Some((at, fault)) = disturbed {
            bench.brevo.state().nth_fault(at, fault);
        }
        let id = mail(&bench, &ada(), welcome());
        while unless_killed(|| bench.run()).is_none() {}
        bench.assert_end(id, State::Delivered, "");
        assert_eq!(mails_sent(&bench), 1);
        assert!(bench.letters().is_empty(), "{:?}", bench.letter_codes());
        bench.brevo.arrivals()
    };
    let calls = run(None);
    assert!(calls >= 2, "{calls}");
    for at in 0..calls {
        for fault in [
            Fault::AnswerLost,
            Fault::RequestLost,
            Fault::NotSent,
            Fault::DiesBefore,
            Fault::DiesAfter,
            Fault::Answer(500, vec![], String::new()),
            Fault::DoneBut(502, "<html>bad gateway</html>".into()),
            Fault::DoneBut(200, "<html>proxy</html>".into()),
            Fault::Answer(429, vec![], String::new()),
            Fault::Answer(404, vec![], "<html>no such page</html>".into()),
        ] {
            run(Some((at, fault)));
        }
    }
}

#[test]
fn n05_an_unanswered_mail_goes_again_under_its_key_and_a_used_key_means_delivered() {
    for (fault, lost) in [(Fault::AnswerLost, false), (Fault::RequestLost, true)] {
        let bench = with_ada();
        bench.brevo.fault(POST, fault);
        let id = mail(&bench, &ada(), welcome());
        let delivery = bench.delivery();
        bench.run_with(&delivery, bench.now());
        bench.assert_end(id, State::Waiting, "outcome-unknown");
        assert_eq!(mails_sent(&bench), usize::from(!lost));
        bench.run_with(&delivery, bench.now() + MINUTE);
        bench.assert_end(id, State::Delivered, "");
        assert_eq!((mails_sent(&bench), posts(&bench), bench.brevo.calls(LOG)), (1, 2, 0));
        let state = bench.brevo.state();
        let keys: Vec<&Value> = state
            .journal
            .iter()
            .filter(|(l, _)| l == POST)
            .map(|(_, b)| &b["headers"]["idempotencyKey"])
            .collect();
        assert_eq!(keys[0], keys[1]);
    }
}

/// The window closes while nothing can be sent: from then on the mail is only looked for.
#[test]
fn after_the_window_nothing_is_sent_again_whatever_became_of_the_first() {
    for (first, arrived) in [(Fault::AnswerLost, true), (Fault::RequestLost, false)] {
        for meanwhile in [
            Fault::NotSent,
            Fault::RequestLost,
            Fault::Answer(503, vec![], String::new()),
            Fault::Answer(402, vec![], r#"{"code":"not_enough_credits"}"#.into()),
            Fault::Answer(401, vec![], r#"{"code":"unauthorized","message":"Key not found"}"#.into()),
        ] {
            let bench = with_ada();
            bench.brevo.fault(POST, first.clone());
            for _ in 0..40 {
                bench.brevo.fault(POST, meanwhile.clone());
            }
            let id = mail(&bench, &ada(), welcome());
            let delivery = bench.delivery();
            bench.run_with(&delivery, START + mails::KEY_WINDOW);
            let within = posts(&bench);
            bench.brevo.state().faults.clear();
            bench.run_with(&delivery, i64::MAX);
            assert_eq!(posts(&bench), within, "{first:?}, then {meanwhile:?}: sent again after the window");
            assert_eq!(mails_sent(&bench), usize::from(arrived), "{first:?}, then {meanwhile:?}");
            if arrived {
                bench.assert_end(id, State::Delivered, "");
            } else {
                assert_shown(&bench, id);
                bench.requeue(true);
                bench.run();
                bench.assert_end(id, State::Delivered, "");
                assert_eq!(mails_sent(&bench), 1);
            }
        }
    }
}

#[test]
fn the_last_repeat_starts_ten_minutes_after_the_first_attempt() {
    // The first attempt is the one that may have arrived, not the one that is nearest.
    for (wait, goes_again) in [(mails::KEY_WINDOW, true), (mails::KEY_WINDOW + 1, false)] {
        let bench = with_ada();
        bench.brevo.fault(POST, Fault::RequestLost);
        let id = mail(&bench, &ada(), welcome());
        assert!(unless_killed(|| bench.run_until(START)).is_some());
        bench.assert_end(id, State::Waiting, "outcome-unknown");
        bench.wait(wait);
        bench.run_until(bench.now());
        assert_eq!(mails_sent(&bench), usize::from(goes_again), "{wait}");
        bench.run();
        assert_eq!(mails_sent(&bench), usize::from(goes_again), "{wait}");
    }
}

#[test]
fn w10_a_host_that_comes_back_after_the_window_looks_and_does_not_send() {
    for (fault, arrived) in [(Fault::DiesBefore, false), (Fault::DiesAfter, true)] {
        let bench = with_ada();
        bench.brevo.fault(POST, fault);
        let id = mail(&bench, &ada(), welcome());
        assert!(unless_killed(|| bench.run()).is_none());
        bench.wait(20 * MINUTE);
        let delivery = bench.delivery();
        bench.assert_end(id, State::Parked, "outcome-unknown");
        bench.run_with(&delivery, i64::MAX);
        assert_eq!((posts(&bench), mails_sent(&bench)), (1, usize::from(arrived)));
        match arrived {
            true => bench.assert_end(id, State::Delivered, ""),
            false => assert_shown(&bench, id),
        }
    }
    // Before the request left nothing is in doubt, however long the host was away.
    let bench = with_ada();
    bench.brevo.fault("GET /contacts", Fault::DiesBefore);
    let id = mail(&bench, &ada(), welcome());
    assert!(unless_killed(|| bench.run()).is_none());
    bench.wait(20 * MINUTE);
    bench.run();
    bench.assert_end(id, State::Delivered, "");
    assert_eq!((posts(&bench), mails_sent(&bench)), (1, 1));
}

#[test]
fn a_refusal_of_the_repeat_says_nothing_of_the_first() {
    let template = r#"{"code":"invalid_parameter","message":"Template is not active"}"#;
    for (first, arrived) in [(Fault::AnswerLost, true), (Fault::RequestLost, false)] {
        let bench = with_ada();
        bench.brevo.fault(POST, first);
        bench.brevo.fault(POST, Fault::Answer(400, vec![], template.into()));
        let id = mail(&bench, &ada(), welcome());
        bench.run_until(START + MINUTE);
        bench.assert_end(id, State::Parked, "outcome-unknown");
        bench.run();
        match arrived {
            true => bench.assert_end(id, State::Delivered, ""),
            false => assert_shown(&bench, id),
        }
        assert_eq!(posts(&bench), 2);
    }
}

#[test]
fn a_key_that_was_used_by_nobody_that_the_host_remembers_is_looked_for() {
    let bench = with_ada();
    let used = r#"{"code":"duplicate_parameter","message":"idempotencyKey was already used"}"#;
    bench.brevo.fault(POST, Fault::Answer(400, vec![], used.into()));
    let id = mail(&bench, &ada(), welcome());
    bench.run();
    assert_shown(&bench, id);
    assert_eq!(mails_sent(&bench), 0);
}

#[test]
fn reading_that_fails_proves_nothing_and_ends_with_the_operator() {
    let unreadable = [
        Fault::Answer(200, vec![], "<html>".into()),
        Fault::Answer(200, vec![], r#"{"transactionalEmails":[],"count":3}"#.into()),
        Fault::Answer(500, vec![], String::new()),
        Fault::RequestLost,
        Fault::NotSent,
        Fault::DiesBefore,
        Fault::Answer(429, vec![], String::new()),
        Fault::Answer(403, vec![], r#"{"code":"permission_denied"}"#.into()),
    ];
    let bench = with_ada();
    bench.brevo.fault(POST, Fault::DiesAfter);
    let id = mail(&bench, &ada(), welcome());
    assert!(unless_killed(|| bench.run()).is_none());
    bench.wait(20 * MINUTE);
    let reads = unreadable.len();
    for fault in unreadable {
        bench.brevo.fault(LOG, fault);
    }
    while unless_killed(|| bench.run()).is_none() {}
    bench.assert_end(id, State::Delivered, "");
    assert_eq!((mails_sent(&bench), posts(&bench)), (1, 1));
    assert_eq!(bench.brevo.calls(LOG), reads, "the one that was not sent left no trace");

    let bench = with_ada();
    bench.brevo.fault(POST, Fault::DiesAfter);
    let id = mail(&bench, &ada(), welcome());
    assert!(unless_killed(|| bench.run()).is_none());
    bench.wait(20 * MINUTE);
    for _ in 0..50 {
        bench.brevo.fault(LOG, Fault::Answer(500, vec![], String::new()));
    }
    bench.run();
    assert_shown(&bench, id);
}

#[test]
fn a_mail_is_found_on_a_later_page_and_under_the_address_that_held_then() {
    let bench = with_ada();
    bench.brevo.fault(POST, Fault::DiesAfter);
    let id = mail(&bench, &ada(), welcome());
    assert!(unless_killed(|| bench.run()).is_none());
    bench.wait(20 * MINUTE);
    bench.person_id(&Person { email: Some("ada.new@x.org".into()), ..ada() });
    for _ in 0..700 {
        let mut state = bench.brevo.state();
        let mut other = state.sends.mails[0].clone();
        other.tags = vec!["welcome".into()];
        state.sends.mails.push(other);
    }
    bench.run();
    bench.assert_end(id, State::Delivered, "");
    assert_eq!(bench.brevo.calls(LOG), 3);
}

#[test]
fn an_opt_out_that_comes_before_the_call_or_between_two_counts() {
    let bench = with_ada();
    let id = mail(&bench, &ada(), welcome());
    bench.wait(1);
    bench.consent(&ada(), OptedOut, Signal, bench.now());
    bench.run();
    bench.assert_end(id, State::Refused, "opted-out");

    let bench = with_ada();
    bench.brevo.fault(POST, Fault::RequestLost);
    let id = mail(&bench, &ada(), welcome());
    bench.run_until(START);
    bench.consent(&ada(), OptedOut, Signal, bench.now());
    bench.run();
    assert_shown(&bench, id);
    bench.requeue(true);
    bench.run();
    bench.assert_end(id, State::Refused, "opted-out");
    assert_eq!((posts(&bench), mails_sent(&bench)), (1, 0));
}

#[test]
fn what_becomes_known_during_the_calls_counts() {
    let bench = with_ada();
    let id = mail(&bench, &ada(), welcome());
    let person = bench.person_id(&ada());
    let said = SetConsent { channel: Channel::Email, status: OptedOut, basis: Signal };
    let store = bench.store.clone();
    bench.brevo.meanwhile("GET /contacts", move || {
        store.write(|tx| consent::merge(tx, person, &said, START, START)).unwrap();
    });
    bench.run();
    bench.assert_end(id, State::Refused, "opted-out");

    let bench = with_ada();
    let id = mail(&bench, &ada(), welcome());
    let (store, person) = (bench.store.clone(), PersonId(bench.person_id(&ada())));
    bench.brevo.meanwhile("GET /contacts", move || {
        store.write(|tx| tombstone::erase(tx, DestinationId(1), person, &[], START)).unwrap();
    });
    bench.run();
    bench.assert_end(id, State::Refused, "person-erased");
    assert_eq!(bench.action(id).subject, "{}");

    let bench = with_ada();
    let id = bench.admit_with(SEND, &about(&ada()), welcome(), |new| new.not_after = Some(START + 5));
    let clock = bench.clock.clone();
    bench.brevo.meanwhile("GET /contacts", move || {
        crate::world::Clock::sleep(&*clock, std::time::Duration::from_millis(6));
    });
    bench.run();
    bench.assert_end(id, State::Expired, "too-old");
    assert_eq!(mails_sent(&bench), 0);
}

#[test]
fn past_its_deadline_a_mail_is_not_sent_and_what_may_be_sent_is_still_looked_for() {
    let bench = with_ada();
    let late = bench.admit_with(SEND, &about(&ada()), welcome(), |new| new.not_after = Some(START - 1));
    let unknown = person("u2", "b@x.org");
    let held =
        bench.admit_with(SEND, &about(&unknown), welcome(), |new| new.not_after = Some(START + MINUTE));
    bench.run();
    bench.assert_end(late, State::Expired, "too-old");
    bench.assert_end(held, State::Expired, "too-old");
    assert_eq!(posts(&bench), 0);

    for (fault, arrived) in [(Fault::AnswerLost, true), (Fault::RequestLost, false)] {
        let bench = with_ada();
        bench.brevo.fault(POST, fault);
        let id = bench.admit_with(SEND, &about(&ada()), welcome(), |new| new.not_after = Some(START));
        bench.run();
        assert_eq!(posts(&bench), 1);
        match arrived {
            true => bench.assert_end(id, State::Delivered, ""),
            false => assert_shown(&bench, id),
        }
    }
}

#[test]
fn a_debounced_mail_goes_once_with_what_was_said_last() {
    let bench = with_ada();
    let put = |name: &str, wait: i64| {
        let payload = json!({ "template_id": 101, "params": { "name": name } });
        let now = bench.now();
        bench.admit_with(SEND, &about(&ada()), payload, |new| {
            new.coalesce_key = Some("cart");
            new.not_before = Some(now + wait);
            new.not_after = Some(now + 60 * MINUTE);
        })
    };
    let first = put("one", 10 * MINUTE);
    bench.wait(5 * MINUTE);
    let second = put("two", 10 * MINUTE);
    bench.run_until(START + 14 * MINUTE);
    assert_eq!(mails_sent(&bench), 0);
    bench.run_until(START + 20 * MINUTE);
    bench.assert_end(first, State::Coalesced, "replaced");
    bench.assert_end(second, State::Delivered, "");
    assert_eq!(bench.brevo.state().sends.mails[0].params["name"], "two");

    // What may have been sent is not replaced.
    bench.brevo.fault(POST, Fault::AnswerLost);
    let third = put("three", 0);
    bench.run_until(bench.now());
    bench.assert_end(third, State::Waiting, "outcome-unknown");
    let fourth = put("four", 0);
    bench.run();
    bench.assert_end(third, State::Delivered, "");
    bench.assert_end(fourth, State::Delivered, "");
    assert_eq!(mails_sent(&bench), 3);
}

#[test]
fn without_credits_mails_wait_and_nothing_else_does() {
    let bench = with_ada();
    let refused = r#"{"code":"not_enough_credits","message":"no credits"}"#;
    bench.brevo.fault(POST, Fault::Answer(402, vec![], refused.into()));
    let id = mail(&bench, &ada(), welcome());
    let delivery = bench.delivery();
    bench.run_with(&delivery, START);
    bench.assert_end(id, State::Waiting, "brevo-no-credits");
    assert_eq!(bench.letter_codes(), ["brevo-no-credits"]);
    let event = bench.event(&ada(), "seen");
    bench.run_with(&delivery, START + MINUTE);
    bench.assert_end(event, State::Delivered, "");
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(id, State::Delivered, "");
    assert_eq!((posts(&bench), mails_sent(&bench)), (2, 1));
}

#[test]
fn what_brevo_does_not_take_is_a_letter_and_can_be_requeued() {
    let malformed = r#"{"code":"invalid_parameter","message":"params is invalid for ada@x.org"}"#;
    for (fault, code, actor) in
        [(None, "template-unknown", "tenant"), (Some(malformed), "mail-refused", "connector-author")]
    {
        let bench = with_ada();
        match fault {
            Some(body) => bench.brevo.fault(POST, Fault::Answer(400, vec![], body.into())),
            None => bench.brevo.state().sends.templates.clear(),
        }
        let id = mail(&bench, &ada(), welcome());
        bench.run_until(START + MINUTE);
        bench.assert_end(id, State::Failed, code);
        let letter = bench.letters().pop().unwrap();
        assert_eq!((letter.code.as_str(), letter.actor.as_str()), (code, actor));
        assert!(!letter.message.contains('@'));
        bench.brevo.state().sends.templates.insert(101);
        bench.requeue(false);
        bench.run();
        bench.assert_end(id, State::Delivered, "");
        assert_eq!(mails_sent(&bench), 1);
    }
    let bench = Bench::new();
    let bad = person("", "ada@nonsense");
    bench.mailable(&bad);
    let id = mail(&bench, &bad, welcome());
    bench.run();
    bench.assert_end(id, State::Failed, "address-refused");
}

#[test]
fn a_mail_that_waits_holds_up_nobody() {
    let bench = with_ada();
    bench.brevo.fault(POST, Fault::RequestLost);
    bench.brevo.fault(POST, Fault::RequestLost);
    let id = mail(&bench, &ada(), welcome());
    let event = bench.event(&ada(), "seen");
    bench.run_until(START + 100);
    bench.assert_end(event, State::Delivered, "");
    bench.run_until(START + SETTLED);
    bench.assert_end(id, State::Delivered, "");
}
