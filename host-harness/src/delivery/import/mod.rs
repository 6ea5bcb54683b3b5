//! Many contacts in one call, where so many wait that one by one would take longer.
//!
//! | step | where |
//! |---|---|
//! | who is at Brevo already | `census` |
//! | who can ride: nobody whose row could change an address, merge, or lift a block | `rows` |
//! | the call, the wait, and what came of each row | here, `read_back` |
//!
//! One import of an account is under way at a time. Whoever does not ride goes alone, and so does
//! every row of which the import can't be shown to have done what it should.

mod census;
mod read_back;
mod rows;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Transaction;
use serde_json::Value;

use super::Delivery;
use super::claim::Claim;
use super::outcome::{Letter, write_thing};
use super::schema::Readiness;
use super::wire::Stop;
use crate::brevo::errors::{Kind, Problem};
use crate::brevo::imports as wire;
use crate::brevo::windows::Family;
use crate::registry::{ListRef, NamedList};
use crate::store::dead_letters::Actor;
use crate::store::imports::{self, Import, NewImport, Phase};
use crate::store::outbox::Class;
use crate::store::{StoreError, lists};
use crate::world::Millis;
use census::Census;
use read_back::Riders;
use rows::Chosen;

/// After which a call that was not answered is taken not to be carried out any more.
pub(super) const SETTLE: Millis = 60_000;
/// Waits between looks at a process, in seconds; the last one repeats. Every look is one of the few
/// calls that Brevo counts with everything else.
const LOOKS: [Millis; 6] = [15, 30, 60, 120, 240, 300];
/// After which a process that does not end is shown to the operator.
const LONG: Millis = 2 * 3_600_000;
/// After a step that failed.
const AGAIN: Millis = 60_000;
/// After an import that came to nothing: one by one is the way for as long.
const DISCOURAGED: Millis = 3_600_000;
/// Work in bulk waits for its turn again so soon.
const SOON: Millis = 1_000;

/// The list that everybody who is imported is put into, because Brevo imports into a list. Nobody
/// else uses it, so nothing should start from it.
pub(crate) const LIST: (&str, &str) = ("Tajo imports (used by Tajo, start nothing from it)", "Tajo");

/// What a delivery remembers of imports; all of it can be made anew.
#[derive(Default)]
pub(super) struct Imports {
    busy: AtomicBool,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    census: Census,
    riders: Option<Riders>,
    /// No new import before.
    not_before: Millis,
    /// Whoever waits goes alone until then.
    alone_until: Millis,
}

/// A step of an import.
pub(super) enum ImportStep {
    /// A page of who is at Brevo.
    Census,
    /// The rows are in flight: make the call.
    Send(Import, Vec<Value>),
    /// Go on with one that was begun.
    GoOn(Import),
}

impl Delivery {
    /// What is to be done for an import now.
    pub(super) fn claim_import(
        &self,
        tx: &Transaction<'_>,
        now: Millis,
    ) -> Result<Option<Claim>, StoreError> {
        if self.imports.busy.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let step = |step| Ok(Some(Claim::Import(Box::new(step))));
        if let Some(import) = imports::open(tx, self.options.destination)? {
            let opens = self.opens_for(family_of(&import), Class::Bulk, now);
            if import.next_at > now || opens.is_some() || !self.begin() {
                return Ok(None);
            }
            return step(ImportStep::GoOn(import));
        }
        if !self.rides_in_imports(tx, now)?
            || self.memory().not_before > now
            || self.opens_for(Family::Contacts, Class::Bulk, now).is_some()
        {
            return Ok(None);
        }
        match self.schema_readiness(now) {
            Readiness::Ready => {}
            Readiness::NotBefore(_) => return Ok(None),
            Readiness::MustLook => {
                self.begin_schema();
                return Ok(Some(Claim::Schema));
            }
        }
        let named = ListRef::Named(NamedList { name: LIST.0.into(), folder: LIST.1.into() });
        let list = lists::named(tx, self.options.destination, &named, true, now)?;
        if list.stopped_code.is_some() {
            self.discourage(now);
            return Ok(None);
        }
        let installation = rows::first_installation(tx, self.options.destination)?;
        let Some(number) = list.brevo_id else {
            if list.retry_at.is_some_and(|at| at > now) {
                return Ok(None);
            }
            let search = self.begin_search(tx, list, installation, now)?;
            return Ok(search.map(Claim::Search));
        };
        if !self.memory().census.is_fresh(now) {
            return if self.begin() { step(ImportStep::Census) } else { Ok(None) };
        }
        let chosen = self.choose_rows(tx, now)?;
        let Some(Chosen { rows, email_blocked, sms_blocked }) = chosen else {
            // Who can't ride was told to go alone; whoever is left waits for others.
            self.memory().not_before = now + SOON;
            return Ok(Some(Claim::Done));
        };
        let new = NewImport { installation, list: number, email_blocked, sms_blocked, rows: rows.len() };
        let id = imports::begin(tx, self.options.destination, &new, now)?;
        let bodies = self.board(tx, id, rows, now)?;
        self.save_rates(tx)?;
        match imports::open(tx, self.options.destination)? {
            Some(import) if self.begin() => step(ImportStep::Send(import, bodies)),
            // Somebody else has a turn: what was begun is found to be unsent, and goes on.
            _ => Ok(Some(Claim::Done)),
        }
    }

    /// Whether contacts in bulk wait for an import instead of going one by one.
    pub(super) fn rides_in_imports(&self, tx: &Transaction<'_>, now: Millis) -> Result<bool, StoreError> {
        let least = self.options.policy.import_min.max(1);
        Ok(self.memory().alone_until <= now
            && imports::waiting(tx, self.options.destination, now, least)? >= least)
    }

    /// When an import that can't go on now may do so.
    pub(super) fn import_chance(
        &self,
        tx: &Transaction<'_>,
        now: Millis,
    ) -> Result<Option<Millis>, StoreError> {
        if let Some(import) = imports::open(tx, self.options.destination)? {
            let opens = self.opens_for(family_of(&import), Class::Bulk, now).unwrap_or(now);
            let soonest = if self.imports.busy.load(Ordering::SeqCst) { SOON } else { 1 };
            return Ok(Some(import.next_at.max(opens).max(now + soonest)));
        }
        let waits = self.rides_in_imports(tx, now)?;
        Ok(waits.then(|| self.memory().not_before.max(now + SOON)))
    }

    pub(super) fn import(&self, step: ImportStep) -> Result<(), StoreError> {
        let done = match step {
            ImportStep::Census => self.census_page(),
            ImportStep::Send(import, rows) => self.send_import(import, &rows),
            ImportStep::GoOn(import) => match import.phase {
                Phase::Sending => self.look_for_import(import),
                Phase::AtWork => self.look_at_process(import),
                Phase::Reading | Phase::Over => self.read_import_back(import),
            },
        };
        self.imports.busy.store(false, Ordering::SeqCst);
        done
    }

    fn send_import(&self, mut import: Import, rows: &[Value]) -> Result<(), StoreError> {
        let call = wire::import(rows, import.list, import.email_blocked, import.sms_blocked);
        let answer =
            self.call(&call).and_then(|answer| Ok((wire::read_import(&answer)?, wire::made_at(&answer))));
        let now = self.world.now();
        match answer {
            Ok((process, made_at)) => {
                import.process = Some(process);
                import.since = made_at.unwrap_or(import.since);
                (import.phase, import.next_at) = (Phase::AtWork, now + LOOKS[0] * 1_000);
                tracing::info!(process, rows = import.rows, "an import was begun");
                self.save_import(&import)
            }
            Err(stop) if is_unknown(&stop) => {
                import.next_at = now + SETTLE;
                self.save_import(&import)
            }
            Err(stop) => {
                let refused = matches!(&stop, Stop::Problem(..));
                self.import_stopped(&import, stop, now)?;
                // Nothing was done. Refused as a whole, it would be refused again.
                self.disband(import, if refused { Class::BulkSingle } else { Class::Bulk })
            }
        }
    }

    /// The call got no answer: where nothing runs, whatever it did is done.
    fn look_for_import(&self, mut import: Import) -> Result<(), StoreError> {
        let answer = self
            .call(&wire::processes())
            .and_then(|answer| wire::read_is_importing(&answer).map_err(in_processes));
        let now = self.world.now();
        match answer {
            Ok(true) => import.next_at = now + self.next_look(&mut import),
            Ok(false) => (import.phase, import.next_at) = (Phase::Reading, now),
            Err(stop) => import.next_at = self.put_off(&import, stop, now)?,
        }
        self.show_if_long(&import, now)?;
        self.save_import(&import)
    }

    fn look_at_process(&self, mut import: Import) -> Result<(), StoreError> {
        let Some(process) = import.process else { return self.look_for_import(import) };
        let answer = self
            .call(&wire::process(process))
            .and_then(|answer| wire::read_process(&answer).map_err(in_processes));
        let now = self.world.now();
        match answer {
            Ok(Some(process)) if !process.is_over() => import.next_at = now + self.next_look(&mut import),
            Ok(process) => {
                (import.phase, import.next_at) = (Phase::Reading, now);
                import.result =
                    Some(process.as_ref().map_or("unknown", |process| &process.status).to_owned());
                import.reports = process.map(|process| process.reports).unwrap_or_default();
            }
            Err(stop) => import.next_at = self.put_off(&import, stop, now)?,
        }
        self.show_if_long(&import, now)?;
        self.save_import(&import)
    }

    /// How long until the next look.
    fn next_look(&self, import: &mut Import) -> Millis {
        import.polls += 1;
        let last = LOOKS.len() - 1;
        LOOKS[last.min(import.polls as usize)] * 1_000
    }

    /// A look came to nothing: pauses what has to be paused, and says when to look again.
    fn put_off(&self, import: &Import, stop: Stop, now: Millis) -> Result<Millis, StoreError> {
        if let Stop::Closed(at) = stop {
            return Ok(at);
        }
        self.import_stopped(import, stop, now)?;
        Ok(now + AGAIN)
    }

    fn import_stopped(&self, import: &Import, stop: Stop, now: Millis) -> Result<(), StoreError> {
        self.memory().not_before = now + AGAIN;
        match stop {
            Stop::Store(error) => Err(error),
            Stop::NoKey => self.pause(Some(import.installation), &super::outcome::no_key(), now),
            Stop::Denied => self.pause(Some(import.installation), &super::outcome::address_denied(), now),
            Stop::Problem(problem, family) => {
                let rule = problem.kind.rule();
                match rule.remedy {
                    super::Remedy::PauseAccount => {
                        self.pause(Some(import.installation), &Letter::of(rule), now)
                    }
                    super::Remedy::PauseFamily => {
                        self.pause_family(Some(import.installation), family, rule, now).map(|_| ())
                    }
                    super::Remedy::GiveUp => self.about_imports(import, &Letter::of(rule), now),
                    _ => Ok(()),
                }
            }
            Stop::Closed(_) | Stop::NotSent | Stop::NoAnswer | Stop::End(_) => Ok(()),
        }
    }

    fn show_if_long(&self, import: &Import, now: Millis) -> Result<(), StoreError> {
        if import.phase != Phase::Reading && now - import.begun_at >= LONG {
            self.about_imports(import, &never_ends(), now)?;
        }
        Ok(())
    }

    /// One open letter about imports at a time.
    fn about_imports(&self, import: &Import, letter: &Letter, now: Millis) -> Result<(), StoreError> {
        let letter = Letter { about: Some(ABOUT.into()), ..letter.clone() };
        self.store.write(|tx| write_thing(tx, import.installation, &letter, now))
    }

    fn discourage(&self, now: Millis) {
        self.memory().alone_until = now + DISCOURAGED;
    }

    fn save_import(&self, import: &Import) -> Result<(), StoreError> {
        let now = self.world.now();
        self.store.write(|tx| {
            imports::save(tx, import)?;
            self.went_on(tx, now)?;
            self.save_rates(tx)
        })
    }

    /// Takes the only turn.
    fn begin(&self) -> bool {
        !self.imports.busy.swap(true, Ordering::SeqCst)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.imports.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the next call for it is counted with.
fn family_of(import: &Import) -> Family {
    if import.phase == Phase::Reading { Family::Contacts } else { Family::Processes }
}

const ABOUT: &str = "imports";

fn in_processes(problem: Problem) -> Stop {
    Stop::Problem(problem, Family::Processes)
}

/// The call may have been carried out.
fn is_unknown(stop: &Stop) -> bool {
    match stop {
        Stop::NoAnswer => true,
        Stop::Problem(problem, _) => matches!(problem.kind, Kind::OutcomeUnknown | Kind::Unexpected),
        _ => false,
    }
}

fn never_ends() -> Letter {
    Letter {
        code: "import-never-ends",
        actor: Actor::Operator,
        message: "Brevo has worked on an import for more than two hours; its contacts wait for it.",
        remedy: "Look at Brevo under Contacts > Imports; ask Brevo's support to end it. Everything goes on by itself then.",
        about: None,
    }
}
