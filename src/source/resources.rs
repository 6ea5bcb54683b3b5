//! Which resources these settings have, and which reader serves a page of each.

use super::page::{Page, PageRequest, Position, Reach};
use super::{campaigns, credentials, exports, inventory, reports, stats, users};
use crate::failure::{Failure, FailureKind};
use crate::profile::ResourceSpec;
use crate::settings::{KeySlot, Settings};

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
    read(settings, request, reach).map_err(|failure| match failure.kind {
        FailureKind::Auth { .. } => told_apart(settings, request, reach, failure),
        _ => failure,
    })
}

/// A key that one family of calls refuses may be right for the others: MoEngage's documents name
/// different keys for some families, and answer 401 to a missing scope as well. So the key's own
/// check is made, and where that passes only this resource may not be read with it.
fn told_apart(
    settings: &Settings,
    request: &PageRequest,
    reach: &mut Reach<'_>,
    refused: Failure,
) -> Failure {
    let FailureKind::Auth { slot: name } = &refused.kind else { return refused };
    let Some(slot) = KeySlot::ALL.into_iter().find(|slot| slot.name() == name) else { return refused };
    let check = PageRequest { position: Position::Start, ..request.clone() };
    if credentials::check(settings, slot, &check, reach.http).is_err() {
        return refused;
    }
    Failure::new(
        FailureKind::Permission { slot: name.clone(), scope: request.resource.clone() },
        "key-not-for-this",
        format!(
            "The {name} key is right for other calls and refused for this one; give it the permission, name another \
             key under key_for, or switch the resource off under sync."
        ),
    )
}

fn read(settings: &Settings, request: &PageRequest, reach: &mut Reach<'_>) -> Result<Page, Failure> {
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
