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
            "catalogs": { "shop": ["P001", "P002", "P003"] },
            "cards": { "users": ["cust-1"] },
            "recommendations": { "rec-1": { "type": "user_action", "users": ["cust-1"] } },
            "report_files": ["Report_test_20261120.zip", "Report_test_20261120.csv.gz"],
        }),
        ..Setting::default()
    })
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
