//! Answers that are lost after every kind of call, all at once: nobody is reached twice, and what is not
//! proven waits for an operator's word.

use host_harness::operate::dead_letters::{self, Requeued};
use serde_json::json;
use stand_ins::brevo::{Campaign, NewList};
use stand_ins::faults::{Fault, Rule};
use stand_ins::moengage::{self, Table};

use super::objects::with_objects;
use super::stage::{MINUTE, Plan, Stage, happened};

pub(super) const SETTINGS: &str = r#"
field_mapping: { plan: PLAN }
catalogs: { "catalog-1": ["P001"] }
objects:
  products: {}
  campaigns: { type: moengage_campaign, field_mapping: { name: name, status: status } }
lists:
  buyers: { name: Buyers, folder: MoEngage, inert: true }
deletes: { delete_behavior: hard, on: ["account_deleted"] }
rules:
  - name: everything
    triggers: [{ event: moengage_bought }]
    actions:
      - brevo/send-email: { template_id: 101, params: { n: "{{ event.n }}" } }
      - brevo/send-sms: { content: "Thanks for {{ event.n }}", sender: "ACME" }
      - brevo/trigger-campaign: { campaign_id: 7, confirm_send: true }
      - brevo/track-event: { event: thanks, properties: { n: "{{ event.n }}" } }
      - brevo/add-note: { text: "<p>{{ event.n }}</p>" }
      - brevo/create-task: { name: "Call {{ contact.external_id }}" }
      - { id: inert, brevo/join-list: { list: buyers } }
      - { id: automated, brevo/join-list: { list: 50 } }
  - name: leaves
    triggers: [{ event: moengage_sent_back }]
    actions:
      - brevo/leave-list: { list: buyers }
"#;

/// Every call that writes.
const WRITES: [(&str, &str); 16] = [
    ("POST", "/v3/contacts/attributes/{category}/{name}"),
    ("POST", "/v3/contacts"),
    ("PUT", "/v3/contacts/{identifier}"),
    ("DELETE", "/v3/contacts/{identifier}"),
    ("POST", "/v3/contacts/folders"),
    ("POST", "/v3/contacts/lists"),
    ("POST", "/v3/contacts/lists/{id}/contacts/add"),
    ("POST", "/v3/contacts/lists/{id}/contacts/remove"),
    ("POST", "/v3/events"),
    ("POST", "/v3/smtp/email"),
    ("POST", "/v3/transactionalSMS/send"),
    ("POST", "/v3/emailCampaigns/{id}/sendNow"),
    ("POST", "/v3/products"),
    ("POST", "/v3/objects/{type}/batch/upsert"),
    ("POST", "/v3/crm/notes"),
    ("POST", "/v3/crm/tasks"),
];

/// Everything that the settings can cause, while each of these calls is lost once.
fn all_at_once(fault: &Fault) -> Stage {
    let brevo = stand_ins::brevo::Options { campaigns: vec![Campaign::draft(7, vec![50])], ..with_objects() };
    let faults = WRITES.map(|(method, path)| Rule::on(method, path, fault.clone()).times(1)).to_vec();
    let plan = Plan { brevo, reads: &["campaigns"], faults, ..Plan::default() };
    let stage = Stage::with(SETTINGS, plan);
    let list = NewList { id: Some(50), name: "Thanked".into(), folder: "Own".into(), automation: true };
    stage.world.brevo.add_list(&list);
    stage.world.moengage.with_campaigns(|all| *all = vec![moengage::Campaign::numbered(0)]);
    let user = json!({ "plan": "gold", "u_mb": "+491511234567", "moe_sms_subscription": "OPTIN" });
    let bought = happened(&stage, "e1", "Bought", "ann", MINUTE, json!({ "n": 7 }), user);
    stage.push_to("shop", std::slice::from_ref(&bought));
    stage.push_to("shop", &[happened(&stage, "e2", "Seen", "bea", MINUTE, json!({}), json!({}))]);
    stage.read("campaigns");
    stage.push_to(
        "shop",
        &[happened(&stage, "e3", "Sent Back", "ann", 0, json!({}), json!({ "plan": "silver" }))],
    );
    stage.push_to("shop", &[happened(&stage, "e4", "account_deleted", "bea", 0, json!({}), json!({}))]);
    // The same again: nothing new.
    stage.push(std::slice::from_ref(&bought));
    for rule in stage.world.brevo.faults().all() {
        assert_eq!(rule.fired, 1, "{:?} {:?}", rule.rule.method, rule.rule.path);
    }
    stage
}

/// Mails, texts, campaigns, notes, tasks, and joins of the list with an automation.
pub(super) fn reached(stage: &Stage) -> [usize; 6] {
    let brevo = &stage.world.brevo;
    [
        brevo.mails().len(),
        brevo.texts().len(),
        brevo.campaign_sends().len(),
        brevo.notes().len(),
        brevo.tasks().len(),
        brevo.automations_started().len(),
    ]
}

fn assert_states(stage: &Stage) {
    let brevo = &stage.world.brevo;
    let contacts = brevo.contacts();
    let [ann] = contacts.as_slice() else { panic!("{contacts:?}") };
    assert_eq!((ann.ext_id.as_deref(), &ann.attributes["PLAN"]), (Some("ann"), &json!("silver")));
    assert_eq!(ann.list_ids.iter().collect::<Vec<_>>(), [&50], "out of the one and in the other");
    let events = brevo.events_by_property("moengage_event_uuid");
    assert!(["e1", "e3"].iter().all(|uuid| events[*uuid] == 1), "{events:?}");
    assert!(events.values().all(|count| *count == 1), "{events:?}");
    assert_eq!(brevo.events().iter().filter(|event| event.name == "thanks").count(), 1);
    assert_eq!(brevo.lists().iter().filter(|list| list.name == "Buyers").count(), 1);
    assert_eq!(brevo.folders().iter().filter(|folder| folder.name == "MoEngage").count(), 1);
    assert_eq!((brevo.products().len(), brevo.object_records().len()), (1, 1));
    stage.world.assert_clean();
}

#[test]
fn n05_answers_lost_after_every_kind_of_call_at_once_reach_nobody_twice() {
    let stage = all_at_once(&Fault::close_after_effect());
    assert_eq!(reached(&stage), [1; 6]);
    assert_eq!(stage.letters().iter().map(|letter| &letter.code).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(stage.status().is_well());
    assert_states(&stage);
}

#[test]
fn n05_requests_of_every_kind_lost_at_once_are_made_up_for_or_shown_and_an_operators() {
    let stage = all_at_once(&Fault::close());
    assert_eq!(reached(&stage), [1, 0, 1, 1, 1, 1], "{:#?}", stage.letters());
    assert_states(&stage);
    // The text has no key at Brevo: whether it went out is not proven.
    let letters = stage.letters();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!((letter.code.as_str(), letter.actor.as_str()), ("outcome-unproven", "operator"));
    assert!(!letter.remedy.is_empty());
    let status = stage.status();
    assert!(!status.is_well());
    assert_eq!(status.installations[0].sums.states["parked"], 1);
    let requeue = |confirmed: bool| {
        let now = stage.world.brevo.now();
        stage.world.store().write(|tx| dead_letters::requeue(tx, letter.id, confirmed, now))
    };
    assert_eq!(requeue(false).unwrap_err().code(), "needs-confirmation");
    assert_eq!(requeue(true).unwrap(), Requeued::Action);
    stage.rest();
    assert_eq!(reached(&stage), [1; 6]);
    assert!(stage.status().is_well());
    assert_states(&stage);
}

#[test]
fn n05_answers_lost_for_a_while_and_a_restart_reach_nobody_twice() {
    // Also the reads by which the host finds out what became of the writes.
    let brevo = stand_ins::brevo::Options { campaigns: vec![Campaign::draft(7, vec![50])], ..with_objects() };
    let faults = vec![Rule::any(Fault::close_after_effect()).probability(0.3, 5).times(40)];
    let plan = Plan { brevo, reads: &["campaigns"], faults, ..Plan::default() };
    let mut stage = Stage::with(SETTINGS, plan);
    let list = NewList { id: Some(50), name: "Thanked".into(), folder: "Own".into(), automation: true };
    stage.world.brevo.add_list(&list);
    stage.world.moengage.with_rows(Table::CatalogItems, |rows| rows.truncate(1));
    let user = json!({ "plan": "gold", "u_mb": "+491511234567", "moe_sms_subscription": "OPTIN" });
    let bought = [happened(&stage, "e1", "Bought", "ann", 0, json!({ "n": 7 }), user)];
    stage.push_to("shop", &bought);
    stage.until("a mail", || !stage.world.brevo.mails().is_empty());
    stage.restart();
    stage.push(&bought);
    let reached = reached(&stage);
    assert!(reached.iter().all(|count| *count <= 1), "{reached:?}");
    let unproven = stage.letters();
    assert!(unproven.iter().all(|letter| letter.code == "outcome-unproven"), "{unproven:?}");
    let missing = reached.iter().filter(|count| **count == 0).count();
    assert!(missing <= unproven.len(), "what is missing is shown: {reached:?} {unproven:?}");
    assert!(stage.world.brevo.events_by_property("moengage_event_uuid").values().all(|count| *count == 1));
    stage.world.assert_clean();
}
