//! Is a profile within the contract and within what the operator granted? Every problem at once.

use std::collections::BTreeSet;

use crate::contract::{Problem, Profile, ResourceSpec, Surface, SyncMode};
use crate::json;
use crate::manifest::{Manifest, is_kebab, is_token};
use crate::registry::is_event_name;

use super::limits::Limits;

/// Most resources, surfaces, slots or rate windows, each.
const ENTRIES: usize = 64;
/// Most attributes or event names.
const TARGETS: usize = 2_000;
/// Largest text of several sentences, static answer or source key, in bytes.
const LONG_TEXT: usize = 64 * 1024;

/// Headers that carry credentials whatever the scheme.
const CREDENTIAL_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// Everything that is wrong with the profile.
pub fn check(
    profile: &Profile,
    manifest: &Manifest,
    settings: &serde_json::Value,
    limits: &Limits,
) -> Vec<Problem> {
    let mut check = Check { manifest, settings, limits, problems: Vec::new() };
    check.identity(profile);
    check.slots(profile);
    check.counts(profile);
    let mut names = BTreeSet::new();
    for resource in &profile.resources {
        check.resource(resource, profile, names.insert(resource.name.as_str()));
    }
    let mut names = BTreeSet::new();
    for surface in &profile.surfaces {
        check.surface(surface, names.insert(surface.name.as_str()));
    }
    check.targets(profile);
    check.problems
}

struct Check<'a> {
    manifest: &'a Manifest,
    settings: &'a serde_json::Value,
    limits: &'a Limits,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn need(&mut self, holds: bool, path: impl Into<String>, rule: &str) {
        if !holds {
            self.problems.push(Problem {
                code: "profile-against-contract".into(),
                path: path.into(),
                message: rule.into(),
                remedy: "The connector's author has to correct it.".into(),
            });
        }
    }

    fn grant(&mut self, holds: bool, path: String, rule: &str) {
        if !holds {
            self.problems.push(Problem {
                code: "profile-beyond-manifest".into(),
                path,
                message: rule.into(),
                remedy: "The operator has to grant it in the manifest, or use the manifest that belongs to \
                         this build of the connector."
                    .into(),
            });
        }
    }

    fn text(&self, text: &str) -> bool {
        !text.is_empty() && text.len() <= self.limits.text && !text.chars().any(char::is_control)
    }

    fn name(&self, name: &str) -> bool {
        name.len() <= self.limits.text && is_kebab(name)
    }

    fn identity(&mut self, profile: &Profile) {
        let rule = "the profile is of another connector than the manifest";
        self.grant(profile.connector == self.manifest.connector, "connector".into(), rule);
        self.need(self.text(&profile.version), "version", "a version is a short text");
        // Record ids are `<connector>:<workspace>:<kind>:<key>`: a colon in a workspace would let
        // two of them share an id.
        let workspace = self.text(&profile.workspace) && !profile.workspace.contains(':');
        self.need(workspace, "workspace", "a workspace is a short text without a colon");
        let source = profile.source_key.len() <= LONG_TEXT && json::check(&profile.source_key).is_ok();
        self.need(source, "source-key", "the source key is JSON");
        let versions = profile.cursor_versions.len();
        self.need(versions <= ENTRIES, "cursor-versions", "too many cursor versions");
    }

    fn counts(&mut self, profile: &Profile) {
        self.need(profile.slots.len() <= ENTRIES, "slots", "too many slots");
        self.need(profile.resources.len() <= ENTRIES, "resources", "too many resources");
        self.need(profile.surfaces.len() <= ENTRIES, "surfaces", "too many surfaces");
    }

    fn slots(&mut self, profile: &Profile) {
        let granted: BTreeSet<String> = self.manifest.slots().into_iter().map(str::to_owned).collect();
        let mut names = BTreeSet::new();
        for slot in &profile.slots {
            let path = format!("slots.{}", slot.name);
            let proper = self.name(&slot.name) && names.insert(&slot.name);
            self.need(proper, &path, "a slot's name is lower-kebab-case and unique");
            self.need(slot.purpose.len() <= LONG_TEXT, &path, "the purpose of a slot is one sentence");
            self.grant(granted.contains(&slot.name), path, "the manifest has no such slot");
        }
    }

    fn resource(&mut self, resource: &ResourceSpec, profile: &Profile, unique: bool) {
        let path = format!("resources.{}", resource.name);
        let check = resource.mode == SyncMode::Check;
        self.need(
            unique && self.name(&resource.name),
            &path,
            "a resource's name is lower-kebab-case and unique",
        );
        self.need(self.name(&resource.kind), &path, "a kind is lower-kebab-case");
        self.need(check == (resource.kind == "check"), &path, "the kind `check` is for check resources");
        let page = (1..=self.limits.records).contains(&(resource.page_limit as usize));
        self.need(check || page, &path, "a page holds 1 to 20,000 records");
        let words = resource.cursor_strategy.len().max(resource.replay_policy.len());
        self.need(words <= LONG_TEXT, &path, "its description is too long");
        let windows = resource.rate_windows.len() <= ENTRIES
            && resource.rate_windows.iter().all(|w| w.calls > 0 && w.seconds > 0);
        self.need(windows, &path, "a rate window has calls and seconds");
        let schema = resource.schema.len() <= self.limits.json && json::check(&resource.schema).is_ok();
        self.need(check || schema, &path, "its schema is JSON");
        let endpoint = self.manifest.endpoints.get(&resource.endpoint);
        let granted = endpoint.is_some();
        let slot = endpoint.map(|endpoint| endpoint.auth.slot().to_owned());
        self.grant(granted, path.clone(), "the manifest has no such endpoint");
        if let Some(wanted) = &resource.slot {
            let declared = profile.slots.iter().any(|slot| slot.name == *wanted);
            self.need(declared, &path, "its slot is not among the profile's slots");
            let same = !granted || slot.as_ref() == Some(wanted);
            self.grant(same, path, "the manifest's endpoint uses another slot");
        }
    }

    fn surface(&mut self, surface: &Surface, unique: bool) {
        let path = format!("surfaces.{}", surface.name);
        self.need(
            unique && self.name(&surface.name),
            &path,
            "a surface's name is lower-kebab-case and unique",
        );
        let kinds = !surface.kinds.is_empty()
            && surface.kinds.len() <= ENTRIES
            && surface.kinds.iter().all(|kind| self.name(kind) && kind != "check");
        self.need(kinds, &path, "a surface has kinds, lower-kebab-case");
        let scheme = self.manifest.inbound.get(&surface.verification);
        let credential = scheme.and_then(|scheme| scheme.header(self.settings));
        self.grant(scheme.is_some(), path.clone(), "the manifest has no such inbound scheme");

        let answer = &surface.answer;
        let proper = (200..300).contains(&answer.status)
            && answer.body.len() <= LONG_TEXT
            && http::HeaderValue::from_str(&answer.content_type).is_ok();
        self.need(proper, &path, "the static answer is a 2xx with a content type");
        let cap = (1..=self.limits.surface_body).contains(&surface.body_cap);
        self.need(cap, &path, "the body cap is 1 byte to 32 MiB");
        let headers = surface.headers.len() <= ENTRIES
            && surface.headers.iter().all(|name| is_token(name) && *name == name.to_ascii_lowercase());
        self.need(headers, &path, "header names are lower case");
        let secret = surface.headers.iter().any(|name| {
            CREDENTIAL_HEADERS.contains(&name.as_str()) || Some(name.as_str()) == credential.as_deref()
        });
        self.need(!secret, &path, "a header that carries a credential is never passed on");
        let schemas = surface.schemas.iter().all(|(kind, schema)| {
            surface.kinds.contains(kind) && schema.len() <= self.limits.json && json::check(schema).is_ok()
        });
        let each = surface.kinds.iter().all(|kind| surface.schemas.iter().any(|(name, _)| name == kind));
        self.need(schemas && each, &path, "there is a JSON Schema for each kind");
        self.need(surface.dedupe_key.len() <= LONG_TEXT, &path, "its description is too long");
    }

    fn targets(&mut self, profile: &Profile) {
        let targets = &profile.targets;
        self.need(targets.attributes.len() <= TARGETS, "targets.attributes", "too many attributes");
        self.need(targets.events.len() <= TARGETS, "targets.events", "too many event names");
        let mut names = BTreeSet::new();
        let attributes = targets.attributes.iter().all(|attribute| {
            let name = &attribute.name;
            let upper = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
            upper && self.text(name) && names.insert(name)
        });
        self.need(attributes, "targets.attributes", "an attribute's name is upper case and unique");
        let events = targets.events.iter().chain(&targets.event_prefix).all(|name| is_event_name(name));
        self.need(events, "targets.events", "event names are 1 to 255 of A-Z a-z 0-9 _ -");
    }
}
