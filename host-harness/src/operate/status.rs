//! How the host stands, read from its store in one snapshot.

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::Serialize;

use super::accounting::{Sums, reconciling};
use super::backlog::{self, ImportStatus, Waiting};
use super::erase::{self, HeldDeletes};
use super::lists::{self, ListStatus};
use crate::quotas::{Full, Quotas};
use crate::store::dead_letters::Actor;
use crate::store::doubt::{self, Doubt};
use crate::store::installations::{self, DestinationId, InstallationId};
use crate::store::pauses::{self, KeyPause};
use crate::store::{StoreError, usage};
use crate::world::Millis;

/// Everything at one instant.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Host time.
    pub at: Millis,
    /// The store was restored or replaced, and nothing is taken in or sent until an operator confirms.
    pub doubt: Option<DoubtStatus>,
    /// In the order of installation.
    pub installations: Vec<InstallationStatus>,
    /// Brevo accounts, in the order of their first use.
    pub destinations: Vec<DestinationStatus>,
}

/// A store that an operator has to confirm.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as in `Pause`
pub struct DoubtStatus {
    /// Stable code.
    pub code: String,
    /// When a host first started on it.
    pub since: Option<Millis>,
    pub actor: &'static str,
    pub message: &'static str,
    pub remedy: &'static str,
}

/// One connector of one tenant.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct InstallationStatus {
    pub tenant: String,
    pub connector: String,
    pub workspace: String,
    /// The Brevo account.
    pub destination: String,
    /// Design rule 13.
    pub sums: Sums,
    /// Whether both sums add up.
    pub adds_up: bool,
    /// Parked actions that are read back by themselves; the other parked ones wait for a person.
    pub reading_back: i64,
    /// Keys that the vendor refuses, and what stands still because of them.
    pub key_pauses: Vec<KeyPause>,
    /// What it has as much of as it may: webhooks are refused, or its units held back.
    pub full: Vec<FullStatus>,
    /// Deletions that wait for an operator's word (`harness erase held`).
    pub held_deletions: Option<HeldDeletes>,
    pub resources: Vec<ResourceStatus>,
}

/// A quota that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // as in `Pause`
pub struct FullStatus {
    pub code: &'static str,
    pub actor: &'static str,
    pub message: &'static str,
    pub remedy: &'static str,
}

impl FullStatus {
    fn of(full: Full) -> Self {
        let (actor, message) = (full.actor().as_str(), full.message());
        Self { code: full.code(), actor, message, remedy: full.remedy() }
    }
}

/// A resource's last run and its next one.
#[derive(Clone, Debug, Serialize)]
pub struct ResourceStatus {
    /// Name, or the key of an extra job.
    pub name: String,
    /// End of the last run.
    pub finished_at: Option<Millis>,
    /// `complete`, `truncated`, `more` or `failed`.
    pub result: Option<String>,
    /// Why it was cut short or failed.
    pub code: Option<String>,
    /// Runs since it last came through.
    pub attempts: u32,
    /// Whether it runs now.
    pub running: bool,
    /// Next run; nothing: not by itself.
    pub due_at: Option<Millis>,
    /// Slot of the refused key that holds it up.
    pub waits_for_key: Option<String>,
}

/// A Brevo account.
#[derive(Clone, Debug, Serialize)]
pub struct DestinationStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Why nothing is delivered, if nothing is.
    pub pause: Option<Pause>,
    /// Lists that wait for an operator's word.
    pub lists: Vec<ListStatus>,
    /// Many contacts that are on their way in one call.
    pub import: Option<ImportStatus>,
    /// Mails, texts and campaigns that may have been sent: none goes again without an operator's word.
    pub unproven_sends: i64,
    /// What waits, by class of work.
    pub waiting: Vec<Waiting>,
}

/// Deliveries to an account stand still.
#[derive(Clone, Debug, Serialize)]
pub struct Pause {
    /// Stable code.
    pub code: String,
    /// When they are tried again; nothing: when somebody acted.
    pub until: Option<Millis>,
    /// Who must act.
    pub actor: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Status {
    /// Reads it.
    pub fn of(tx: &Transaction<'_>, now: Millis) -> Result<Self, StoreError> {
        Self::within(tx, now, &Quotas::DEFAULT)
    }

    /// The same for a host with other quotas.
    pub fn within(tx: &Transaction<'_>, now: Millis, quotas: &Quotas) -> Result<Self, StoreError> {
        let destinations = destinations(tx, now)?;
        let held = erase::held(tx)?;
        let mut found = Vec::new();
        for row in installations::all(tx)? {
            let sums = Sums::of(tx, row.id)?;
            let destination = destinations.iter().find(|(id, _)| *id == row.destination);
            let held_deletions = held
                .iter()
                .find(|held| held.tenant == row.tenant && held.connector == row.connector)
                .cloned();
            found.push(InstallationStatus {
                held_deletions,
                tenant: row.tenant,
                connector: row.connector,
                workspace: row.profile.workspace,
                destination: destination.map(|(_, status)| status.name.clone()).unwrap_or_default(),
                adds_up: sums.agree(),
                sums,
                reading_back: reconciling(tx, row.id)?,
                key_pauses: pauses::of(tx, row.id)?,
                full: quotas.full(&usage::of(tx, row.id)?).into_iter().map(FullStatus::of).collect(),
                resources: resources(tx, row.id)?,
            });
        }
        let destinations = destinations.into_iter().map(|(_, status)| status).collect();
        let doubt = doubt::of(tx)?.map(DoubtStatus::of);
        Ok(Self { at: now, doubt, installations: found, destinations })
    }

    /// True where no one has to act: every sum adds up, nothing is paused, put aside or open, and no
    /// list and no deletion waits for a word.
    pub fn is_well(&self) -> bool {
        let calm = |one: &InstallationStatus| {
            one.adds_up
                && one.sums.put_aside == 0
                && one.sums.dead_letters.is_empty()
                && one.key_pauses.is_empty()
                && one.held_deletions.is_none()
                && one.full.is_empty()
        };
        let goes = |one: &DestinationStatus| one.pause.is_none() && one.lists.is_empty();
        self.doubt.is_none() && self.installations.iter().all(calm) && self.destinations.iter().all(goes)
    }
}

impl DoubtStatus {
    fn of(doubt: Doubt) -> Self {
        let message = match doubt.code.as_str() {
            doubt::RESTORED => "The store was restored from a backup: what happened since is not in it.",
            _ => "The store is not the one that this host used last; what happened since may not be in it.",
        };
        Self {
            code: doubt.code,
            since: doubt.since,
            actor: Actor::Operator.as_str(),
            message,
            remedy: "Make sure that no other host works for these tenants, then run `harness restore confirm`.",
        }
    }
}

fn destinations(
    tx: &Transaction<'_>,
    now: Millis,
) -> Result<Vec<(DestinationId, DestinationStatus)>, StoreError> {
    type Row = (DestinationId, String, Option<String>, Option<Millis>);
    let mut statement =
        tx.prepare_cached("SELECT id, name, paused_code, paused_until FROM destination ORDER BY id")?;
    let rows: Vec<Row> = statement
        .query_map([], |row| Ok((DestinationId(row.get(0)?), row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|(id, name, code, until)| {
            let pause = code.map(|code| pause(tx, id, code, until)).transpose()?;
            let status = DestinationStatus {
                name,
                pause,
                lists: lists::waiting(tx, id)?,
                import: backlog::import(tx, id)?,
                unproven_sends: backlog::unproven_sends(tx, id)?,
                waiting: backlog::waiting(tx, id, now)?,
            };
            Ok((id, status))
        })
        .collect()
}

/// The words of a pause stand in the dead letter that was written with it.
fn pause(
    tx: &Transaction<'_>,
    destination: DestinationId,
    code: String,
    until: Option<Millis>,
) -> Result<Pause, StoreError> {
    let words: Option<(String, String, String)> = tx
        .prepare_cached(
            "SELECT actor, message, remedy FROM dead_letter
             WHERE code = ?2 AND stage = 'deliver'
               AND installation IN (SELECT id FROM installation WHERE destination = ?1)
             ORDER BY state = 'open' DESC, id DESC LIMIT 1",
        )?
        .query_row(params![destination.0, code], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (actor, message, remedy) = words.unwrap_or_else(|| {
        let remedy = "Run `harness check`; it probes the account.";
        ("operator".into(), "Deliveries to this account are paused.".into(), remedy.into())
    });
    Ok(Pause { code, until, actor, message, remedy })
}

fn resources(tx: &Transaction<'_>, installation: InstallationId) -> Result<Vec<ResourceStatus>, StoreError> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT key, finished_at, result, code, attempts, running, due_at, {} FROM job
         WHERE installation = ?1 ORDER BY key",
        pauses::waits_for()
    ))?;
    let rows = statement.query_map([installation.0], |row| {
        let key: String = row.get(0)?;
        Ok(ResourceStatus {
            name: key.strip_prefix("resource:").map_or_else(|| key.clone(), str::to_owned),
            finished_at: row.get(1)?,
            result: row.get(2)?,
            code: row.get(3)?,
            attempts: row.get(4)?,
            running: row.get(5)?,
            due_at: row.get(6)?,
            waits_for_key: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
