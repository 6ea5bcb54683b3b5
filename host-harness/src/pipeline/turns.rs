//! Whose turn it is: tenants take turns, so that one who floods the host moves nobody else's waiting
//! time by more than a unit in a round.
//!
//! A round is everybody who has something due when it begins, whoever has waited longest first. Each
//! tenant in it has one unit done; within a tenant the oldest comes first. A tenant that comes in the
//! middle of a round is in the next one. So whoever is alone has every unit, and of `n` tenants each has
//! every `n`-th, however much waits for the others.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Transaction;

use crate::store::installations::{Installation, InstallationId};
use crate::store::{StoreError, dead_letters, jobs, journal, remaps};
use crate::world::Millis;

/// Units of one tenant that are worked on at a time. A tenant whose units take long leaves the other
/// threads to the others.
pub(super) const IN_FLIGHT: usize = 2;

/// A tenant, as far as turns go.
pub(super) struct Tenant {
    /// Its installations.
    pub installations: Vec<InstallationId>,
    /// Its last turn was of mapping again: a page comes next.
    pub remap_had_a_turn: AtomicBool,
    in_flight: AtomicUsize,
}

impl Tenant {
    fn of(installations: Vec<InstallationId>) -> Self {
        Self { installations, remap_had_a_turn: AtomicBool::new(false), in_flight: AtomicUsize::new(0) }
    }

    /// A place among the units that are worked on; none where the tenant has as many as it may.
    pub fn begin(&self) -> Option<InFlight<'_>> {
        let more = |count: usize| (count < IN_FLIGHT).then_some(count + 1);
        self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(InFlight(self))
    }
}

/// A unit that is worked on.
pub(super) struct InFlight<'a>(&'a Tenant);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The turns of every tenant.
pub(super) struct Turns {
    tenants: Mutex<HashMap<InstallationId, Arc<Tenant>>>,
    round: Mutex<VecDeque<Arc<Tenant>>>,
}

impl Turns {
    /// Of these installations.
    pub fn of<'a>(installations: impl Iterator<Item = &'a Installation>) -> Self {
        let mut by_name: HashMap<&str, Vec<InstallationId>> = HashMap::new();
        for row in installations {
            by_name.entry(&row.tenant).or_default().push(row.id);
        }
        let mut tenants = HashMap::new();
        for own in by_name.into_values() {
            let tenant = Arc::new(Tenant::of(own));
            tenants.extend(tenant.installations.iter().map(|id| (*id, tenant.clone())));
        }
        Self { tenants: Mutex::new(tenants), round: Mutex::default() }
    }

    /// The next tenant of the round; none where it is over.
    pub fn next(&self) -> Option<Arc<Tenant>> {
        lock(&self.round).pop_front()
    }

    /// Begins a round of whoever has something due. Whoever may not begin a unit has only what was
    /// requeued.
    pub fn begin(
        &self,
        tx: &Transaction<'_>,
        now: Millis,
        may_begin: &dyn Fn(InstallationId) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut due = Vec::new();
        due.extend(journal::waiting(tx)?.into_iter().filter(|(_, at)| *at <= now));
        due.extend(jobs::waiting(tx, now)?);
        due.extend(remaps::waiting(tx)?);
        let ids: BTreeSet<InstallationId> = due.iter().map(|(id, _)| *id).collect();
        let mut may = BTreeSet::new();
        for id in ids {
            if may_begin(id)? {
                may.insert(id);
            }
        }
        due.retain(|(id, _)| may.contains(id));
        due.extend(dead_letters::requeued(tx, "map")?);
        due.sort_by_key(|(id, at)| (*at, id.0));
        let mut tenants = lock(&self.tenants);
        let mut seen = BTreeSet::new();
        let mut round = VecDeque::new();
        for (id, _) in due {
            // Of an installation that the configuration no longer has nobody knows whose it is.
            let tenant = tenants.entry(id).or_insert_with(|| Arc::new(Tenant::of(vec![id])));
            if seen.insert(tenant.installations[0].0) {
                round.push_back(tenant.clone());
            }
        }
        *lock(&self.round) = round;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
