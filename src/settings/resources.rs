//! Which of MoEngage's lists are read, by which key, and for which ids.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::problem::{Problems, below};
use super::{KeySlot, Settings};
use crate::json::{Scalar, elements};
use crate::model::ids::MAX_ID_BYTES;
use crate::source::{Each, Item, all_items};

/// Ids that MoEngage does not list, so that the settings have to.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Items by catalog.
    pub catalogs: BTreeMap<String, BTreeSet<String>>,
    /// Customer ids whose cards are read.
    pub card_users: Vec<String>,
    /// By id.
    pub recommendations: BTreeMap<String, Recommendation>,
    /// Names of report files.
    pub report_files: Vec<String>,
}

/// Which recommendations are read.
#[derive(Clone, Debug, Default)]
pub struct Recommendation {
    /// Its type, as MoEngage's header wants it.
    pub kind: String,
    /// Customer ids.
    pub users: Vec<String>,
    /// The item that it starts from, for those that start from one.
    pub item: Option<String>,
}

/// What is read and by which key, where the settings say so.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Resources by their name under `sync`.
    pub reads: BTreeMap<&'static str, bool>,
    /// The key of a family, where another than the documented one opens it.
    pub keys: BTreeMap<&'static str, KeySlot>,
}

/// Resources that are no item of the inventory: name under `sync`, and the key that they need.
pub const OTHERS: [(&str, KeySlot); 3] = [
    ("campaigns", KeySlot::Campaigns),
    ("campaign_stats", KeySlot::Campaigns),
    ("report_files", KeySlot::Campaigns),
];

/// A family of calls that two sources give two keys.
struct Family {
    /// Its name under `key_for`.
    name: &'static str,
    /// Its endpoint in the manifest, opened by the key that stands with its items.
    endpoint: &'static str,
    /// The other key, and the endpoint that it opens.
    other: (KeySlot, &'static str),
}

// The OpenAPI files and MD:snippets/api-authentication.mdx name a tile of the dashboard for each;
// a catalogue of observed calls (kushagra243/moengage-engine) names the other key.
const FAMILIES: [Family; 7] = [
    family("business_events", "business-events", (KeySlot::Data, "business-events-by-data")),
    family("catalog", "catalog", (KeySlot::Data, "catalog-by-data")),
    family("cards", "cards", (KeySlot::Data, "cards-by-data")),
    family("coupons", "coupon-lists", (KeySlot::Data, "coupon-lists-by-data")),
    family("recommendations", "recommendations", (KeySlot::Data, "recommendations-by-data")),
    family("email_templates_v1", "templates-v1", (KeySlot::Campaigns, "templates-v1-by-campaigns")),
    family("analytics", "analytics", (KeySlot::Campaigns, "analytics-by-campaigns")),
];

const fn family(name: &'static str, endpoint: &'static str, other: (KeySlot, &'static str)) -> Family {
    Family { name, endpoint, other }
}

/// OpenAPI of recommendations, header `RECOMMENDATION-TYPE`.
const RECOMMENDATION_TYPES: [&str; 8] = [
    "user_action",
    "item_attribute",
    "catalog_alert",
    "similar_item",
    "frequently_viewed_together",
    "frequently_bought_together",
    "trending_item",
    "user_personalization",
];

/// A name has to fit a record's id with more than itself.
const LONGEST_FILE_NAME: usize = 200;

/// Ids in one list; far above what is worth polling.
const MOST_IDS: usize = 10_000;

impl Settings {
    /// True where these settings read an item of the inventory.
    pub(crate) fn reads(&self, item: &Item) -> bool {
        let named = match item.each {
            Each::Named(parents) => !parents(self).is_empty(),
            Each::Once | Each::Known(_) => true,
        };
        let wanted = self.choices.reads.get(item.switch).copied().unwrap_or(item.by_default);
        named && wanted && self.keys.contains(&self.key_of(item).0)
    }

    /// True where these settings read one of [`OTHERS`].
    pub(crate) fn reads_other(&self, switch: &str) -> bool {
        let key =
            OTHERS.iter().find(|(name, _)| *name == switch).is_some_and(|(_, key)| self.keys.contains(key));
        key && self.choices.reads.get(switch).copied().unwrap_or(true)
    }

    /// The key that opens an item, and its endpoint in the manifest.
    pub(crate) fn key_of(&self, item: &Item) -> (KeySlot, &'static str) {
        key_of(item, &self.choices)
    }
}

fn key_of(item: &Item, choices: &Choices) -> (KeySlot, &'static str) {
    let family = FAMILIES.iter().find(|family| family.endpoint == item.endpoint);
    let other = family.filter(|family| choices.keys.get(family.name) == Some(&family.other.0));
    other.map_or((item.slot, item.endpoint), |family| family.other)
}

/// The names under `sync` that decide about a resource.
pub fn switches() -> impl Iterator<Item = &'static str> {
    OTHERS.iter().map(|(name, _)| *name).chain(all_items().map(|item| item.switch))
}

/// The key that a resource needs, by its name under `sync`.
pub fn key_of_switch(switch: &str, choices: &Choices) -> Option<KeySlot> {
    let other = OTHERS.iter().find(|(name, _)| *name == switch).map(|(_, key)| *key);
    other.or_else(|| {
        let item = all_items().find(|item| item.switch == switch)?;
        Some(key_of(item, choices).0)
    })
}

/// Reads `key_for`.
pub fn key_for(path: &str, raw: &RawValue, choices: &mut Choices, problems: &mut Problems) {
    let Some(object) = problems.object(path, raw) else { return };
    for (key, raw) in object.entries() {
        let path = below(path, key);
        let Some(Family { name: family, .. }) = FAMILIES.iter().find(|family| family.name == key) else {
            problems.unknown_key(&path, &FAMILIES.map(|family| family.name));
            continue;
        };
        match problems.one_of(&path, raw, "unknown-key-slot", &["campaigns", "data"]).as_deref() {
            Some("data") => drop(choices.keys.insert(family, KeySlot::Data)),
            Some(_) => drop(choices.keys.insert(family, KeySlot::Campaigns)),
            None => {}
        }
    }
}

/// Reads `catalogs`: items by catalog.
pub fn catalogs(path: &str, raw: &RawValue, problems: &mut Problems) -> BTreeMap<String, BTreeSet<String>> {
    let mut catalogs = BTreeMap::new();
    let Some(object) = problems.object(path, raw) else { return catalogs };
    for (catalog, raw) in object.entries() {
        in_path(path, catalog, problems);
        let mut items = BTreeSet::new();
        items.extend(ids(&below(path, catalog), raw, problems));
        catalogs.insert(catalog.to_owned(), items);
    }
    catalogs
}

/// An id that becomes a segment of a path.
fn in_path(path: &str, id: &str, problems: &mut Problems) {
    if !is_id(id) || matches!(id, "." | "..") || id.contains(['/', '\\']) {
        problems.add(
            "bad-id",
            path,
            &format!("A key of {path} is no id of MoEngage's."),
            "Copy the id as MoEngage's dashboard shows it.",
        );
    }
}

/// What can be an id: no control characters, and no longer than any id may be.
fn is_id(id: &str) -> bool {
    !id.trim().is_empty() && id.len() <= MAX_ID_BYTES && !id.chars().any(char::is_control)
}

/// Reads `recommendations`, by id.
pub fn recommendations(
    path: &str,
    raw: &RawValue,
    problems: &mut Problems,
) -> BTreeMap<String, Recommendation> {
    let mut all = BTreeMap::new();
    let Some(object) = problems.object(path, raw) else { return all };
    for (id, raw) in object.entries() {
        in_path(path, id, problems);
        let path = below(path, id);
        let Some(object) = problems.object(&path, raw) else { continue };
        let mut one = Recommendation::default();
        for (key, raw) in object.entries() {
            let path = below(&path, key);
            match key {
                "type" => {
                    let kind =
                        problems.one_of(&path, raw, "unknown-recommendation-type", &RECOMMENDATION_TYPES);
                    one.kind = kind.map(Into::into).unwrap_or_default();
                }
                "users" => one.users = ids(&path, raw, problems),
                "item" => one.item = problems.text(&path, raw).map(Into::into),
                _ => problems.unknown_key(&path, &["type", "users", "item"]),
            }
        }
        for key in ["type", "users"] {
            if object.raw(key).is_none() {
                problems.missing(
                    &below(&path, key),
                    "Say which type MoEngage shows, and for which customer ids.",
                );
            }
        }
        all.insert(id.to_owned(), one);
    }
    all
}

/// Reads `report_files`: names as the dashboard shows them.
pub fn report_files(path: &str, raw: &RawValue, problems: &mut Problems) -> Vec<String> {
    let names = ids(path, raw, problems);
    let fits = |name: &String| {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._- ".contains(&b));
        plain && !name.starts_with('.') && name.len() <= LONGEST_FILE_NAME
    };
    if !names.iter().all(fits) {
        problems.add(
            "bad-report-file",
            path,
            "A name of a report file has other characters than letters, digits, blanks, dots, hyphens and underscores, or more than 200.",
            "Copy the name of the file as MoEngage's dashboard shows it, without its address.",
        );
    }
    names
}

/// A list of ids as texts.
pub fn ids(path: &str, raw: &RawValue, problems: &mut Problems) -> Vec<String> {
    let texts = elements(raw.get()).and_then(|items| {
        let texts = items.into_iter().map(|item| Scalar::of(item).text().map(|text| text.into_owned()));
        texts.collect::<Option<Vec<_>>>()
    });
    let fits = |ids: &Vec<String>| (1..=MOST_IDS).contains(&ids.len()) && ids.iter().all(|id| is_id(id));
    texts.filter(fits).unwrap_or_else(|| {
        problems.add(
            "bad-id-list",
            path,
            &format!("{path} is not a list of 1 to 10,000 ids in double quotes."),
            "Write each id on a line of its own, behind a hyphen and in double quotes.",
        );
        Vec::new()
    })
}
