//! Check resources: each probes one API key by a read that changes nothing.

use super::client::{self, Http, HttpRequest, HttpResponse, Method};
use super::errors;
use super::page::{Next, Page, PageRequest, Position};
use super::rate;
use super::time::day_month_year;
use crate::failure::{Failure, FailureKind};
use crate::json::{Object, Scalar, elements, to_json};
use crate::model::{Millis, Nature};
use crate::profile::{RateWindow, ResourceSpec, SyncMode};
use crate::settings::{KeySlot, Settings};

/// A segment name that no workspace has, so that the list comes back empty.
const NO_SUCH_SEGMENT: &str = "tajo-connector-check-no-such-segment";

/// The slot that a check resource of these settings probes.
pub fn slot_of(settings: &Settings, name: &str) -> Option<KeySlot> {
    settings.keys.iter().copied().find(|&slot| resource(slot) == name)
}

/// Probes one key. `Auth` and `Permission` say that it was refused; every other failure says that
/// nothing is known about it.
pub fn check(
    settings: &Settings,
    slot: KeySlot,
    request: &PageRequest,
    http: &mut dyn Http,
) -> Result<Page, Failure> {
    if request.position != Position::Start {
        return Err(Failure::new(
            FailureKind::Cursor,
            "position-not-supported",
            "A check has no cursor and no window; start it from the beginning.",
        ));
    }
    let response = client::send(http, &probe(settings, slot, request.now), slot, request.now)?;
    // The list of campaigns is a bare one; the others are objects, which may be failures in disguise.
    if slot != KeySlot::Campaigns {
        errors::success(&response, slot, request.now)?;
    }
    if !is_expected(slot, &response) {
        return Err(errors::unexpected(&response));
    }
    Ok(Page {
        records: Vec::new(),
        rejects: Vec::new(),
        next: Next::COMPLETE,
        not_before: rate::not_before(&response, request.now),
        notes: Vec::new(),
    })
}

fn resource(slot: KeySlot) -> &'static str {
    match slot {
        KeySlot::Data => "check-data",
        KeySlot::Campaigns => "check-campaigns",
        KeySlot::Segmentation => "check-segmentation",
    }
}

fn probe(settings: &Settings, slot: KeySlot, now: Millis) -> HttpRequest {
    match slot {
        // File-import status of today. Not the call that MoEngage has for testing connections:
        // that one wants the key in its body, where we never put one.
        // The OpenAPI file of the Data API gives this path a host of its own:
        // `https://fileimports-data-api-{dc}.moengage.com/v1.0/data` (`manifest.json`).
        KeySlot::Data => {
            let path = ["v1.0", "data", "fileimports", "import", "status"];
            let day = day_month_year(now);
            let body = format!(
                r#"{{"date":{{"start_date":"{day}","end_date":"{day}","format":"DD/MM/YYYY"}},"offset":"1"}}"#
            );
            client::with_body(client::request(settings, slot.name(), Method::Post, &path), body)
        }
        // OpenAPI of campaigns: request_id, limit and page are mandatory.
        KeySlot::Campaigns => {
            let path = ["core-services", "v1", "campaigns", "search"];
            let body = format!(r#"{{"request_id":{},"limit":1,"page":1}}"#, to_json(&format!("check-{now}")));
            client::with_body(client::request(settings, slot.name(), Method::Post, &path), body)
        }
        // OpenAPI of custom segments: exact name, no paging.
        KeySlot::Segmentation => {
            let mut request = client::request(settings, slot.name(), Method::Get, &["v3", "custom-segments"]);
            request.query.push(("name".to_owned(), NO_SUCH_SEGMENT.to_owned()));
            request
        }
    }
}

/// Whether a success is the documented one. A login page or an error envelope under status 200
/// verifies nothing.
fn is_expected(slot: KeySlot, response: &HttpResponse) -> bool {
    let Ok(text) = std::str::from_utf8(&response.body) else { return false };
    let has_list =
        |object: &Object<'_>| object.raw("data").is_some_and(|data| elements(data.get()).is_some());
    match slot {
        KeySlot::Data => Object::parse(text).is_some_and(|object| {
            let success = object.get("status").and_then(Scalar::text).is_some_and(|s| s == "success");
            success && has_list(&object)
        }),
        KeySlot::Campaigns => elements(text).is_some(),
        KeySlot::Segmentation => Object::parse(text).is_some_and(|object| has_list(&object)),
    }
}

/// The checks that these settings allow.
pub fn check_resources(settings: &Settings) -> Vec<ResourceSpec> {
    let windows = |slot| -> &'static [RateWindow] {
        // MD:api/rate-limits.mdx and the OpenAPI files. Hours and days slide as well.
        const fn window(calls: u32, seconds: u32) -> RateWindow {
            RateWindow { calls, seconds }
        }
        match slot {
            KeySlot::Data => const { &[window(50, 60)] },
            KeySlot::Campaigns => const { &[window(10, 1), window(100, 60), window(6000, 3600)] },
            KeySlot::Segmentation => const { &[window(50, 60), window(200, 3600), window(1000, 86_400)] },
        }
    };
    let spec = |slot: KeySlot| ResourceSpec {
        name: resource(slot).to_owned(),
        kind: "check".to_owned(),
        primary_key: Vec::new(),
        nature: Nature::State,
        mode: SyncMode::Check,
        cursor_strategy: "None: one call that reads nothing, then done.".to_owned(),
        page_limit: 1,
        replay_policy: "It can be repeated at any time and changes nothing.".to_owned(),
        cadence: 0,
        schema: r#"{"not":{}}"#.to_owned(),
        endpoint: slot.name().to_owned(),
        slot: Some(slot.name().to_owned()),
        rate_windows: windows(slot).to_vec(),
    };
    KeySlot::ALL.into_iter().filter(|slot| settings.keys.contains(slot)).map(spec).collect()
}
