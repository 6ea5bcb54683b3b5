//! Webhooks: from the raw body in the journal to a committed unit.

use std::sync::Arc;

use super::commit::{Origin, commit_beside};
use super::services::UnitServices;
use super::{Installed, Pipeline, Step, Verdict, storage_full};
use crate::contract::{FailureKind, WebhookRequest};
use crate::crash;
use crate::people::circle::Circle;
use crate::store::dead_letters::{self, Actor, NewDeadLetter};
use crate::store::journal::{self, JournalEntry};
use crate::store::{StoreError, jobs};
use crate::unit::{Outcome, Unit, UnitError, Work};

/// Most webhooks that are committed in one transaction, and so with one wait for the disk. More would
/// keep the intake waiting for its turn to write.
const TOGETHER: usize = 8;

/// Most bytes of their bodies: what they come to is held in memory until it is committed.
const TOGETHER_BYTES: usize = 2 << 20;

/// A unit that was run and is not committed yet.
struct Ran<'a> {
    entry: JournalEntry,
    installed: &'a Arc<Installed>,
    outcome: Outcome,
}

impl Pipeline {
    /// Runs the oldest due webhooks that no other thread is working on.
    pub(super) fn webhook_step(&self) -> Result<Step, StoreError> {
        let now = self.world.now();
        let candidates = self.store.read::<_, StoreError>(|tx| journal::due(tx, now, 64))?;
        let mine: Vec<i64> = {
            let mut busy = self.busy();
            candidates.into_iter().filter(|id| busy.insert(*id)).take(TOGETHER).collect()
        };
        if mine.is_empty() {
            let next = self.store.read::<_, StoreError>(journal::next_due)?;
            // What is due already is being worked on by another thread.
            return Ok(Step::Idle(next.filter(|due| *due > now)));
        }
        let result = self.run_webhooks(&mine);
        let mut busy = self.busy();
        for id in &mine {
            busy.remove(id);
        }
        result.map(|()| Step::Worked)
    }

    fn run_webhooks(&self, ids: &[i64]) -> Result<(), StoreError> {
        // The count of attempts has to survive a host that dies of a unit, not a power cut.
        let entries = self.store.write_unsynced::<_, StoreError>(|tx| {
            let (mut entries, mut bytes) = (Vec::new(), 0);
            for id in ids {
                if bytes >= TOGETHER_BYTES {
                    break; // the others stay queued
                }
                let Some(entry) = journal::claim(tx, *id)? else { continue };
                bytes += entry.delivery.body.len();
                entries.push(entry);
            }
            Ok(entries)
        })?;
        crash::point("unit-after-claim");
        // One that was tried before may be the one that kills the host; it goes alone, so that no
        // other is suspected with it.
        let (first_time, again): (Vec<_>, Vec<_>) = entries.into_iter().partition(|one| one.attempts == 1);
        for entry in again {
            if entry.attempts > self.policy.transient_attempts {
                // Every attempt so far ended before it could say why: the host died with it.
                self.put_aside(&entry, &kills_the_host())?;
            } else {
                self.run_webhook(&entry)?;
            }
        }
        let mut ran = Vec::with_capacity(first_time.len());
        for entry in first_time {
            let Some(installed) = self.installed.get(&entry.delivery.installation) else {
                self.put_aside(&entry, &not_installed())?;
                continue;
            };
            match self.run_guest(&entry, installed) {
                Ok(outcome) => ran.push(Ran { entry, installed, outcome }),
                Err(error) => self.webhook_failed(&entry, &error)?,
            }
        }
        crash::point("unit-after-guest");
        match self.commit_webhooks(&ran) {
            // One of them can't be committed as it is, which must not hold up the others.
            Err(StoreError::Conflict | StoreError::StorageQuota) => {
                ran.iter().try_for_each(|one| self.run_webhook(&one.entry))
            }
            other => other,
        }
    }

    /// Commits units, all or none.
    fn commit_webhooks(&self, ran: &[Ran<'_>]) -> Result<(), StoreError> {
        if ran.is_empty() {
            return Ok(());
        }
        let now = self.world.now();
        self.store.write::<_, StoreError>(|tx| {
            let mut rest = ran;
            while let Some(first) = rest.first() {
                // Units that speak of the same people share what is known of them.
                let destination = first.installed.row.destination;
                let same = rest.iter().take_while(|one| one.installed.row.destination == destination);
                let (these, later) = rest.split_at(same.count());
                Circle::with(tx, destination, |circle| {
                    for Ran { entry, installed, outcome } in these {
                        commit_beside(tx, circle, installed, outcome, &origin(entry), &self.policy, now)?;
                        journal::finish(tx, entry.id)?;
                    }
                    Ok(())
                })?;
                rest = later;
            }
            crash::point("unit-before-commit");
            Ok(())
        })?;
        crash::point("unit-after-commit");
        for one in ran {
            super::commit::log_lines(one.installed, &one.outcome);
        }
        Ok(())
    }

    /// Runs and commits one webhook by itself.
    fn run_webhook(&self, entry: &JournalEntry) -> Result<(), StoreError> {
        let Some(installed) = self.installed.get(&entry.delivery.installation) else {
            return self.put_aside(entry, &not_installed());
        };
        self.until_no_conflict(|| self.run_webhook_once(entry, installed))
    }

    fn run_guest(&self, entry: &JournalEntry, installed: &Installed) -> Result<Outcome, UnitError> {
        let delivery = &entry.delivery;
        let unit = Unit {
            settings: installed.settings.clone(),
            now: self.world.now(),
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
        installed.guest.run(&unit, services)
    }

    fn run_webhook_once(&self, entry: &JournalEntry, installed: &Arc<Installed>) -> Result<(), StoreError> {
        let outcome = match self.run_guest(entry, installed) {
            Ok(outcome) => outcome,
            Err(error) => return self.webhook_failed(entry, &error),
        };
        let ran = Ran { entry: entry.clone(), installed, outcome };
        match self.commit_webhooks(std::slice::from_ref(&ran)) {
            Err(StoreError::StorageQuota) => self.put_aside(entry, &Verdict::of(&storage_full())),
            other => other,
        }
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

fn origin(entry: &JournalEntry) -> Origin<'static> {
    Origin { journal: Some(entry.id), resource: None, received_at: entry.delivery.received_at }
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
