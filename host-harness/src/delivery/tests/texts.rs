//! Text messages: one attempt, and what it came to is looked for.

use serde_json::{Value, json};

use super::bench::{Bench, MINUTE, START, ada, ada_with_phone, person};
use super::fake::{FakeContact, Fault, unless_killed};
use crate::brevo::texts;
use crate::contract::Subject;
use crate::registry::Channel;
use crate::registry::ConsentBasis::{Flag, Signal};
use crate::registry::ConsentStatus::{OptedIn, OptedOut};
use crate::store::dead_letters::{self, RequeueError};
use crate::store::outbox::State;

const SEND: &str = "brevo/send-sms";
const POST: &str = "POST /transactionalSMS/send";
const REPORT: &str = "GET /transactionalSMS/statistics/events";

fn code() -> Value {
    json!({ "content": "Your code is 1234", "sender": "ACME" })
}

fn contact() -> FakeContact {
    FakeContact {
        email: ada().email,
        ext_id: ada().external_id,
        phone: Some("491511234567".into()),
        ..FakeContact::default()
    }
}

fn with_ada() -> Bench {
    let bench = Bench::new();
    bench.brevo.put(contact());
    bench
}

fn text(bench: &Bench, payload: Value) -> i64 {
    bench.send(SEND, &Subject::Person(ada_with_phone()), payload)
}

fn texts_sent(bench: &Bench) -> usize {
    bench.brevo.state().sends.texts.len()
}

#[track_caller]
fn assert_shown(bench: &Bench, id: i64) {
    bench.assert_end(id, State::Parked, "outcome-unproven");
    let letter = bench.letters().pop().unwrap();
    assert_eq!((letter.action, letter.actor.as_str()), (Some(id), "operator"));
    let refused = bench.store.write(|tx| dead_letters::requeue_action(tx, letter.id, false, bench.now()));
    assert!(matches!(refused, Err(RequeueError::NeedsConfirmation(_))));
}

#[test]
fn a_text_goes_once_with_its_own_tag_and_the_tenants() {
    let bench = with_ada();
    let plain = text(&bench, code());
    let tagged = text(&bench, json!({ "content": "Hi", "sender": "ACME", "tag": "promo" }));
    bench.run();
    let own = |id| texts::tag(bench.action(id).effect);
    for id in [plain, tagged] {
        bench.assert_end(id, State::Delivered, "");
    }
    let state = bench.brevo.state();
    assert_eq!(state.sends.texts[0].tags, [own(plain)]);
    assert_eq!(state.sends.texts[1].tags, [own(tagged), "promo".into()]);
    assert!(state.sends.texts.iter().all(|text| text.to == "491511234567" && text.kind == "transactional"));
}

#[test]
fn who_gets_a_text() {
    let marketing = || json!({ "content": "Sale", "sender": "ACME", "kind": "marketing" });
    let necessary = || json!({ "content": "Hi", "sender": "ACME", "even_if_opted_out": true });
    let sms = |status, basis| {
        move |bench: &Bench| {
            bench.consent_on(&ada_with_phone(), Channel::Sms, status, basis, START);
        }
    };
    let opted_out = sms(OptedOut, Signal);
    let opted_in = sms(OptedIn, Flag);
    let no_mail = |bench: &Bench| {
        bench.consent(&ada(), OptedOut, Signal, START);
    };
    let nothing = |_: &Bench| {};
    let at_brevo = |bench: &Bench| {
        bench.brevo.put(contact());
    };
    let without_phone = |bench: &Bench| {
        bench.brevo.put(FakeContact { phone: None, ..contact() });
    };
    let blocked = |bench: &Bench| {
        bench.brevo.put(FakeContact { sms_blocked: true, ..contact() });
    };
    type Set<'a> = &'a dyn Fn(&Bench);
    type Row<'a> = (&'static str, Set<'a>, Set<'a>, [(State, &'static str); 3]);
    let (sent, held) = ((State::Delivered, ""), (State::Held, "consent-unknown"));
    let refused = |code| (State::Refused, code);
    let rows: [Row<'_>; 7] = [
        ("unknown is not opted out", &at_brevo, &nothing, [sent, held, sent]),
        ("wants texts", &at_brevo, &opted_in, [sent, sent, sent]),
        ("wants no texts", &at_brevo, &opted_out, [refused("opted-out"), refused("opted-out"), sent]),
        ("wants no mail", &at_brevo, &no_mail, [sent, held, sent]),
        ("blocked at Brevo", &blocked, &nothing, [refused("blocked-at-brevo"); 3]),
        ("the number is not at Brevo", &without_phone, &nothing, [held, held, sent]),
        ("the number is not at Brevo and wanted", &without_phone, &opted_in, [sent, sent, sent]),
    ];
    for (what, at_brevo, known, ends) in rows {
        for (payload, (state, code)) in [code(), marketing(), necessary()].into_iter().zip(ends) {
            let bench = Bench::new();
            at_brevo(&bench);
            known(&bench);
            let id = text(&bench, payload.clone());
            bench.run_until(START + 60 * MINUTE);
            let code = Some(code.to_owned()).filter(|code| !code.is_empty());
            assert_eq!(bench.end(id), (state, code), "{what}: {payload}");
            assert_eq!(texts_sent(&bench), usize::from(state == State::Delivered), "{what}: {payload}");
        }
    }
    let bench = Bench::new();
    let id = bench.send(SEND, &Subject::Person(ada()), code());
    bench.run();
    bench.assert_end(id, State::Refused, "no-address");
}

#[test]
fn marketing_waits_until_it_is_wanted() {
    let bench = with_ada();
    let id = text(&bench, json!({ "content": "Sale", "sender": "ACME", "kind": "marketing" }));
    bench.run_until(START + MINUTE);
    bench.assert_end(id, State::Held, "consent-unknown");
    bench.consent_on(&ada_with_phone(), Channel::Sms, OptedIn, Signal, START);
    bench.run_until(START + 2 * MINUTE);
    bench.assert_end(id, State::Delivered, "");
    assert_eq!(bench.brevo.state().sends.texts[0].kind, "marketing");
}

/// Whatever breaks at whichever call: never a second text, and what is not proven is shown.
#[test]
fn h01_w10_any_call_may_break_and_no_second_text_comes_of_it() {
    let run = |disturbed: Option<(usize, Fault)>| {
        let bench = with_ada();
        if let Some((at, fault)) = disturbed.clone() {
            bench.brevo.state().nth_fault(at, fault);
        }
        let id = text(&bench, code());
        while unless_killed(|| bench.run()).is_none() {}
        let sent = texts_sent(&bench);
        match bench.end(id).0 {
            State::Delivered => assert_eq!(sent, 1, "{disturbed:?}"),
            _ => {
                assert_eq!(sent, 0, "{disturbed:?}: it is found where it was sent");
                assert_shown(&bench, id);
                bench.requeue(true);
                bench.run();
                bench.assert_end(id, State::Delivered, "");
                assert_eq!(texts_sent(&bench), 1);
            }
        }
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
fn n05_an_unanswered_text_is_looked_for_after_the_settle_time_and_never_sent_again() {
    for (fault, arrived) in [(Fault::AnswerLost, true), (Fault::RequestLost, false)] {
        let bench = with_ada();
        bench.brevo.fault(POST, fault);
        let id = text(&bench, json!({ "content": "Hi", "sender": "ACME", "tag": "promo" }));
        bench.run_until(START + 14 * MINUTE);
        bench.assert_end(id, State::Parked, "outcome-unknown");
        assert_eq!(bench.brevo.calls(REPORT), 0, "not before the settle time");
        bench.run();
        assert_eq!((bench.brevo.calls(POST), bench.brevo.calls(REPORT)), (1, 1));
        match arrived {
            true => bench.assert_end(id, State::Delivered, ""),
            false => assert_shown(&bench, id),
        }
    }
}

#[test]
fn an_operator_ends_what_stays_unproven_without_another_call() {
    for (arrived, state, code) in
        [(true, State::Delivered, "operator-saw-it"), (false, State::Refused, "given-up")]
    {
        let bench = with_ada();
        bench.brevo.fault(POST, Fault::RequestLost);
        let id = text(&bench, json!({ "content": "Hi", "sender": "ACME" }));
        bench.run();
        assert_shown(&bench, id);
        let letter = bench.letters().pop().unwrap().id;
        let end = || bench.store.write(|tx| dead_letters::end_action(tx, letter, arrived, bench.now()));
        assert_eq!(end().unwrap(), id);
        bench.run();
        bench.assert_end(id, state, code);
        assert!(bench.letters().is_empty());
        assert_eq!(bench.brevo.calls(POST), 1);
        assert!(matches!(end(), Err(dead_letters::RequeueError::Closed(_))));
    }
}

#[test]
fn a_text_with_another_texts_tag_proves_nothing() {
    let bench = with_ada();
    let tagged = || json!({ "content": "Hi", "sender": "ACME", "tag": "promo" });
    let other = text(&bench, tagged());
    bench.run();
    bench.brevo.fault(POST, Fault::RequestLost);
    let id = text(&bench, tagged());
    bench.run();
    bench.assert_end(other, State::Delivered, "");
    assert_shown(&bench, id);
    assert_eq!(texts_sent(&bench), 1);
}

#[test]
fn reading_that_fails_proves_nothing_and_ends_with_the_operator() {
    let bench = with_ada();
    bench.brevo.fault(POST, Fault::AnswerLost);
    let id = text(&bench, code());
    for fault in [
        Fault::Answer(200, vec![], "{}".into()),
        Fault::Answer(502, vec![], String::new()),
        Fault::RequestLost,
        Fault::DiesBefore,
        Fault::Answer(403, vec![], r#"{"code":"permission_denied"}"#.into()),
    ] {
        bench.brevo.fault(REPORT, fault);
    }
    while unless_killed(|| bench.run()).is_none() {}
    bench.assert_end(id, State::Delivered, "");
    assert_eq!((bench.brevo.calls(POST), bench.brevo.calls(REPORT)), (1, 6));
    assert!(bench.letters().is_empty(), "the report is open again: {:?}", bench.letter_codes());

    let bench = with_ada();
    bench.brevo.fault(POST, Fault::AnswerLost);
    let id = text(&bench, code());
    for _ in 0..50 {
        bench.brevo.fault(REPORT, Fault::Answer(500, vec![], String::new()));
    }
    bench.run();
    assert_shown(&bench, id);
}

#[test]
fn past_its_deadline_a_text_is_not_sent_and_what_may_be_sent_is_still_looked_for() {
    let until = |bench: &Bench, deadline: i64| {
        let about = Subject::Person(ada_with_phone());
        bench.admit_with(SEND, &about, code(), |new| new.not_after = Some(deadline))
    };
    let bench = with_ada();
    let late = until(&bench, START - 1);
    bench.run();
    bench.assert_end(late, State::Expired, "too-old");
    assert_eq!(texts_sent(&bench), 0);
    bench.brevo.fault(POST, Fault::AnswerLost);
    let sent = until(&bench, bench.now());
    bench.run();
    bench.assert_end(sent, State::Delivered, "");
    assert_eq!(texts_sent(&bench), 1);
}

#[test]
fn an_opt_out_between_admission_and_call_counts() {
    let bench = with_ada();
    let id = text(&bench, code());
    bench.wait(1);
    bench.consent_on(&ada_with_phone(), Channel::Sms, OptedOut, Signal, bench.now());
    bench.run();
    bench.assert_end(id, State::Refused, "opted-out");
    assert_eq!(texts_sent(&bench), 0);
}

#[test]
fn what_brevo_does_not_take_is_a_letter_and_missing_credits_stop_texts_only() {
    let bench = with_ada();
    let id = text(&bench, json!({ "content": "poison", "sender": "ACME" }));
    bench.run();
    bench.assert_end(id, State::Failed, "text-refused");
    let short = crate::contract::Person { phone: Some("+4915".into()), ..person("u2", "b@x.org") };
    let id = bench.send(
        SEND,
        &Subject::Person(short),
        json!({ "content": "Hi", "sender": "ACME", "even_if_opted_out": true }),
    );
    bench.run();
    bench.assert_end(id, State::Failed, "number-refused");
    assert_eq!(bench.letter_codes(), ["text-refused", "number-refused"]);
    assert!(bench.letters().iter().all(|letter| letter.actor == "tenant"));

    bench.brevo.fault(POST, Fault::Answer(402, vec![], r#"{"code":"not_enough_credits"}"#.into()));
    let id = text(&bench, code());
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    bench.assert_end(id, State::Waiting, "brevo-no-credits");
    let mail = bench.send("brevo/send-email", &Subject::Person(ada()), json!({ "template_id": 101 }));
    bench.run_with(&delivery, bench.now() + MINUTE);
    bench.assert_end(mail, State::Delivered, "");
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(id, State::Delivered, "");
    assert_eq!(texts_sent(&bench), 1);
}
