//! Two tenants on one Brevo account: people, consent and the rate budget are the account's (design rule 15).

use host_harness::store::outbox::State;
use serde_json::json;

use super::stage::{MINUTE, Plan, Stage, delivered, happened};

/// Has a workspace of its own, and writes to the same account.
const OUTLET: &str = r#"
  - name: outlet
    brevo: {brevo}
    connectors:
      moengage:
        enabled: true
        workspace_id: OUTLET
        data_center: "01"
        environment: live
        webhook: { auth: basic, user: tajo, secret: "${HOOK}" }
        field_mapping: { plan: PLAN }
"#;

const SHOP: &str = r#"
field_mapping: { plan: PLAN }
rules:
  - name: thanks
    triggers: [{ event: moengage_bought }]
    actions:
      - brevo/send-email: { template_id: 101 }
"#;

fn two(factor: f64) -> Stage {
    Stage::with(SHOP, Plan { factor, tenants: OUTLET, ..Plan::default() })
}

#[test]
fn rule_15_an_opt_out_from_one_tenant_holds_for_the_other() {
    let stage = two(300.0);
    let ann = || stage.world.brevo.contact_by_email("ann@example.com").unwrap();
    stage.push(&[happened(&stage, "e1", "Bought", "ann", 10 * MINUTE, json!({}), json!({ "plan": "gold" }))]);
    assert_eq!((ann().email_blacklisted, stage.world.brevo.mails().len()), (false, 1));
    // The outlet knows the mailbox only, and that it wants nothing.
    let mut out =
        happened(&stage, "o1", "Seen", "o-1", 5 * MINUTE, json!({}), json!({ "moe_unsubscribe": true }));
    out["uid"] = json!(null);
    out["user_attributes"]["u_em"] = json!("Ann@example.com");
    stage.push_to("outlet", &[out]);
    stage.rest();
    assert!(ann().email_blacklisted);
    // The shop's profile, which still says that it may be written to, lifts nothing.
    stage.push(&[happened(&stage, "e2", "Bought", "ann", 0, json!({}), json!({ "plan": "silver" }))]);
    assert!(ann().email_blacklisted);
    assert_eq!(ann().attributes["PLAN"], json!("silver"));
    let refused = (State::Refused, Some("opted-out".to_owned()));
    assert_eq!(stage.ends("brevo/send-email"), [delivered(), refused]);
    assert_eq!((stage.world.brevo.mails().len(), stage.world.brevo.contacts().len()), (1, 1));
    stage.world.assert_clean();
}

#[test]
fn rule_15_whoever_was_erased_for_one_tenant_is_erased_for_the_other() {
    let settings = format!("{SHOP}deletes: {{ delete_behavior: hard, on: [\"account_deleted\"] }}\n");
    let stage = Stage::with(&settings, Plan { tenants: OUTLET, ..Plan::default() });
    let seen = |uuid: &str, age| happened(&stage, uuid, "Seen", "ann", age, json!({}), json!({}));
    stage.push(&[seen("e1", 10 * MINUTE)]);
    stage.push(&[happened(&stage, "gone", "account_deleted", "ann", MINUTE, json!({}), json!({}))]);
    assert!(stage.world.brevo.contacts().is_empty());
    stage.push_to("outlet", &[seen("o1", 5 * MINUTE), seen("o2", 0)]);
    stage.rest();
    assert!(stage.world.brevo.contacts().is_empty(), "{:?}", stage.world.brevo.contacts());
    stage.world.assert_clean();
}

/// Both say who somebody is by the customer's own id: the account has one space of them.
#[test]
fn rule_15_an_ext_id_stays_whose_it_is() {
    let stage = two(300.0);
    let seen = |uuid: &str, uid: &str, who: &str, plan: &str| {
        let mut event = happened(&stage, uuid, "Seen", who, MINUTE, json!({}), json!({ "plan": plan }));
        event["uid"] = json!(uid);
        event
    };
    stage.push(&[seen("e1", "c-1", "ann", "gold")]);
    let before = stage.world.brevo.contact_by_ext_id("c-1").unwrap();
    // The same customer at the outlet is the same contact.
    let mut same = seen("o1", "c-1", "ann", "silver");
    same["event_time"] = json!(stage.world.now_s());
    stage.push_to("outlet", &[same]);
    stage.rest();
    let after = stage.world.brevo.contact_by_ext_id("c-1").unwrap();
    assert_eq!((after.id, &after.attributes["PLAN"]), (before.id, &json!("silver")));
    // Under another id of the outlet's the address stays with the first, and an operator is asked.
    stage.push_to("outlet", &[seen("o2", "o-9", "ann", "bronze")]);
    stage.rest();
    let contacts = stage.world.brevo.contacts();
    let [contact] = contacts.as_slice() else { panic!("{contacts:?}") };
    assert_eq!((contact.ext_id.as_deref(), &contact.attributes["PLAN"]), (Some("c-1"), &json!("silver")));
    let letters = stage.letters();
    let letters: Vec<_> = letters.iter().map(|one| (one.tenant.as_str(), one.code.as_str())).collect();
    assert_eq!(letters, [("outlet", "address-shared"); 2], "the contact and its event");
    stage.world.assert_clean();
}

#[test]
fn rule_15_both_tenants_share_one_rate_budget() {
    // Slowly enough for Brevo's ten contacts a second to be felt.
    let stage = two(3.0);
    for tenant in ["shop", "outlet"] {
        let of = |n: usize| {
            let who = format!("{tenant}-{n}");
            happened(&stage, &who, "Seen", &who, 0, json!({}), json!({}))
        };
        stage.push_to(tenant, &(0..50).map(of).collect::<Vec<_>>());
    }
    stage.rest();
    assert_eq!(stage.world.brevo.contacts().len(), 100);
    assert_eq!(stage.world.brevo.over_limit(), 0, "Brevo never had to refuse a call");
    let journal = stage.world.brevo.journal();
    let calls: Vec<i64> = journal.of("POST", "/v3/contacts").map(|entry| entry.at).collect();
    let took = calls.iter().max().unwrap() - calls.iter().min().unwrap();
    assert!(took >= 8_000, "{} calls within {took} ms: they were not counted together", calls.len());
    stage.world.assert_clean();
}
