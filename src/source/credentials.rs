//! Check resources: each probes one API key by a read that changes nothing.

use super::client::{self, Http, HttpRequest, HttpResponse, Method};
use super::notes::Note;
use super::streams::Reject;
use super::time::day_month_year;
use crate::failure::{Failure, FailureKind};
use crate::json::{Object, Scalar, elements, to_json};
use crate::model::{Millis, Record};
use crate::profile::{RateWindow, ResourceSpec};
use crate::settings::{KeySlot, Settings};

/// Where a read starts. The bytes of a cursor are never looked at here: nothing has one yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// From the beginning.
    Start,
    /// Where an earlier page ended; its format version.
    Cursor(u32),
    /// A backfill of a span of time.
    Window(Millis, Millis),
}

/// A page that is asked for.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// A resource of the profile.
    pub resource: String,
    /// Where to start.
    pub position: Position,
    /// Host time.
    pub now: Millis,
}

/// A page. A check reads nothing: a page of it says that the key was verified and that the run
/// is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// None for a check.
    pub records: Vec<Record>,
    /// None for a check.
    pub rejects: Vec<Reject>,
    /// Where MoEngage said that no call is left: when the next one is allowed.
    pub not_before: Option<Millis>,
    /// Counted by name.
    pub notes: Vec<Note>,
}

/// A segment name that no workspace has, so that the list comes back empty.
const NO_SUCH_SEGMENT: &str = "tajo-connector-check-no-such-segment";

/// Reads one page.
///
/// # Errors
/// `Auth` and `Permission` say that the key was refused; every other failure says that nothing
/// is known about it.
pub fn fetch_page(settings: &Settings, request: &PageRequest, http: &mut dyn Http) -> Result<Page, Failure> {
    let slot = KeySlot::ALL.into_iter().find(|&slot| resource(slot) == request.resource);
    let Some(slot) = slot.filter(|slot| settings.keys.contains(slot)) else {
        return Err(Failure::new(
            FailureKind::Config,
            "unknown-resource",
            "These settings have no such resource; a check needs its key under keys.",
        ));
    };
    if request.position != Position::Start {
        return Err(Failure::new(
            FailureKind::Cursor,
            "position-not-supported",
            "A check has no cursor and no window; start it from the beginning.",
        ));
    }
    let response = client::send(http, &probe(settings, slot, request.now), slot, request.now)?;
    if !is_expected(slot, &response) {
        return Err(Failure::vendor_contract(
            &response.body,
            "unexpected-answer",
            "MoEngage answered with a success whose body is not the documented one.",
        ));
    }
    Ok(Page { not_before: client::not_before(&response, request.now), ..Page::default() })
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
            client::with_body(client::request(settings, slot, Method::Post, &path), body)
        }
        // OpenAPI of campaigns: request_id, limit and page are mandatory.
        KeySlot::Campaigns => {
            let path = ["core-services", "v1", "campaigns", "search"];
            let body = format!(r#"{{"request_id":{},"limit":1,"page":1}}"#, to_json(&format!("check-{now}")));
            client::with_body(client::request(settings, slot, Method::Post, &path), body)
        }
        // OpenAPI of custom segments: exact name, no paging.
        KeySlot::Segmentation => {
            let mut request = client::request(settings, slot, Method::Get, &["v3", "custom-segments"]);
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
        cursor_strategy: "None: one call that reads nothing, then done.".to_owned(),
        page_limit: 1,
        replay_policy: "It can be repeated at any time and changes nothing.".to_owned(),
        cadence: 0,
        schema: r#"{"not":{}}"#.to_owned(),
        endpoint: slot.name().to_owned(),
        slot: slot.name().to_owned(),
        rate_windows: windows(slot).to_vec(),
    };
    KeySlot::ALL.into_iter().filter(|slot| settings.keys.contains(slot)).map(spec).collect()
}
