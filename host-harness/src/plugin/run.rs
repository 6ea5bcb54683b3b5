//! One call of `configure`, and one unit of work from its input to its checked outcome.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use wasmtime::Store;

use super::fault::{self, fault};
use super::guest::{self, Export, Guest, Setup};
use super::imports::Used;
use super::output::{Checker, Door, mapping_size, record_size, violation};
use super::{ConfigureError, Loaded, Plugin, profile};
use crate::contract::{
    Failure, Mapping, PageRequest, Plugin as Bindings, Problem, Profile, Record, WebhookRequest, http,
    objects, storage,
};
use crate::unit::{Cost, MappedRecord, Outcome, Services, Unit, UnitError, Work};

/// Most problems of a configuration that are shown.
const PROBLEMS: usize = 1_000;

/// Asks for the profile of these settings, and says what that cost.
pub fn configure(plugin: &Loaded, settings: &str, cost: &mut Cost) -> Result<Profile, ConfigureError> {
    let started = Instant::now();
    let result = configured(plugin, settings, cost);
    cost.wall_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    result
}

fn configured(plugin: &Loaded, settings: &str, cost: &mut Cost) -> Result<Profile, ConfigureError> {
    let broken = |error: UnitError| match error {
        UnitError::Fault { code, message } => ConfigureError::Fault { code, message },
        UnitError::Failure(failure) => ConfigureError::Fault { code: failure.code, message: failure.message },
    };
    let parsed: serde_json::Value = serde_json::from_str(settings).map_err(|_| {
        ConfigureError::Settings(vec![Problem {
            code: "settings-json".into(),
            path: String::new(),
            message: "the settings are not JSON".into(),
            remedy: "Correct the configuration.".into(),
        }])
    })?;
    let mut clock = Clock::start(plugin.limits.wall);
    let mut instance = Instance::new(
        plugin,
        settings,
        Arc::new(NoServices),
        Used::default(),
        &clock,
        0,
        plugin.limits.boundary,
    )
    .map_err(broken)?;
    let owned = settings.to_owned();
    let answer = instance
        .call(Export::Configure, &mut clock, plugin.limits.wall, |bindings, store| {
            bindings.call_configure(store, &owned)
        })
        .map_err(broken);
    cost.bytes_in = settings.len() as u64;
    cost.memory = instance.store.data().peak_memory() as u64;
    cost.fuel = plugin.fuel.then(|| u64::MAX - instance.store.get_fuel().unwrap_or(u64::MAX));
    let answer = answer?;
    let profile = match answer {
        Ok(profile) => profile,
        Err(problems) if problems.is_empty() => {
            return Err(broken(violation("settings are refused with at least one problem")));
        }
        Err(mut problems) => {
            problems.truncate(PROBLEMS);
            let max = plugin.limits.message;
            for problem in &mut problems {
                for text in [&mut problem.code, &mut problem.path, &mut problem.message, &mut problem.remedy]
                {
                    *text = super::printable(text, max);
                }
            }
            return Err(ConfigureError::Settings(problems));
        }
    };
    cost.bytes_out = serde_json::to_vec(&profile).map_or(0, |json| json.len() as u64);
    let problems = profile::check(&profile, &plugin.manifest, &parsed, &plugin.limits);
    if problems.is_empty() { Ok(profile) } else { Err(ConfigureError::Profile(problems)) }
}

impl Plugin {
    /// Makes one instance and drops it, as every unit does. Gives the real time of the making and of
    /// the dropping.
    pub fn measure_instance(&self, settings: &str) -> Result<(Duration, Duration), UnitError> {
        let plugin = &*self.0;
        let clock = Clock::start(plugin.limits.wall);
        let (services, used) = (Arc::new(NoServices), Used::default());
        let made = Instance::new(plugin, settings, services, used, &clock, 0, plugin.limits.boundary)?;
        let making = clock.started.elapsed();
        drop(made);
        Ok((making, clock.started.elapsed() - making))
    }

    /// Runs one unit. What it returns has been checked against the contract and the profile.
    pub fn run(&self, unit: &Unit, services: Arc<dyn Services>) -> Result<Outcome, UnitError> {
        let plugin = &*self.0;
        let profile = self.configure(&unit.settings).map_err(unconfigured)?;
        let checker = Checker { profile: &profile, limits: &plugin.limits };
        let boundary = match &unit.work {
            Work::Webhook(request) => {
                let surface = profile.surfaces.iter().find(|surface| surface.name == request.surface);
                surface.map_or(0, |surface| surface.body_cap as usize).max(plugin.limits.boundary)
            }
            _ => plugin.limits.boundary,
        };
        let mut used = Used::default();
        used.schedule.resources = profile.resources.iter().map(|r| r.name.clone()).collect();
        let mut run = Running {
            plugin,
            unit,
            checker,
            services,
            boundary,
            clock: Clock::start(plugin.limits.wall),
            instance: None,
            parked: Some(used),
            cost: Cost::default(),
        };
        let result = run.work();
        run.retire();
        let used = run.parked.take().unwrap_or_default();
        match result {
            Ok(outcome) => Ok(run.finish(outcome, used)),
            Err(error) => {
                // The outcome would have carried them; without one they are all that is left.
                for line in used.log.into_lines() {
                    tracing::info!(
                        target: "connector", level = line.level, fields = ?line.fields, "{}", line.message
                    );
                }
                Err(error)
            }
        }
    }
}

fn unconfigured(error: ConfigureError) -> UnitError {
    match error {
        ConfigureError::Fault { code, message } => fault(&code, message),
        ConfigureError::Settings(_) => {
            fault("settings-refused", "the connector no longer accepts these settings".into())
        }
        ConfigureError::Profile(_) => {
            fault("profile-refused", "the connector's profile is not within its manifest".into())
        }
    }
}

/// Real time of one unit.
struct Clock {
    started: Instant,
    deadline: Instant,
}

impl Clock {
    fn start(wall: Duration) -> Self {
        let started = Instant::now();
        Self { started, deadline: started + wall }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// A unit on its way.
struct Running<'a> {
    plugin: &'a Loaded,
    unit: &'a Unit,
    checker: Checker<'a>,
    services: Arc<dyn Services>,
    boundary: usize,
    clock: Clock,
    instance: Option<Instance>,
    /// What was used, while there is no instance that holds it.
    parked: Option<Used>,
    cost: Cost,
}

impl Running<'_> {
    fn work(&mut self) -> Result<Outcome, UnitError> {
        let mut outcome = Outcome::default();
        let records = match &self.unit.work {
            Work::Webhook(request) => self.webhook(request, &mut outcome)?,
            Work::Page(request) => self.page(request, &mut outcome)?,
            Work::Map(records) => records.clone(),
        };
        for record in records {
            let mapping = self.map(&record);
            outcome.records.push(MappedRecord { record, mapping });
        }
        Ok(outcome)
    }

    fn webhook(&mut self, request: &WebhookRequest, outcome: &mut Outcome) -> Result<Vec<Record>, UnitError> {
        let surface = self.checker.profile.surfaces.iter().find(|s| s.name == request.surface);
        let Some(surface) = surface else {
            return Err(fault("unknown-surface", "the configuration has no such surface".into()));
        };
        let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.cost.bytes_in += (request.settings.len() + request.body.len() + headers) as u64;
        let wall = self.plugin.limits.wall;
        let answer = self.call(Export::HandleWebhook, wall, |bindings, store| {
            bindings.call_handle_webhook(store, request)
        })?;
        let mut found = answer.map_err(|failure| self.failure(failure))?;
        let door = Door { kinds: &surface.kinds, live: true };
        self.checker.webhook(&mut found, &door).map_err(violation)?;
        self.cost.bytes_out += found.records.iter().map(record_size).sum::<u64>();
        outcome.rejects = found.rejects;
        outcome.notes = found.notes;
        Ok(found.records)
    }

    fn page(&mut self, request: &PageRequest, outcome: &mut Outcome) -> Result<Vec<Record>, UnitError> {
        if !self.checker.profile.resources.iter().any(|resource| resource.name == request.resource) {
            return Err(fault("unknown-resource", "the configuration has no such resource".into()));
        }
        self.cost.bytes_in += request.settings.len() as u64;
        let wall = self.plugin.limits.wall;
        let answer =
            self.call(Export::FetchPage, wall, |bindings, store| bindings.call_fetch_page(store, request))?;
        let mut page = answer.map_err(|failure| self.failure(failure))?;
        self.checker.page(&mut page, request).map_err(violation)?;
        self.cost.bytes_out += page.records.iter().map(record_size).sum::<u64>();
        outcome.rejects = page.rejects;
        outcome.notes = page.notes;
        outcome.next = Some(page.next);
        outcome.not_before = page.not_before;
        Ok(page.records)
    }

    /// Maps one record. Whatever goes wrong concerns this record only: an instance that broke is
    /// dropped, and the next record gets a new one.
    fn map(&mut self, record: &Record) -> Result<Mapping, UnitError> {
        self.checker.record(record).map_err(violation)?;
        self.cost.bytes_in += record_size(record) + self.unit.settings.len() as u64;
        let (settings, now) = (&self.unit.settings, self.unit.now);
        let wall = self.plugin.limits.map_wall;
        let answer = self.call(Export::MapRecord, wall, |bindings, store| {
            bindings.call_map_record(store, settings, record, now)
        })?;
        let mapping = answer.map_err(|failure| self.failure(failure))?;
        self.checker.mapping(&mapping).map_err(violation)?;
        self.cost.bytes_out += mapping_size(&mapping);
        Ok(mapping)
    }

    fn failure(&self, mut failure: Failure) -> UnitError {
        match self.checker.failure(&mut failure) {
            Ok(()) => UnitError::Failure(failure),
            Err(rule) => violation(rule),
        }
    }

    /// One call into the unit's instance, which is made first where there is none.
    fn call<R>(
        &mut self,
        export: Export,
        wall: Duration,
        call: impl FnOnce(&Bindings, &mut Store<Guest>) -> wasmtime::Result<R>,
    ) -> Result<R, UnitError> {
        if self.clock.left().is_zero() {
            return Err(fault::timeout());
        }
        if self.instance.is_none() {
            let used = self.parked.take().unwrap_or_default();
            let made = Instance::new(
                self.plugin,
                &self.unit.settings,
                self.services.clone(),
                used,
                &self.clock,
                self.unit.now,
                self.boundary,
            )?;
            self.instance = Some(made);
        }
        let Some(instance) = &mut self.instance else {
            return Err(fault("guest-trap", "there is no instance".into()));
        };
        let result = instance.call(export, &mut self.clock, wall, call);
        match export {
            Export::MapRecord => self.cost.map_us += instance.took.as_nanos() as u64,
            _ => self.cost.read_us += instance.took.as_nanos() as u64,
        }
        if result.is_err() {
            self.retire();
        }
        result
    }

    /// Drops the instance and keeps what it used.
    fn retire(&mut self) {
        if let Some(mut instance) = self.instance.take() {
            self.cost.memory = self.cost.memory.max(instance.store.data().peak_memory() as u64);
            if self.plugin.fuel {
                let used = u64::MAX - instance.store.get_fuel().unwrap_or(u64::MAX);
                self.cost.fuel = Some(self.cost.fuel.unwrap_or(0).saturating_add(used));
            }
            self.parked = Some(std::mem::take(&mut instance.store.data_mut().used));
        }
    }

    fn finish(&self, mut outcome: Outcome, used: Used) -> Outcome {
        outcome.storage = used.storage.into_delta();
        outcome.jobs = used.schedule.jobs.into_values().collect();
        outcome.logs = used.log.into_lines();
        outcome.cost = Cost {
            wall_us: u64::try_from(self.clock.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            // Counted in nanoseconds so far: one record takes a few microseconds only.
            read_us: self.cost.read_us / 1_000,
            map_us: self.cost.map_us / 1_000,
            http_calls: used.http.calls,
            ..self.cost
        };
        outcome
    }
}

/// A live instance.
struct Instance {
    store: Store<Guest>,
    bindings: Bindings,
    /// Real time of the latest call.
    took: Duration,
}

impl Instance {
    fn new(
        plugin: &Loaded,
        settings: &str,
        services: Arc<dyn Services>,
        used: Used,
        clock: &Clock,
        now: i64,
        boundary: usize,
    ) -> Result<Self, UnitError> {
        // Equal for the same component and settings, so that a unit can be repeated, and not to
        // be guessed by whoever chooses the keys that end up in the guest's hash tables.
        let seed: [u8; 32] =
            Sha256::new().chain_update(plugin.digest).chain_update(settings).finalize().into();
        let setup = Setup { services, used, deadline: clock.deadline, now, seed, boundary };
        let mut store = guest::store(&plugin.engine, plugin.limits, plugin.fuel, setup);
        let bindings = plugin.pre.instantiate(&mut store).map_err(|e| fault::of(&e))?;
        Ok(Self { store, bindings, took: Duration::ZERO })
    }

    fn call<R>(
        &mut self,
        export: Export,
        clock: &mut Clock,
        wall: Duration,
        call: impl FnOnce(&Bindings, &mut Store<Guest>) -> wasmtime::Result<R>,
    ) -> Result<R, UnitError> {
        let started = Instant::now();
        let wall = wall.min(clock.deadline.saturating_duration_since(started));
        self.store.data_mut().begin(export, started + wall);
        let result = call(&self.bindings, &mut self.store).map_err(|e| fault::of(&e));
        self.took = started.elapsed();
        result
    }
}

/// `configure` reaches nothing.
struct NoServices;

impl NoServices {
    fn denied() -> http::Error {
        http::Error {
            kind: http::ErrorKind::Denied,
            code: "denied-in-this-export".into(),
            message: "only fetch-page may call the vendor".into(),
            request_sent: false,
            retry_after_ms: None,
        }
    }
}

impl Services for NoServices {
    fn http(&self, _: http::Request) -> Result<http::Response, http::Error> {
        Err(Self::denied())
    }

    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        Err(Self::denied())
    }

    fn object_read(&self, _: &str, _: &[String], _: &str, _: u64, _: u32) -> Result<Vec<u8>, http::Error> {
        Err(Self::denied())
    }

    fn storage_get(&self, _: &str) -> Option<storage::Entry> {
        None
    }

    fn storage_list(&self, _: &str, _: Option<&str>, _: usize) -> Vec<String> {
        Vec::new()
    }
}
