//! What an operator writes: the configuration, a manifest; and the host's rule for JSON.

use std::collections::BTreeMap;
use std::path::Path;

use host_harness::config::{Environment, parse};
use host_harness::manifest::Manifest;
use secrecy::SecretString;

const CANARY: &str = "canary-5f1c9a";

/// A file of YAML. Its secrets are variables that are all there.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let names = ["BREVO_API_KEY", "MOENGAGE_DATA_KEY", "MOENGAGE_CAMPAIGNS_KEY", "MOENGAGE_SEGMENTATION_KEY"];
    let more = ["MOENGAGE_WEBHOOK_SECRET", "MOENGAGE_EXPORTS_SECRET", "KEY"];
    let variables: BTreeMap<_, _> =
        names.into_iter().chain(more).map(|name| (name.to_owned(), SecretString::from(CANARY))).collect();
    let environment = Environment::Given(variables);
    let Err(problems) = parse(text, Path::new("/nonexistent"), &environment, &["moengage"]) else { return };
    assert!(!problems.is_empty());
    let lines =
        text.chars().filter(|c| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')).count() + 1;
    for problem in &problems {
        assert!(!problem.code.is_empty() && !problem.message.is_empty() && !problem.remedy.is_empty());
        assert!(!problem.message.contains(CANARY) && !problem.remedy.contains(CANARY));
        if let Some(place) = problem.place {
            assert!((1..=lines + 1).contains(&place.line) && place.column >= 1, "{place:?} of {lines} lines");
        }
        let shown = |text: &str| text.chars().all(|c| !c.is_control() || c == '\n');
        assert!(shown(&problem.message) && shown(&problem.path), "{problem:?}");
    }
}

/// A manifest.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Manifest::parse(text) {
        Ok(manifest) => {
            assert!(!manifest.connector.is_empty());
            for endpoint in manifest.endpoints.values() {
                assert!(!endpoint.methods.is_empty() && !endpoint.paths.is_empty());
                assert!(endpoint.headers.iter().all(|name| *name == name.to_ascii_lowercase()));
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in &problems {
                assert!(!problem.code.is_empty() && !problem.message.is_empty(), "{problem:?}");
            }
        }
    }
}

/// What the host takes for JSON is JSON for everybody, and not deep.
pub fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let accepted = host_harness::json::check(text).is_ok();
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else {
        assert!(!accepted, "taken and not JSON");
        return;
    };
    if accepted {
        assert!(depth(&value) <= host_harness::json::MAX_DEPTH);
        // Written again it is the same.
        let again = value.to_string();
        assert!(host_harness::json::check(&again).is_ok(), "{again}");
        assert_eq!(host_harness::json::check_object(text).is_ok(), value.is_object());
    }
}

fn depth(value: &serde_json::Value) -> u32 {
    match value {
        serde_json::Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
