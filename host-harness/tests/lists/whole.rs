//! The whole way: MoEngage's segment sync pushes, the connector reads, the host folds, Brevo's lists
//! end as the segment is.

use std::collections::BTreeSet;
use std::time::Duration;

use host_harness::host::Host;
use host_harness::operate::lists::{self as orders, Allowed};
use host_harness::store::StoreError;
use serde_json::{Value, json};
use stand_ins::moengage::posting::Auth;
use stand_ins::moengage::segment_sync::{Destination, Member, RunKind, RunStatus, SegmentSync};

use super::DELIVER;
use super::sources::{Setting, World};

const LIST: &str = "MoEngage / Lapsed (65a1b2c3d4e5f6a7b8c9d0e1)";

struct Whole {
    world: World,
    host: Option<Host>,
    sync: SegmentSync,
}

fn address(host: &Host, surface: &str) -> String {
    let found = host.addresses().iter().find(|address| address.surface == surface).unwrap();
    format!("http://{}{}", host.listening().unwrap(), found.path)
}

impl Whole {
    fn start() -> Self {
        let more = json!({ "segment_sync": { "identifier": "uid" } });
        let mut world = World::with(&Setting { more, ..Setting::default() });
        // The address has to outlive a restart of the host.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        world.text = world.text.replace("127.0.0.1:0", &free.to_string());
        let host = world.serve();
        let sync = world
            .moengage
            .segment_sync(Destination {
                auth: Auth::Basic { user: "tajo".into(), password: "hook-secret".into() },
                users_per_request: 100,
                ..Destination::new(&address(&host, "segment-sync"))
            })
            .unwrap();
        Self { world, host: Some(host), sync }
    }

    fn host(&self) -> &Host {
        self.host.as_ref().unwrap()
    }

    /// People become contacts, with a consent that is known.
    fn known(&self, people: std::ops::Range<usize>) {
        let now = self.world.now_s();
        let event = |n: usize| {
            json!({
                "event_name": "Seen", "event_code": "SEEN", "event_uuid": format!("uuid-{n}"), "event_time": now - 60,
                "event_type": "USER_ACTION_EVENT", "event_source": "MOENGAGE", "email_id": format!("p{n}@example.com"),
                "uid": format!("cust-{n}"), "event_attributes": {},
                "user_attributes": {
                    "moengage_user_id": format!("m-{n}"), "u_em": format!("p{n}@example.com"), "moe_unsubscribe": false
                },
                "device_attributes": {}
            })
        };
        let events: Vec<Value> = people.map(event).collect();
        let body = json!({ "app_name": "a", "source": "MOENGAGE", "moe_request_id": "r", "events": events });
        let answer = ureq::post(address(self.host(), "streams"))
            .header("content-type", "application/json")
            .header("authorization", "Basic dGFqbzpob29rLXNlY3JldA==") // tajo:hook-secret
            .send(body.to_string())
            .unwrap();
        assert_eq!(answer.status(), 200);
        self.world.rest();
    }

    fn run(&self, kind: RunKind) {
        self.sync.run(kind).unwrap();
        assert!(self.sync.wait(Duration::from_secs(60)));
        assert_eq!(self.sync.runs().last().unwrap().status, RunStatus::Complete);
        self.world.rest();
    }

    fn put(&self, people: std::ops::Range<usize>) {
        self.sync.put(people.map(|n| Member::new(&format!("m-{n}"), &format!("cust-{n}"))));
    }

    fn list(&self) -> orders::ListStatus {
        let all = self.world.store().read::<_, StoreError>(orders::all).unwrap();
        let [list] = all.as_slice() else { panic!("{all:?}\n{:#?}", self.world.rest()) };
        assert_eq!(list.list, LIST);
        list.clone()
    }

    fn confirm(&self, allowed: &Allowed) -> orders::Confirmed {
        let (list, now) = (self.list().id, self.world.brevo.now());
        let done = self.world.store().write(|tx| orders::confirm(tx, list, allowed, now)).unwrap();
        self.world.rest();
        done
    }

    fn resync(&self) {
        let (list, now) = (self.list().id, self.world.brevo.now());
        self.world.store().write(|tx| orders::resync(tx, list, now)).unwrap();
        // The host began its clock at another moment than the stand-in, and real clocks are set right by a little
        // all the time: what is sent next has to be later on both.
        while self.world.brevo.now() < now + 2_000 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// External ids of the members of the only list.
    fn members(&self) -> BTreeSet<String> {
        let lists = self.world.brevo.lists();
        assert_eq!(lists.len(), 1, "{lists:?}");
        self.world.brevo.list_members(lists[0].id).into_iter().map(|one| one.ext_id.unwrap()).collect()
    }

    fn segment(&self) -> BTreeSet<String> {
        self.sync.members().values().map(|identifier| identifier.as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn a_segment_ends_in_the_list_through_first_run_differences_and_a_resync_of_all() {
    let mut whole = Whole::start();
    whole.known(0..130);
    // The first run sends everybody; each join may start something, so it waits for a word.
    whole.put(0..120);
    whole.run(RunKind::AdHoc);
    assert!(whole.world.brevo.list_changes().is_empty());
    assert_eq!(whole.list().held["baseline-unconfirmed"], 120);
    assert_eq!(whole.confirm(&DELIVER).joins_released, 120);
    assert_eq!(whole.members(), whole.segment());
    whole.world.brevo.set_automations(whole.world.brevo.lists().into_iter().map(|list| list.id));

    // Differences go at once; who is not at Brevo yet is waited for.
    whole.put(120..135);
    whole.sync.remove(["m-0", "m-1"]);
    whole.run(RunKind::AdHoc);
    assert_eq!(whole.list().held["contact-unknown"], 5);
    assert_eq!(whole.members().len(), 128);
    whole.known(130..135);
    assert_eq!(whole.members(), whole.segment());
    let started = whole.world.brevo.automations_started().len();
    assert_eq!(started, 15, "one for each who came");

    // A restart in between, and a resync of all with somebody who left unsaid.
    whole.host.take().unwrap().stop();
    whole.host = Some(whole.world.serve());
    whole.resync();
    whole.sync.remove(["m-130", "m-131", "m-132", "m-133", "m-134"]);
    whole.run(RunKind::ResyncAll);
    assert_eq!((whole.list().absent, whole.members().len()), (Some(5), 133));
    let done = whole.confirm(&Allowed::default());
    assert_eq!((done.removed, done.joins_released), (5, 0));
    assert_eq!(whole.members(), whole.segment());
    assert_eq!(whole.world.brevo.automations_started().len(), started, "nobody who stayed joined again");
    assert_eq!(whole.world.brevo.lists().len(), 1);
    let sums = whole.world.rest();
    assert!(sums.dead_letters.is_empty(), "{:?}", sums.dead_letters);
    whole.world.assert_clean();
}
