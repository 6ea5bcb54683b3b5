//! `fetch-page`: what MoEngage answers, and cursors that somebody else wrote.

use moengage_connector::{
    Cursor, FailureKind, Next, Page, PageRequest, Position, Profile, Reach, configure as profile_of,
};

use super::world::{Memory, Vendor};
use super::{EVERYTHING, NOW, assert_code, assert_failure, assert_record, everything};

/// Most records of a page.
const BUDGET: u32 = 100;
/// Longest cursor (contract, default limits).
const CURSOR: usize = 4 * 1024;
/// Units of one input.
const UNITS: usize = 12;

fn profile() -> &'static Profile {
    static PROFILE: std::sync::OnceLock<Profile> = std::sync::OnceLock::new();
    PROFILE.get_or_init(|| profile_of(EVERYTHING).unwrap_or_else(|problems| panic!("{problems:?}")))
}

/// Storage in which other reads have left what a resource needs.
fn known_ids() -> Memory {
    let keys = ["watch/cust-1", "flow/f-1", "campaign-parent/c-1", "dashboard/d-1", "chart/d-1/ch-1"];
    Memory(keys.map(|key| (key.to_owned(), Vec::new())).into())
}

/// A line with the name of a resource, and then answers, separated by lines of `%%`. `window` after the name asks
/// for a backfill of two days.
pub fn fetch_page(data: &[u8]) {
    let mut parts = split(data, b"\n%%\n");
    let head = String::from_utf8_lossy(parts.remove(0)).into_owned();
    let (resource, way) = head.split_once(' ').unwrap_or((&head, ""));
    let Some(resource) = profile().resources.iter().find(|known| known.name == resource) else { return };
    let mut vendor = Vendor::new(parts);
    let mut storage = known_ids();
    let mut position = match way {
        "window" => Position::Window(NOW - 2 * 86_400_000, NOW),
        _ => Position::Start,
    };
    for _ in 0..UNITS {
        let request = PageRequest { resource: resource.name.clone(), position, budget: BUDGET, now: NOW };
        let mut files = vendor.clone();
        let reach = &mut Reach { http: &mut vendor, objects: &mut files, storage: &mut storage };
        let page = match moengage_connector::fetch_page(everything(), &request, reach) {
            Ok(page) => page,
            Err(failure) => {
                assert_failure(&failure);
                let refused = matches!(failure.kind, FailureKind::Cursor);
                // Nothing is as it was where MoEngage itself no longer takes what stands in a cursor.
                let own = !matches!(
                    failure.code.as_str(),
                    "unreadable-cursor" | "foreign-cursor" | "cursor-version"
                );
                assert!(!refused || own, "the connector refuses its own cursor: {}", failure.code);
                return;
            }
        };
        assert_page(&page, resource.page_limit.min(BUDGET));
        position = match page.next {
            Next::More(cursor) => {
                let same = matches!(&request.position, Position::Cursor(before) if *before == cursor);
                assert!(!same, "`more` moves the cursor");
                Position::Cursor(cursor)
            }
            Next::Later(cursor, _) => Position::Cursor(cursor),
            Next::Done { cursor: Some(cursor), .. } => Position::Cursor(cursor),
            Next::Done { .. } => return,
        };
    }
}

/// A line with the name of a resource, and then the bytes of a cursor.
pub fn cursors(data: &[u8]) {
    let parts = split(data, b"\n");
    let name = String::from_utf8_lossy(parts[0]).into_owned();
    let bytes = data.get(parts[0].len() + 1..).unwrap_or_default();
    let of = serde_json::from_slice::<serde_json::Value>(bytes)
        .ok()
        .and_then(|content| content["of"].as_str().map(str::to_owned));
    let resources = &profile().resources;
    let Some(at) = resources.iter().position(|resource| resource.name == name) else { return };
    for resource in [&resources[at], &resources[(at + 1) % resources.len()]] {
        let mut vendor = Vendor::new(vec![b"200\n{}"]);
        let cursor = Cursor { version: 1, bytes: bytes.to_vec() };
        let position = Position::Cursor(cursor);
        let request = PageRequest { resource: resource.name.clone(), position, budget: BUDGET, now: NOW };
        let mut files = vendor.clone();
        let mut storage = known_ids();
        let reach = &mut Reach { http: &mut vendor, objects: &mut files, storage: &mut storage };
        let read = moengage_connector::fetch_page(everything(), &request, reach);
        let foreign = of.as_ref() != Some(&resource.name);
        let check = resource.name.starts_with("check-");
        match read {
            Ok(page) => {
                assert!(!foreign || check, "{} took a cursor of {of:?}", resource.name);
                assert_page(&page, resource.page_limit.min(BUDGET));
            }
            Err(failure) => {
                assert_failure(&failure);
                let refused = matches!(failure.kind, FailureKind::Cursor);
                assert!(!foreign || check || refused, "{}: {}", resource.name, failure.code);
            }
        }
    }
}

fn assert_page(page: &Page, most: u32) {
    assert!(page.records.len() <= most as usize, "{} records of {most}", page.records.len());
    page.records.iter().for_each(assert_record);
    page.rejects.iter().for_each(|reject| assert_code(&reject.code));
    page.notes.iter().for_each(|note| assert_code(&note.name));
    let cursor = match &page.next {
        Next::More(cursor) | Next::Later(cursor, _) => Some(cursor),
        Next::Done { cursor, .. } => cursor.as_ref(),
    };
    assert!(cursor.is_none_or(|cursor| cursor.bytes.len() <= CURSOR), "a cursor is longer than it may be");
    let in_range = |at: i64| (0..253_402_300_800_000).contains(&at);
    assert!(page.not_before.is_none_or(in_range));
    if let Next::Later(_, at) = page.next {
        assert!(in_range(at));
    }
}

fn split<'a>(data: &'a [u8], by: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(by.len()).position(|window| window == by) {
        parts.push(&rest[..at]);
        rest = &rest[at + by.len()..];
    }
    parts.push(rest);
    parts
}
