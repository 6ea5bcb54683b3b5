//! Things of MoEngage that the settings give a place at Brevo.

use serde_json::{Value, json};
use stand_ins::brevo::{self, ObjectType};
use stand_ins::moengage::alerts::{Alert, AlertTarget, AlertType};
use stand_ins::moengage::{Campaign, Table};

use super::sources::PATIENCE;
use super::stage::{Plan, Stage};

const PRODUCTS: &str = "/v3/products";
const UPSERT: &str = "/v3/objects/{type}/batch/upsert";

/// An account with the two objects that the settings name.
pub fn with_objects() -> brevo::Options {
    let kind = |name: &str| ObjectType {
        name: name.to_owned(),
        attributes: ["name", "status"].map(|key| (key.to_owned(), "text".to_owned())).to_vec(),
    };
    brevo::Options {
        objects: Some(vec![kind("moengage_campaign"), kind("moengage_flow")]),
        ..brevo::Options::default()
    }
}

#[test]
fn catalog_items_are_products_and_only_what_changed_is_written_again() {
    let stage = Stage::new(
        r#"
catalogs: { "catalog-1": ["P001", "P002"] }
objects:
  products:
    field_mapping:
      title: name
      link: url
      image_link: image_url
      price: price
      currency: meta_info.currency
      in_stock: meta_info.in_stock
      weight: meta_info.weight
      stock: meta_info.stock
"#,
    );
    let change = |n: usize, key: &str, value: Value| {
        stage.world.moengage.with_rows(Table::CatalogItems, |rows| rows[n][key] = value);
    };
    change(0, "weight", json!(1.5));
    change(0, "stock", json!(12));
    stage.read("catalog-items");
    let products = stage.world.brevo.products();
    let ids: Vec<_> = products.iter().map(|product| product.id.as_str()).collect();
    assert_eq!(ids, ["P001", "P002"]);
    let fields = &products[0].fields;
    assert_eq!(
        (&fields["name"], &fields["url"], &fields["price"]),
        (&json!("Product 1"), &json!("https://example.com/products/1"), &json!(1.99))
    );
    // Brevo takes texts and whole numbers there, and nothing else.
    assert_eq!(
        fields["metaInfo"],
        json!({ "currency": "EUR", "in_stock": "true", "weight": "1.5", "stock": 12 })
    );
    let calls = stage.calls("POST", PRODUCTS);
    stage.read("catalog-items");
    assert_eq!(stage.calls("POST", PRODUCTS), calls, "nothing changed");
    change(1, "price", json!(49.5));
    stage.read("catalog-items");
    assert_eq!(stage.calls("POST", PRODUCTS), calls + 1);
    assert_eq!(stage.world.brevo.products()[1].fields["price"], json!(49.5));
    // An item that is no longer shown is not deleted by that.
    stage
        .world
        .moengage
        .with_rows(Table::CatalogItems, |rows| rows.retain(|row| row["product_id"] != "P002"));
    let sums = stage.read("catalog-items");
    assert_eq!((stage.calls("POST", PRODUCTS), stage.world.brevo.products().len()), (calls + 1, 2));
    assert!(sums.dead_letters.is_empty(), "{:?}", sums.dead_letters);
    stage.world.assert_clean();
}

#[test]
fn campaigns_and_flows_are_records_of_custom_objects() {
    let plan = Plan { brevo: with_objects(), reads: &["campaigns", "flows"], ..Plan::default() };
    let stage = Stage::with(
        r#"
objects:
  campaigns: { type: moengage_campaign, field_mapping: { name: name, status: status } }
  flows: { field_mapping: { name: name, status: status } }
"#,
        plan,
    );
    stage.world.moengage.with_campaigns(|campaigns| *campaigns = (0..3).map(Campaign::numbered).collect());
    stage.read("flows");
    stage.read("campaigns");
    let of = |kind: &str| {
        let mut records = stage.world.brevo.object_records();
        records.retain(|record| record.object_type == kind);
        records
    };
    assert_eq!(of("moengage_campaign").len(), 3);
    let flows = of("moengage_flow");
    let name = |record: &brevo::ObjectRecord| record.attributes["name"].as_str().unwrap().to_owned();
    assert!(flows.len() >= 3, "{flows:?}");
    assert!(flows.iter().any(|flow| name(flow) == "Welcome journey"));

    let calls = stage.calls("POST", UPSERT);
    stage.read("campaigns");
    assert_eq!(stage.calls("POST", UPSERT), calls, "nothing changed");
    stage.world.moengage.with_campaigns(|campaigns| campaigns[1].name = "Renamed".into());
    let sums = stage.read("campaigns");
    assert_eq!(stage.calls("POST", UPSERT), calls + 1);
    let names: Vec<_> = of("moengage_campaign").iter().map(name).collect();
    assert_eq!(names.iter().filter(|name| *name == "Renamed").count(), 1, "{names:?}");
    assert_eq!(names.len(), 3);
    assert!(sums.dead_letters.is_empty(), "{:?}", sums.dead_letters);
    stage.world.assert_clean();
}

#[test]
fn an_alert_is_one_note_or_one_task_however_often_it_is_sent() {
    for (settings, notes, tasks) in
        [("alerts: note", 1, 0), ("alerts: { as: task, type: \"Call\", due_in: \"2d\" }", 0, 1)]
    {
        let mut stage = Stage::new(&format!("alerts: true\nobjects:\n  {settings}\n"));
        let send = |stage: &Stage| {
            let target = AlertTarget::new(&stage.url("shop", "alerts"));
            let alerts = stage.world.moengage.alerts(target).unwrap();
            let mut alert = Alert::new(AlertType::CampaignStats);
            alert.triggered_at = stage.world.scale.epoch_ms;
            let first = alerts.send(&alert);
            alerts.resend(first).unwrap();
            assert!(alerts.wait(PATIENCE));
            stage.rest();
        };
        send(&stage);
        stage.restart();
        send(&stage);
        let made = (stage.world.brevo.notes(), stage.world.brevo.tasks());
        assert_eq!((made.0.len(), made.1.len()), (notes, tasks), "{settings}: {made:?}");
        if let Some(note) = made.0.first() {
            assert!(note.text.contains("MoEngage alert: Delivery Rate Breach"), "{}", note.text);
            assert!(note.text.contains("Campaign 0: EMAIL 70.5"), "{}", note.text);
        }
        if let Some(task) = made.1.first() {
            assert!(task.name.starts_with("MoEngage alert: Delivery Rate Breach"), "{}", task.name);
            assert_eq!(task.task_type, "Call");
            // Brevo's dates have whole seconds.
            let due = (stage.world.scale.epoch_ms / 1_000 + 2 * super::stage::DAY) * 1_000;
            assert_eq!(task.due_at / 1_000 * 1_000, due);
        }
        assert!(stage.letters().is_empty());
        stage.world.assert_clean();
    }
}
