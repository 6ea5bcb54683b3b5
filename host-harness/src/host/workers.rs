//! The host's threads. Each calls `step` until there is nothing to do, then waits a little.
//!
//! A thread that meets an error of the store says so and goes on after a second: a full disk or a
//! locked file may pass, and nothing was half done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::StartError;
use super::assembly::Parts;
use crate::people::tombstone;
use crate::secrets::SecretSource as _;
use crate::store::{StoreError, clock as time, retention};
use crate::{delivery, pipeline};

/// Longest real wait before looking again. What arrives from outside (a webhook, an operator's
/// requeue) is seen after at most that long.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Real wait after an error of the store.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Real time between two looks at the files of secrets. A disk that hangs holds up this thread and
/// no request.
const LOOK_AT_SECRETS: Duration = Duration::from_secs(1);

/// Real time between two notes of what time it is.
const REMEMBER_TIME: Duration = Duration::from_secs(10);

/// Real time between two prunings.
const HOUSEKEEPING: Duration = Duration::from_secs(3_600);

/// Threads that work on units. One keeps a core busy, and after a crash at most one unit is done
/// again.
pub(crate) const UNIT_THREADS: usize = 1;

/// Tells every thread to end.
#[derive(Default)]
struct Stop {
    asked: AtomicBool,
    lock: Mutex<()>,
    bell: Condvar,
}

impl Stop {
    fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits, or returns at once when the end is asked for.
    fn wait(&self, time: Duration) {
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.asked() {
            drop(self.bell.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn ask(&self) {
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.asked.store(true, Ordering::SeqCst);
        self.bell.notify_all();
    }
}

/// The running threads.
pub(super) struct Workers {
    stop: Arc<Stop>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Lets every thread finish its step, and waits for it.
    pub fn stop(&mut self) {
        self.stop.ask();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already; the others still end.
            let _ = thread.join();
        }
    }
}

pub(super) fn start(parts: &Parts) -> Result<Workers, StartError> {
    let stop = Arc::new(Stop::default());
    let mut threads = Vec::new();
    for _ in 0..UNIT_THREADS {
        let (stop, pipeline) = (stop.clone(), parts.pipeline.clone());
        threads.push(spawn("units", move || {
            until(&stop, "units", || Ok(pipeline.step()? == pipeline::Step::Worked), || Ok(()));
        })?);
    }
    for delivery in &parts.deliveries {
        let (stop, delivery) = (stop.clone(), delivery.clone());
        threads.push(spawn("delivery", move || {
            let step = || Ok(delivery.step()? == delivery::Step::Worked);
            // This thread alone works for the account: what is in flight after an error is its own.
            until(&stop, "delivery", step, || delivery.recover().map(drop));
        })?);
    }
    let (halt, secrets) = (stop.clone(), parts.secrets.clone());
    threads.push(spawn("secrets", move || {
        while !halt.asked() {
            secrets.iter().for_each(|one| one.look());
            halt.wait(LOOK_AT_SECRETS);
        }
    })?);
    let (halt, store, clock) = (stop.clone(), parts.store.clone(), parts.world.clock.clone());
    threads.push(spawn("clock", move || {
        while !halt.asked() {
            halt.wait(REMEMBER_TIME);
            // What can't be written now is written the next time; the store's own threads say why.
            let _ = store.write_unsynced::<_, StoreError>(|tx| time::seen(tx, clock.now()));
        }
    })?);
    let (halt, store, clock) = (stop.clone(), parts.store.clone(), parts.world.clock.clone());
    let horizon = parts.policy.horizon;
    threads.push(spawn("housekeeping", move || {
        while !halt.asked() {
            let mut pruned = store.write::<_, StoreError>(|tx| retention::prune(tx, clock.now(), horizon));
            while !halt.asked()
                && let Ok(rows) = &mut pruned
            {
                match store.write(|tx| retention::outlived_batches(tx, clock.now())) {
                    Ok(0) => break,
                    Ok(batches) => *rows += batches,
                    Err(error) => pruned = Err(error),
                }
            }
            match pruned {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "old rows were pruned"),
                Err(error) => tracing::error!(%error, "pruning failed"),
            }
            match store.write::<_, StoreError>(|tx| tombstone::sweep(tx, clock.now())) {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "what was left of erased people was blanked"),
                Err(error) => tracing::error!(%error, "blanking failed"),
            }
            halt.wait(HOUSEKEEPING);
        }
    })?);
    Ok(Workers { stop, threads })
}

fn spawn(name: &'static str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map_err(|error| StartError::Io("a thread", error))
}

fn until(
    stop: &Stop,
    name: &'static str,
    mut step: impl FnMut() -> Result<bool, StoreError>,
    mut recover: impl FnMut() -> Result<(), StoreError>,
) {
    let mut broken = false;
    while !stop.asked() {
        let result = if broken { recover().and_then(|()| step()) } else { step() };
        match result {
            Ok(worked) => {
                broken = false;
                if !worked {
                    stop.wait(LOOK_AGAIN);
                }
            }
            Err(StoreError::Lost(_)) => return, // it was said why
            Err(error) => {
                broken = true;
                let (code, remedy) = (error.code(), error.remedy());
                tracing::error!(thread = name, code, %error, remedy, "the store failed; trying again");
                stop.wait(AFTER_ERROR);
            }
        }
    }
}
