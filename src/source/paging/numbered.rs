//! Reading a list by a page of a fixed size, or by an offset, where the vendor says how many
//! there are or whether there is more.
//!
//! The size of a page can't be chosen, so pages can't overlap. What the vendor counts is held
//! against what was read instead: where the count changes while the list is read, or fewer rows
//! came than it says, the list is read anew, and after the second time the run ends truncated.

use super::super::page;
use super::{EMPTY_PAGES, End, MOST_EMPTY, MOST_PAGES, Repeating, Seen, TOO_MANY_PAGES, of_rows};
use crate::json::{Object, to_json};

/// How often a list that moved is read anew.
const MOST_ROUNDS: u32 = 2;

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbered {
    /// Pages that were read in this round.
    read: u64,
    /// Rows that were read in this round.
    rows: u64,
    /// How many there are, as the first page of this round said.
    total: Option<u64>,
    moved: bool,
    rounds: u32,
    seen: Seen,
    empty: u32,
    pages: u32,
}

/// What an answer says of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stated {
    /// Rows of the whole list.
    pub total: Option<u64>,
    /// Pages of the whole list.
    pub pages: Option<u64>,
    /// Whether there is more.
    pub more: Option<bool>,
}

impl Numbered {
    /// The page to ask for, from 1.
    pub fn page(&self) -> u64 {
        self.read + 1
    }

    /// Takes in an answer. Nothing means that there is more.
    pub fn turn(&mut self, rows: &[u64], stated: Stated) -> Result<Option<End>, Repeating> {
        self.pages += 1;
        if !rows.is_empty() && self.seen.again(of_rows(rows)) {
            return Err(Repeating);
        }
        let first = self.read == 0;
        self.read += 1;
        self.rows += rows.len() as u64;
        if first {
            self.total = stated.total;
        } else {
            // A page that says nothing of the whole list contradicts nothing.
            self.moved |= stated.total.zip(self.total).is_some_and(|(now, then)| now != then);
        }
        let more = match stated {
            Stated { more: Some(more), .. } => more,
            Stated { pages: Some(pages), .. } => self.read < pages,
            // A count that is below what has come already counts something else, or an older list.
            Stated { total: Some(total), .. } if self.rows <= total => self.rows < total,
            _ => !rows.is_empty(),
        };
        if more {
            self.empty = if rows.is_empty() { self.empty + 1 } else { 0 };
            return Ok(if self.empty > MOST_EMPTY {
                Some(End::Truncated(EMPTY_PAGES))
            } else {
                (self.pages >= MOST_PAGES).then_some(End::Truncated(TOO_MANY_PAGES))
            });
        }
        let short = self.total.is_some_and(|total| self.rows < total);
        if !self.moved && !short {
            return Ok(Some(End::Complete));
        }
        if self.rounds >= MOST_ROUNDS {
            return Ok(Some(End::Truncated(if short {
                "MoEngage gives fewer rows than it counts."
            } else {
                "The list kept moving while it was read, so that rows may have been missed."
            })));
        }
        *self = Self { rounds: self.rounds + 1, pages: self.pages, ..Self::default() };
        Ok(None)
    }

    /// Writes it as JSON.
    pub fn write(&self) -> String {
        let Self { read, rows, total, moved, rounds, seen, empty, pages } = self;
        let (total, seen) = (to_json(total), seen.write());
        format!(r#"{{"read":{read},"rows":{rows},"total":{total},"moved":{moved},"rounds":{rounds},"#)
            + &format!(r#"{seen},"empty":{empty},"pages":{pages}}}"#)
    }

    /// Reads what was written; what isn't there has its default.
    pub fn read(object: &Object<'_>) -> Option<Self> {
        let numbered = Self {
            read: page::value(object, "read")?,
            rows: page::value(object, "rows")?,
            total: page::optional(object, "total")?,
            moved: page::value(object, "moved")?,
            rounds: page::value(object, "rounds")?,
            seen: Seen::read(object)?,
            empty: page::value(object, "empty")?,
            pages: page::value(object, "pages")?,
        };
        // No run reads more pages, so no cursor of ours has larger numbers.
        (numbered.read <= u64::from(MOST_PAGES) && numbered.pages <= MOST_PAGES).then_some(numbered)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const SIZE: usize = 5;

    fn page_of(list: &[u64], page: u64) -> &[u64] {
        let from = ((page - 1) as usize * SIZE).min(list.len());
        &list[from..(from + SIZE).min(list.len())]
    }

    fn total(list: &[u64]) -> Stated {
        Stated { total: Some(list.len() as u64), ..Stated::default() }
    }

    #[test]
    fn every_way_of_saying_that_there_is_more() {
        let list: Vec<u64> = (0..12).collect();
        for stated in [
            &(|_: u64| total(&(0..12).collect::<Vec<u64>>())) as &dyn Fn(u64) -> Stated,
            &|_| Stated { pages: Some(3), ..Stated::default() },
            &|page| Stated { more: Some(page < 3), ..Stated::default() },
            &|_| Stated::default(),
        ] {
            let (mut numbered, mut read) = (Numbered::default(), Vec::new());
            let end = loop {
                let page = numbered.page();
                let rows = page_of(&list, page);
                read.extend_from_slice(rows);
                if let Some(end) = numbered.turn(rows, stated(page)).unwrap() {
                    break end;
                }
            };
            assert_eq!((end, &read), (End::Complete, &list));
        }
    }

    #[test]
    fn n22_a_count_that_is_never_reached_is_no_complete_run() {
        let mut numbered = Numbered::default();
        let stated = Stated { total: Some(9), more: Some(false), ..Stated::default() };
        assert_eq!(numbered.turn(&[1, 2], stated), Ok(None), "read anew");
        assert_eq!(numbered.page(), 1);
        assert_eq!(numbered.turn(&[1, 2], stated), Ok(None));
        assert!(matches!(numbered.turn(&[1, 2], stated), Ok(Some(End::Truncated(_)))));
    }

    #[test]
    fn n24_empty_pages_are_bounded_and_an_empty_list_is_complete() {
        let mut numbered = Numbered::default();
        let more = Stated { more: Some(true), ..Stated::default() };
        for _ in 0..MOST_EMPTY {
            assert_eq!(numbered.turn(&[], more), Ok(None));
        }
        assert_eq!(numbered.turn(&[], more), Ok(Some(End::Truncated(EMPTY_PAGES))));
        assert_eq!(Numbered::default().turn(&[], total(&[])), Ok(Some(End::Complete)));
    }

    #[test]
    fn n21_a_page_that_comes_again_is_named() {
        let mut numbered = Numbered::default();
        let more = Stated { more: Some(true), ..Stated::default() };
        assert_eq!(numbered.turn(&[1, 2], more), Ok(None));
        assert_eq!(numbered.turn(&[3], more), Ok(None));
        assert_eq!(numbered.turn(&[1, 2], more), Err(Repeating));
    }

    proptest! {
        #[test]
        fn n22_a_run_that_ends_complete_has_every_row_that_stayed(
            length in 0..40_u64, changes in proptest::collection::vec((0..20_u32, any::<u16>(), any::<bool>()), 0..4)
        ) {
            let mut list: Vec<u64> = (0..length).collect();
            let mut stayed: BTreeSet<u64> = list.iter().copied().collect();
            let (mut numbered, mut read, mut new) = (Numbered::default(), BTreeSet::new(), 1_000);
            for turn in 0..200 {
                for (at, place, inserts) in &changes {
                    if *at == turn {
                        let place = *place as usize % (list.len() + 1);
                        if *inserts {
                            new += 1;
                            list.insert(place, new);
                        } else if place < list.len() {
                            stayed.remove(&list.remove(place));
                        }
                    }
                }
                let rows = page_of(&list, numbered.page()).to_vec();
                read.extend(rows.iter().copied());
                let end = match numbered.turn(&rows, total(&list)) {
                    Ok(end) => end,
                    // The same page at another place: rows before it went. It is named, not passed over.
                    Err(Repeating) => return Ok(()),
                };
                let state = numbered.write();
                prop_assert_eq!(Numbered::read(&Object::parse(&state).unwrap()), Some(numbered.clone()));
                match end {
                    None => continue,
                    Some(End::Truncated(_)) => return Ok(()),
                    Some(End::Complete) => {
                        // One insert and one removal in one round keep the count: the vendor's
                        // count can't show that, so it is not claimed.
                        let same_count = changes.len() > 1;
                        prop_assert!(same_count || read.is_superset(&stayed));
                        return Ok(());
                    }
                }
            }
            prop_assert!(false, "the run does not end");
        }
    }
}
