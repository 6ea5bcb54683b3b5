//! A history from export files: many contacts in one call, nobody re-subscribed, nobody merged, and
//! what happens meanwhile goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use stand_ins::brevo::{self, ImportRows};

use super::stage::{DAY, Plan, Stage, happened};

/// The host's threshold is 1,000.
const PEOPLE: usize = 1_200;
/// Of them nobody has an address.
const WITHOUT_ADDRESS: usize = 20;

fn opted_out(n: usize) -> bool {
    n.is_multiple_of(12)
}

fn history(stage: &Stage) -> Vec<Value> {
    let of = |n: usize| {
        let who = format!("p{n}");
        let mut user = json!({ "plan": format!("plan-{}", n % 3), "moe_unsubscribe": opted_out(n) });
        if n >= PEOPLE - WITHOUT_ADDRESS {
            user["u_em"] = Value::Null;
            user["u_mb"] = json!(format!("+4915112{n:05}"));
            user["moe_sms_subscription"] = json!("OPTIN");
        }
        happened(stage, &format!("old-{n}"), "Seen", &who, 2 * DAY, json!({}), user)
    };
    (0..PEOPLE).map(of).collect()
}

fn imports_itself(import_rows: ImportRows) {
    let options =
        brevo::Options { import_rows, import_delay: Duration::from_mins(30), ..brevo::Options::default() };
    let plan = Plan { brevo: options, ..Plan::default() };
    let mut stage = Stage::with("field_mapping: { plan: PLAN }\n", plan);
    let brevo = &stage.world.brevo;
    // Somebody is there already and unsubscribed at Brevo; another has an address of the history.
    stage.push(&[happened(&stage, "live-5", "Seen", "p5", DAY / 2, json!({}), json!({ "plan": "live" }))]);
    assert!(brevo.unsubscribe_at_brevo("p5@example.com", brevo.now()));
    ureq::post(format!("{}/v3/contacts", brevo.url()))
        .header("api-key", brevo.api_key())
        .header("content-type", "application/json")
        .send(
            json!({ "email": "p7@example.com", "ext_id": "somebody-else", "attributes": {}, "updateEnabled": false })
                .to_string(),
        )
        .unwrap();

    stage.export(&history(&stage));
    // As `harness backfill` does it where no host is serving: everything waits at once.
    stage.stop();
    stage.backfill_stopped();
    stage.start();
    let brevo = &stage.world.brevo;
    stage.until("an import", || !brevo.imports().is_empty());
    let out = happened(&stage, "out-10", "Seen", "p10", 0, json!({}), json!({ "moe_unsubscribe": true }));
    let rider = happened(&stage, "live-11", "Seen", "p11", 0, json!({}), json!({}));
    let other = happened(&stage, "live-new", "Seen", "new", 0, json!({}), json!({}));
    stage.push_to("shop", &[out, rider, other]);
    let told = |uuid: &str| brevo.events_by_property("moengage_event_uuid").get(uuid).copied();
    stage.until("an event of somebody else", || told("live-new").is_some());
    assert_eq!(brevo.imports()[0].applied_at, None, "it did not wait for the import");
    let sums = stage.rest();

    let imports = brevo.imports();
    let [import] = imports.as_slice() else { panic!("{imports:?}") };
    assert!(import.rows >= 1_000 && !import.notifies_owner, "{import:?}");
    let contacts = brevo.contacts();
    let ids: BTreeSet<_> = contacts.iter().filter_map(|contact| contact.ext_id.clone()).collect();
    let wanted: BTreeSet<_> = (0..PEOPLE)
        .filter(|n| *n != 7)
        .map(|n| format!("p{n}"))
        .chain(["new".to_owned(), "somebody-else".to_owned()])
        .collect();
    assert_eq!(ids, wanted, "{sums:#?}");
    assert_eq!(contacts.len(), wanted.len());
    for n in (0..PEOPLE).filter(|n| *n != 7) {
        let contact = contacts.iter().find(|one| one.ext_id == Some(format!("p{n}"))).unwrap();
        let has_address = n < PEOPLE - WITHOUT_ADDRESS;
        // Without an address there is nothing that could be blocked.
        let blocked = (opted_out(n) && has_address) || n == 5 || n == 10;
        assert_eq!(contact.email_blacklisted || !has_address, blocked || !has_address, "p{n}: {contact:?}");
        let plan = if n == 5 { "live".to_owned() } else { format!("plan-{}", n % 3) };
        assert_eq!(contact.attributes["PLAN"], json!(plan), "p{n}");
    }
    // Nobody was merged: the stranger keeps the address, and an operator is asked.
    let stranger = brevo.contact_by_email("p7@example.com").unwrap();
    assert_eq!(stranger.ext_id.as_deref(), Some("somebody-else"));
    assert_eq!(sums.dead_letters.keys().collect::<Vec<_>>(), ["address-shared"]);
    let live: Vec<_> = ["live-5", "live-11", "live-new", "out-10"].map(told).to_vec();
    assert_eq!(live, [Some(1); 4]);
    assert_eq!(brevo.events().len(), 4, "old news has no effect");
    // Reading the history again calls for nothing.
    let writes: u64 = contacts.iter().map(|contact| contact.writes).sum();
    stage.backfill();
    stage.rest();
    assert_eq!(stage.world.brevo.contacts().iter().map(|contact| contact.writes).sum::<u64>(), writes);
    assert_eq!(stage.world.brevo.imports().len(), 1);
    stage.stop();
    stage.world.assert_clean();
}

#[test]
fn a_history_is_imported_by_itself_where_rows_need_an_address() {
    imports_itself(ImportRows::EmailOnly);
}

#[test]
fn a_history_is_imported_by_itself_where_any_identifier_will_do() {
    imports_itself(ImportRows::AnyIdentifier);
}
