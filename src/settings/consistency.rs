//! Whether what stands in one block fits what stands in others.

use std::collections::BTreeMap;

use super::Settings;
use super::deletes::{Behavior, DELETED_AT};
use super::field::Field;
use super::problem::{Problems, below};
use super::rule_actions::What;
use super::rules::{On, Rule};
use super::segment_sync::Place;
use crate::activate;
use crate::model::{CATALOG_ITEM, FLOW};
use crate::source::all_items;

/// Most actions of rules that one event can cause. The contract allows 64 with everything else.
const MOST_ACTIONS: usize = 50;

/// Every way in which the blocks contradict each other.
pub fn check(settings: &Settings, problems: &mut Problems) {
    rules(settings, problems);
    for (role, target) in &settings.lists {
        owned(settings, &target.place, &below("lists", role), problems);
    }
    deletes(settings, problems);
    objects(settings, problems);
}

fn rules(settings: &Settings, problems: &mut Problems) {
    let mut actions: Vec<(&On, usize)> = Vec::new();
    for (number, rule) in settings.rules.iter().enumerate() {
        let path = format!("rules[{number}]");
        for (number, trigger) in rule.triggers.iter().enumerate() {
            set_off(settings, &trigger.on, &format!("{path}.triggers[{number}]"), problems);
            match actions.iter_mut().find(|(on, _)| **on == trigger.on) {
                Some((_, count)) => *count += rule.actions.len(),
                None => actions.push((&trigger.on, rule.actions.len())),
            }
        }
        fields(rule, &path, problems);
        let waits = rule.triggers.iter().filter_map(|trigger| trigger.debounce).chain(rule.debounce);
        let longest = waits.max().unwrap_or_default();
        for (number, action) in rule.actions.iter().enumerate() {
            let path = format!("{path}.actions[{number}]");
            let leaves = matches!(action.what, What::LeaveList(_));
            if !leaves && longest >= action.not_after.unwrap_or(settings.options.max_event_age) {
                problems.add(
                    "never-in-time",
                    &path,
                    "By the end of the debounce it is too late for this action.",
                    "Write a shorter debounce, or a longer not_after (without one a send is too late after 1h).",
                );
            }
            if let What::JoinList(target) | What::LeaveList(target) = &action.what {
                owned(settings, &target.place, &path, problems);
            }
        }
    }
    if actions.iter().any(|(_, count)| *count > MOST_ACTIONS) {
        problems.add(
            "too-many-actions",
            "rules",
            "One event sets off more than 50 actions.",
            "Let it set off fewer; an event of a rule can start an automation at Brevo that does the rest.",
        );
    }
}

/// A trigger that can never be set off is a mistake in its name.
fn set_off(settings: &Settings, on: &On, path: &str, problems: &mut Problems) {
    match on {
        On::Event(name) => {
            let options = &settings.options;
            let derived = options.carry_unknown_events && name.starts_with(&options.event_prefix);
            if !derived && !activate::known_event_names(settings).any(|known| known == *name) {
                problems.add(
                    "unknown-event",
                    &below(path, "event"),
                    "No event of MoEngage has this name at Brevo.",
                    "Name it in event_mapping, or write the name that it has: the prefix and the code in lower case.",
                );
            }
        }
        On::List { .. } if settings.segment_sync.is_none() => problems.missing(
            "segment_sync",
            &format!("Write the block, without which no list comes from MoEngage, or remove {path}."),
        ),
        On::List { .. } => {}
    }
}

/// A field that no trigger of the rule gives would never be there.
fn fields(rule: &Rule, path: &str, problems: &mut Problems) {
    let by_list = rule.triggers.iter().any(|trigger| matches!(trigger.on, On::List { .. }));
    let by_event = rule.triggers.iter().any(|trigger| matches!(trigger.on, On::Event(_)));
    for (key, field) in rule.fields() {
        let of_event = matches!(field, Field::Event(_)) || field.user_attribute().is_some();
        let of_list = matches!(field, Field::List(_));
        if (of_event && by_list) || (of_list && by_event) {
            problems.add(
                "field-of-another-trigger",
                &below(path, key),
                &format!("{} is known for some triggers of this rule only.", field.name()),
                "A list gives list.id, list.name, contact.email, contact.phone and contact.external_id, an event the \
                 rest; make two rules of it.",
            );
        }
    }
}

/// Whoever leaves the segment of a sync leaves its list, so nobody else may put people there.
fn owned(settings: &Settings, place: &Place, path: &str, problems: &mut Problems) {
    let Some(sync) = &settings.segment_sync else { return };
    let owner = sync.lists.iter().find(|(_, target)| target.as_ref().is_some_and(|t| t.place == *place));
    if let Some((owner, _)) = owner {
        problems.add(
            "list-of-a-sync",
            path,
            &format!("This list mirrors the segment of the sync {owner}."),
            "Use a list of its own.",
        );
    }
}

fn deletes(settings: &Settings, problems: &mut Problems) {
    let soft = settings.deletes.as_ref().is_some_and(|deletes| deletes.behavior == Behavior::Soft);
    let taken = settings.attributes.iter().find(|mapping| mapping.to == DELETED_AT);
    if let Some(mapping) = taken.filter(|_| soft) {
        problems.add(
            "reserved-attribute",
            &below("field_mapping", &mapping.from),
            "MOENGAGE_DELETED_AT says when somebody was deleted.",
            "Map to another attribute.",
        );
    }
}

fn objects(settings: &Settings, problems: &mut Problems) {
    let objects = &settings.objects;
    let item =
        |kind: &str| all_items().find(|item| item.kind == kind).is_some_and(|item| settings.reads(item));
    for (key, wanted, there, remedy) in [
        (
            "products",
            objects.products.is_some(),
            item(CATALOG_ITEM),
            "Name the items under catalogs and the campaigns key under keys, or remove it.",
        ),
        (
            "campaigns",
            objects.campaigns.is_some(),
            settings.reads_other("campaigns"),
            "Name the campaigns key under keys, or remove it.",
        ),
        ("flows", objects.flows.is_some(), item(FLOW), "Name the campaigns key under keys, or remove it."),
        ("alerts", objects.alerts.is_some(), settings.alerts, "Write alerts: true, or remove it."),
    ] {
        if wanted && !there {
            problems.add(
                "nothing-to-read",
                &below("objects", key),
                "These settings don't read what it is made from.",
                remedy,
            );
        }
    }
    // A product's id is that of the item, whichever catalog it comes from.
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (catalog, items) in settings.named.catalogs.iter().filter(|_| objects.products.is_some()) {
        for id in items {
            if let Some(other) = seen.insert(id, catalog) {
                problems.add(
                    "duplicate-product",
                    &below("catalogs", catalog),
                    &format!("It has an item with the same id as one of {other}."),
                    "Leave one of them out: products at Brevo are told apart by the id alone.",
                );
            }
        }
    }
}
