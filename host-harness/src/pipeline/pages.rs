//! Pages: due resources and extra jobs, one at a time for each resource.
//!
//! The cursor moves in the same transaction as the records that it passes, and never on an error.

use std::sync::Arc;

use super::commit::{Origin, commit, log_lines};
use super::services::UnitServices;
use super::{Installed, Pipeline, Step, Verdict, storage_full};
use crate::contract::{FailureKind, Next, PageRequest, Position};
use crate::store::dead_letters::{self, NewDeadLetter};
use crate::store::jobs::{self, Job, RunResult, Start};
use crate::store::{StoreError, jobs as store_jobs};
use crate::unit::{Outcome, Unit, UnitError, Work};
use crate::world::Millis;

/// Records that the host takes in one page.
const BUDGET: u32 = 1_000;

impl Pipeline {
    /// Runs the next due page.
    pub(super) fn page_step(&self) -> Result<Step, StoreError> {
        let now = self.world.now();
        let Some(job) = self.store.write(|tx| jobs::claim(tx, now))? else {
            let next = self.store.read::<_, StoreError>(jobs::next_due)?;
            return Ok(Step::Idle(next.filter(|due| *due > now)));
        };
        let Some(installed) = self.installed.get(&job.installation) else {
            self.store
                .write(|tx| jobs::settle(tx, &job, None, RunResult::Failed, Some("not-installed"), now))?;
            return Ok(Step::Worked);
        };
        self.until_no_conflict(|| self.run_page(&job, installed))?;
        Ok(Step::Worked)
    }

    fn run_page(&self, job: &Job, installed: &Arc<Installed>) -> Result<(), StoreError> {
        let now = self.world.now();
        let row = &installed.row;
        let cursor = match &job.start {
            Start::At(cursor) => Some(cursor.clone()),
            Start::Cursor => {
                self.store.read(|tx| store_jobs::cursor(tx, row.id, row.source, &job.resource))?
            }
        };
        if let Some(cursor) = &cursor
            && !row.profile.cursor_versions.contains(&cursor.version)
        {
            return self.page_failed(job, installed, &unknown_cursor_version());
        }
        let unit = Unit {
            settings: installed.settings.clone(),
            now,
            work: Work::Page(PageRequest {
                settings: installed.settings.clone(),
                resource: job.resource.clone(),
                position: cursor.map_or(Position::Start, Position::Cursor),
                budget: BUDGET,
                now,
            }),
        };
        let services = Arc::new(UnitServices {
            store: self.store.clone(),
            installation: row.id,
            outside: (installed.outside)(&job.resource),
        });
        let outcome = match installed.guest.run(&unit, services) {
            Ok(outcome) => outcome,
            Err(error) => return self.page_failed(job, installed, &error),
        };
        let origin = Origin { journal: None, resource: Some(&job.resource), received_at: now };
        let committed = self.store.write(|tx| {
            commit(tx, installed, &outcome, &origin, &self.policy, now)?;
            self.move_on(tx, job, installed, &outcome, now)
        });
        match committed {
            Err(StoreError::StorageQuota) => return self.page_failed(job, installed, &storage_full()),
            other => other?,
        }
        log_lines(installed, &outcome);
        Ok(())
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
        let extra = job.start != Start::Cursor;
        let go_on = |cursor, due| {
            if extra {
                jobs::advance(tx, job, cursor)?;
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
            if due.is_none() {
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

fn unknown_cursor_version() -> UnitError {
    UnitError::Failure(crate::contract::Failure {
        kind: FailureKind::Cursor,
        code: "cursor-version".into(),
        message: "the cursor was written by a version of the connector that this one does not know".into(),
    })
}
