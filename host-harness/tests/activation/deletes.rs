//! Deletes by an event that the settings name.

use host_harness::operate::accounting::Sums;
use serde_json::{Value, json};

use super::stage::{MINUTE, Stage, delivered, happened};

fn stage(behavior: &str) -> Stage {
    Stage::new(&format!(
        r#"
field_mapping: {{ plan: PLAN }}
lists:
  all_contacts: {{ name: Everybody, folder: MoEngage, inert: true }}
deletes:
  delete_behavior: {behavior}
  on: ["account_deleted"]
"#
    ))
}

/// Ann and Bea are at Brevo and in the list; what came of Ann.
fn known(stage: &Stage) -> Vec<Value> {
    let user = json!({ "plan": "gold" });
    let ann = happened(stage, "e-ann", "Seen", "ann", 10 * MINUTE, json!({}), user.clone());
    stage.push(&[ann.clone(), happened(stage, "e-bea", "Seen", "bea", 10 * MINUTE, json!({}), user)]);
    for who in ["ann", "bea"] {
        let contact = stage.world.brevo.contact_by_ext_id(who).unwrap();
        assert_eq!((contact.list_ids.len(), &contact.attributes["PLAN"]), (1, &json!("gold")));
    }
    vec![ann]
}

fn delete(stage: &Stage) -> Sums {
    let gone = happened(stage, "gone", "account_deleted", "ann", MINUTE, json!({}), json!({}));
    stage.push(&[gone])
}

/// Bea is as she was.
fn assert_bea_is_untouched(stage: &Stage) {
    let bea = stage.world.brevo.contact_by_ext_id("bea").unwrap();
    assert_eq!((bea.list_ids.len(), bea.attributes.contains_key("MOENGAGE_DELETED_AT")), (1, false));
}

#[test]
fn a_soft_delete_takes_a_person_out_of_every_list_marks_and_keeps_them() {
    let mut stage = stage("soft");
    let history = known(&stage);
    let before = stage.world.brevo.contact_by_ext_id("ann").unwrap();
    delete(&stage);
    assert_eq!(stage.ends("brevo/delete-contact"), [delivered()]);
    let ann = || stage.world.brevo.contact_by_ext_id("ann").unwrap();
    assert_eq!((ann().id, ann().list_ids.len(), ann().email_blacklisted), (before.id, 0, false));
    let today = &stand_ins::clock::rfc3339(stage.world.brevo.now())[..4];
    let mark = ann().attributes["MOENGAGE_DELETED_AT"].as_str().unwrap().to_owned();
    assert!(mark.starts_with(today), "{mark}");
    assert_eq!(ann().attributes["PLAN"], json!("gold"));
    // What is older changes nothing, at any door.
    let events = stage.world.brevo.events().len();
    let older = happened(&stage, "old", "Seen", "ann", 5 * MINUTE, json!({}), json!({ "plan": "silver" }));
    stage.export(&[history[0].clone(), older.clone()]);
    stage.push(&[history[0].clone(), older]);
    stage.backfill();
    stage.rest();
    assert_eq!((ann().list_ids.len(), &ann().attributes["PLAN"]), (0, &json!("gold")));
    assert_eq!(stage.world.brevo.events().len(), events);
    assert_bea_is_untouched(&stage);
    stage.restart();
    assert!(stage.letters().is_empty());
    stage.world.assert_clean();
}

#[test]
fn a_hard_delete_erases_for_good_through_replays_and_backfills() {
    let mut stage = stage("hard");
    let history = known(&stage);
    delete(&stage);
    assert_eq!(stage.ends("brevo/delete-contact"), [delivered()]);
    let gone = |stage: &Stage| {
        stage.world.brevo.contacts().iter().all(|contact| contact.ext_id.as_deref() == Some("bea"))
    };
    assert!(gone(&stage));
    stage.push(&history);
    stage.restart();
    stage.push(&history);
    let newer = happened(&stage, "new", "Seen", "ann", 0, json!({}), json!({ "plan": "silver" }));
    let under_her_address = {
        let mut event = happened(&stage, "mail", "Seen", "ann", 0, json!({}), json!({}));
        event["uid"] = Value::Null;
        event["user_attributes"].as_object_mut().unwrap().remove("moengage_user_id");
        event
    };
    stage.export(&[history[0].clone(), newer.clone(), under_her_address.clone()]);
    stage.backfill();
    stage.push(&[newer, under_her_address]);
    assert!(gone(&stage), "{:?}", stage.world.brevo.contacts());
    assert!(stage.rest().skipped["person-erased"] >= 3);
    assert_bea_is_untouched(&stage);
    assert!(stage.letters().is_empty());
    stage.world.assert_clean();
}

#[test]
fn nothing_but_the_named_event_deletes() {
    let stage = stage("hard");
    known(&stage);
    // An old one that is read later: Ann may have come back since.
    let old = happened(&stage, "gone", "account_deleted", "ann", 2 * super::stage::DAY, json!({}), json!({}));
    stage.export(&[old]);
    stage.backfill();
    stage.push(&[happened(&stage, "out", "User Logout", "bea", 0, json!({}), json!({}))]);
    assert!(stage.ends("brevo/delete-contact").is_empty());
    assert_eq!(stage.world.brevo.contacts().len(), 2);
    stage.world.assert_clean();
}
