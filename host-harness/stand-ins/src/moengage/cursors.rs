//! Lists with an opaque cursor, and the ways in which a page may not be what its cursor promises.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::MoEngage;
use super::routes::Call;
use super::rows::{RowChange, Table, id_of};
use super::workspace::Workspace;
use crate::http::Reply;

/// Cursors that are remembered; how long the vendor does is not documented.
const CURSORS_KEPT: usize = 10_000;
/// Rows before a cursor that are remembered, so that it holds its place while rows go.
const PASSED_KEPT: usize = 1_000;

/// How lists with a cursor misbehave. `Default` is a list that does what the documents say.
///
/// None of these is documented; each is what a server with cursors can do, and what a reader has
/// to notice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CursorQuirks {
    /// From the second page on, the next cursor is the one that was sent.
    pub repeats: bool,
    /// After so many pages the next cursor leads to the first page: page 4 is page 1 where this is
    /// 3. 0 counts as none.
    pub period: u64,
    /// No cursor is ever given twice, also where it leads to the same page.
    pub fresh: bool,
    /// Pages that are empty although more follow; what they would hold is on the next one.
    pub empty_pages: BTreeSet<u64>,
    /// Pages whose cursor has expired.
    pub expired_pages: BTreeSet<u64>,
    /// What the filters refuse is taken out after the page was cut: pages in the middle are short
    /// or empty.
    pub filters_after_paging: bool,
    /// What the last page says of the next.
    pub last_page: LastPage,
    /// Changes of rows between two pages.
    pub changes: Vec<PlannedRows>,
}

/// What the last page says of the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastPage {
    /// Nothing more, no cursor.
    #[default]
    Documented,
    /// That more follows, but no cursor.
    MoreWithoutCursor,
    /// That nothing follows, but a cursor; it leads to an empty page.
    CursorWithoutMore,
}

/// A change that happens while somebody pages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedRows {
    /// After so many answered pages, counted from when the quirks were set.
    pub after: u64,
    /// Whose rows.
    pub table: Table,
    /// What changes. A change that can't be made is left out.
    pub change: RowChange,
}

/// Where a cursor leads.
#[derive(Clone)]
struct Place {
    table: Table,
    /// Counts from 1.
    page: u64,
    /// Ids of the rows before it, the newest at the end.
    passed: VecDeque<String>,
}

impl Place {
    fn first(table: Table) -> Self {
        Self { table, page: 1, passed: VecDeque::new() }
    }

    /// Where its page begins. What is inserted before it does not move it, nor what goes.
    fn start(&self, rows: &[Value]) -> usize {
        let passed: BTreeSet<&str> = self.passed.iter().map(String::as_str).collect();
        let last = rows.iter().rposition(|row| passed.contains(id_of(self.table, row).as_str()));
        last.map_or(0, |at| at + 1)
    }

    fn after(&self, ids: impl IntoIterator<Item = String>) -> Self {
        let mut next = self.clone();
        next.page += 1;
        next.passed.extend(ids);
        while next.passed.len() > PASSED_KEPT {
            next.passed.pop_front();
        }
        next
    }
}

/// What a workspace knows of the cursors that it gave.
#[derive(Default)]
pub(super) struct Cursors {
    quirks: CursorQuirks,
    answered: u64,
    places: BTreeMap<String, Place>,
    order: VecDeque<String>,
    made: u64,
}

impl Cursors {
    pub(super) fn set_quirks(&mut self, quirks: CursorQuirks) {
        (self.quirks, self.answered) = (quirks, 0);
    }

    /// Every cursor that was given is refused from now on.
    pub(super) fn expire(&mut self) {
        for place in self.places.values_mut() {
            place.page = u64::MAX;
        }
    }

    fn token(&mut self, place: Place) -> String {
        self.made += 1;
        let mut text = json!({"last_id": place.passed.back(), "page": place.page, "of": place.table});
        if self.quirks.fresh {
            text["n"] = json!(self.made);
        }
        let token = STANDARD.encode(text.to_string());
        if self.places.insert(token.clone(), place).is_none() {
            self.order.push_back(token.clone());
            if self.order.len() > CURSORS_KEPT {
                self.order.pop_front().map(|oldest| self.places.remove(&oldest));
            }
        }
        token
    }
}

/// What a call asks for.
pub(super) struct Ask<'a> {
    pub(super) table: Table,
    pub(super) limit: usize,
    pub(super) cursor: Option<&'a str>,
    pub(super) keeps: &'a dyn Fn(&Value) -> bool,
}

/// One page.
pub(super) struct Page {
    pub(super) rows: Vec<Value>,
    pub(super) has_more: bool,
    pub(super) next_cursor: Option<String>,
    /// Rows that the filters keep, on all pages.
    pub(super) total: usize,
}

impl Workspace {
    /// One page of a table, or the refusal of its cursor.
    pub(super) fn page(&mut self, call: &Call<'_>, ask: &Ask<'_>) -> Result<Page, Reply> {
        let place = match ask.cursor {
            None => Place::first(ask.table),
            Some(token) => match self.cursors.places.get(token) {
                Some(place) if place.table == ask.table => place.clone(),
                _ => return Err(call.invalid("cursor", "The cursor is malformed")),
            },
        };
        let quirks = &self.cursors.quirks;
        if place.page == u64::MAX || quirks.expired_pages.contains(&place.page) {
            // The reader can't know how long a cursor lives: no fault of the request.
            let mut expired = call.invalid("cursor", "The cursor has expired");
            expired.findings.clear();
            return Err(expired);
        }
        let rows = self.tables.of(ask.table);
        let kept = |row: &&Value| (ask.keeps)(row);
        let total = rows.iter().filter(kept).count();
        let rest = &rows[place.start(rows)..];
        let limit = if quirks.empty_pages.contains(&place.page) { 0 } else { ask.limit };
        let (cut, left): (Vec<&Value>, usize) = if quirks.filters_after_paging {
            (rest.iter().take(limit).collect(), rest.len())
        } else {
            (rest.iter().filter(kept).take(limit).collect(), rest.iter().filter(kept).count())
        };
        let more = left > cut.len();
        let ids: Vec<String> = cut.iter().map(|row| id_of(ask.table, row)).collect();
        let shown: Vec<Value> = cut.into_iter().filter(kept).cloned().collect();
        let (has_more, has_cursor) = match quirks.last_page {
            _ if more => (true, true),
            LastPage::Documented => (false, false),
            LastPage::MoreWithoutCursor => (true, false),
            LastPage::CursorWithoutMore => (false, true),
        };
        let goes_round = quirks.period > 0 && place.page.is_multiple_of(quirks.period);
        let repeated = ask.cursor.filter(|_| quirks.repeats);
        let next_cursor = match repeated {
            _ if !has_cursor => None,
            Some(token) => Some(token.to_owned()),
            None if goes_round => Some(self.cursors.token(Place::first(ask.table))),
            None => Some(self.cursors.token(place.after(ids))),
        };
        self.count_page();
        Ok(Page { rows: shown, has_more, next_cursor, total })
    }

    fn count_page(&mut self) {
        self.cursors.answered += 1;
        for planned in &self.cursors.quirks.changes {
            if planned.after == self.cursors.answered {
                // The rows may have lost it by another change.
                let _ = self.tables.change(planned.table, &planned.change);
            }
        }
    }
}

impl MoEngage {
    /// Sets how lists with a cursor misbehave from now on.
    pub fn set_cursor_quirks(&self, quirks: CursorQuirks) {
        self.server.shared.with(|workspace| workspace.cursors.set_quirks(quirks));
    }

    /// Every cursor that was given so far has expired.
    pub fn expire_cursors(&self) {
        self.server.shared.with(|workspace| workspace.cursors.expire());
    }
}
