//! Everything that MoEngage lists, read through the real component and the real host: each
//! resource of the profile, to its end, within the documented limits, twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sources;

use std::collections::BTreeMap;

use host_harness::host::Units;
use host_harness::store::runs::{Run, resource_key};
use host_harness::store::{StoreError, installations};
use serde_json::json;
use sources::*;
use stand_ins::moengage::{Campaign, Figures, Table};

const DAY: i64 = 86_400_000;

/// A world in which everything is switched on.
fn everything() -> World {
    World::with(&Setting {
        // Fast enough that a day of figures takes no time, slow enough for the windows of a second.
        factor: 600.0,
        sync: json!({
            "flow_analytics": true, "subscription_preferences": true, "dashboards": true, "charts": true,
            "chart_figures": true
        }),
        more: json!({
            "catalogs": { "catalog-1": ["P001", "P002", "P003"] },
            "cards": { "users": ["user-000001"] },
            "recommendations": {
                "a1b2c3d4e5f6a7b8c9d0e1f2": { "type": "trending_item", "users": ["user-000001"] }
            },
            "report_files": ["Report_test_20261120.zip", "Report_test_20261120.csv.gz"],
        }),
        ..Setting::default()
    })
}

/// Something of everything, where the stand-in has nothing by itself or nothing of these days.
fn fill(world: &World) {
    let vendor = &world.moengage;
    let parent = Campaign { campaign_delivery_type: "PERIODIC".into(), ..Campaign::numbered(1) };
    let child = Campaign { parent_id: Some(parent.id.clone()), ..Campaign::numbered(2) };
    let campaigns = [vec![parent, child], (3..40).map(Campaign::numbered).collect()].concat();
    let days: Vec<String> = (0..5).map(|back| day(world.brevo.now() - back * DAY)).collect();
    let figures =
        campaigns.iter().take(25).flat_map(|one| days.iter().flat_map(|day| Figures::of_day(one, day, 40)));
    vendor.set_figures(figures.collect::<Vec<_>>());
    vendor.with_campaigns(|all| *all = campaigns);
    let yesterday = format!("{}T10:00:00.000000", days[1]);
    vendor.with_rows(Table::Imports, |imports| {
        for import in imports {
            import["created_at"] = json!(yesterday);
            import["last_run_at"] = json!(yesterday);
        }
    });
    vendor.with_rows(Table::FlowAnalytics, |rows| {
        for row in rows {
            row["key"] = json!(format!("{}/All Versions", row["flow_id"].as_str().unwrap()));
        }
    });
}

/// `yyyy-mm-dd`, in UTC.
fn day(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap().to_string()[..10].to_owned()
}

fn resources(units: &Units) -> Vec<String> {
    let store = units.store();
    let profile = store.read::<_, StoreError>(|tx| Ok(installations::all(tx)?.remove(0).profile)).unwrap();
    let names = profile.resources.into_iter().filter(|resource| resource.kind != "check");
    names.map(|resource| resource.name).filter(|name| name != "event-exports").collect()
}

fn read(units: &Units, resource: &str) -> Run {
    sync(units.store(), resource, units.now());
    finish(units, &resource_key(resource))
}

#[test]
fn every_resource_of_the_profile_is_read_to_its_end_and_a_second_run_changes_nothing() {
    let world = everything();
    fill(&world);
    let units = world.units();
    let names = resources(&units);
    assert_eq!(names.len(), 29, "{names:?}");
    let mut found = BTreeMap::new();
    // In the order of the profile a list comes before those that are read for each of it.
    for round in 0..2 {
        for name in &names {
            let run = read(&units, name);
            assert_eq!(run.result.as_deref(), Some("complete"), "{name}, round {round}: {run:?}");
            found.insert(name.clone(), run.records);
        }
    }
    let (sums, _) = sums(units.store());
    assert!(sums.agree(), "{sums:?}");
    assert!(sums.dead_letters.is_empty(), "{:?}", sums.dead_letters);
    assert_eq!(world.moengage.violations(), []);
    // Nobody is known in this world, so that nobody is asked for.
    let empty: Vec<_> =
        found.iter().filter(|(_, records)| **records == 0).map(|(name, _)| name.as_str()).collect();
    assert_eq!(empty, ["subscription-preferences", "users"], "{found:?}");
}
