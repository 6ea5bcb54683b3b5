//! Which resources these settings have, and which reader serves a page of each.

use super::credentials;
use super::exports;
use super::page::{Page, PageRequest, Reach};
use crate::failure::{Failure, FailureKind};
use crate::profile::ResourceSpec;
use crate::settings::Settings;

/// Every resource of these settings.
pub fn resources(settings: &Settings) -> Vec<ResourceSpec> {
    let mut resources = credentials::check_resources(settings);
    resources.extend(settings.exports.as_ref().map(exports::resource));
    resources
}

/// Reads one page. It is complete or it is an error: a failure in mid-page is never *the end*.
///
/// # Errors
/// See [`FailureKind`] for who must act.
pub fn fetch_page(
    settings: &Settings,
    request: &PageRequest,
    reach: &mut Reach<'_>,
) -> Result<Page, Failure> {
    if let Some(slot) = credentials::slot_of(settings, &request.resource) {
        return credentials::check(settings, slot, request, reach.http);
    }
    if let Some(exports) = settings.exports.as_ref().filter(|_| request.resource == exports::EVENT_EXPORTS) {
        return exports::read(settings, exports, request, reach);
    }
    Err(Failure::new(
        FailureKind::Config,
        "unknown-resource",
        "These settings have no such resource; a check needs its key under keys.",
    ))
}
