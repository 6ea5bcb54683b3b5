//! Pages by number: how a list is cut, and the ways in which a page may not be what its number
//! says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::Reply;

/// How a read of a list misbehaves. `Default` is a read that does what the documents say.
///
/// None of these is documented; each is what a server with pages by number can do, and what a
/// reader has to notice. Of a call without pages, `absent` and `bodies` say something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PageQuirks {
    /// Every page is page 1.
    pub ignores_page: bool,
    /// After so many pages it starts again: page 4 is page 1 where this is 3. 0 counts as none.
    pub period: u64,
    /// Rows that a page holds instead of a full one, by its number: 0 is an empty page although
    /// more follow. What it leaves out is on the next page.
    pub sizes: BTreeMap<u64, u64>,
    /// Totals that the first, the second ... answer says in place of the true one, counted from
    /// when the quirks were set. The last one stays.
    pub totals: Vec<u64>,
    /// Rows that come and go.
    pub absent: Vec<Absent>,
    /// What the first, the third ... answer holds in place of the documented one, with status 200.
    pub bodies: BTreeMap<u64, String>,
}

/// A row that is not there for some answers, counted from when the quirks were set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    /// The row's id, in the words of its call.
    pub id: String,
    /// First answer without it; the first answer of all is 1.
    pub from: u64,
    /// Last answer without it.
    pub to: u64,
}

/// Why quirks can't be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no call with such quirks has the path {0:?}")]
pub struct NoSuchCall(
    /// As given.
    pub String,
);

/// Calls that have quirks, by the template of their path.
const CALLS: &[&str] = &[
    super::campaign_reads::META_V1,
    super::campaign_reads::META_V5,
    super::campaign_reads::EXECUTIONS,
    super::stats::STATS,
    super::email_templates::LIST,
    "/v1.0/custom-templates/email/search",
    "/v1.0/custom-templates/sms/search",
    "/v1.0/custom-templates/push/search",
    "/v1.0/custom-templates/osm/search",
    "/v1.0/custom-templates/inapp/search",
    super::catalogs::ITEMS,
    super::cards::FETCH,
    super::coupons::LISTS,
    super::recommendations::ITEMS,
    super::imports::STATUS,
    super::imports::HISTORY,
];

/// The quirks of all calls.
#[derive(Default)]
pub(super) struct Pages(BTreeMap<&'static str, Paging>);

#[derive(Default)]
struct Paging {
    quirks: PageQuirks,
    answered: u64,
}

/// The stretch of a list that is asked for.
#[derive(Clone, Copy)]
pub(super) struct Slice {
    /// From 1.
    pub(super) page: u64,
    /// Rows of a page.
    pub(super) size: u64,
    /// Rows behind the begin of the page: an offset may point into its middle.
    pub(super) shift: u64,
}

impl Slice {
    pub(super) fn page(page: u64, size: u64) -> Self {
        Self { page, size, shift: 0 }
    }

    /// `size` may not be 0.
    pub(super) fn offset(offset: u64, size: u64) -> Self {
        Self { page: offset / size + 1, size, shift: offset % size }
    }
}

/// One page as it is answered.
pub(super) struct Page<T> {
    pub(super) rows: Vec<T>,
    /// Rows of all pages, as the answer says.
    pub(super) total: u64,
    /// Whether a row lies behind this page.
    pub(super) more: bool,
    body: Option<String>,
}

impl<T> Page<T> {
    /// The documented answer, where no other body was asked for.
    pub(super) fn reply(&self, documented: &Value) -> Reply {
        match &self.body {
            Some(body) => Reply::text(200, "application/json", body.clone()),
            None => Reply::json(200, documented),
        }
    }
}

/// Body of `POST /_control/page-quirks`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuirksOf {
    pub(super) path: String,
    #[serde(default)]
    pub(super) quirks: PageQuirks,
}

impl Pages {
    pub(super) fn set(&mut self, path: &str, quirks: PageQuirks) -> Result<(), NoSuchCall> {
        let call = CALLS.iter().find(|call| **call == path).ok_or_else(|| NoSuchCall(path.to_owned()))?;
        self.0.insert(call, Paging { quirks, answered: 0 });
        Ok(())
    }

    /// A page of `rows`. `id` is what a row is called in [`Absent`].
    pub(super) fn cut<T>(
        &mut self,
        call: &'static str,
        rows: Vec<T>,
        slice: Slice,
        id: impl Fn(&T) -> String,
    ) -> Page<T> {
        let Paging { quirks, answered } = self.0.entry(call).or_default();
        *answered += 1;
        let now = *answered;
        let gone = |row: &T| {
            let hit = |absent: &&Absent| (absent.from..=absent.to).contains(&now);
            quirks.absent.iter().filter(hit).any(|absent| absent.id == id(row))
        };
        let rows: Vec<T> = rows.into_iter().filter(|row| !gone(row)).collect();
        let length = rows.len() as u64;
        let (from, held) = quirks.place(slice.page, slice.size);
        let from = from.saturating_add(slice.shift);
        let kept = rows.into_iter().skip(index(from)).take(index(held)).collect();
        let said = quirks.totals.get(index(now - 1)).or(quirks.totals.last());
        Page {
            rows: kept,
            total: said.copied().unwrap_or(length),
            more: from.saturating_add(held) < length,
            body: quirks.bodies.get(&now).cloned(),
        }
    }

    /// As [`Self::cut`], for a call that answers everything at once.
    pub(super) fn all<T>(&mut self, call: &'static str, rows: Vec<T>, id: impl Fn(&T) -> String) -> Page<T> {
        self.cut(call, rows, Slice::page(1, u64::MAX), id)
    }
}

impl PageQuirks {
    /// Where the page that was asked for begins, and how many rows it holds.
    fn place(&self, asked: u64, size: u64) -> (u64, u64) {
        let mut page = if self.ignores_page { 1 } else { asked.max(1) };
        if self.period > 0 {
            page = (page - 1) % self.period + 1;
        }
        let odd = self.sizes.range(..page).filter(|(number, _)| **number > 0);
        let (pages, rows) = odd.fold((0_u64, 0_u64), |(pages, rows), (_, held)| {
            (pages + 1, rows.saturating_add(*held.min(&size)))
        });
        let from = (page - 1 - pages).saturating_mul(size).saturating_add(rows);
        (from, self.sizes.get(&page).copied().unwrap_or(size).min(size))
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const CALL: &str = super::super::cards::FETCH;

    fn pages(quirks: PageQuirks) -> Pages {
        let mut pages = Pages::default();
        pages.set(CALL, quirks).unwrap();
        pages
    }

    fn rows(pages: &mut Pages, rows: u64, page: u64, size: u64) -> Page<u64> {
        pages.cut(CALL, (0..rows).collect(), Slice::page(page, size), u64::to_string)
    }

    #[test]
    fn quirks_are_of_known_calls_and_counted_from_when_they_were_set() {
        let unknown = Pages::default().set("/v1/nothing", PageQuirks::default());
        assert_eq!(unknown, Err(NoSuchCall("/v1/nothing".to_owned())));
        let mut pages = pages(PageQuirks {
            totals: vec![9, 8],
            absent: vec![Absent { id: "1".to_owned(), from: 2, to: 2 }],
            bodies: BTreeMap::from([(3, "[]".to_owned())]),
            ..PageQuirks::default()
        });
        let answers: Vec<_> = (0..3)
            .map(|_| rows(&mut pages, 3, 1, 3))
            .map(|page| (page.rows.clone(), page.total, page.reply(&Value::Null).body == "[]"))
            .collect();
        assert_eq!(answers, [(vec![0, 1, 2], 9, false), (vec![0, 2], 8, false), (vec![0, 1, 2], 8, true)]);
    }

    #[test]
    fn pages_repeat() {
        let mut same = pages(PageQuirks { ignores_page: true, ..PageQuirks::default() });
        assert_eq!(rows(&mut same, 5, 3, 2).rows, [0, 1]);
        assert!(rows(&mut same, 5, 9, 2).more);
        let mut again = pages(PageQuirks { period: 2, ..PageQuirks::default() });
        assert_eq!(rows(&mut again, 5, 4, 2).rows, [2, 3]);
    }

    proptest! {
        /// Short and empty pages lose nothing: a reader that goes on as long as there is more has
        /// each row once, in order.
        #[test]
        fn all_pages_together_are_the_whole_list(
            length in 0_u64..60,
            size in 1_u64..12,
            sizes in prop::collection::btree_map(0_u64..8, 0_u64..14, 0..5),
        ) {
            let mut pages = pages(PageQuirks { sizes, ..PageQuirks::default() });
            let (mut all, mut number) = (Vec::new(), 1);
            loop {
                let page = rows(&mut pages, length, number, size);
                prop_assert!(page.rows.len() as u64 <= size);
                prop_assert_eq!(page.total, length);
                all.extend(page.rows);
                if !page.more {
                    break;
                }
                number += 1;
            }
            prop_assert_eq!(all, (0..length).collect::<Vec<_>>());
        }
    }
}
