//! `configure`: settings as a whole, and the small grammars in them.

use moengage_connector::{Mapping, Settings, WebhookRequest, handle_webhook, map_record};
use serde_json::{Value, json};

use super::world::{Lines, Memory};
use super::{EVERYTHING, NOW, assert_action, assert_code};

/// Settings, or keys that are set over those with everything switched on where the first byte is `+`.
pub fn configure(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(over) = text.strip_prefix('+') else { return check(text) };
    let Ok(Value::Object(over)) = serde_json::from_str(over) else { return };
    let mut settings: Value = serde_json::from_str(EVERYTHING).expect("it is JSON");
    for (key, value) in over {
        settings[key] = value;
    }
    check(&settings.to_string());
}

fn check(text: &str) {
    match moengage_connector::configure(text) {
        Ok(profile) => {
            assert!(Settings::parse(text).is_ok());
            let json = |text: &str| serde_json::from_str::<Value>(text).is_ok();
            assert!(json(&profile.source_key));
            assert!(profile.resources.iter().all(|resource| json(&resource.schema)));
            let schemas = profile.surfaces.iter().flat_map(|surface| &surface.schemas);
            assert!(schemas.into_iter().all(|(_, schema)| json(schema)));
            let again = moengage_connector::configure(text).expect("it was taken before");
            assert_eq!(format!("{profile:?}"), format!("{again:?}"));
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in &problems {
                assert_code(&problem.code);
                assert!(!problem.message.is_empty() && !problem.remedy.is_empty(), "{problem:?}");
            }
            assert_eq!(Settings::parse(text).err().map(|found| found.len()), Some(problems.len()));
        }
    }
}

/// Lines: a condition, a template, a debounce, how late is too late, and the value of the event's attribute.
pub fn rules(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<&str> = text.split('\n').collect();
    let line = |at: usize| lines.get(at).copied().unwrap_or_default();
    let mut rule = json!({
        "name": "r",
        "triggers": [{"event": "cart"}],
        "actions": [{"brevo/send-email": {"template_id": 1, "params": {"p": line(1), "q": "plain"}}}],
    });
    if !line(0).is_empty() {
        rule["conditions"] = json!([{"value": line(0)}]);
    }
    if !line(2).is_empty() {
        rule["debounce"] = json!(line(2));
    }
    if !line(3).is_empty() {
        rule["actions"][0]["brevo/send-email"]["not_after"] = json!(line(3));
    }
    let settings = json!({
        "workspace_id": "ABC123", "data_center": "01", "environment": "live", "keys": {"data": "data"},
        "webhook": {"auth": "basic", "user": "tajo", "secret": "webhook"},
        "event_mapping": {"Cart": "cart"}, "rules": [rule],
    });
    check(&settings.to_string());
    let Ok(settings) = Settings::parse(&settings.to_string()) else { return };
    let value: Value = serde_json::from_str(line(4)).unwrap_or_else(|_| json!(line(4)));
    let at = NOW / 1000 - 60;
    let event = json!({
        "event_name": "Cart", "event_code": "Cart", "event_uuid": "u", "event_time": at, "event_source": "MOENGAGE",
        "uid": "c", "email_id": "ann@example.com", "event_attributes": {"value": value},
        "user_attributes": {"moengage_user_id": "m", "u_em": "ann@example.com"},
    });
    let body = json!({"app_name": "a", "source": "MOENGAGE", "moe_request_id": "r", "events": [event]});
    let request = WebhookRequest {
        surface: "streams".to_owned(),
        body: body.to_string().into_bytes(),
        headers: Vec::new(),
        received_at: NOW,
    };
    let outcome =
        handle_webhook(&settings, &request, &mut Memory::default()).expect("an event as documented");
    for record in outcome.records.iter().filter(|record| record.kind == "event") {
        let Ok(Mapping::Actions(actions)) = map_record(&settings, record, NOW, &mut Lines) else { continue };
        for action in actions.iter().filter(|action| action.slot.starts_with("rule:")) {
            assert_action(action);
            let after = |instant: i64| instant - at * 1000;
            let debounce = action.not_before.map(after);
            assert!(debounce.is_none_or(|wait| (1_000..=7 * 86_400_000).contains(&wait)), "{debounce:?}");
            assert_eq!(debounce.is_some(), !line(2).is_empty());
            let late = after(action.not_after.expect("a mail has an end"));
            assert!((60_000..=37 * 86_400_000).contains(&late), "{late}");
            // Nothing goes out as it was written, half filled in.
            let payload: Value = serde_json::from_str(&action.payload).expect("a payload is JSON");
            if let Some(filled) = payload["params"]["p"].as_str()
                && !line(4).contains("{{")
            {
                assert!(!filled.contains("{{ event.value }}"), "{filled}");
            }
        }
    }
}
