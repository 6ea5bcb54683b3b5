//! Campaigns: sent once in their life, whatever is lost on the way.

use serde_json::json;

use super::bench::{Bench, MINUTE, START, ada};
use super::fake::{Fault, unless_killed};
use crate::contract::Subject;
use crate::store::dead_letters::{self, RequeueError};
use crate::store::outbox::State;

const SEND: &str = "brevo/trigger-campaign";
const POST: &str = "POST /emailCampaigns/{id}/sendNow";
const GET: &str = "GET /emailCampaigns/{id}";

fn about(id: i64) -> Subject {
    Subject::Object(("brevo-campaign".into(), id.to_string()))
}

fn campaign(bench: &Bench, id: i64) -> i64 {
    bench.send(SEND, &about(id), json!({ "campaign_id": id }))
}

fn sent(bench: &Bench) -> usize {
    bench.brevo.state().sends.campaigns_sent.len()
}

#[test]
fn a_draft_is_sent_and_whatever_is_on_its_way_is_not() {
    let bench = Bench::new();
    let first = campaign(&bench, 7);
    let second = campaign(&bench, 7);
    bench.run();
    bench.assert_end(first, State::Delivered, "");
    bench.assert_end(second, State::Deduplicated, "campaign-sent");
    assert_eq!((sent(&bench), bench.brevo.calls(POST)), (1, 1));
    for status in ["sent", "queued", "in_process", "in_review"] {
        bench.brevo.state().sends.campaigns.insert(8, status);
        let id = campaign(&bench, 8);
        bench.run();
        bench.assert_end(id, State::Deduplicated, "campaign-sent");
    }
    // It went out between the look and the call.
    for (code, id) in [("campaign_sent", 9), ("campaign_processing", 10)] {
        bench.brevo.state().sends.campaigns.insert(id, "draft");
        bench
            .brevo
            .fault(POST, Fault::Answer(400, vec![], json!({ "code": code, "message": "no" }).to_string()));
        let id = campaign(&bench, id);
        bench.run();
        bench.assert_end(id, State::Deduplicated, "campaign-sent");
    }
    assert_eq!(sent(&bench), 1);
    assert!(bench.letters().is_empty());
}

#[test]
fn what_can_not_be_sent_is_a_letter() {
    let bench = Bench::new();
    let unknown = campaign(&bench, 77);
    bench.brevo.state().sends.campaigns.insert(8, "suspended");
    let aside = campaign(&bench, 8);
    let empty = r#"{"code":"missing_parameter","message":"recipients is missing"}"#;
    bench.brevo.fault(POST, Fault::Answer(400, vec![], empty.into()));
    let refused = campaign(&bench, 7);
    let mismatch = bench.send(SEND, &about(9), json!({ "campaign_id": 7 }));
    bench.run();
    bench.assert_end(unknown, State::Failed, "campaign-unknown");
    bench.assert_end(aside, State::Failed, "campaign-not-a-draft");
    bench.assert_end(refused, State::Failed, "campaign-refused");
    bench.assert_end(mismatch, State::Refused, "bad-action");
    assert_eq!(sent(&bench), 0);
    let tenants = bench.letters().iter().filter(|letter| letter.actor == "tenant").count();
    assert_eq!(tenants, 3);
}

/// Whatever breaks at whichever call, the campaign goes out exactly once and nobody has to look.
#[test]
fn h01_w10_any_call_may_break_and_the_campaign_goes_once() {
    let run = |disturbed: Option<(usize, Fault)>| {
        let bench = Bench::new();
        if let Some((at, fault)) = disturbed.clone() {
            bench.brevo.state().nth_fault(at, fault);
        }
        let id = campaign(&bench, 7);
        while unless_killed(|| bench.run()).is_none() {}
        bench.assert_end(id, State::Delivered, "");
        assert_eq!(sent(&bench), 1, "{disturbed:?}");
        assert!(bench.letters().is_empty(), "{:?}", bench.letter_codes());
        bench.brevo.arrivals()
    };
    assert_eq!(run(None), 2);
    for at in 0..2 {
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
        ] {
            run(Some((at, fault)));
        }
    }
}

#[test]
fn n05_an_unanswered_campaign_is_looked_at_after_the_settle_time() {
    for (fault, posts) in [(Fault::AnswerLost, 1), (Fault::RequestLost, 2)] {
        let bench = Bench::new();
        bench.brevo.fault(POST, fault);
        let id = campaign(&bench, 7);
        bench.run_until(START + 14 * MINUTE);
        bench.assert_end(id, State::Parked, "outcome-unknown");
        assert_eq!(bench.brevo.calls(POST), 1);
        bench.run();
        bench.assert_end(id, State::Delivered, "");
        assert_eq!((bench.brevo.calls(POST), sent(&bench)), (posts, 1));
    }
}

#[test]
fn a_campaign_that_stays_a_draft_is_the_operators_in_the_end() {
    let bench = Bench::new();
    for _ in 0..4 {
        bench.brevo.fault(POST, Fault::RequestLost);
    }
    let id = campaign(&bench, 7);
    bench.run();
    bench.assert_end(id, State::Parked, "outcome-unproven");
    let letter = bench.letters().pop().unwrap();
    let refused = bench.store.write(|tx| dead_letters::requeue_action(tx, letter.id, false, bench.now()));
    assert!(matches!(refused, Err(RequeueError::NeedsConfirmation(_))));
    bench.requeue(true);
    bench.run();
    bench.assert_end(id, State::Delivered, "");
    assert_eq!(sent(&bench), 1);
}

#[test]
fn a_look_that_fails_proves_nothing() {
    let bench = Bench::new();
    bench.brevo.fault(POST, Fault::AnswerLost);
    let id = campaign(&bench, 7);
    bench.run_until(START + MINUTE);
    for fault in [
        Fault::Answer(200, vec![], "{}".into()),
        Fault::Answer(500, vec![], String::new()),
        Fault::RequestLost,
        Fault::NotSent,
        Fault::DiesBefore,
    ] {
        bench.brevo.fault(GET, fault);
    }
    while unless_killed(|| bench.run()).is_none() {}
    bench.assert_end(id, State::Delivered, "");
    assert_eq!((bench.brevo.calls(POST), sent(&bench)), (1, 1));

    // Deleted at Brevo: nobody can say any more.
    bench.brevo.state().sends.campaigns.insert(8, "draft");
    bench.brevo.fault(POST, Fault::AnswerLost);
    let id = campaign(&bench, 8);
    bench.run_until(bench.now() + MINUTE);
    bench.brevo.state().sends.campaigns.remove(&8);
    bench.run();
    bench.assert_end(id, State::Parked, "outcome-unproven");
}

#[test]
fn past_its_deadline_a_campaign_is_not_sent() {
    let until = |bench: &Bench, deadline: i64| {
        bench.admit_with(SEND, &about(7), json!({ "campaign_id": 7 }), |new| new.not_after = Some(deadline))
    };
    let bench = Bench::new();
    let late = until(&bench, START - 1);
    bench.run();
    bench.assert_end(late, State::Expired, "too-old");
    assert_eq!(bench.brevo.calls(POST), 0);

    // Proven a draft, and too late to be sent again.
    bench.brevo.fault(POST, Fault::RequestLost);
    let absent = until(&bench, bench.now() + MINUTE);
    bench.run();
    bench.assert_end(absent, State::Expired, "too-old");
    bench.brevo.fault(POST, Fault::AnswerLost);
    let done = until(&bench, bench.now() + MINUTE);
    bench.run();
    bench.assert_end(done, State::Delivered, "");
    assert_eq!(sent(&bench), 1);
}

#[test]
fn without_credits_a_campaign_waits_and_nothing_else_does() {
    let bench = Bench::new();
    bench.brevo.fault(POST, Fault::Answer(402, vec![], r#"{"code":"not_enough_credits"}"#.into()));
    let id = campaign(&bench, 7);
    let delivery = bench.delivery();
    bench.run_with(&delivery, START);
    bench.assert_end(id, State::Waiting, "brevo-no-credits");
    assert_eq!(bench.letter_codes(), ["brevo-no-credits"]);
    bench.brevo.state().sends.campaigns.insert(8, "draft");
    let other = campaign(&bench, 8);
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    bench.brevo.fault("POST /events", Fault::AnswerLost);
    let event = bench.event(&ada(), "seen");
    bench.run_with(&delivery, START + 14 * MINUTE);
    bench.assert_end(other, State::Delivered, "");
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(id, State::Delivered, "");
    bench.assert_end(event, State::Delivered, "");
    assert_eq!(sent(&bench), 2);
}
