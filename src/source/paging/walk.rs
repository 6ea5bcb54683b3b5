//! Reading a list by page and limit, with no total and no promise that it holds still.
//!
//! Rows come and go while a list is read, and every row that goes shifts the ones behind it
//! forward, past the reader. So no page stands alone: each one is asked for so that it overlaps
//! the rows read last, which works because the limit can be chosen anew for every page
//! ([`Walk::window`]). Where a page holds the row that was read last, whatever follows it there
//! follows it in the list, and nothing was missed. One answer shows this, so nothing can happen
//! between reading and checking. Where that row is not there the list has moved, and the walk
//! goes back until it finds rows that it knows.
//!
//! What holds for a walk that ends complete, while rows are added and removed: every row that was
//! there from its beginning to its end was handed over at least once. Twice is possible.
//!
//! The end is never a short page, nor one empty page. It is the last known row with nothing
//! behind it, two pages further on that are both empty, and the last known row once more with
//! still nothing behind it.

use super::super::{digest, page};
use super::{Digests, End, MOST_PAGES, Repeating, TOO_MANY_PAGES};
use crate::json::Object;

/// Rows that are remembered. More than the longest step back, so that going back finds them.
const REMEMBERED: usize = 64;

/// Steps back of a run before it goes on without the proof.
const MOST_STEPS_BACK: u32 = 40;

/// Steps back in a row before the walk starts over.
const MOST_STEPS_IN_A_ROW: u32 = 6;

/// Pages in a row with nothing but known rows where unknown ones were due. Only a list that
/// grows by a hundred rows between calls could show them and be sound.
const MOST_STALE: u32 = 8;

/// Rows whose order makes up a mark. See [`Walk::passes_mark`].
const MARK_ROWS: usize = 4;

/// No list that can be read within [`MOST_PAGES`] is longer.
const LAST_POSITION: u64 = 1_000_000;

/// A page to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows of it.
    pub limit: u64,
    /// Which one, from 1.
    pub page: u64,
}

impl Window {
    /// Position of its first row.
    pub fn start(self) -> u64 {
        self.limit * (self.page - 1)
    }

    fn end(self) -> u64 {
        self.limit * self.page
    }
}

/// What a page came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Indices of the rows that are to be handed over.
    pub rows: Vec<usize>,
    /// Whether and how the run ends with it.
    pub end: Option<End>,
}

/// Why a run can't prove that it saw everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    Moving,
    Gap,
}

/// What the walk looks at next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Look {
    /// From the last row onward.
    #[default]
    Onward,
    /// The first page beyond the end.
    Beyond,
    /// The second one.
    FurtherBeyond,
    /// From the last row onward, once more.
    Again,
}

/// Where a run stands: everything that is needed to go on elsewhere, under 2 KiB as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Position of the last row that was read.
    at: u64,
    /// Furthest position that was ever read.
    furthest: u64,
    look: Look,
    /// The rows that were read last, in their order. All rows before each of them were read.
    recent: Digests,
    /// Sequences of rows at growing distances from the beginning or the latest step back.
    marks: Digests,
    /// Rows that were read since then.
    rows: u64,
    pages: u32,
    stale: u32,
    steps_back: u32,
    steps_in_a_row: u32,
    /// Rows stood behind an empty stretch, and the walk has gone back once to look again.
    gap: bool,
    doubt: Option<Doubt>,
}

impl Walk {
    /// Writes a walk as JSON.
    pub fn write(&self) -> String {
        let Self {
            at,
            furthest,
            look,
            recent,
            marks,
            rows,
            pages,
            stale,
            steps_back,
            steps_in_a_row,
            gap,
            doubt,
        } = self;
        let look = match look {
            Look::Onward => "onward",
            Look::Beyond => "beyond",
            Look::FurtherBeyond => "further-beyond",
            Look::Again => "again",
        };
        let doubt = match doubt {
            None => "null",
            Some(Doubt::Moving) => r#""moving""#,
            Some(Doubt::Gap) => r#""gap""#,
        };
        let (recent, marks) = (recent.write(), marks.write());
        format!(
            r#"{{"at":{at},"furthest":{furthest},"look":"{look}","recent":"{recent}","marks":"{marks}","rows":{rows},"#
        ) + &format!(
            r#""pages":{pages},"stale":{stale},"steps_back":{steps_back},"steps_in_a_row":{steps_in_a_row},"#
        ) + &format!(r#""gap":{gap},"doubt":{doubt}}}"#)
    }

    /// Reads a walk that was written as JSON; what isn't there has its default.
    pub fn read(walk: &Object<'_>) -> Option<Self> {
        Some(Self {
            at: page::value(walk, "at")?,
            furthest: page::value(walk, "furthest")?,
            look: match page::text(walk, "look")?.as_deref() {
                None | Some("onward") => Look::Onward,
                Some("beyond") => Look::Beyond,
                Some("further-beyond") => Look::FurtherBeyond,
                Some("again") => Look::Again,
                Some(_) => return None,
            },
            recent: Digests::read(walk, "recent")?,
            marks: Digests::read(walk, "marks")?,
            rows: page::value(walk, "rows")?,
            pages: page::value(walk, "pages")?,
            stale: page::value(walk, "stale")?,
            steps_back: page::value(walk, "steps_back")?,
            steps_in_a_row: page::value(walk, "steps_in_a_row")?,
            gap: page::value(walk, "gap")?,
            doubt: match page::text(walk, "doubt")?.as_deref() {
                None => None,
                Some("moving") => Some(Doubt::Moving),
                Some("gap") => Some(Doubt::Gap),
                Some(_) => return None,
            },
        })
    }

    /// False where these can't be the numbers of a walk.
    pub fn is_sound(&self) -> bool {
        self.at <= LAST_POSITION && self.recent.0.len() <= REMEMBERED && self.marks.0.len() <= REMEMBERED
    }

    /// Pages that were read.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// The page to ask for, with at most `largest` rows (at least 2): the one that holds the row
    /// read last and reaches furthest beyond it.
    pub fn window(&self, largest: u64) -> Window {
        let aligned = self.at / largest + 1;
        match self.look {
            Look::Beyond => Window { limit: largest, page: aligned + 1 },
            Look::FurtherBeyond => Window { limit: largest, page: aligned + 2 },
            Look::Onward | Look::Again => {
                let windows = (2..=largest).map(|limit| Window { limit, page: self.at / limit + 1 });
                windows.max_by_key(|window| window.end()).unwrap_or(Window { limit: largest, page: aligned })
            }
        }
    }

    /// Takes in the answer to a window: a digest of each row's identity, in order. At most
    /// `budget` rows are handed over; the rest comes with the next page.
    pub fn turn(&mut self, window: Window, rows: &[u64], budget: usize) -> Result<Turn, Repeating> {
        self.pages += 1;
        let mut turn = self.look_at(window, rows, budget)?;
        if turn.end.is_none() && self.pages >= MOST_PAGES {
            turn.end = Some(End::Truncated(TOO_MANY_PAGES));
        }
        Ok(turn)
    }

    fn look_at(&mut self, window: Window, rows: &[u64], budget: usize) -> Result<Turn, Repeating> {
        let start = window.start();
        let has_last = self.recent.0.last().is_some_and(|last| rows.contains(last));
        // Any known row will do after a step back: the last one may have been removed. Without
        // a step it may be one that moved to the end of the list.
        let known = self.steps_in_a_row > 0 && rows.iter().any(|row| self.recent.0.contains(row));
        // Nothing comes before the first position, so that a page from there needs no known row.
        let joined = has_last || known || start == 0 || self.doubt.is_some();
        if !joined && self.goes_back(rows) {
            return Ok(Turn::NOTHING);
        }
        let fresh: Vec<usize> = (0..rows.len())
            .filter(|&n| {
                let row = rows.get(n);
                let repeated = rows.iter().take(n).any(|earlier| Some(earlier) == row);
                !repeated && row.is_some_and(|row| !self.recent.0.contains(row))
            })
            .take(budget)
            .collect();
        if let Some(last) = fresh.last().copied() {
            return self.go_on(start, rows, last, fresh);
        }
        let Some(last) = (rows.len() as u64).checked_sub(1).map(|last| start + last) else {
            return Ok(self.nothing_there());
        };
        // Known rows only. Where they stand beyond everything read so far, others were due.
        if last > self.furthest {
            self.furthest = last;
            self.stale += 1;
            if self.stale >= MOST_STALE {
                return Err(Repeating);
            }
        }
        self.at = last;
        if rows.len() as u64 >= window.limit {
            self.look = Look::Onward;
            return Ok(Turn::NOTHING);
        }
        Ok(self.nothing_behind())
    }

    /// A page that does not join the rows before it: the list has moved, or it has a hole. True
    /// where the walk goes back to find out, false where the page is taken as it is.
    fn goes_back(&mut self, rows: &[u64]) -> bool {
        let beyond = matches!(self.look, Look::Beyond | Look::FurtherBeyond);
        if beyond && rows.is_empty() {
            return false;
        }
        if beyond && self.gap {
            self.doubt = Some(Doubt::Gap);
            return false;
        }
        self.gap |= beyond;
        if self.steps_back >= MOST_STEPS_BACK {
            self.doubt = Some(Doubt::Moving);
            return false;
        }
        let step = 15 << self.steps_in_a_row.min(2);
        self.steps_back += 1;
        self.steps_in_a_row += 1;
        self.at = if self.steps_in_a_row > MOST_STEPS_IN_A_ROW { 0 } else { self.at.saturating_sub(step) };
        self.look = Look::Onward;
        self.marks.0.clear();
        self.rows = 0;
        true
    }

    fn go_on(&mut self, start: u64, rows: &[u64], last: usize, fresh: Vec<usize>) -> Result<Turn, Repeating> {
        for row in fresh.iter().filter_map(|&n| rows.get(n)) {
            self.recent.0.push(*row);
            if self.passes_mark() {
                return Err(Repeating);
            }
        }
        let forgotten = self.recent.0.len().saturating_sub(REMEMBERED);
        self.recent.0.drain(..forgotten);
        // Where the budget cut the page, the rows behind the last one are still to come.
        let cut =
            fresh.len() < rows.len() && rows.iter().skip(last + 1).any(|row| !self.recent.0.contains(row));
        let read = if cut { last } else { rows.len() - 1 };
        self.at = start + read as u64;
        self.furthest = self.furthest.max(self.at);
        self.look = Look::Onward;
        self.stale = 0;
        self.steps_in_a_row = 0;
        self.gap = false;
        Ok(Turn { rows: fresh, end: None })
    }

    /// Counts a row, and says whether the rows that lead up to it are those of a mark. Marks stand
    /// at every power of two, so that a list that goes round is known after at most three rounds,
    /// whatever its length. A step back begins them anew: what is read then was read before.
    fn passes_mark(&mut self) -> bool {
        self.rows += 1;
        let Some(rows) = self.recent.0.len().checked_sub(MARK_ROWS).and_then(|n| self.recent.0.get(n..))
        else {
            return false;
        };
        let sequence =
            rows.iter().fold(digest::of(b""), |digest, row| digest::on(digest, &row.to_le_bytes()));
        if self.marks.0.contains(&sequence) {
            return true;
        }
        if self.rows.is_power_of_two() {
            self.marks.0.push(sequence);
        }
        false
    }

    /// An empty page.
    fn nothing_there(&mut self) -> Turn {
        match self.look {
            Look::Beyond => {
                self.look = Look::FurtherBeyond;
                Turn::NOTHING
            }
            Look::FurtherBeyond => {
                self.look = Look::Again;
                Turn::NOTHING
            }
            // From the first position: the list is empty. In doubt: nothing can be known of it.
            Look::Onward | Look::Again => self.nothing_behind(),
        }
    }

    /// The last row, and nothing behind it.
    fn nothing_behind(&mut self) -> Turn {
        if self.look != Look::Again {
            self.look = Look::Beyond;
            return Turn::NOTHING;
        }
        let end = match self.doubt {
            None => End::Complete,
            Some(Doubt::Moving) => {
                End::Truncated("The list kept moving while it was read, so that rows may have been missed.")
            }
            Some(Doubt::Gap) => {
                End::Truncated("The list has empty pages in its middle, so that rows may have been missed.")
            }
        };
        Turn { rows: Vec::new(), end: Some(end) }
    }
}

impl Turn {
    const NOTHING: Self = Self { rows: Vec::new(), end: None };
}
