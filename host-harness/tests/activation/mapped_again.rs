//! A mapping that is corrected later: attributes change, and nothing is sent a second time.

use host_harness::pipeline::Step;
use host_harness::store::{StoreError, remaps};
use serde_json::json;

use super::sources::installation;
use super::stage::{MINUTE, Stage, delivered, happened};

const SETTINGS: &str = r#"
field_mapping: { plan: PLAN }
catalogs: { "catalog-1": ["P001"] }
objects:
  products: { field_mapping: { title: name, price: price } }
lists:
  all_contacts: { name: Everybody, folder: MoEngage, inert: true }
rules:
  - name: thanks
    triggers: [{ event: moengage_bought }]
    actions:
      - brevo/send-email: { template_id: 101, params: { plan: "{{ contact.plan }}" } }
      - brevo/add-note: { text: "<p>{{ contact.plan }}</p>" }
      - brevo/create-task: { name: "Call {{ contact.external_id }}" }
"#;

#[test]
fn a_corrected_mapping_changes_attributes_and_sends_nothing_again() {
    let mut stage = Stage::new(SETTINGS);
    let bought =
        happened(&stage, "e1", "Bought", "ann", MINUTE, json!({}), json!({ "plan": "gold", "city": "Bonn" }));
    stage.push(&[bought]);
    stage.read("catalog-items");
    stage.stop();
    let sent = |stage: &Stage| {
        let brevo = &stage.world.brevo;
        (brevo.mails().len(), brevo.events().len(), brevo.notes().len(), brevo.tasks().len())
    };
    assert_eq!(sent(&stage), (1, 1, 1, 1));
    let before = stage.world.brevo.contact_by_ext_id("ann").unwrap();

    let corrected = [
        ("{ plan: PLAN }", "{ plan: TIER, city: TOWN }"),
        ("{ title: name, price: price }", "{ title: name, price: price, currency: meta_info.currency }"),
        ("<p>{{ contact.plan }}</p>", "<p>Plan: {{ contact.plan }}</p>"),
    ];
    for (old, new) in corrected {
        assert!(stage.world.text.contains(old), "{old}");
        stage.world.text = stage.world.text.replace(old, new);
    }
    let units = stage.world.units();
    let (store, now) = (units.store(), units.now());
    let id = installation(store);
    store.write::<_, StoreError>(|tx| remaps::begin(tx, id, now)).unwrap();
    while units.remap_step().unwrap() == Step::Worked {}
    let done = store.read::<_, StoreError>(|tx| remaps::get(tx, id)).unwrap().unwrap();
    assert!(done.finished_at.is_some() && done.code.is_none(), "{done:?}");
    assert_eq!((done.counts.states, done.counts.changed), (2, 2), "{done:?}");
    drop(units);
    stage.start();
    stage.rest();

    let after = stage.world.brevo.contact_by_ext_id("ann").unwrap();
    assert_eq!((&after.attributes["TIER"], &after.attributes["TOWN"]), (&json!("gold"), &json!("Bonn")));
    assert_eq!((after.id, after.list_ids), (before.id, before.list_ids));
    assert_eq!(after.attributes["PLAN"], json!("gold"), "what is no longer mapped stays");
    let product = stage.world.brevo.products().pop().unwrap();
    assert_eq!(product.fields["metaInfo"], json!({ "currency": "EUR" }));
    assert_eq!(sent(&stage), (1, 1, 1, 1));
    assert_eq!(stage.ends("brevo/send-email"), [delivered()]);
    assert!(stage.letters().is_empty());
    stage.world.assert_clean();
}
