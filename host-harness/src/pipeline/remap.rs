//! Current states, mapped again after a mapping was corrected (design rule 4).
//!
//! | what the component says now | what becomes of it |
//! |---|---|
//! | the same as before | nothing |
//! | another value of a field that this observation set, or a field that nobody set | goes to Brevo |
//! | a field that a newer observation set | stays as it is |
//! | a field is no longer mapped | stays at Brevo as it is |
//! | another list | a join waits for an operator's word, as in a first run, unless the list is inert |
//! | an action that can't be taken back (an event, a mail, a note) or that deletes | never again |
//! | the record can't be mapped or admitted | it stays as it was, and is counted under its code |
//!
//! Events are never mapped again. A state that calls for something gets a new revision, which is
//! part of its effects' keys.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, Transaction};

use super::admit::{Admission, admit};
use super::commit::trusted_time;
use super::services::UnitServices;
use super::{Installed, Pipeline, Policy, Step, Verdict};
use crate::contract::{Action, Mapping, Provenance, Subject};
use crate::crash;
use crate::people::circle::Circle;
use crate::people::identity::Resolution;
use crate::people::memberships;
use crate::registry::Payload;
use crate::store::installations::InstallationId;
use crate::store::remaps::{self, Counts, Remap, Slice, State};
use crate::store::{Digest, StoreError, acceptance, lists};
use crate::unit::{MappedRecord, Unit, Work};
use crate::world::Millis;

/// What a state may call for again: it says how things are, and saying it twice changes nothing.
/// Whatever is not listed here is never repeated.
const REPEATABLE: [&str; 7] = [
    "brevo/upsert-contact",
    "brevo/set-consent",
    "brevo/set-suppression",
    JOIN,
    LEAVE,
    "brevo/upsert-product",
    "brevo/upsert-object",
];
const JOIN: &str = "brevo/join-list";
const LEAVE: &str = "brevo/leave-list";

/// Revisions of a state that are looked through for what it called for last.
const REVISIONS: i64 = 32;

impl Pipeline {
    /// Maps the next slice of whatever is being mapped again, if anything is.
    ///
    /// # Errors
    /// Where the store fails; nothing is half done then.
    pub fn remap_step(&self) -> Result<Step, StoreError> {
        self.remap_step_of(&|_| true)
    }

    /// The same, of some installations.
    pub(super) fn remap_step_of(&self, of: &dyn Fn(InstallationId) -> bool) -> Result<Step, StoreError> {
        let under_way = self.store.read(remaps::under_way)?;
        let ours = |remap: &Remap| {
            of(remap.installation).then(|| self.installed.get(&remap.installation).map(Arc::clone)).flatten()
        };
        let Some((remap, installed)) = under_way.into_iter().find_map(|r| ours(&r).map(|i| (r, i))) else {
            return Ok(Step::Idle(None));
        };
        match self.remap_slice(&remap, &installed) {
            // Somebody else took the step or began anew: the next one sees it.
            Ok(()) | Err(StoreError::Conflict) => Ok(Step::Worked),
            Err(error) => Err(error),
        }
    }

    fn remap_slice(&self, remap: &Remap, installed: &Arc<Installed>) -> Result<(), StoreError> {
        let now = self.world.now();
        let mapping = self.store.read(|tx| remaps::mapping_of(tx, remap.installation))?;
        if mapping != remap.mapping {
            // The settings were changed once more: what was mapped so far was mapped with others.
            return self.store.write(|tx| remaps::restart(tx, remap.installation, mapping, now));
        }
        let slice = self.store.read(|tx| remaps::slice(tx, remap, &installed.row))?;
        let records = slice.states.iter().map(|state| state.kept.record.clone()).collect();
        let unit = Unit { settings: installed.settings.clone(), now, work: Work::Map(records) };
        let services = Arc::new(UnitServices {
            store: self.store.clone(),
            installation: installed.row.id,
            outside: (installed.outside)("remap"),
        });
        let outcome = match slice.states.is_empty() {
            true => Ok(Vec::new()),
            false => installed.guest.run(&unit, services).map(|outcome| outcome.records),
        };
        let mapped = match outcome {
            Ok(mapped) if mapped.len() == slice.states.len() => mapped,
            Ok(_) => return self.remap_stopped(remap, "guest-output", now),
            Err(error) => return self.remap_stopped(remap, &Verdict::of(&error).code, now),
        };
        crash::point("unit-after-guest");
        self.store.write(|tx| {
            let counts = Circle::looking_back(tx, installed.row.destination, |circle| {
                remap_states(tx, circle, installed, &slice, &mapped, &remap.counts, &self.policy, now)
            })?;
            remaps::advance(tx, remap, slice.place, &counts, slice.last.then_some(now), None)?;
            crash::point("unit-before-commit");
            Ok::<_, StoreError>(())
        })?;
        crash::point("unit-after-commit");
        Ok(())
    }

    /// The slice as a whole came to nothing; asking for it again goes on with it.
    fn remap_stopped(&self, remap: &Remap, code: &str, now: Millis) -> Result<(), StoreError> {
        tracing::warn!(code, "mapping again was stopped");
        self.store.write(|tx| remaps::advance(tx, remap, remap.place, &remap.counts, Some(now), Some(code)))
    }
}

#[allow(clippy::too_many_arguments)] // one call site; the parts have nothing else in common
fn remap_states(
    tx: &Transaction<'_>,
    circle: &mut Circle,
    installed: &Installed,
    slice: &Slice,
    mapped: &[MappedRecord],
    before: &Counts,
    policy: &Policy,
    now: Millis,
) -> Result<Counts, StoreError> {
    let mut counts = before.clone();
    counts.quarantined += slice.quarantined;
    for (state, mapped) in slice.states.iter().zip(mapped) {
        let record = &state.kept.record;
        let current = acceptance::current(tx, installed.row.key, record, state.batch, state.position)?;
        if current != Some(state.revision) {
            continue; // something newer came meanwhile, and was mapped with these settings
        }
        acceptance::kept_in(tx, installed.row.key, record, state.batch, state.position)?;
        counts.states += 1;
        let code = match &mapped.mapping {
            Ok(Mapping::Nothing(_)) => continue,
            Ok(Mapping::Actions(actions)) => {
                match remap_state(tx, circle, installed, state, actions, policy, now)? {
                    Ok(0) => continue,
                    Ok(actions) => {
                        acceptance::revise(tx, installed.row.key, record)?;
                        counts.changed += 1;
                        counts.actions += actions as u64;
                        continue;
                    }
                    Err(code) => code.to_owned(),
                }
            }
            Err(error) => Verdict::of(error).code,
        };
        *counts.failed.entry(code).or_default() += 1;
    }
    Ok(counts)
}

/// Admits what is new of a state's actions under its next revision. Gives how many, or why none may.
fn remap_state(
    tx: &Transaction<'_>,
    circle: &mut Circle,
    installed: &Installed,
    state: &State,
    actions: &[Action],
    policy: &Policy,
    now: Millis,
) -> Result<Result<usize, &'static str>, StoreError> {
    let mut record = state.kept.record.clone();
    // How things were, not that they changed just now: nothing of it starts anything at Brevo.
    record.provenance = Provenance::Backfill;
    let mut wanted = Vec::new();
    for action in actions.iter().filter(|action| REPEATABLE.contains(&action.name.as_str())) {
        if is_called_for(tx, installed, state, action)? || is_said(tx, circle, installed, state, action, now)?
        {
            continue;
        }
        let mut action = action.clone();
        if action.name == JOIN {
            action.not_after = None; // it waits for an operator's word instead
        }
        wanted.push(action);
    }
    let version = format!("revision:{}", state.revision + 1);
    let admission = Admission {
        installed,
        record: &record,
        version: &version,
        time: trusted_time(&record, state.kept.received_at, policy),
        received_at: state.kept.received_at,
        batch: state.batch,
        position: state.position,
        now,
    };
    Ok(admit(tx, circle, &admission, &wanted)?.map(|admitted| admitted.actions).map_err(|why| why.code()))
}

/// Whether an action about a thing is what its slot called for last. Actions about people are folded,
/// so that for them the fold decides.
fn is_called_for(
    tx: &Transaction<'_>,
    installed: &Installed,
    state: &State,
    action: &Action,
) -> Result<bool, StoreError> {
    if matches!(action.subject, Subject::Person(_)) {
        return Ok(false);
    }
    let revisions = ((state.revision - REVISIONS).max(0) + 1..=state.revision).rev();
    let versions = revisions.map(|revision| format!("revision:{revision}"));
    // What its content called for when it came is older than what it was mapped to since.
    for version in versions.chain(std::iter::once(state.kept.version.clone())) {
        let effect = Digest::of(&[
            &installed.row.key.0,
            state.kept.record.id.as_bytes(),
            version.as_bytes(),
            action.slot.as_bytes(),
        ]);
        let known: Option<(String, String)> = tx
            .prepare_cached(
                "SELECT a.name, a.payload FROM effect e JOIN action a ON a.id = e.action WHERE e.key = ?1",
            )?
            .query_row([effect.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((name, payload)) = known {
            return Ok(name == action.name && payload == action.payload);
        }
    }
    Ok(false)
}

/// Whether this very observation said the same of the person and the list before. A join that was
/// declined or undone since then is not brought up again by it.
fn is_said(
    tx: &Transaction<'_>,
    circle: &mut Circle,
    installed: &Installed,
    state: &State,
    action: &Action,
    now: Millis,
) -> Result<bool, StoreError> {
    let Subject::Person(person) = &action.subject else { return Ok(false) };
    if action.name != JOIN && action.name != LEAVE {
        return Ok(false);
    }
    let Ok(Payload::JoinList(to) | Payload::LeaveList(to)) = Payload::parse(&action.name, &action.payload)
    else {
        return Ok(false); // admitting it says what is wrong
    };
    if Payload::JoinList(to.clone()).check(&installed.row.profile.targets).is_err()
        || circle.is_erased(tx, person)?
    {
        return Ok(false);
    }
    let Resolution::One(id) = circle.resolve(tx, person, now)? else { return Ok(false) };
    let list = lists::named(tx, installed.row.destination, &to.list, to.inert, now)?;
    let known = memberships::get(tx, list.id, id)?;
    let observation = Digest::of(&[state.kept.record.observation.id.as_bytes()]);
    Ok(known.is_some_and(|known| known.observation == observation && known.wanted == (action.name == JOIN)))
}
