//! Pages: due resources and extra jobs, one at a time for each resource.
//!
//! The cursor moves in the same transaction as the records that it passes, and never on an error.

use std::sync::Arc;

use super::commit::{Origin, commit, log_lines};
use super::keys::ReadWith;
use super::services::UnitServices;
use super::{Installed, Pipeline, Step, Verdict, contended, jobs_full, storage_full};
use crate::contract::{FailureKind, Next, PageRequest, Position};
use crate::crash;
use crate::store::dead_letters::{self, NewDeadLetter};
use crate::store::installations::InstallationId;
use crate::store::jobs::{self, Job, Read, RunResult, Start};
use crate::store::{StoreError, jobs as store_jobs, pauses, runs};
use crate::unit::{Outcome, Unit, UnitError, Work};
use crate::world::Millis;

/// Records that the host takes in one page. Export files bring about 4,000 in 2 MiB; what other
/// resources answer is far smaller.
const BUDGET: u32 = 10_000;

/// Name of the note that says how far a run is, in parts per million. It is kept with the run and
/// not counted.
const PROGRESS: &str = "progress";

impl Pipeline {
    /// Runs the next due page of these installations.
    pub(super) fn page_step(&self, of: &[InstallationId]) -> Result<Step, StoreError> {
        of.iter().filter_map(|id| self.keys.sources.get(id)).for_each(|source| source.look());
        let now = self.world.now();
        let Some(job) = self.store.write(|tx| jobs::claim(tx, of, now))? else {
            return Ok(Step::Idle(None));
        };
        let Some(installed) = self.installed.get(&job.installation) else {
            self.store
                .write(|tx| jobs::settle(tx, &job, None, RunResult::Failed, Some("not-installed"), now))?;
            return Ok(Step::Worked);
        };
        crash::point("unit-after-claim");
        if job.crashes >= self.policy.transient_attempts {
            self.page_failed(&job, installed, &kills_the_host())?;
            return Ok(Step::Worked);
        }
        match self.until_no_conflict(|| self.run_page(&job, installed)) {
            Err(StoreError::Conflict) => self.page_failed(&job, installed, &contended())?,
            other => other?,
        }
        Ok(Step::Worked)
    }

    fn run_page(&self, job: &Job, installed: &Arc<Installed>) -> Result<(), StoreError> {
        let now = self.world.now();
        let row = &installed.row;
        let position = match &job.start {
            Start::At(_) if job.source.is_some_and(|source| source != row.source) => {
                return self.page_failed(job, installed, &other_source());
            }
            Start::At(cursor) => Position::Cursor(cursor.clone()),
            Start::Window(from, to) => Position::Window((*from, *to)),
            Start::Cursor => self
                .store
                .read(|tx| store_jobs::cursor(tx, row.id, row.source, &job.resource))?
                .map_or(Position::Start, Position::Cursor),
        };
        if let Position::Cursor(cursor) = &position
            && !row.profile.cursor_versions.contains(&cursor.version)
        {
            return self.page_failed(job, installed, &unknown_cursor_version());
        }
        let stands_at = match &position {
            Position::Cursor(cursor) => Some(cursor),
            _ => None,
        };
        // Taken before the page is read: a key that is replaced meanwhile is another one.
        let spec = row.profile.resources.iter().find(|spec| spec.name == job.resource);
        let slot = spec.and_then(|spec| spec.slot.as_deref());
        let key = ReadWith { slot, version: self.keys.version(row.id, slot) };
        let mut outcome = match self.ahead.take(job.id, stands_at) {
            Some(outcome) => outcome,
            None => match self.reading(installed, &job.resource, position)() {
                Ok(outcome) => outcome,
                Err(error) => return self.read_failed(job, installed, &error, key),
            },
        };
        crash::point("unit-after-guest");
        self.read_ahead(job, installed, &outcome);
        let read = account(&mut outcome);
        let origin = Origin {
            journal: None,
            resource: Some(&job.resource),
            received_at: now,
            watch: self.watch.as_deref(),
        };
        let committed = self.store.write(|tx| {
            commit(tx, installed, &outcome, &origin, &self.policy, now)?;
            jobs::note_page(tx, job, read)?;
            pauses::came_through(tx, job, now)?;
            self.move_on(tx, job, installed, &outcome, now)?;
            crash::point("unit-before-commit");
            Ok(())
        });
        match committed {
            Err(StoreError::StorageQuota) => return self.page_failed(job, installed, &storage_full()),
            Err(StoreError::JobsQuota) => return self.page_failed(job, installed, &jobs_full()),
            other => other?,
        }
        crash::point("unit-after-commit");
        log_lines(installed, &outcome);
        Ok(())
    }

    /// A page in a fresh instance, to be read by whichever thread calls it.
    fn reading(
        &self,
        installed: &Arc<Installed>,
        resource: &str,
        position: Position,
    ) -> impl FnOnce() -> Result<Outcome, UnitError> + Send + 'static {
        let now = self.world.now();
        let settings = &installed.settings;
        let request = PageRequest {
            settings: settings.clone(),
            resource: resource.to_owned(),
            position,
            budget: BUDGET,
            now,
        };
        let unit = Unit { settings: settings.clone(), now, work: Work::Page(request) };
        let services = UnitServices {
            store: self.store.clone(),
            installation: installed.row.id,
            outside: (installed.outside)(resource),
        };
        let guest = installed.guest.clone();
        move || guest.run(&unit, Arc::new(services))
    }

    /// Lets the next page of a backfill be read while this one is committed. Not where this one
    /// writes into the storage, which the next one may read.
    fn read_ahead(&self, job: &Job, installed: &Arc<Installed>, outcome: &Outcome) {
        let Some(Next::More(cursor)) = &outcome.next else { return };
        let may_wait = outcome.not_before.is_some() || !outcome.storage.writes.is_empty();
        if job.key != runs::backfill_key(&job.resource) || may_wait {
            return;
        }
        let position = Position::Cursor(cursor.clone());
        self.ahead.begin(job.id, cursor, self.reading(installed, &job.resource, position));
    }

    fn move_on(
        &self,
        tx: &rusqlite::Transaction<'_>,
        job: &Job,
        installed: &Installed,
        outcome: &Outcome,
        now: Millis,
    ) -> Result<(), StoreError> {
        let earliest = outcome.not_before.unwrap_or(now).max(now);
        let own_cursor = job.start != Start::Cursor;
        let go_on = |cursor, due| {
            if own_cursor {
                jobs::advance(tx, job, &installed.row, cursor)?;
            } else {
                jobs::set_cursor(tx, &installed.row, &job.resource, Some(cursor))?;
            }
            jobs::settle(tx, job, Some(due), RunResult::More, None, now)
        };
        match &outcome.next {
            Some(Next::More(cursor)) => go_on(cursor, earliest),
            Some(Next::Later((cursor, at))) => go_on(cursor, earliest.max(*at)),
            // A unit without `next` never comes from `fetch-page`; it would mean an end not stated.
            None => jobs::settle(tx, job, None, RunResult::Failed, Some("no-next"), now),
            Some(Next::Done(end)) => {
                let result = if end.truncated.is_some() { RunResult::Truncated } else { RunResult::Complete };
                if job.key.starts_with("job:") {
                    return jobs::remove(tx, job);
                }
                if own_cursor {
                    return jobs::settle(tx, job, None, result, end.truncated.as_deref(), now);
                }
                jobs::set_cursor(tx, &installed.row, &job.resource, end.cursor.as_ref())?;
                let due = self.next_run(installed, &job.resource, now).map(|due| due.max(earliest));
                jobs::settle(tx, job, due, result, end.truncated.as_deref(), now)
            }
        }
    }

    /// The resource's cadence, with a tenth of jitter so that installations spread.
    fn next_run(&self, installed: &Installed, resource: &str, now: Millis) -> Option<Millis> {
        let spec = installed.row.profile.resources.iter().find(|spec| spec.name == resource)?;
        if spec.cadence == 0 {
            return None;
        }
        let cadence = Millis::from(spec.cadence) * 1_000;
        Some(now + cadence + self.world.random.below(cadence as u64 / 10 + 1) as Millis)
    }

    fn page_failed(&self, job: &Job, installed: &Installed, error: &UnitError) -> Result<(), StoreError> {
        self.read_failed(job, installed, error, ReadWith::default())
    }

    /// As [`Self::page_failed`], for a page that was read with this version of its key.
    fn read_failed(
        &self,
        job: &Job,
        installed: &Installed,
        error: &UnitError,
        key: ReadWith<'_>,
    ) -> Result<(), StoreError> {
        let now = self.world.now();
        let verdict = Verdict::of(error);
        let due = match error {
            UnitError::Failure(failure) => match failure.kind {
                FailureKind::RateLimited(after) => {
                    let asked = after.unwrap_or(0).min(24 * 3_600_000) as Millis;
                    Some(now + asked.max(self.backoff(job.attempts)))
                }
                FailureKind::Transient => Some(now + self.backoff(job.attempts)),
                _ => None,
            },
            UnitError::Fault { .. } if job.attempts < self.policy.fault_attempts => {
                Some(now + self.backoff(job.attempts))
            }
            UnitError::Fault { .. } => None,
        };
        tracing::warn!(resource = %job.resource, code = %verdict.code, "a page failed");
        self.store.write(|tx| {
            jobs::settle(tx, job, due, RunResult::Failed, Some(&verdict.code), now)?;
            if due.is_none() && !self.pause_for_key(tx, job, &installed.row, error, key)? {
                dead_letters::insert(
                    tx,
                    &NewDeadLetter {
                        installation: installed.row.id.0,
                        stage: "read",
                        code: &verdict.code,
                        actor: verdict.actor,
                        message: &verdict.message,
                        remedy: verdict.remedy,
                        journal: None,
                        pointer: Some(&job.resource),
                        record: None,
                        action: None,
                    },
                    now,
                )?;
            }
            Ok(())
        })
    }
}

/// What a page adds to the account of its run; the note of progress is taken out.
fn account(outcome: &mut Outcome) -> Read {
    let progress = outcome.notes.iter().rfind(|note| note.name == PROGRESS).map(|note| note.count);
    outcome.notes.retain(|note| note.name != PROGRESS);
    Read {
        records: outcome.records.len() as u64,
        rejects: outcome.rejects.len() as u64,
        progress: progress.map(|parts| parts.min(1_000_000)),
    }
}

fn unknown_cursor_version() -> UnitError {
    stale_cursor(
        "cursor-version",
        "the cursor was written by a version of the connector that this one does not know",
    )
}

/// Each time the host ended before the page could say why.
fn kills_the_host() -> UnitError {
    UnitError::Fault {
        code: "unit-kills-host".into(),
        message: "the host died each time this page was read".into(),
    }
}

fn other_source() -> UnitError {
    stale_cursor(
        "cursor-of-other-source",
        "the settings that select the source were changed since the run began",
    )
}

fn stale_cursor(code: &str, message: &str) -> UnitError {
    UnitError::Failure(crate::contract::Failure {
        kind: FailureKind::Cursor,
        code: code.into(),
        message: message.into(),
    })
}
