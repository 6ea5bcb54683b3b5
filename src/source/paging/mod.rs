//! Reading lists that come in pages, in each of MoEngage's styles.
//!
//! | style | where | how it is read |
//! |---|---|---|
//! | page and limit, no total | campaigns, children, templates V2 | [`walk`]: pages that overlap, so that rows which move are seen |
//! | page, offset or a text of one, with a total or a flag | e-mail templates V1, statistics, file imports | [`numbered`]: one by one, held against what the vendor counts |
//! | opaque cursor | flows, offers, business events, locales | [`tokens`]: as long as there is one that was not there before |
//! | none | segments, content blocks, catalog items, coupons | one answer is all there is |
//!
//! All have in common: an error is never the end, a list that repeats itself is named, and a run
//! that can't show that it saw everything ends truncated, with the reason.
// MD:api/rate-limits.mdx and the OpenAPI file of each API; the table of styles is ours.

pub mod numbered;
pub mod tokens;
pub mod walk;

use super::digest;
use crate::json::{Object, Scalar};

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything was read.
    Complete,
    /// Why it was cut short, one sentence.
    Truncated(&'static str),
}

/// The list repeats itself: the vendor ignores the page, or its pages go round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeating;

/// Pages of one run, in the styles that tell how it goes on.
pub const MOST_PAGES: u32 = 4_000;

/// Why a run with more pages is cut short.
pub const TOO_MANY_PAGES: &str = "The list has more pages than one run may read.";

/// Empty pages in a row after which a list that claims to go on is left.
pub const MOST_EMPTY: u32 = 3;

/// Why such a list is left.
pub const EMPTY_PAGES: &str = "MoEngage keeps answering with empty pages and says that there is more.";

/// Digests, in JSON as one text of 16 hexadecimal digits each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests(Vec<u64>);

impl Digests {
    /// Writes them as the content of a JSON text.
    pub fn write(&self) -> String {
        self.0.iter().map(|digest| format!("{digest:016x}")).collect()
    }

    /// Reads what was written; none where it isn't there.
    pub fn read(object: &Object<'_>, key: &str) -> Option<Self> {
        let Some(text) = object.get(key) else { return Some(Self::default()) };
        let text = Scalar::text(text)?;
        let parse = |digits: &[u8]| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        text.as_bytes().chunks(16).map(parse).collect::<Option<_>>().map(Self)
    }
}

/// What was seen of a list whose pages come one after the other: enough to know that it goes
/// round. The latest are kept, and those at each power of two, so that a round of any length is
/// known after at most three times round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    latest: Digests,
    marks: Digests,
    count: u32,
}

impl Seen {
    const LATEST: usize = 16;

    /// Takes one in; true where it was there before.
    pub fn again(&mut self, one: u64) -> bool {
        if self.latest.0.contains(&one) || self.marks.0.contains(&one) {
            return true;
        }
        self.count += 1;
        if self.count.is_power_of_two() {
            self.marks.0.push(one);
        }
        self.latest.0.push(one);
        if self.latest.0.len() > Self::LATEST {
            self.latest.0.remove(0);
        }
        false
    }

    /// Members of a JSON object.
    pub fn write(&self) -> String {
        let (latest, marks) = (self.latest.write(), self.marks.write());
        format!(r#""latest":"{latest}","marks":"{marks}","count":{}"#, self.count)
    }

    /// Reads what was written; nothing where these can't be the numbers of a run.
    pub fn read(object: &Object<'_>) -> Option<Self> {
        let seen = Self {
            latest: Digests::read(object, "latest")?,
            marks: Digests::read(object, "marks")?,
            count: super::page::value(object, "count")?,
        };
        (seen.latest.0.len() <= Self::LATEST && seen.marks.0.len() <= 32).then_some(seen)
    }
}

/// A digest of the rows of a page, in their order.
pub fn of_rows(rows: &[u64]) -> u64 {
    rows.iter().fold(digest::of(b"rows"), |digest, row| digest::on(digest, &row.to_le_bytes()))
}
