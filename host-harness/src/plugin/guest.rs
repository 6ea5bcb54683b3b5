//! One fresh instance and what it can see.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};

use super::cpu;
use super::fault::Stop;
use super::imports::Used;
use super::limits::Limits;
use crate::contract::bindings;
use crate::unit::Services;
use crate::world::Millis;

/// Which export is running; it decides which imports answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// `configure`: only `log`.
    Configure,
    /// `fetch-page`: everything.
    FetchPage,
    /// `handle-webhook`: `storage`, `schedule` and `log`.
    HandleWebhook,
    /// `map-record`: only `log`.
    MapRecord,
}

/// What the store of one instance holds.
pub struct Guest {
    /// Which export is running.
    pub export: Export,
    /// What the imports reach.
    pub services: Arc<dyn Services>,
    /// What the unit has used so far; moves on to the next instance of the unit.
    pub used: Used,
    /// When the unit has to be over.
    pub deadline: Instant,
    /// Processor time of this thread at which the call has to be over.
    pub cpu_end: Duration,
    /// All limits.
    pub limits: Limits,
    meter: Meter,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Guest {
    /// Fails the call if its time is up. Every import asks, and after it has waited: the
    /// interruption of the guest's own code doesn't reach into imports, and code without a loop
    /// that calls nothing else is not interrupted.
    pub fn check_deadline(&self) -> wasmtime::Result<()> {
        if Instant::now() >= self.deadline {
            return Err(Stop::Time.into());
        }
        if cpu::of_this_thread() >= self.cpu_end {
            return Err(Stop::Processor.into());
        }
        Ok(())
    }

    /// A call begins, on this thread.
    pub fn begin(&mut self, export: Export, deadline: Instant) {
        self.export = export;
        self.deadline = deadline;
        self.cpu_end = cpu::of_this_thread().saturating_add(self.limits.cpu);
    }

    /// Largest linear memory so far, in bytes.
    pub fn peak_memory(&self) -> usize {
        self.meter.peak
    }
}

/// What a new instance is made with.
pub struct Setup {
    /// What the imports reach.
    pub services: Arc<dyn Services>,
    /// What earlier instances of the unit used.
    pub used: Used,
    /// When the unit has to be over.
    pub deadline: Instant,
    /// The one instant that the guest's wall clock shows.
    pub now: Millis,
    /// Seed of the guest's random numbers.
    pub seed: [u8; 32],
    /// Bytes that may cross the boundary in one call.
    pub boundary: usize,
}

/// A store for one instance.
pub fn store(engine: &Engine, limits: Limits, fuel: bool, setup: Setup) -> Store<Guest> {
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits.resources);
    let guest = Guest {
        export: Export::Configure,
        services: setup.services,
        used: setup.used,
        deadline: setup.deadline,
        cpu_end: cpu::of_this_thread().saturating_add(limits.cpu),
        limits,
        meter: Meter { limits, memory: 0, peak: 0 },
        wasi: empty_wasi(setup.now, setup.seed, limits.random),
        table,
    };
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| &mut guest.meter);
    // At every tick, also while it is instantiated: start functions run under the limits as well.
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| {
        store.data().check_deadline()?;
        Ok(UpdateDeadline::Continue(1))
    });
    store.set_hostcall_fuel(setup.boundary);
    store.set_max_component_handles(limits.handles);
    if fuel {
        // Counted, not limited: the wall clock is the limit.
        let _ = store.set_fuel(u64::MAX); // fails only where fuel isn't configured
    }
    store
}

/// WASI with nothing behind it: no environment, arguments, directories, network or input; output
/// goes nowhere; clocks stand still; random numbers are seeded.
fn empty_wasi(now: Millis, seed: [u8; 32], max_random: u64) -> WasiCtx {
    let mut builder = WasiCtx::builder(); // starts without environment, arguments, files and stdio
    let mut low = [0; 16];
    low.copy_from_slice(&seed[..16]);
    builder
        .wall_clock(Frozen(now))
        .monotonic_clock(Frozen(0))
        .secure_random(Deterministic::new(seed.to_vec()))
        .insecure_random(Deterministic::new(seed.to_vec()))
        .insecure_random_seed(u128::from_le_bytes(low))
        .max_random_size(max_random)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    builder.build()
}

struct Frozen(Millis);

impl HostWallClock for Frozen {
    fn resolution(&self) -> std::time::Duration {
        std::time::Duration::from_millis(1)
    }

    fn now(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.try_into().unwrap_or(0))
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Everything that a component may import.
pub fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    no_sleep(&mut linker)?;
    bindings::Plugin::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    Ok(linker)
}

/// WASI's timers would wait in real time inside an import, where nothing could end them.
fn no_sleep(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut clock = linker.instance("wasi:clocks/monotonic-clock@0.2.12")?;
    for name in ["subscribe-instant", "subscribe-duration"] {
        clock.func_wrap(name, |_, (_,): (u64,)| -> wasmtime::Result<(Resource<DynPollable>,)> {
            Err(Stop::Sleep.into())
        })?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

/// Counts memory over all memories of the instance, and refuses what is too much.
struct Meter {
    limits: Limits,
    memory: usize,
    peak: usize,
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.limits.memory {
            return Err(Stop::Memory.into());
        }
        self.memory = total;
        self.peak = self.peak.max(total);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.limits.table_elements {
            return Err(Stop::Table.into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.tables
    }

    fn memories(&self) -> usize {
        self.limits.memories
    }
}
