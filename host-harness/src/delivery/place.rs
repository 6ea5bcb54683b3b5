//! Finding a list at Brevo by its name, or making it: once for each account.
//!
//! Names are not unique at Brevo, so every folder and every list is looked at before anything is
//! made, and a call that makes something is written down first. Where no answer came, nothing is
//! made again before it had time to be carried out and everything was looked at once more. One
//! thread at a time does this for a list; of several with the name the oldest is meant.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use rusqlite::Transaction;

use super::Delivery;
use super::lists::{list_forbidden, list_refused, named_twice};
use super::outcome::{Letter, write_thing};
use super::wire::Stop;
use crate::brevo::account::Call;
use crate::brevo::errors::{Kind, Problem, Remedy};
use crate::brevo::lists::{self as wire, Listed};
use crate::brevo::windows::Family;
use crate::store::StoreError;
use crate::store::lists::{self, List};
use crate::world::{HttpResponse, Millis};

/// After which a call that was not answered is taken not to be carried out any more.
const SETTLE: Millis = 60_000;
/// While somebody looks for a list, nobody else does.
const LEASE: Millis = 600_000;
/// Pages of folders or lists; an account has at most 600 (docs/platform-quotas).
const PAGES: usize = 40;
/// Longest wait within a look for a rate window to open.
const PATIENCE: Millis = 3_000;

/// A list that somebody has to look for.
pub(super) struct Search {
    pub list: List,
    /// Who gets to hear of trouble.
    pub installation: i64,
}

impl Delivery {
    /// Takes the search for a list; none where it isn't time yet, or somebody has it.
    pub(super) fn begin_search(
        &self,
        tx: &Transaction<'_>,
        list: List,
        installation: i64,
        now: Millis,
    ) -> Result<Option<Search>, StoreError> {
        let settled = list.creating_at.map(|at| at + SETTLE).filter(|at| *at > now);
        if settled.is_some() {
            lists::retry_at(tx, list.id, settled, false)?;
            return Ok(None);
        }
        lists::retry_at(tx, list.id, Some(now + LEASE), false)?;
        let mine = self.searched.lock().unwrap_or_else(PoisonError::into_inner).insert(list.id);
        Ok(mine.then_some(Search { list, installation }))
    }

    /// Finds the list or makes it, and writes down what came of it.
    pub(super) fn search(&self, search: &Search) -> Result<(), StoreError> {
        let result = self.find_or_make(&search.list);
        let ended = match result {
            Ok(id) => self.placed(search, id),
            Err(stop) => self.search_failed(search, stop),
        };
        self.searched.lock().unwrap_or_else(PoisonError::into_inner).remove(&search.list.id);
        ended
    }

    fn placed(&self, search: &Search, id: i64) -> Result<(), StoreError> {
        let now = self.world.now();
        self.store.write(|tx| {
            if lists::at_brevo(tx, search.list.destination, id, search.list.id)? {
                lists::created(tx, search.list.id)?;
                let letter = named_twice(&search.list);
                lists::stop(tx, search.list.id, letter.code)?;
                write_thing(tx, search.installation, &letter, now)?;
            } else {
                lists::found(tx, search.list.id, id)?;
                tracing::info!(list = search.list.id, brevo = id, "a list was found or made");
            }
            self.went_on(tx, now)?;
            self.save_rates(tx)
        })
    }

    fn find_or_make(&self, list: &List) -> Result<i64, Stop> {
        let (Some(name), Some(folder_name)) = (&list.name, &list.folder) else {
            return Err(Stop::Problem(Problem { status: 404, kind: Kind::NotFound }, Family::Contacts));
        };
        let folder = match oldest(self.read_all(wire::folders)?, |row| row.name == *folder_name) {
            Some(folder) => folder,
            None => self.make(list, &wire::create_folder(folder_name))?,
        };
        let is_it = |row: &Listed| row.name == *name && row.folder == Some(folder);
        match oldest(self.read_all(wire::lists)?, is_it) {
            Some(id) => Ok(id),
            None => self.make(list, &wire::create_list(name, folder)),
        }
    }

    /// Every row of every page. Rows that come or go in between make it begin anew later: a row
    /// that was missed would be made a second time.
    fn read_all(&self, page: fn(usize) -> Call) -> Result<Vec<Listed>, Stop> {
        let moved = || Stop::from(Problem { status: 200, kind: Kind::Unexpected });
        let mut rows: Vec<Listed> = Vec::new();
        let mut count = None;
        for _ in 0..PAGES {
            let read = wire::read_page(&self.patiently(&page(rows.len()))?)?;
            if *count.get_or_insert(read.count) != read.count {
                return Err(moved());
            }
            let came = read.rows.len();
            rows.extend(read.rows);
            if rows.len() >= read.count {
                let distinct: BTreeSet<i64> = rows.iter().map(|row| row.id).collect();
                return if distinct.len() == read.count { Ok(rows) } else { Err(moved()) };
            }
            if came == 0 {
                return Err(moved());
            }
        }
        Err(moved())
    }

    fn make(&self, list: &List, call: &Call) -> Result<i64, Stop> {
        self.store.write::<_, StoreError>(|tx| lists::creating(tx, list.id, self.world.now()))?;
        let result = self.patiently(call).and_then(|answer| Ok(wire::read_create(&answer)?));
        let unknown = match &result {
            Ok(_) => false,
            Err(Stop::NoAnswer) => true,
            Err(Stop::Problem(problem, _)) => {
                matches!(problem.kind.rule().remedy, Remedy::ReadBack | Remedy::Retry)
            }
            Err(_) => false,
        };
        if !unknown {
            self.store.write::<_, StoreError>(|tx| lists::created(tx, list.id))?;
        }
        result
    }

    /// A look takes more calls than a second may hold, so it waits a little for its window.
    fn patiently(&self, call: &Call) -> Result<HttpResponse, Stop> {
        let deadline = self.world.now() + PATIENCE;
        loop {
            match self.call(call) {
                Err(Stop::Closed(at)) if at <= deadline => {
                    let wait = (at - self.world.now()).max(1) as u64;
                    self.world.clock.sleep(std::time::Duration::from_millis(wait));
                }
                other => return other,
            }
        }
    }

    fn search_failed(&self, search: &Search, stop: Stop) -> Result<(), StoreError> {
        let (list, now) = (&search.list, self.world.now());
        let again = now + self.backoff(list.failures + 1);
        let tired = list.failures + 1 >= self.options.policy.attempts;
        let (at, failed) = match stop {
            Stop::Store(error) => return Err(error),
            Stop::Closed(at) => (at, false),
            Stop::NoKey => {
                self.pause(Some(search.installation), &super::outcome::no_key(), now)?;
                (now, false)
            }
            Stop::Denied => {
                self.pause(Some(search.installation), &super::outcome::address_denied(), now)?;
                (now, false)
            }
            Stop::NotSent | Stop::NoAnswer | Stop::End(_) if tired => {
                return self.give_up(search, Letter::of(Kind::OutcomeUnknown.rule()), now);
            }
            Stop::NotSent | Stop::NoAnswer | Stop::End(_) => (again, true),
            Stop::Problem(problem, family) => {
                let rule = problem.kind.rule();
                match rule.remedy {
                    Remedy::PauseAccount => {
                        self.pause(Some(search.installation), &Letter::of(rule), now)?;
                        (now, false)
                    }
                    Remedy::Wait => (self.opens_at(family, now).unwrap_or(now + 1_000), false),
                    Remedy::PauseFamily if problem.kind == Kind::Forbidden => {
                        return self.give_up(search, list_forbidden(list), now);
                    }
                    Remedy::PauseFamily => {
                        (self.pause_family(Some(search.installation), family, rule, now)?, false)
                    }
                    Remedy::GiveUp => return self.give_up(search, list_refused(list), now),
                    Remedy::Retry | Remedy::ReadBack if tired => {
                        return self.give_up(search, Letter::of(rule), now);
                    }
                    Remedy::Retry | Remedy::ReadBack => (again, true),
                }
            }
        };
        self.store.write(|tx| {
            lists::retry_at(tx, list.id, Some(at), failed)?;
            self.save_rates(tx)
        })
    }

    fn give_up(&self, search: &Search, letter: Letter, now: Millis) -> Result<(), StoreError> {
        let letter = Letter { about: Some(search.list.about()), ..letter };
        self.stop_list(&search.list, search.installation, letter, now)?;
        self.store.write(|tx| self.save_rates(tx))
    }
}

fn oldest(rows: Vec<Listed>, is_it: impl Fn(&Listed) -> bool) -> Option<i64> {
    rows.into_iter().filter(|row| is_it(row)).map(|row| row.id).min()
}
