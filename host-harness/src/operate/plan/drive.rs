//! Running a host on the copy until nothing is left to be decided.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::copy::Copy;
use super::shadow::{Shadow, Write};
use super::verdict::{Ledger, Settled, Taken, Unknown};
use super::{Asked, PlanError, Reading, Report};
use crate::brevo::windows::Windows;
use crate::config::{Destination, HostConfig};
use crate::connectors::Connector;
use crate::contract::{Record, SyncMode};
use crate::delivery::beside::Beside;
use crate::delivery::{self, Delivery, load_rates};
use crate::egress::{RateStore, transport};
use crate::host::STORE_FILE;
use crate::host::assembly::{self, Parts, Preview, part};
use crate::pipeline::{self, Watch};
use crate::store::imports::{self, Phase};
use crate::store::installations::{self, DestinationId, Installation, InstallationId};
use crate::store::outbox::State;
use crate::store::tallies::Fate;
use crate::store::{Store, StoreError, remaps, runs};
use crate::world::{Millis, SystemClock};

/// Longest wait for something that is due a little later, in host time. What comes later than that is
/// not waited for.
const PATIENCE: Millis = 10_000;

/// Waits in a row after which nothing came of waiting.
const BARREN: u32 = 30;

/// Codes of actions that are tried again by themselves once somebody made what they need at Brevo.
const WAITS: [&str; 3] = ["object-type-unknown", "task-type-unknown", "ecommerce-not-activated"];

/// Real time between two words of progress.
const TELL: Duration = Duration::from_secs(5);

/// Code of actions that were set aside in the copy because nothing can be said about them.
const SET_ASIDE: &str = "plan-set-aside";

pub(super) fn drive(
    config: &HostConfig,
    connectors: &[Connector],
    asked: &Asked,
    tell: &mut dyn FnMut(&str),
) -> Result<Report, PlanError> {
    let copy = Copy::of(&config.data_dir, asked.scratch.as_deref())?;
    let theirs = config.data_dir.join(STORE_FILE);
    let vendors = Store::attach_if_current(&theirs)?.map(|store| Arc::new(store) as Arc<dyn RateStore>);
    let mut counted = vendors.is_some();
    let config = HostConfig { data_dir: copy.directory().to_path_buf(), ..config.clone() };
    let shadows: Mutex<BTreeMap<DestinationId, Arc<Shadow>>> = Mutex::default();
    let settled = Arc::new(Settlements::default());
    let brevo = |account: &Destination, options: &delivery::DestinationOptions, store: &Store| {
        let mut options = options.clone();
        for family in crate::brevo::windows::Family::ALL {
            let limits = family.limits(options.plan);
            let limits = limits.into_iter().map(|(calls, seconds)| (part(calls, asked.share), seconds));
            options.limits.insert(family, limits.collect());
        }
        // What everybody uses is counted in the account's windows. Where they can't be shared, what the
        // host had used when the copy was made is taken off the share.
        let account = Beside::of(&theirs, account)?;
        let windows = match &account {
            Some(_) => {
                options.limits.iter().map(|(family, limits)| (*family, Windows::new(limits))).collect()
            }
            None => store.read(|tx| load_rates(tx, &options))?,
        };
        let clock = Arc::new(SystemClock::new(config.time));
        let shadow = Shadow::new(transport::network(), clock, &options.base_url, windows, account);
        let shadow = Arc::new(shadow);
        shadows.lock().unwrap_or_else(PoisonError::into_inner).insert(options.destination, shadow.clone());
        Ok(shadow as Arc<dyn crate::world::Transport>)
    };
    let preview = Preview { brevo: &brevo, share: asked.share, rates: vendors, watch: settled.clone() };
    let parts = assembly::assemble_for(&config, connectors, &|one| one, Some(&preview))?;
    let shadows = std::mem::take(&mut *shadows.lock().unwrap_or_else(PoisonError::into_inner));
    counted &= shadows.values().all(|shadow| shadow.is_counted());
    let begun = parts.world.now();

    let rows = meant(&parts.store, &config, asked)?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id.0).collect();
    let before = parts.store.write(|tx| prepare(tx, &rows, asked, begun))?;
    let mut drive = Drive { parts: &parts, ids, begun, told: Instant::now(), tell };
    let webhooks = drive.queued()?;
    drive.read()?;
    let readings = drive.readings(&rows)?;
    let webhooks = webhooks - drive.queued()?;

    let mut ledger = Ledger::new(asked.samples, before);
    for delivery in &parts.deliveries {
        let Some(shadow) = shadows.get(&delivery.destination()) else { continue };
        drive.deliver(delivery, shadow, &mut ledger)?;
    }
    let settled = std::mem::take(&mut *settled.0.lock().unwrap_or_else(PoisonError::into_inner));
    let settled = settled.into_iter().filter(|one| drive.ids.contains(&one.installation.0));
    let brevo_reads = shadows.values().map(|shadow| shadow.reads()).sum();
    let verdicts = parts.store.read(|tx| ledger.judge(tx, &drive.ids, settled.collect()))?;
    Ok(Report {
        at: begun,
        readings,
        webhooks,
        totals: verdicts.totals(),
        rows: verdicts.rows,
        outbox: verdicts.outbox,
        writes: ledger.writes,
        brevo_reads,
        counted,
    })
}

/// Records that were settled without an action.
#[derive(Default)]
struct Settlements(Mutex<Vec<Settled>>);

impl Watch for Settlements {
    fn settled(&self, installation: InstallationId, record: &Record, fate: Fate, reason: &str) {
        let settled = Settled::of(installation, record, fate, reason);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(settled);
    }
}

/// The installations of the configuration that are planned for.
fn meant(store: &Store, config: &HostConfig, asked: &Asked) -> Result<Vec<Installation>, PlanError> {
    let mut rows = store.read::<_, StoreError>(installations::all)?;
    rows.retain(|row| {
        let tenant = config.tenants.iter().find(|tenant| tenant.name == row.tenant);
        tenant.is_some_and(|tenant| tenant.connectors.iter().any(|one| one.name == row.connector))
            && asked.tenant.as_ref().is_none_or(|name| *name == row.tenant)
            && asked.connector.as_ref().is_none_or(|name| *name == row.connector)
    });
    if rows.is_empty() {
        return Err(PlanError::Nobody);
    }
    Ok(rows)
}

/// Leaves in the copy only what is to be planned. Gives the last action that was there before.
fn prepare(
    tx: &Transaction<'_>,
    rows: &[Installation],
    asked: &Asked,
    now: Millis,
) -> Result<i64, PlanError> {
    let all = |sql: &str, now: Option<Millis>| -> Result<(), StoreError> {
        match now {
            Some(now) => tx.execute(sql, [now])?,
            None => tx.execute(sql, [])?,
        };
        Ok(())
    };
    let ours: Vec<String> = rows.iter().map(|row| row.id.0.to_string()).collect();
    let ours = ours.join(", ");
    all(&format!("UPDATE job SET due_at = NULL WHERE installation NOT IN ({ours})"), None)?;
    all(&format!("DELETE FROM journal WHERE state = 0 AND installation NOT IN ({ours})"), None)?;
    all(&format!("DELETE FROM remap WHERE installation NOT IN ({ours})"), None)?;
    // What waits for another try is tried now.
    all("UPDATE journal SET due_at = min(due_at, ?1) WHERE state = 0", Some(now))?;
    let selected = asked.remap || asked.window.is_some() || !asked.resources.is_empty();
    match selected {
        true => all("UPDATE job SET due_at = NULL", None)?,
        false => all("UPDATE job SET due_at = NULL WHERE due_at > ?1", Some(now))?,
    }
    for name in &asked.resources {
        let having: Vec<&Installation> = rows.iter().filter(|row| is_readable(row, name)).collect();
        if having.is_empty() {
            let known = rows.iter().flat_map(readable).map(str::to_owned).collect();
            return Err(PlanError::NoResource(name.clone(), known));
        }
        for row in having {
            match asked.window {
                None => runs::sync_now(tx, row.id, name, now)?,
                Some(window) => {
                    let begun = runs::begin_backfill(tx, row.id, name, window, now)?;
                    begun.map_err(|_| PlanError::UnderWay(name.clone()))?;
                }
            }
        }
    }
    if asked.remap {
        for row in rows {
            remaps::begin(tx, row.id, now)?;
        }
    }
    // Which actions a step of delivery took.
    tx.execute_batch(
        "CREATE TABLE plan_before AS SELECT coalesce(max(id), 0) AS letter FROM dead_letter;
         CREATE TABLE plan_taken (action INTEGER PRIMARY KEY);
         CREATE TRIGGER plan_takes AFTER UPDATE OF state ON action WHEN new.state = 1
         BEGIN INSERT OR IGNORE INTO plan_taken VALUES (new.id); END;",
    )
    .map_err(StoreError::from)?;
    let last = tx.query_row("SELECT coalesce(max(id), 0) FROM action", [], |row| row.get(0));
    Ok(last.map_err(StoreError::from)?)
}

fn readable(row: &Installation) -> impl Iterator<Item = &str> {
    let resources = row.profile.resources.iter().filter(|spec| spec.mode != SyncMode::Check);
    resources.map(|spec| spec.name.as_str())
}

fn is_readable(row: &Installation, name: &str) -> bool {
    readable(row).any(|known| known == name)
}

struct Drive<'a> {
    parts: &'a Parts,
    ids: Vec<i64>,
    begun: Millis,
    told: Instant,
    tell: &'a mut dyn FnMut(&str),
}

impl Drive<'_> {
    fn queued(&self) -> Result<i64, StoreError> {
        self.parts.store.read(|tx| {
            Ok(tx.query_row("SELECT count(*) FROM journal WHERE state = 0", [], |row| row.get(0))?)
        })
    }

    /// Runs every unit that is due, each resource to its end and no further.
    fn read(&mut self) -> Result<(), StoreError> {
        let (store, world) = (&self.parts.store, &self.parts.world);
        loop {
            match self.parts.pipeline.step()? {
                pipeline::Step::Worked => {}
                pipeline::Step::Idle(Some(at)) if at - world.now() <= PATIENCE => {
                    world.clock.sleep(Duration::from_millis((at - world.now()).max(1).unsigned_abs()));
                }
                pipeline::Step::Idle(_) => return Ok(()),
            }
            store.write::<_, StoreError>(|tx| {
                // A run that is over does not begin again, nor does one that comes due meanwhile.
                tx.prepare_cached(
                    "UPDATE job SET due_at = NULL WHERE due_at IS NOT NULL AND running = 0
                       AND ((result IN ('complete', 'truncated') AND finished_at >= ?1)
                            OR (result IS NULL AND due_at > ?2))",
                )?
                .execute(params![self.begun, self.begun + PATIENCE])?;
                Ok(())
            })?;
            if self.told.elapsed() >= TELL {
                self.told = Instant::now();
                let records: i64 = store.read::<_, StoreError>(|tx| {
                    let sql = "SELECT coalesce(sum(records), 0) FROM job WHERE started_at >= ?1";
                    Ok(tx.query_row(sql, [self.begun], |row| row.get(0))?)
                })?;
                let left = self.queued()?;
                (self.tell)(&format!("reading: {records} records of resources, {left} webhooks left"));
            }
        }
    }

    /// How each resource that was read ended.
    fn readings(&self, rows: &[Installation]) -> Result<Vec<Reading>, StoreError> {
        self.parts.store.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT installation, resource, coalesce(result, 'failed'), code, pages, records, rejects
                 FROM job WHERE finished_at >= ?1 ORDER BY installation, id",
            )?;
            let found = statement.query_map([self.begun], |row| {
                let installation: i64 = row.get(0)?;
                let whose = rows.iter().find(|row| row.id.0 == installation);
                Ok(whose.map(|whose| {
                    (whose, row.get(1), row.get(2), row.get(3), row.get(4), row.get(5), row.get(6))
                }))
            })?;
            let mut readings = Vec::new();
            for row in found {
                let Some((whose, resource, result, code, pages, records, rejects)) = row? else { continue };
                readings.push(Reading {
                    tenant: whose.tenant.clone(),
                    connector: whose.connector.clone(),
                    resource: resource?,
                    result: result?,
                    code: code?,
                    pages: pages?,
                    records: records?,
                    rejects: rejects?,
                });
            }
            Ok(readings)
        })
    }

    /// Has everything decided that is in the outbox of an account.
    fn deliver(
        &mut self,
        delivery: &Delivery,
        shadow: &Shadow,
        ledger: &mut Ledger,
    ) -> Result<(), StoreError> {
        let (store, world) = (&self.parts.store, &self.parts.world);
        let (mut barren, mut hurried) = (0, None);
        loop {
            match delivery.step()? {
                delivery::Step::Worked => {
                    let writes = shadow.take_writes();
                    if self.note(&writes, ledger)? {
                        barren = 0;
                    }
                }
                delivery::Step::Idle(Some(at)) if at - world.now() <= PATIENCE && barren < BARREN => {
                    barren += 1;
                    world.clock.sleep(Duration::from_millis((at - world.now()).max(1).unsigned_abs()));
                }
                delivery::Step::Idle(_) => {
                    let now = world.now();
                    if store.write(|tx| hurry(tx, delivery.destination(), &mut hurried, now))? {
                        continue;
                    }
                    barren = 0;
                    let out_of_budget = shadow.is_out_of_budget();
                    let set_aside =
                        store.write(|tx| set_aside(tx, delivery.destination(), out_of_budget, now))?;
                    if set_aside.is_empty() {
                        return Ok(());
                    }
                    ledger.unknown.extend(set_aside);
                }
            }
            if self.told.elapsed() >= TELL {
                self.told = Instant::now();
                (self.tell)(&format!("deciding: {} actions", ledger.decided()));
            }
        }
    }

    /// Books the writes of a step to the actions that it took; says whether it took any.
    fn note(&self, writes: &[Write], ledger: &mut Ledger) -> Result<bool, StoreError> {
        let taken: Vec<Taken> = self.parts.store.write::<_, StoreError>(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT t.action, a.state, json_extract(a.intent, '$.ride.new')
                 FROM plan_taken t JOIN action a ON a.id = t.action",
            )?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            let taken = rows
                .map(|row| {
                    let (action, state, rides): (_, i64, _) = row?;
                    let state = State::from_number(state).ok_or(StoreError::Unreadable("action.state"))?;
                    Ok(Taken { action, state, rides })
                })
                .collect::<Result<Vec<_>, StoreError>>()?;
            tx.prepare_cached("DELETE FROM plan_taken")?.execute([])?;
            if writes.iter().any(|write| !write.known) {
                // The call is decided. What comes of it can't be known, and stands in nobody's way.
                for one in &taken {
                    tx.prepare_cached(
                        "UPDATE action SET state = 2, due_at = NULL, code = NULL
                         WHERE id = ?1 AND state NOT IN (2, 3, 4, 5, 6, 7)",
                    )?
                    .execute([one.action])?;
                }
            }
            Ok(taken)
        })?;
        ledger.note(&taken, writes);
        Ok(!taken.is_empty())
    }
}

/// Where an import stood.
type Stood = (i64, Phase, usize);

/// An import that waits for Brevo goes on at once, because the one that works on it answers at once.
/// False where there is none, or where it came no further since.
fn hurry(
    tx: &Transaction<'_>,
    destination: DestinationId,
    hurried: &mut Option<Stood>,
    now: Millis,
) -> Result<bool, StoreError> {
    let Some(mut import) = imports::open(tx, destination)? else { return Ok(false) };
    let stands = (import.id, import.phase, import.position);
    if hurried.replace(stands) == Some(stands) {
        return Ok(false);
    }
    import.next_at = now;
    imports::save(tx, &import)?;
    Ok(true)
}

/// Takes the first action of every lane that can't go on out of the way, so that the rest can be
/// looked at. Gives why each can't.
fn set_aside(
    tx: &Transaction<'_>,
    destination: DestinationId,
    out_of_budget: bool,
    now: Millis,
) -> Result<Vec<(i64, Unknown)>, StoreError> {
    let paused: Option<String> = tx
        .query_row("SELECT paused_code FROM destination WHERE id = ?1", [destination.0], |row| row.get(0))
        .optional()?
        .flatten();
    let mut statement = tx.prepare_cached(
        "SELECT a.id, a.not_before, a.code, l.id IS NOT NULL AND l.brevo_id IS NULL AND l.creating_at IS NOT NULL,
                a.import IS NOT NULL
         FROM action a LEFT JOIN list l ON l.id = a.list
         WHERE a.destination = ?1 AND a.state IN (0, 1, 8, 9) AND a.state IN (0, 1)
           AND NOT EXISTS (SELECT 1 FROM action e WHERE e.person = a.person
                             AND e.state IN (0, 1, 8, 9) AND e.state IN (0, 1) AND e.id < a.id)
           AND (a.thing IS NULL OR NOT EXISTS (
                SELECT 1 FROM action e WHERE e.thing = a.thing AND e.thing IS NOT NULL
                   AND e.state IN (0, 1, 8, 9) AND e.state IN (0, 1) AND e.id < a.id))",
    )?;
    let heads = statement.query_map([destination.0], |row| {
        Ok((
            row.get(0)?,
            row.get::<_, Option<Millis>>(1)?,
            row.get::<_, Option<String>>(2)?,
            row.get(3)?,
            row.get(4)?,
        ))
    })?;
    let mut set_aside = Vec::new();
    for head in heads {
        let (id, not_before, code, no_list, imported): (i64, _, _, bool, bool) = head?;
        let why = match (not_before, &paused, code) {
            (Some(at), _, _) if at > now => Unknown::NotDue,
            _ if no_list => Unknown::Why("list-would-be-made".into()),
            (_, Some(code), _) => Unknown::Why(code.clone()),
            (_, _, Some(code)) if WAITS.contains(&code.as_str()) => Unknown::Waits(code),
            _ if imported => Unknown::Why("import-under-way".into()),
            _ if out_of_budget => Unknown::Why("read-budget-used".into()),
            (_, _, Some(code)) => Unknown::Why(code),
            (_, _, None) => Unknown::Why("not-decided".into()),
        };
        set_aside.push((id, why));
    }
    drop(statement);
    for (id, _) in &set_aside {
        tx.prepare_cached("UPDATE action SET state = 8, due_at = NULL, code = ?2 WHERE id = ?1")?
            .execute(params![id, SET_ASIDE])?;
    }
    Ok(set_aside)
}
