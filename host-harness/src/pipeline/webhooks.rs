//! Webhooks: from the raw body in the journal to a committed unit.

use std::sync::Arc;

use super::commit::{Origin, commit};
use super::services::UnitServices;
use super::turns::IN_FLIGHT;
use super::{Installed, Pipeline, Step, Verdict, contended, jobs_full, storage_full};
use crate::contract::{FailureKind, WebhookRequest};
use crate::crash;
use crate::store::dead_letters::{self, Actor, NewDeadLetter};
use crate::store::installations::InstallationId;
use crate::store::journal::{self, JournalEntry};
use crate::store::{StoreError, jobs};
use crate::unit::{Unit, UnitError, Work};

impl Pipeline {
    /// Runs the oldest due webhook of these installations that no other thread is working on.
    pub(super) fn webhook_step(&self, of: &[InstallationId]) -> Result<Step, StoreError> {
        let now = self.world.now();
        // The other threads are busy with fewer of them than that.
        let candidates = self.store.read(|tx| journal::due(tx, of, now, IN_FLIGHT))?;
        let mine = {
            let mut busy = self.busy();
            candidates.into_iter().find(|id| busy.insert(*id))
        };
        let Some(id) = mine else { return Ok(Step::Idle(None)) };
        let result = self.run_webhook(id);
        self.busy().remove(&id);
        result.map(|()| Step::Worked)
    }

    fn run_webhook(&self, id: i64) -> Result<(), StoreError> {
        // The count of attempts has to survive a host that dies of this unit, not a power cut.
        let Some(entry) = self.store.write_unsynced(|tx| journal::claim(tx, id))? else { return Ok(()) };
        crash::point("unit-after-claim");
        let Some(installed) = self.installed.get(&entry.delivery.installation) else {
            return self.put_aside(&entry, &not_installed());
        };
        if entry.attempts > self.policy.transient_attempts {
            // Every attempt so far ended before it could say why: the host died with it.
            return self.put_aside(&entry, &kills_the_host());
        }
        match self.until_no_conflict(|| self.run_webhook_once(&entry, installed)) {
            Err(StoreError::Conflict) => self.webhook_failed(&entry, &contended()),
            other => other,
        }
    }

    fn run_webhook_once(&self, entry: &JournalEntry, installed: &Arc<Installed>) -> Result<(), StoreError> {
        let now = self.world.now();
        let delivery = &entry.delivery;
        let unit = Unit {
            settings: installed.settings.clone(),
            now,
            work: Work::Webhook(WebhookRequest {
                settings: installed.settings.clone(),
                surface: delivery.surface.clone(),
                body: delivery.body.clone(),
                headers: delivery.headers.clone(),
                received_at: delivery.received_at,
            }),
        };
        let services = Arc::new(UnitServices {
            store: self.store.clone(),
            installation: installed.row.id,
            outside: (installed.outside)(&delivery.surface),
        });
        let outcome = match installed.guest.run(&unit, services) {
            Ok(outcome) => outcome,
            Err(error) => return self.webhook_failed(entry, &error),
        };
        crash::point("unit-after-guest");
        let origin = Origin {
            journal: Some(entry.id),
            resource: None,
            received_at: delivery.received_at,
            watch: self.watch.as_deref(),
        };
        let committed = self.store.write(|tx| {
            commit(tx, installed, &outcome, &origin, &self.policy, now)?;
            journal::finish(tx, entry.id)?;
            crash::point("unit-before-commit");
            Ok::<_, StoreError>(())
        });
        match committed {
            Err(StoreError::StorageQuota) => return self.put_aside(entry, &Verdict::of(&storage_full())),
            Err(StoreError::JobsQuota) => return self.webhook_failed(entry, &jobs_full()),
            other => other?,
        }
        crash::point("unit-after-commit");
        super::commit::log_lines(installed, &outcome);
        Ok(())
    }

    fn webhook_failed(&self, entry: &JournalEntry, error: &UnitError) -> Result<(), StoreError> {
        let attempts_allowed = match error {
            UnitError::Fault { .. } => self.policy.fault_attempts,
            UnitError::Failure(failure) => match failure.kind {
                FailureKind::Transient | FailureKind::RateLimited(_) => self.policy.transient_attempts,
                _ => 0,
            },
        };
        let verdict = Verdict::of(error);
        if entry.attempts >= attempts_allowed {
            return self.put_aside(entry, &verdict);
        }
        let due = self.world.now() + self.backoff(entry.attempts);
        self.store.write(|tx| journal::postpone(tx, entry.id, due, &verdict.code))
    }

    /// Keeps the raw body, and shows it.
    fn put_aside(&self, entry: &JournalEntry, verdict: &Verdict) -> Result<(), StoreError> {
        tracing::warn!(journal = entry.id, code = %verdict.code, "a webhook was put aside");
        self.store.write(|tx| {
            journal::fail(tx, entry.id, &verdict.code)?;
            dead_letters::insert(
                tx,
                &NewDeadLetter {
                    installation: entry.delivery.installation.0,
                    stage: "read",
                    code: &verdict.code,
                    actor: verdict.actor,
                    message: &verdict.message,
                    remedy: verdict.remedy,
                    journal: Some(entry.id),
                    pointer: None,
                    record: None,
                    action: None,
                },
                self.world.now(),
            )?;
            Ok(())
        })
    }

    /// When the next webhook or job is due, whatever its kind.
    pub fn next_due(&self) -> Result<Option<crate::world::Millis>, StoreError> {
        self.store.read(|tx| Ok([journal::next_due(tx)?, jobs::next_due(tx)?].into_iter().flatten().min()))
    }
}

fn not_installed() -> Verdict {
    Verdict {
        code: "not-installed".into(),
        actor: Actor::Operator,
        message: "the webhook belongs to a connector that this configuration no longer has".into(),
        remedy: "Put the connector back into the configuration, then requeue.",
    }
}

fn kills_the_host() -> Verdict {
    Verdict {
        code: "unit-kills-host".into(),
        actor: Actor::ConnectorAuthor,
        message: "the host died each time this webhook was worked on".into(),
        remedy: "Send the payload to the connector's author; requeue it once a corrected component is installed.",
    }
}
