//! Beside every sin the work of another tenant goes on: through the pipeline, in one store and one process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use host_harness::contract::{http, objects};
use host_harness::egress::transport;
use host_harness::operate::accounting::Sums;
use host_harness::people::tombstone;
use host_harness::pipeline::{Guest, Installed, Outside, Pipeline, Policy, Step};
use host_harness::plugin::limits::Limits;
use host_harness::plugin::{Runtime, RuntimeOptions};
use host_harness::store::installations::{self, InstallationId, NewInstallation};
use host_harness::store::journal::{GroupCommit, Journal, RawDelivery};
use host_harness::store::{Store, StoreError};
use host_harness::unit::{Outcome, Services, Unit, UnitError};
use host_harness::world::{Clock, Millis, SystemRandom, World};

use crate::guests;
use crate::sins::{BOMBS, ENDLESS, HUGE, OTHERS, Sin, TRAPS};
use crate::stage::*;

struct Still(AtomicI64);

impl Clock for Still {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }
    fn sleep(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as Millis, Ordering::SeqCst);
    }
}

struct NoOutside;

fn unreachable() -> http::Error {
    http::Error {
        kind: http::ErrorKind::Unreachable,
        code: "no-network".into(),
        message: "no network here".into(),
        request_sent: false,
        retry_after_ms: None,
    }
}

impl Outside for NoOutside {
    fn http(&self, _: http::Request) -> Result<http::Response, http::Error> {
        Err(unreachable())
    }
    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        Err(unreachable())
    }
    fn object_read(&self, _: &str, _: &[String], _: &str, _: u64, _: u32) -> Result<Vec<u8>, http::Error> {
        Err(unreachable())
    }
}

/// Tenants with a guest each, in one store.
struct House {
    store: Arc<Store>,
    journal: GroupCommit,
    installed: Vec<Arc<Installed>>,
    _directory: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("host.db")).unwrap());
        store.write(|tx| tombstone::ensure_salt(tx, &SystemRandom)).unwrap();
        let journal = GroupCommit::new(store.clone());
        Self { store, journal, installed: vec![], _directory: directory }
    }

    fn move_in(&mut self, tenant: &str, guest: Arc<dyn Guest>) -> InstallationId {
        let new = NewInstallation {
            tenant,
            destination: tenant,
            component: &[0; 32],
            settings: "{}",
            profile: &load("calm").configure("{}").unwrap(),
        };
        let row =
            self.store.write::<_, StoreError>(|tx| installations::install(tx, &new, &SystemRandom)).unwrap();
        let id = row.id;
        let outside = Box::new(|_: &str| Arc::new(NoOutside) as Arc<dyn Outside>);
        self.installed.push(Arc::new(Installed { row, settings: "{}".into(), guest, outside }));
        id
    }

    fn push(&self, installation: InstallationId, body: &str) {
        let delivery = RawDelivery {
            installation,
            surface: "push".into(),
            received_at: NOW,
            headers: vec![],
            body: body.into(),
        };
        self.journal.append(delivery).unwrap();
    }

    fn pipeline(&self) -> Pipeline {
        let world = World {
            clock: Arc::new(Still(AtomicI64::new(NOW))),
            random: Arc::new(SystemRandom),
            transport: transport::network(),
        };
        // Put aside at once: no second attempt makes the test any wiser.
        let policy = Policy { fault_attempts: 1, ..Policy::default() };
        Pipeline::new(self.store.clone(), world, policy, self.installed.clone())
    }

    fn sums(&self, installation: InstallationId) -> Sums {
        self.store.read::<_, StoreError>(|tx| Sums::of(tx, installation)).unwrap()
    }
}

fn until_idle(pipeline: &Pipeline) {
    while pipeline.step().unwrap() == Step::Worked {}
}

#[test]
fn g01_g02_g03_g04_g05_g07_g08_g09_g12_g13_beside_each_sin_a_calm_tenants_units_are_all_done() {
    let mut house = House::new();
    // Hostile guests end soon; the calm one has all the time of a host.
    let limits = Limits { wall: Duration::from_millis(300), ..Limits::DEFAULT };
    let short = Runtime::new(RuntimeOptions { limits, ..options() }).unwrap();
    let calm = Runtime::new(RuntimeOptions::default()).unwrap();
    let calm = calm.load(&guests::component("calm"), &manifest()).unwrap();
    let calm = house.move_in("calm", Arc::new(calm));
    let mut compiled = BTreeMap::new();
    let mut sinners: Vec<(Sin, InstallationId)> = Vec::new();
    for (n, sin) in [TRAPS, ENDLESS, BOMBS, HUGE, OTHERS].concat().into_iter().enumerate() {
        let guest = compiled
            .entry(sin.0)
            .or_insert_with(|| short.load(&guests::component(sin.0), &manifest()).unwrap());
        sinners.push((sin, house.move_in(&format!("{}-{n}", sin.0), Arc::new(guest.clone()))));
    }
    house.push(calm, "first");
    for (n, ((_, body, _), sinner)) in sinners.iter().enumerate() {
        house.push(*sinner, body.unwrap_or("x"));
        house.push(calm, &format!("beside-{n}"));
    }

    let pipeline = house.pipeline();
    std::thread::scope(|scope| {
        scope.spawn(|| until_idle(&pipeline));
        until_idle(&pipeline);
    });

    let sums = house.sums(calm);
    assert_eq!((sums.read, sums.queued), (sinners.len() as i64 + 1, 0), "{sums:?}");
    assert_eq!((sums.put_aside, sums.dead_letters.len()), (0, 0), "{sums:?}");
    assert_eq!(sums.actions, sums.read, "one upsert for each record");
    for ((guest, body, code), sinner) in &sinners {
        let sums = house.sums(*sinner);
        assert_eq!((sums.read, sums.actions), (0, 0), "{guest} {body:?}: nothing of it counts");
        assert_eq!((sums.queued, sums.put_aside), (0, 1), "{guest} {body:?}: what came is kept raw");
        let letters: Vec<_> = sums.dead_letters.keys().map(String::as_str).collect();
        // On a busy machine its time may be up before it is done sinning.
        assert!(letters == [*code] || letters == ["guest-timeout"], "{guest} {body:?}: {letters:?}");
    }
}

/// Comes back when the others are done, and not before.
struct Hanging {
    done: Arc<(Mutex<bool>, Condvar)>,
    gave_up: AtomicBool,
}

impl Guest for Hanging {
    fn run(&self, _: &Unit, _: Arc<dyn Services>) -> Result<Outcome, UnitError> {
        let (done, bell) = &*self.done;
        let wait = bell.wait_timeout_while(done.lock().unwrap(), Duration::from_secs(60), |done| !*done);
        self.gave_up.store(wait.unwrap().1.timed_out(), Ordering::SeqCst);
        Err(UnitError::Fault { code: "guest-timeout".into(), message: "it hung".into() })
    }
}

#[test]
fn g02_while_a_guest_hangs_another_thread_does_the_units_of_others() {
    let mut house = House::new();
    let done = Arc::new((Mutex::new(false), Condvar::new()));
    let hanging = Arc::new(Hanging { done: done.clone(), gave_up: AtomicBool::new(false) });
    let hangs = house.move_in("hanging", hanging.clone());
    let calm = house.move_in("calm", Arc::new(load("calm")));
    house.push(hangs, "x");
    (0..20).for_each(|n| house.push(calm, &n.to_string()));
    let pipeline = house.pipeline();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while pipeline.step().unwrap() == Step::Worked {
                    if house.sums(calm).read == 20 {
                        *done.0.lock().unwrap() = true;
                        done.1.notify_all();
                    }
                }
            });
        }
    });
    assert!(!hanging.gave_up.load(Ordering::SeqCst), "the calm units waited for the one that hung");
    assert_eq!((house.sums(calm).read, house.sums(hangs).put_aside), (20, 1));
}
