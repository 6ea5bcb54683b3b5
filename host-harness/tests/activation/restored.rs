//! A backup is put back, and the host that made it went on meanwhile: what it did is not done again.

use std::path::PathBuf;

use host_harness::operate::dead_letters::{self, Requeued};
use host_harness::store::{StoreError, backup, doubt};
use serde_json::{Value, json};
use stand_ins::brevo::{Campaign, NewList};
use stand_ins::faults::{Fault, Rule};

use super::losses::{SETTINGS, reached};
use super::objects::with_objects;
use super::stage::{MINUTE, Plan, Stage, happened};

fn stage() -> Stage {
    let brevo = stand_ins::brevo::Options { campaigns: vec![Campaign::draft(7, vec![50])], ..with_objects() };
    let stage = Stage::with(SETTINGS, Plan { brevo, reads: &["campaigns"], ..Plan::default() });
    let list = NewList { id: Some(50), name: "Thanked".into(), folder: "Own".into(), automation: true };
    stage.world.brevo.add_list(&list);
    stage
}

fn bought(stage: &Stage, uuid: &str, who: &str) -> Value {
    let phone = format!("+4915112345{:02}", who.len());
    let user = json!({ "plan": "gold", "u_mb": phone, "moe_sms_subscription": "OPTIN" });
    happened(stage, uuid, "Bought", who, MINUTE, json!({ "n": 7 }), user)
}

/// Pushes while Brevo takes nothing, and copies the store: nothing of it is done yet.
fn backup_of_unfinished(stage: &Stage, events: &[Value]) -> PathBuf {
    let refused = Rule::any(Fault::rate_limited(true));
    stage.world.brevo.faults().add(refused).unwrap();
    stage.push_to("shop", events);
    stage.until("everything is called for", || {
        let sums = &stage.status().installations[0].sums;
        sums.queued == 0 && sums.actions > 0
    });
    let file = stage.world.directory.path().join("backup.db");
    backup::backup(&stage.world.store_path(), &file).unwrap();
    file
}

/// Stops the host, puts the backup in place and starts it again.
fn restore(stage: &mut Stage, file: &std::path::Path) {
    stage.stop();
    let now = stage.world.brevo.now();
    backup::restore(&stage.world.store_path(), file, now).unwrap().expect("the store before is kept");
    stage.start();
}

fn confirm(stage: &Stage) {
    let now = stage.world.brevo.now();
    assert!(stage.world.store().write::<_, StoreError>(|tx| doubt::confirm(tx, now)).unwrap());
}

fn once(stage: &Stage) {
    let events = stage.world.brevo.events_by_property("moengage_event_uuid");
    assert!(events.values().all(|count| *count == 1), "{events:?}");
}

#[test]
fn h21_what_was_done_after_a_backup_is_not_done_again_when_it_is_put_back() {
    let mut stage = stage();
    let ann = [bought(&stage, "e1", "ann")];
    let file = backup_of_unfinished(&stage, &ann);
    stage.world.brevo.faults().clear();
    stage.rest();
    assert_eq!(reached(&stage), [1; 6]);
    // Of this one the backup knows nothing at all.
    let elsa = [bought(&stage, "e2", "elsa")];
    stage.push(&elsa);
    let done = reached(&stage);
    assert_eq!(done, [2, 2, 1, 2, 2, 2], "a campaign goes out once");

    restore(&mut stage, &file);
    let shown = stage.status();
    let shown = shown.doubt.as_ref().expect("a restored store is in doubt");
    assert_eq!((shown.code.as_str(), shown.actor), ("restored-from-backup", "operator"));
    assert!(shown.remedy.contains("harness restore confirm") && !stage.status().is_well());
    let calls = stage.world.brevo.journal().entries().count();
    let refused = ureq::post(stage.url("shop", "streams"))
        .header("content-type", "application/json")
        .header("authorization", "Basic dGFqbzpob29rLXNlY3JldA==")
        .send("{}");
    assert!(matches!(refused, Err(ureq::Error::StatusCode(503))), "{refused:?}");
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(stage.world.brevo.journal().entries().count(), calls, "nothing is sent in doubt");
    let open = stage.status().installations[0].sums.states.clone();
    assert_eq!(open["parked"], 8, "two events, and one of each that happens once: {open:?}");

    confirm(&stage);
    // Both webhooks once more: one is known to the backup, the other isn't.
    stage.push(&ann);
    stage.push(&elsa);
    assert_eq!(reached(&stage), done);
    once(&stage);
    assert!(stage.status().doubt.is_none());
    // What Brevo shows was done; elsa's campaign had been sent before.
    let letters = stage.letters();
    assert!(letters.is_empty(), "{letters:?}");
    stage.world.assert_clean();
    // What happens from now on is nobody's doubt.
    std::thread::sleep(std::time::Duration::from_millis(1_500)); // over five minutes of host time
    stage.push(&[happened(&stage, "e3", "Bought", "jo", 0, json!({ "n": 8 }), json!({}))]);
    assert_eq!(reached(&stage)[0], 3, "{:?}", stage.letters());
}

#[test]
fn h21_what_was_not_done_after_a_backup_is_made_up_for_or_shown() {
    let mut stage = stage();
    let ann = [bought(&stage, "e1", "ann")];
    let file = backup_of_unfinished(&stage, &ann);
    restore(&mut stage, &file);
    stage.world.brevo.faults().clear();
    confirm(&stage);
    stage.rest();
    // An event is shown to be absent, a draft was not sent; of the others absence proves nothing.
    assert_eq!(reached(&stage), [0, 0, 1, 0, 0, 0]);
    assert_eq!(stage.world.brevo.events_by_property("moengage_event_uuid")["e1"], 1);
    let letters = stage.letters();
    assert_eq!(letters.len(), 5, "{letters:?}");
    assert!(letters.iter().all(|letter| letter.code == "outcome-unproven" && letter.actor == "operator"));
    for letter in &letters {
        let now = stage.world.brevo.now();
        let requeue =
            |confirmed| stage.world.store().write(|tx| dead_letters::requeue(tx, letter.id, confirmed, now));
        assert_eq!(requeue(false).unwrap_err().code(), "needs-confirmation");
        assert_eq!(requeue(true).unwrap(), Requeued::Action);
    }
    stage.rest();
    assert_eq!(reached(&stage), [1; 6]);
    once(&stage);
    assert!(stage.status().is_well());
}

#[test]
fn h21_an_opt_out_that_a_backup_does_not_know_is_not_undone_by_an_older_opt_in() {
    let mut stage = stage();
    let who = |uuid: &str, age: i64, name: &str, code: &str| {
        let out = json!({ "moe_unsubscribe": code == "MOE_EMAIL_UNSUBSCRIBE" });
        let mut event = happened(&stage, uuid, code, "dan", age, json!({}), out);
        event["event_name"] = json!(name);
        event
    };
    let (out, back, out_again) = (
        who("d1", 30 * MINUTE, "Email Unsubscribed", "MOE_EMAIL_UNSUBSCRIBE"),
        who("d2", 20 * MINUTE, "Email Resubscribed", "MOE_EMAIL_RESUBSCRIBED"),
        who("d3", 10 * MINUTE, "Email Unsubscribed", "MOE_EMAIL_UNSUBSCRIBE"),
    );
    let blocked = |stage: &Stage| stage.world.brevo.contact_by_ext_id("dan").unwrap().email_blacklisted;
    stage.push(&[out]);
    assert!(blocked(&stage));
    let file = backup_of_unfinished(&stage, &[back]);
    stage.world.brevo.faults().clear();
    stage.rest();
    assert!(!blocked(&stage), "lifted, because it is newer: {:?}", stage.ends("brevo/set-consent"));
    stage.push(&[out_again]);
    assert!(blocked(&stage));

    restore(&mut stage, &file);
    confirm(&stage);
    stage.rest();
    assert!(blocked(&stage), "{:?}", stage.ends("brevo/set-consent"));
    let letters = stage.letters();
    assert!(letters.iter().any(|letter| letter.code == "opt-in-in-doubt"), "{letters:?}");
}
