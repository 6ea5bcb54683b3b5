//! What a workspace holds as rows of JSON: objects that are only read, in the order in which they
//! are paged, and how they change while somebody pages through them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::MoEngage;
use super::campaigns::BadChange;
use super::routes::FAMILIES;
use crate::clock::{Millis, rfc3339};

/// Kinds of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Table {
    /// As `GET /v3/custom-segments/{id}` shows them; the list shows less.
    Segments,
    /// As `GET /v2/email-templates/{id}` shows them, with what the list adds.
    EmailTemplates,
    /// As `POST /v1.0/custom-templates/email/search` shows them; so are the next four.
    EmailTemplatesV2,
    /// `sms`.
    SmsTemplates,
    /// `push`.
    PushTemplates,
    /// `osm`.
    OnSiteTemplates,
    /// `inapp`.
    InAppTemplates,
    /// As `POST /v1/catalog/{id}/items/search` shows them. `product_id` is the item's id, and a
    /// catalog is there where an item names it.
    CatalogItems,
    /// As `POST /v1/cards/fetch` shows them, with `uid` and `unique_id` of whose they are.
    Cards,
    /// As `GET /v1/coupon-list/{id}` shows them.
    CouponLists,
    /// As `GET /v1/recommendations/{id}` shows them, with `items`: what they recommend.
    Recommendations,
    /// As `POST .../fileimports/import/status` shows them.
    Imports,
    /// As `POST .../fileimports/import/run/history` shows them, with `import_id`.
    ImportFiles,
    /// As `GET /v5/flows/{flow_id}` shows them; the search shows less. `teams` is never shown.
    Flows,
    /// As their call shows them, and `version_id`, which it does not.
    FlowVersions,
    /// As `GET /v5/flows/{flow_id}/analytics` shows them, and `key`: `{flow}/{version name}`.
    FlowAnalytics,
    /// As their call shows them, and `key`: `{flow}/{version name}/{channel}`.
    FlowChannelAnalytics,
    /// As `get-by-ids` shows them with the raw content; the search shows less.
    ContentBlocks,
    /// As v5 shows them; `legacy` lies over what the legacy search makes of it.
    BusinessEvents,
    /// As `GET /v5/offers` shows them.
    Offers,
    /// As `GET /v5/offers/templates` shows them.
    OfferTemplates,
    /// As `GET /v5/locales` shows them.
    Locales,
    /// As `GET /v5/subscription-categories` shows them; only active ones are shown.
    SubscriptionCategories,
    /// As `GET /v5/subscription-preferences` shows them, with `uid` and `email`, which it does not.
    SubscriptionPreferences,
    /// As `GET /v5/analytics/dashboards/{id}/charts` shows them, with `_id`; `archived` and
    /// `private` ones are withheld.
    Dashboards,
    /// `_id`, `dashboard_id`, and the rows of its `data`.
    Charts,
}

/// A table of a family of calls.
pub(super) struct Held {
    pub(super) table: Table,
    /// The member that tells rows apart.
    pub(super) id: &'static str,
    /// What a new workspace holds.
    pub(super) samples: fn() -> Vec<Value>,
}

fn held() -> impl Iterator<Item = &'static Held> {
    FAMILIES.iter().flat_map(|calls| calls.rows)
}

/// All tables of a workspace.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Tables(BTreeMap<Table, Vec<Value>>);

impl Tables {
    pub(super) fn new() -> Self {
        Self(held().map(|held| (held.table, (held.samples)())).collect())
    }

    pub(super) fn of(&self, table: Table) -> &[Value] {
        self.0.get(&table).map_or(&[], Vec::as_slice)
    }

    pub(super) fn of_mut(&mut self, table: Table) -> &mut Vec<Value> {
        self.0.entry(table).or_default()
    }

    /// The first row with this id.
    pub(super) fn find(&self, table: Table, id: &str) -> Option<&Value> {
        let rows = self.of(table);
        place(rows, table, id).map(|at| &rows[at])
    }

    pub(super) fn change(&mut self, table: Table, change: &RowChange) -> Result<(), BadChange> {
        let rows = self.of_mut(table);
        let known = |rows: &[Value], id: &str| {
            place(rows, table, id).ok_or_else(|| BadChange::Unknown(id.to_owned()))
        };
        match change {
            RowChange::Replace(all) => rows.clone_from(all),
            RowChange::Insert(row) => rows.insert(0, row.clone()),
            RowChange::Delete(id) => {
                let at = known(rows, id)?;
                rows.remove(at);
            }
            RowChange::Update { id, set } => {
                let at = known(rows, id)?;
                let Some(row) = rows[at].as_object_mut() else { return Err(BadChange::Unknown(id.clone())) };
                row.extend(set.clone());
            }
        }
        Ok(())
    }
}

fn place(rows: &[Value], table: Table, id: &str) -> Option<usize> {
    let member = held().find(|held| held.table == table)?.id;
    rows.iter().position(|row| row.get(member).and_then(Value::as_str) == Some(id))
}

/// The id of a row; all of it where it has none that is a text.
pub(super) fn id_of(table: Table, row: &Value) -> String {
    let member = held().find(|held| held.table == table).map_or("id", |held| held.id);
    row.get(member).and_then(Value::as_str).map_or_else(|| row.to_string(), str::to_owned)
}

/// A row without a member that no call shows.
pub(super) fn without(row: &Value, member: &str) -> Value {
    let mut row = row.clone();
    if let Some(members) = row.as_object_mut() {
        members.remove(member);
    }
    row
}

/// `2022-12-01T13:17:46.409000`: UTC, but without saying so.
pub(super) fn naive(at: Millis) -> String {
    rfc3339(at).replace('Z', "000")
}

/// Those members of a row that a call shows.
pub(super) fn only(row: &Value, members: &[&str]) -> Value {
    let shown = members.iter().filter_map(|name| Some(((*name).to_owned(), row.get(name)?.clone())));
    Value::Object(shown.collect())
}

/// One change of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RowChange {
    /// All rows, in the order in which they are paged.
    Replace(Vec<Value>),
    /// At the head, so that everything else moves down by one.
    Insert(Value),
    /// By id.
    Delete(String),
    /// Some members of one row.
    Update {
        /// Its id.
        id: String,
        /// New values; a member that is not named stays.
        set: Map<String, Value>,
    },
}

/// Body of `POST /_control/rows`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableChange {
    pub(super) table: Table,
    pub(super) change: RowChange,
}

impl MoEngage {
    /// Reads or changes the rows of a table, in the order in which they are paged. What the
    /// vendor's documents say of a row is in its samples; a test may put anything there.
    pub fn with_rows<T>(&self, table: Table, act: impl FnOnce(&mut Vec<Value>) -> T) -> T {
        self.server.shared.with(|workspace| act(workspace.tables.of_mut(table)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn each_table_is_held_once_and_its_samples_have_different_ids() {
        let mut seen = BTreeSet::new();
        for held in held() {
            assert!(seen.insert(held.table), "{:?}", held.table);
            let rows = (held.samples)();
            let ids: BTreeSet<&str> = rows.iter().filter_map(|row| row[held.id].as_str()).collect();
            assert_eq!(ids.len(), rows.len(), "{:?}", held.table);
            assert!(!rows.is_empty(), "{:?}", held.table);
        }
    }

    #[test]
    fn rows_change_by_their_id() {
        let mut tables = Tables::new();
        let mut apply = |text: &str| tables.change(Table::Segments, &serde_json::from_str(text).unwrap());
        apply(r#"{"replace": [{"id": "a", "name": "A", "kept": 1}]}"#).unwrap();
        apply(r#"{"insert": {"id": "b"}}"#).unwrap();
        apply(r#"{"update": {"id": "a", "set": {"name": "B"}}}"#).unwrap();
        assert_eq!(apply(r#"{"delete": "c"}"#), Err(BadChange::Unknown("c".to_owned())));
        let wanted = [json!({"id": "b"}), json!({"id": "a", "name": "B", "kept": 1})];
        assert_eq!(tables.of(Table::Segments), wanted);
        assert_eq!(tables.find(Table::Segments, "a"), Some(&wanted[1]));
    }
}
