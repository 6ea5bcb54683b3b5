//! Which resources these settings have, and which reader serves a page of each.

use super::page::{Page, PageRequest, Reach};
use super::{campaigns, credentials, exports, inventory, reports, stats, users};
use crate::failure::{Failure, FailureKind};
use crate::profile::ResourceSpec;
use crate::settings::Settings;

/// Every resource of these settings.
pub fn resources(settings: &Settings) -> Vec<ResourceSpec> {
    let mut resources = credentials::check_resources(settings);
    resources.extend(campaigns::resource(settings));
    resources.extend(stats::resource(settings));
    resources.extend(reports::resource(settings));
    resources.extend(settings.exports.as_ref().map(exports::resource));
    resources.extend(users::resource(settings));
    resources.extend(inventory::read_by(settings).map(|item| inventory::spec(settings, item)));
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
    if let Some(item) = inventory::read_by(settings).find(|item| item.name == request.resource) {
        return inventory::fetch(settings, item, request, reach);
    }
    let declared = resources(settings).into_iter().any(|resource| resource.name == request.resource);
    match request.resource.as_str() {
        campaigns::CAMPAIGNS if declared => campaigns::fetch(settings, request, reach),
        exports::EVENT_EXPORTS if let Some(exports) = &settings.exports => {
            exports::read(settings, exports, request, reach)
        }
        reports::RESOURCE if declared => reports::fetch(settings, request, reach),
        stats::RESOURCE if declared => stats::fetch(settings, request, reach),
        users::USERS if declared => users::fetch(settings, request, reach),
        _ => Err(Failure::new(
            FailureKind::Config,
            "unknown-resource",
            "These settings have no such resource; each needs its key under keys.",
        )),
    }
}
