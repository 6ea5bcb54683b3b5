//! The one transaction of a unit (design rule 2).

use rusqlite::Transaction;

use super::admit::{Admission, OBSERVATION, Refusal, admit};
use super::{Installed, Policy, Verdict, Watch};
use crate::contract::{Mapping, Nature, Record, TimeTrust};
use crate::people::circle::Circle;
use crate::store::acceptance::{self, TrustedTime};
use crate::store::batches::{self, Kept};
use crate::store::dead_letters::{self, Actor, NewDeadLetter};
use crate::store::tallies::{self, Fate};
use crate::store::{Digest, StoreError, jobs, storage};
use crate::unit::{MappedRecord, Outcome};
use crate::world::Millis;

/// Where a unit's input came from.
pub(super) struct Origin<'a> {
    pub journal: Option<i64>,
    pub resource: Option<&'a str>,
    pub received_at: Millis,
    pub watch: Option<&'a dyn Watch>,
}

/// Commits everything that a unit came to, inside the caller's transaction.
pub(super) fn commit(
    tx: &Transaction<'_>,
    installed: &Installed,
    outcome: &Outcome,
    origin: &Origin<'_>,
    policy: &Policy,
    now: Millis,
) -> Result<(), StoreError> {
    let installation = installed.row.id;
    storage::apply(tx, installation, &outcome.storage, &policy.quotas)?;
    for job in &outcome.jobs {
        jobs::enqueue(tx, &installed.row, job)?;
    }
    if !outcome.jobs.is_empty() {
        jobs::within_quota(tx, installation, &policy.quotas)?;
    }
    Circle::with(tx, installed.row.destination, |circle| {
        commit_records(tx, circle, installed, &outcome.records, origin, policy, now)
    })?;
    for reject in &outcome.rejects {
        dead_letters::insert(
            tx,
            &NewDeadLetter {
                installation: installation.0,
                stage: "read",
                code: &reject.code,
                actor: Actor::Tenant,
                message: &reject.message,
                remedy: &reject.remedy,
                journal: origin.journal,
                pointer: Some(&reject.pointer),
                record: None,
                action: None,
            },
            now,
        )?;
    }
    let rejected = outcome.rejects.len() as i64;
    if rejected > 0 {
        tallies::add(tx, installation, "read", rejected)?;
        tallies::add(tx, installation, Fate::Quarantined.as_str(), rejected)?;
    }
    for note in &outcome.notes {
        tallies::add(tx, installation, &format!("note:{}", note.name), i64::from(note.count))?;
    }
    Ok(())
}

fn commit_records(
    tx: &Transaction<'_>,
    circle: &mut Circle,
    installed: &Installed,
    records: &[MappedRecord],
    origin: &Origin<'_>,
    policy: &Policy,
    now: Millis,
) -> Result<(), StoreError> {
    let installation = installed.row.id;
    let horizon = now - policy.horizon.as_millis() as Millis;
    // First the ledger says what is news; only news is stored and goes on.
    let mut news = Vec::new();
    let mut kept = Vec::new();
    let mut counts = Counts::default();
    let settled = |record: &Record, fate: Fate, reason: &str| {
        if let Some(watch) = origin.watch {
            watch.settled(installation, record, fate, reason);
        }
    };
    for mapped in records {
        let record = &mapped.record;
        counts.add("read");
        let time = trusted_time(record, origin.received_at, policy);
        if let crate::contract::Subject::Person(person) = &record.subject
            && circle.is_erased(tx, person)?
        {
            counts.skip("person-erased");
            settled(record, Fate::Skipped, "person-erased");
            continue;
        }
        let verdict = acceptance::accept(tx, installed.row.key, record, time, horizon)?;
        let version = match verdict {
            acceptance::Verdict::NewEvent => "event".to_owned(),
            acceptance::Verdict::NewRevision(revision) => format!("revision:{revision}"),
            // Both may still carry a field or a consent that nothing newer mentions.
            acceptance::Verdict::Unchanged | acceptance::Verdict::Superseded => {
                format!("{OBSERVATION}{}", Digest::of(&[record.observation.id.as_bytes()]).hex())
            }
            acceptance::Verdict::Duplicate => {
                counts.add(Fate::Duplicate.as_str());
                settled(record, Fate::Duplicate, "accepted-before");
                continue;
            }
            acceptance::Verdict::BeyondHorizon => {
                counts.skip("beyond-dedupe-horizon");
                settled(record, Fate::Skipped, "beyond-dedupe-horizon");
                continue;
            }
        };
        // What calls for nothing is kept where it is the new content of a state: a corrected
        // mapping may call for something.
        let is_new_content = matches!(verdict, acceptance::Verdict::NewRevision(_));
        if let Ok(Mapping::Nothing(reason)) = &mapped.mapping
            && !is_new_content
        {
            counts.skip(reason);
            settled(record, Fate::Skipped, reason);
            continue;
        }
        kept.push(Kept { record: record.clone(), version, received_at: origin.received_at });
        news.push((mapped, verdict, time));
    }
    if !kept.is_empty() {
        let batch = batches::insert(tx, installation, origin.journal, origin.resource, now, &kept)?;
        for (position, ((mapped, verdict, time), kept)) in news.iter().zip(&kept).enumerate() {
            let place = Place { batch, position, journal: origin.journal };
            if matches!(verdict, acceptance::Verdict::NewRevision(_) | acceptance::Verdict::Unchanged) {
                acceptance::kept_in(tx, installed.row.key, &kept.record, batch, position)?;
            }
            if let Ok(Mapping::Nothing(reason)) = &mapped.mapping {
                counts.skip(reason);
                settled(&kept.record, Fate::Skipped, reason);
                continue;
            }
            let fate = settle(tx, circle, installed, mapped, kept, *verdict, *time, &place, now)?;
            match fate {
                Ok(fate) => {
                    counts.add(fate.as_str());
                    if fate == Fate::Superseded {
                        settled(&kept.record, fate, "newer-known");
                    }
                }
                Err(reason) => {
                    counts.skip(reason);
                    settled(&kept.record, Fate::Skipped, reason);
                }
            }
        }
    }
    counts.store(tx, installed)
}

/// Where a record is kept.
pub(super) struct Place {
    pub batch: i64,
    pub position: usize,
    pub journal: Option<i64>,
}

/// Admits a record's actions or quarantines the record. Gives its fate, or why it was skipped.
#[allow(clippy::too_many_arguments)] // the parts of one record, kept apart on purpose
pub(super) fn settle(
    tx: &Transaction<'_>,
    circle: &mut Circle,
    installed: &Installed,
    mapped: &MappedRecord,
    kept: &Kept,
    verdict: acceptance::Verdict,
    time: TrustedTime,
    place: &Place,
    now: Millis,
) -> Result<Result<Fate, &'static str>, StoreError> {
    let actions = match &mapped.mapping {
        Ok(Mapping::Actions(actions)) => actions,
        Ok(Mapping::Nothing(_)) => return Ok(Err("nothing-to-do")),
        Err(error) => {
            quarantine(tx, installed, &Verdict::of(error), place, now)?;
            return Ok(Ok(Fate::Quarantined));
        }
    };
    let admission = Admission {
        installed,
        record: &kept.record,
        version: &kept.version,
        time,
        received_at: kept.received_at,
        batch: place.batch,
        position: place.position,
        now,
    };
    match admit(tx, circle, &admission, actions)? {
        Ok(admitted) if admitted.actions > 0 || kept.record.nature == Nature::Event => Ok(Ok(Fate::Mapped)),
        Ok(_) if verdict == acceptance::Verdict::Superseded => Ok(Ok(Fate::Superseded)),
        Ok(_) => Ok(Err("unchanged")),
        Err(refusal) => {
            quarantine(tx, installed, &refused(&refusal), place, now)?;
            Ok(Ok(Fate::Quarantined))
        }
    }
}

fn quarantine(
    tx: &Transaction<'_>,
    installed: &Installed,
    verdict: &Verdict,
    place: &Place,
    now: Millis,
) -> Result<(), StoreError> {
    dead_letters::insert(
        tx,
        &NewDeadLetter {
            installation: installed.row.id.0,
            stage: "map",
            code: &verdict.code,
            actor: verdict.actor,
            message: &verdict.message,
            remedy: verdict.remedy,
            journal: place.journal,
            pointer: None,
            record: Some((place.batch, place.position as i64)),
            action: None,
        },
        now,
    )?;
    Ok(())
}

fn refused(refusal: &Refusal) -> Verdict {
    let (actor, remedy) = match refusal {
        Refusal::Ambiguous => (
            Actor::Tenant,
            "Give the people who share the address an id of their own at the source, then requeue.",
        ),
        _ => (
            Actor::ConnectorAuthor,
            "Send the payload to the connector's author; requeue it once a corrected component is installed.",
        ),
    };
    Verdict { code: refusal.code().into(), actor, message: refusal.message(), remedy }
}

/// The vendor's time where it can be trusted, otherwise the time of arrival: of the first part of
/// what the record belongs to, where the connector says that this came earlier, so that parts which
/// come late don't look new. A time in the future would win against everything for ever, so it is
/// not trusted.
pub(super) fn trusted_time(record: &Record, received_at: Millis, policy: &Policy) -> TrustedTime {
    let latest = received_at + policy.future_tolerance.as_millis() as Millis;
    match record.occurred.at {
        Some(at) if record.occurred.trust == TimeTrust::Vendor && at > 0 && at <= latest => {
            TrustedTime { at, trusted: true }
        }
        Some(at) if record.occurred.trust == TimeTrust::Arrival && at > 0 && at <= latest => {
            TrustedTime { at, trusted: false }
        }
        _ => TrustedTime { at: received_at, trusted: false },
    }
}

/// Counts of one unit, written once at its end.
#[derive(Default)]
pub(super) struct Counts(std::collections::BTreeMap<String, i64>);

impl Counts {
    pub fn add(&mut self, name: &str) {
        *self.0.entry(name.to_owned()).or_default() += 1;
    }

    pub fn skip(&mut self, reason: &str) {
        self.add(Fate::Skipped.as_str());
        self.add(&format!("skipped:{reason}"));
    }

    pub fn store(&self, tx: &Transaction<'_>, installed: &Installed) -> Result<(), StoreError> {
        for (name, count) in &self.0 {
            tallies::add(tx, installed.row.id, name, *count)?;
        }
        Ok(())
    }
}

/// Hands the guest's lines to the host's log. They were escaped and bounded by the runtime.
pub(super) fn log_lines(installed: &Installed, outcome: &Outcome) {
    for line in &outcome.logs {
        let fields = line.fields.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ");
        let (tenant, connector) = (&installed.row.tenant, &installed.row.connector);
        match line.level.as_str() {
            "error" => tracing::error!(target: "guest", tenant, connector, fields, "{}", line.message),
            "warn" => tracing::warn!(target: "guest", tenant, connector, fields, "{}", line.message),
            "info" => tracing::info!(target: "guest", tenant, connector, fields, "{}", line.message),
            _ => tracing::debug!(target: "guest", tenant, connector, fields, "{}", line.message),
        }
    }
}
