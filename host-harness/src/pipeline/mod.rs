//! Units of work: claimed, run in a fresh instance, committed whole.
//!
//! A unit is a webhook from the journal, a page of a resource, or a quarantined record that an
//! operator requeued. Its outcome is committed in one transaction (design rule 2); until then
//! nothing of it is visible, and after a crash it is simply run again.

mod admit;
mod ahead;
mod commit;
mod deletion;
mod held_back;
mod keys;
mod membership;
mod pages;
mod remap;
mod requeued;
mod services;
mod turns;
mod webhooks;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::contract::{Failure, FailureKind, Record};
use crate::quotas::{Full, Quotas};
use crate::store::dead_letters::Actor;
use crate::store::installations::{Installation, InstallationId};
use crate::store::tallies::Fate;
use crate::store::{Store, StoreError, jobs, journal};
use crate::unit::{Outcome, Services, Unit, UnitError};
use crate::world::{Millis, World};
use turns::{Tenant, Turns};

pub use services::Outside;

/// What runs a unit in a fresh instance: the plugin runtime, or a test's own.
pub trait Guest: Send + Sync {
    /// Runs one unit to its end. Nothing outside changes.
    fn run(&self, unit: &Unit, services: Arc<dyn Services>) -> Result<Outcome, UnitError>;
}

impl Guest for crate::plugin::Plugin {
    fn run(&self, unit: &Unit, services: Arc<dyn Services>) -> Result<Outcome, UnitError> {
        Self::run(self, unit, services)
    }
}

/// An installation together with what runs it.
pub struct Installed {
    /// The row and the profile.
    pub row: Installation,
    /// The tenant's settings, secrets replaced by slots.
    pub settings: String,
    /// Runs its units.
    pub guest: Arc<dyn Guest>,
    /// Makes the network side of a unit that reads this resource.
    pub outside: OutsideOf,
}

/// Looks on while units are committed. A host needs none; a plan counts with it.
pub trait Watch: Send + Sync {
    /// A record that calls for nothing, or for nothing new: its fate, and why.
    fn settled(&self, installation: InstallationId, record: &Record, fate: Fate, reason: &str);
}

/// Makes the network side of a unit, by the resource that it reads.
pub type OutsideOf = Box<dyn Fn(&str) -> Arc<dyn Outside> + Send + Sync>;

/// How far back records are accepted, and how failures are repeated. All in host time.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Dedupe horizon: older events are refused at every door (design rules 3 and 14).
    pub horizon: Duration,
    /// How far in the future a vendor's time may lie and still be trusted.
    pub future_tolerance: Duration,
    /// Attempts of a unit whose guest breaks, before it is put aside.
    pub fault_attempts: u32,
    /// Attempts of a unit whose guest reports a passing failure, before it is put aside.
    pub transient_attempts: u32,
    /// First and longest wait between attempts; doubled each time, with full jitter.
    pub backoff: (Duration, Duration),
    /// First and longest time that a refused key is left alone; doubled each time.
    pub key_retry: (Duration, Duration),
    /// What each connector of a tenant may have.
    pub quotas: Quotas,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            horizon: Duration::from_hours(90 * 24),
            future_tolerance: Duration::from_mins(5),
            fault_attempts: 3,
            transient_attempts: 12,
            backoff: (Duration::from_secs(2), Duration::from_mins(15)),
            key_retry: (Duration::from_mins(1), Duration::from_hours(1)),
            quotas: Quotas::DEFAULT,
        }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It did something; call again at once.
    Worked,
    /// There is nothing to do before that instant, or until something arrives.
    Idle(Option<Millis>),
}

/// Runs the units of every installation. Steps may be called from several threads.
pub struct Pipeline {
    store: Arc<Store>,
    world: World,
    policy: Policy,
    installed: HashMap<InstallationId, Arc<Installed>>,
    /// Journal entries that a thread is working on.
    busy: Mutex<HashSet<i64>>,
    ahead: ahead::Ahead,
    keys: keys::Keys,
    turns: Turns,
    held_back: held_back::HeldBack,
    watch: Option<Arc<dyn Watch>>,
}

impl Pipeline {
    /// A pipeline for these installations.
    pub fn new(store: Arc<Store>, world: World, policy: Policy, installed: Vec<Arc<Installed>>) -> Self {
        let turns = Turns::of(installed.iter().map(|one| &one.row));
        let installed = installed.into_iter().map(|one| (one.row.id, one)).collect();
        Self {
            store,
            world,
            policy,
            installed,
            busy: Mutex::new(HashSet::new()),
            ahead: ahead::Ahead::default(),
            keys: keys::Keys::default(),
            turns,
            held_back: held_back::HeldBack::default(),
            watch: None,
        }
    }

    /// Has somebody look on.
    #[must_use]
    pub fn watched_by(mut self, watch: Arc<dyn Watch>) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Does one due unit of any kind, of the tenant whose turn it is. Of a tenant's, requeued records
    /// come first, then webhooks, then pages, which take turns with states that are mapped again.
    pub fn step(&self) -> Result<Step, StoreError> {
        if self.store.in_doubt()? {
            return Ok(Step::Idle(None));
        }
        if self.rest_of_round()? == Step::Worked {
            return Ok(Step::Worked);
        }
        self.try_keys()?;
        let now = self.world.now();
        self.store.read(|tx| self.turns.begin(tx, now, &|id| self.may_begin(tx, id)))?;
        if self.rest_of_round()? == Step::Worked {
            return Ok(Step::Worked);
        }
        let next =
            self.store.read::<_, StoreError>(|tx| Ok([journal::next_due(tx)?, jobs::next_due(tx)?]))?;
        // What is due already is being worked on by another thread.
        Ok(Step::Idle(next.into_iter().flatten().filter(|due| *due > now).min()))
    }

    fn rest_of_round(&self) -> Result<Step, StoreError> {
        while let Some(tenant) = self.turns.next() {
            let Some(_in_flight) = tenant.begin() else { continue };
            if self.step_of(&tenant)? == Step::Worked {
                return Ok(Step::Worked);
            }
        }
        Ok(Step::Idle(None))
    }

    fn step_of(&self, tenant: &Tenant) -> Result<Step, StoreError> {
        if self.requeued_step(&tenant.installations)? == Step::Worked {
            return Ok(Step::Worked);
        }
        let of = &self.not_held_back(&tenant.installations)?;
        if self.webhook_step(of)? == Step::Worked {
            return Ok(Step::Worked);
        }
        let remap = || self.remap_step_of(&|id| of.contains(&id));
        let remap_first = !tenant.remap_had_a_turn.swap(false, Ordering::SeqCst);
        if remap_first && remap()? == Step::Worked {
            tenant.remap_had_a_turn.store(true, Ordering::SeqCst);
            return Ok(Step::Worked);
        }
        match self.page_step(of)? {
            Step::Idle(_) if !remap_first => remap(),
            page => Ok(page),
        }
    }

    fn backoff(&self, attempts: u32) -> Millis {
        let (first, longest) = self.policy.backoff;
        let ceiling = first.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(longest);
        let ceiling = ceiling.as_millis() as u64;
        // Full jitter, but never at once: half of it is certain.
        (ceiling / 2 + self.world.random.below(ceiling / 2 + 1)) as Millis
    }

    /// Runs a unit until it commits; a concurrent change of what it read runs it again, a few times.
    /// After that it is [`StoreError::Conflict`], and the unit has to wait like after any failure.
    fn until_no_conflict<T>(&self, mut body: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
        for _ in 0..16 {
            match body() {
                Err(StoreError::Conflict) => continue,
                other => return other,
            }
        }
        Err(StoreError::Conflict)
    }

    fn busy(&self) -> std::sync::MutexGuard<'_, HashSet<i64>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A unit whose reads were overtaken by somebody else's writes, however often it was run.
fn contended() -> UnitError {
    UnitError::Failure(Failure {
        kind: FailureKind::Transient,
        code: "storage-contended".into(),
        message: "what the unit read in the connector's storage was changed each time before it ended".into(),
    })
}

/// A unit whose writes don't fit into its installation's plugin storage.
fn storage_full() -> UnitError {
    UnitError::Fault {
        code: "storage-quota".into(),
        message: "the connector's storage is full; the unit was not committed".into(),
    }
}

/// A unit that asks for more extra jobs than its installation may have; they become fewer by themselves.
fn jobs_full() -> UnitError {
    UnitError::Failure(Failure {
        kind: FailureKind::Transient,
        code: Full::Jobs.code().into(),
        message: Full::Jobs.message().into(),
    })
}

/// Code, actor and remedy of what stopped a unit or a record.
pub(crate) struct Verdict {
    pub code: String,
    pub actor: Actor,
    pub message: String,
    pub remedy: &'static str,
}

impl Verdict {
    pub fn of(error: &UnitError) -> Self {
        match error {
            UnitError::Fault { code, message } => Self {
                code: code.clone(),
                actor: Actor::ConnectorAuthor,
                message: message.clone(),
                remedy: "Send the payload to the connector's author; requeue it once a corrected component is installed.",
            },
            UnitError::Failure(failure) => {
                let (actor, remedy) = match &failure.kind {
                    FailureKind::Config => (Actor::Tenant, "Correct the settings, then requeue."),
                    FailureKind::Auth(_) => (
                        Actor::Tenant,
                        "Put a valid key into the slot named by `harness check`; it is tried again by itself.",
                    ),
                    FailureKind::Permission(_) => {
                        (Actor::Tenant, "Give the key the missing scope; `harness check` names it.")
                    }
                    FailureKind::RateLimited(_) | FailureKind::Transient => {
                        (Actor::Nobody, "It is tried again by itself; requeue it if it was put aside.")
                    }
                    FailureKind::Cursor => (
                        Actor::Operator,
                        "Install the version of the connector that wrote the cursor, or read the resource from \
                         its beginning: `harness sync <resource> --anew`.",
                    ),
                    FailureKind::VendorContract(_) | FailureKind::Internal => (
                        Actor::ConnectorAuthor,
                        "Send the payload to the connector's author; requeue it once a corrected component is installed.",
                    ),
                    FailureKind::Gone => {
                        (Actor::Tenant, "Take it out of the settings, or restore it at the vendor.")
                    }
                };
                Self { code: failure.code.clone(), actor, message: failure.message.clone(), remedy }
            }
        }
    }
}
