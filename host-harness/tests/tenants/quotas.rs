//! Quotas: what one tenant may have, and that nothing is lost where it is full.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host_harness::config::{self, Environment};
use host_harness::contract::{Cursor, Next, Reject, RunEnd, StaticAnswer, schedule};
use host_harness::delivery;
use host_harness::egress::transport;
use host_harness::intake::{self, Intake, Options, Parts, Route, Routes, Verified, Verifier};
use host_harness::operate::dead_letters::{self, Selection};
use host_harness::operate::status::Status;
use host_harness::pipeline::{Policy, Step};
use host_harness::quotas::{Full, Quotas};
use host_harness::store::StoreError;
use host_harness::store::journal::GroupCommit;
use host_harness::unit::{Outcome, Work};
use host_harness::world::{Clock as _, Random, World};

use crate::scripted::{Crowd, HOUR, START, event, person};
use crate::two::delivery_to;
use crate::vendor::Checked;

fn within(quotas: Quotas) -> Policy {
    Policy { quotas, ..Policy::default() }
}

fn work_all(crowd: &Crowd) {
    while crowd.pipeline.step().unwrap() == Step::Worked {}
}

/// Codes of what a tenant has as much of as it may, as `harness status` shows them.
fn full(crowd: &Crowd, quotas: &Quotas, tenant: usize) -> Vec<&'static str> {
    let read = |tx: &rusqlite::Transaction<'_>| Status::within(tx, crowd.clock.now(), quotas);
    let status = crowd.store.read::<_, StoreError>(read).unwrap();
    let one = &status.installations[tenant];
    assert!(one.full.is_empty() || !status.is_well());
    one.full.iter().map(|full| full.code).collect()
}

/// Counts the units of each tenant.
#[derive(Clone, Default)]
struct Units(Arc<Mutex<BTreeMap<usize, u64>>>);

impl Units {
    fn one_more(&self, tenant: usize) -> u64 {
        let mut units = self.0.lock().unwrap();
        let count = units.entry(tenant).or_default();
        *count += 1;
        *count
    }
    fn of(&self, tenant: usize) -> u64 {
        self.0.lock().unwrap().get(&tenant).copied().unwrap_or(0)
    }
}

/// An intake in front of a crowd: one address for each tenant.
fn door(crowd: &Crowd, quotas: Quotas, options: Options) -> Intake {
    let mut routes = Routes::new();
    for row in &crowd.rows {
        let check = |_: &http::HeaderMap, _: &[u8]| Ok(Verified { credential: None });
        let route = Route {
            installation: row.id,
            tenant: row.tenant.clone(),
            surface: "hook".into(),
            verifier: Verifier { needs_body: false, challenge: None, check: Box::new(check) },
            senders: None,
            answer: StaticAnswer { status: 200, content_type: "text/plain".into(), body: "ok".into() },
            body_cap: 1024 * 1024,
            headers: vec![],
        };
        routes.add(&row.intake_token, route);
    }
    Intake::start(Parts {
        address: "127.0.0.1:0".parse().unwrap(),
        routes,
        journal: Arc::new(GroupCommit::new(crowd.store.clone()).within(quotas)),
        clock: crowd.clock.clone(),
        options,
    })
    .unwrap()
}

fn post(door: &Intake, crowd: &Crowd, tenant: usize, length: usize) -> String {
    let mut stream = TcpStream::connect(door.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let path = intake::path(&crowd.rows[tenant].intake_token, "hook");
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&vec![b'x'; length]); // it may have been refused already
    answer(stream)
}

/// A request whose body is asked for and not yet sent.
fn begun(door: &Intake, crowd: &Crowd, tenant: usize, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(door.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let path = intake::path(&crowd.rows[tenant].intake_token, "hook");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).to_lowercase()
}

fn taken(answer: &str) -> bool {
    answer.starts_with("http/1.1 200")
}

fn refused_with_a_time(answer: &str) -> bool {
    answer.starts_with("http/1.1 503") && answer.contains("\r\nretry-after: ")
}

#[test]
fn s22_whose_webhooks_pile_up_is_refused_with_a_time_and_the_others_are_not() {
    let units = Units::default();
    let count = units.clone();
    let crowd = Crowd::new(2, move |tenant, _, _| {
        count.one_more(tenant);
        Outcome::default()
    });
    let quotas = Quotas { webhooks: 3, webhook_bytes: 1_000, ..Quotas::DEFAULT };
    let door = door(&crowd, quotas, Options::default());
    for _ in 0..3 {
        assert!(taken(&post(&door, &crowd, 0, 10)));
    }
    for _ in 0..5 {
        let answer = post(&door, &crowd, 0, 10);
        assert!(refused_with_a_time(&answer), "{answer}");
    }
    assert!(taken(&post(&door, &crowd, 1, 10)), "the other one goes on");
    assert_eq!(full(&crowd, &quotas, 0), [Full::Webhooks.code()]);
    assert_eq!(full(&crowd, &quotas, 1), [""; 0]);
    let counts = door.counts().all();
    assert_eq!(counts[&("tenant-0".to_owned(), "hook".to_owned(), Full::Webhooks.code())], 5);
    // Whatever was taken in is done, and there is room again: as long as the bytes allow it.
    work_all(&crowd);
    assert_eq!((units.of(0), units.of(1)), (3, 1));
    assert!(taken(&post(&door, &crowd, 0, 900)));
    assert!(refused_with_a_time(&post(&door, &crowd, 0, 101)));
    assert!(taken(&post(&door, &crowd, 0, 100)));
    work_all(&crowd);
    assert_eq!(units.of(0), 5);
    assert_eq!(full(&crowd, &quotas, 0), [""; 0]);
}

#[test]
fn s22_slow_and_large_requests_of_one_leave_room_for_the_others() {
    let crowd = Crowd::new(2, |_, _, _| Outcome::default());
    let options = Options {
        requests_of_one: 2,
        body_budget_of_one: 128 * 1024,
        body_deadline: Duration::from_secs(300),
        ..Options::default()
    };
    let door = door(&crowd, Quotas::DEFAULT, options);
    let open: Vec<TcpStream> = (0..2).map(|_| begun(&door, &crowd, 0, 10)).collect();
    let refused = post(&door, &crowd, 0, 10);
    assert!(refused_with_a_time(&refused), "{refused}");
    assert!(taken(&post(&door, &crowd, 1, 10)));
    for mut stream in open {
        stream.write_all(b"1234567890").unwrap();
        assert!(taken(&answer(stream)), "what was begun is finished");
    }
    assert!(refused_with_a_time(&post(&door, &crowd, 0, 200 * 1024)));
    // Its share is free again, and was never the other's.
    assert!(taken(&post(&door, &crowd, 0, 100 * 1024)));
    assert!(taken(&post(&door, &crowd, 1, 100 * 1024)));
}

struct Fixed;
impl Random for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let next = NEXT.fetch_add(1, Ordering::SeqCst);
        buffer.iter_mut().enumerate().for_each(|(place, byte)| *byte = (next >> (8 * (place % 8))) as u8);
    }
}

#[test]
fn s22_whose_outbox_is_full_waits_with_its_units_and_nothing_is_lost() {
    let units = Units::default();
    let count = units.clone();
    let quotas = Quotas { waiting: 4, ..Quotas::DEFAULT };
    let crowd = Crowd::within(within(quotas), 2, move |tenant, unit, _| {
        let number = count.one_more(tenant);
        let who = person(&format!("p{tenant}"));
        let records =
            (0..2).map(|n| event(&format!("{tenant}-{number}-{n}"), &who, Some(unit.now), unit.now));
        // Only who is at Brevo gets events.
        let contact =
            crate::scripted::contact(&who, &format!("o{number}"), START, serde_json::json!({ "A": "1" }));
        let consent = crate::scripted::consent(&format!("c{tenant}"), &who, START, "opted-in", "signal");
        Outcome { records: [consent, contact].into_iter().chain(records).collect(), ..Outcome::default() }
    });
    crowd.webhooks(0, [START; 6]);
    work_all(&crowd);
    assert_eq!(units.of(0), 1, "a unit that began within the quota may go beyond it, the next waits");
    assert_eq!(full(&crowd, &quotas, 0), [Full::Waiting.code()]);
    crowd.webhooks(1, [START]);
    work_all(&crowd);
    assert_eq!(units.of(1), 1, "the other one goes on");
    let world =
        World { clock: crowd.clock.clone(), random: Arc::new(Fixed), transport: transport::network() };
    let brevo = Checked::start(stand_ins::brevo::Options {
        plan: stand_ins::brevo::Plan::Unlimited,
        processing_delay: Duration::ZERO,
        ..Default::default()
    });
    let delivery = delivery_to(&crowd.store, &world, &crowd.rows[0], &brevo);
    for _ in 0..1_000 {
        work_all(&crowd);
        match delivery.step().unwrap() {
            delivery::Step::Worked => {}
            delivery::Step::Idle(Some(next)) => crowd.clock.advance((next - crowd.clock.now()).max(1)),
            delivery::Step::Idle(None) => break,
        }
    }
    assert_eq!(units.of(0), 6, "they go on by themselves once Brevo has taken some");
    assert_eq!(brevo.events().len(), 12);
    assert_eq!(full(&crowd, &quotas, 0), [""; 0]);
}

#[test]
fn s22_who_has_too_much_held_waits_until_there_is_a_word() {
    let units = Units::default();
    let count = units.clone();
    let quotas = Quotas { open: 2, ..Quotas::DEFAULT };
    let crowd = Crowd::within(within(quotas), 2, move |tenant, unit, _| {
        let number = count.one_more(tenant);
        let who = person(&format!("p{tenant}-{number}"));
        Outcome {
            records: vec![event(&format!("{tenant}-{number}"), &who, Some(unit.now), unit.now)],
            ..Outcome::default()
        }
    });
    crowd.webhooks(0, [START; 5]);
    crowd.jobs(0, [START]);
    crowd.webhooks(1, [START]);
    work_all(&crowd);
    assert_eq!((units.of(0), units.of(1)), (2, 1));
    assert_eq!(full(&crowd, &quotas, 0), [Full::Open.code()]);
    let held = "UPDATE action SET state = 8, code = 'consent-unknown'";
    crowd.store.write::<_, StoreError>(|tx| Ok(tx.execute(held, [])?)).unwrap();
    work_all(&crowd);
    assert_eq!(units.of(0), 2, "what is held counts too");
    let ended = "UPDATE action SET state = 7 WHERE id = (SELECT min(id) FROM action)";
    crowd.store.write::<_, StoreError>(|tx| Ok(tx.execute(ended, [])?)).unwrap();
    work_all(&crowd);
    assert_eq!(units.of(0), 3);
}

#[test]
fn s22_who_leaves_dead_letters_lying_waits_until_somebody_looks() {
    let units = Units::default();
    let count = units.clone();
    let quotas = Quotas { letters: 3, ..Quotas::DEFAULT };
    let crowd = Crowd::within(within(quotas), 2, move |tenant, _, _| {
        count.one_more(tenant);
        let reject = Reject {
            pointer: "/".into(),
            code: "no-good".into(),
            message: "no good".into(),
            remedy: "Send another.".into(),
        };
        Outcome { rejects: if tenant == 0 { vec![reject] } else { vec![] }, ..Outcome::default() }
    });
    crowd.webhooks(0, [START; 7]);
    crowd.webhooks(1, [START; 7]);
    work_all(&crowd);
    assert_eq!((units.of(0), units.of(1)), (3, 7));
    assert_eq!(full(&crowd, &quotas, 0), [Full::Letters.code()]);
    let all = Selection { tenant: Some("tenant-0"), ..Selection::default() };
    let letters = crowd.store.read(|tx| dead_letters::list(tx, all, 10)).unwrap();
    assert_eq!(letters.len(), 3);
    let requeue = |tx: &rusqlite::Transaction<'_>| dead_letters::requeue(tx, letters[0].id, false, START);
    crowd.store.write(requeue).unwrap();
    work_all(&crowd);
    // The oldest of its webhooks leaves a letter in the place of the one that was looked at.
    assert_eq!(units.of(0), 4);
    for _ in 0..20 {
        let letters = crowd.store.read(|tx| dead_letters::list(tx, all, 10)).unwrap();
        for letter in letters {
            let close = |tx: &rusqlite::Transaction<'_>| {
                host_harness::store::dead_letters::close(tx, letter.id, false, START)
            };
            crowd.store.write::<_, StoreError>(close).unwrap();
        }
        work_all(&crowd);
    }
    assert_eq!(units.of(0), 8, "seven, and the one that was done again");
}

#[test]
fn s22_a_unit_that_asks_for_more_jobs_than_may_wait_is_tried_again_later() {
    let units = Units::default();
    let count = units.clone();
    let quotas = Quotas { jobs: 2, ..Quotas::DEFAULT };
    let asked = Arc::new(Mutex::new(Vec::new()));
    let pages = asked.clone();
    let crowd = Crowd::within(within(quotas), 2, move |tenant, unit, _| {
        let Work::Webhook(_) = unit.work else {
            pages.lock().unwrap().push(tenant);
            let end = RunEnd { cursor: None, truncated: None };
            return Outcome { next: Some(Next::Done(end)), ..Outcome::default() };
        };
        let number = count.one_more(tenant);
        let job = schedule::Job {
            key: format!("{number}"),
            resource: "things".into(),
            cursor: Some(Cursor { version: 1, bytes: vec![1] }),
            not_before: unit.now + HOUR / 60,
        };
        Outcome { jobs: vec![job], ..Outcome::default() }
    });
    crowd.webhooks(0, [START; 3]);
    work_all(&crowd);
    let jobs = |crowd: &Crowd| -> i64 {
        let sql = "SELECT count(*) FROM job WHERE key LIKE 'job:%'";
        crowd.store.read::<_, StoreError>(|tx| Ok(tx.query_row(sql, [], |row| row.get(0))?)).unwrap()
    };
    assert_eq!(jobs(&crowd), 2, "the third waits");
    crowd.webhooks(1, [START]);
    work_all(&crowd);
    assert_eq!(jobs(&crowd), 3, "the other one has its own");
    while let Step::Idle(Some(next)) = crowd.pipeline.step().unwrap() {
        crowd.clock.advance(next - crowd.clock.now());
        work_all(&crowd);
    }
    let mut done = asked.lock().unwrap().clone();
    done.sort_unstable();
    assert_eq!(done, [0, 0, 0, 1], "every job that was asked for was done");
    let letters = crowd.store.read(|tx| dead_letters::list(tx, Selection::default(), 10)).unwrap();
    assert_eq!(letters.len(), 0);
}

#[test]
fn s22_keys_of_the_storage_are_counted_like_its_bytes() {
    let quotas = Quotas { storage_keys: 2, ..Quotas::DEFAULT };
    let units = Units::default();
    let count = units.clone();
    let crowd = Crowd::within(within(quotas), 2, move |tenant, _, _| {
        let number = count.one_more(tenant);
        // A key each time; then an old one anew, one away, and another in its place.
        let writes: Vec<(&str, Option<&[u8]>)> = match number {
            1 => vec![("a", Some(b"1"))],
            2 => vec![("b", Some(b""))],
            3 => vec![("c", Some(b"3"))],
            4 => vec![("a", Some(b"4"))],
            _ => vec![("b", None), ("c", Some(b"5"))],
        };
        let writes =
            writes.into_iter().map(|(key, value)| (key.to_owned(), value.map(<[u8]>::to_vec))).collect();
        Outcome { storage: host_harness::unit::StorageDelta { reads: vec![], writes }, ..Outcome::default() }
    });
    crowd.webhooks(0, [START; 5]);
    crowd.webhooks(1, [START; 2]);
    work_all(&crowd);
    let letters = crowd.store.read(|tx| dead_letters::list(tx, Selection::default(), 10)).unwrap();
    let shown: Vec<_> = letters.iter().map(|letter| (letter.tenant.as_str(), letter.code.as_str())).collect();
    assert_eq!(shown, [("tenant-0", "storage-quota")], "the third alone, and its webhook is kept");
    let keys = |tx: &rusqlite::Transaction<'_>| {
        host_harness::store::storage::list(tx, crowd.rows[0].id, "", None, 10)
    };
    assert_eq!(crowd.store.read::<_, StoreError>(keys).unwrap(), ["a", "c"]);
}

#[test]
fn s22_a_configuration_has_so_many_tenants_and_a_tenant_so_many_connectors() {
    let tenant = |name: usize, connectors: usize| {
        let connectors = (0..connectors).map(|n| format!("      c{n}: {{}}\n")).collect::<String>();
        format!(
            "  - name: t{name}\n    brevo:\n      account: a{name}\n      api_key: \"${{KEY}}\"\n    connectors:\n{connectors}"
        )
    };
    let codes = |tenants: usize, connectors: usize| {
        let text = (0..tenants).map(|n| tenant(n, connectors)).collect::<String>();
        let known: Vec<String> = (0..connectors).map(|n| format!("c{n}")).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let environment = Environment::Given([("KEY".to_owned(), "k".to_owned().into())].into());
        match config::parse(&format!("tenants:\n{text}"), Path::new("/"), &environment, &known) {
            Ok(_) => vec![],
            Err(problems) => problems.into_iter().map(|problem| problem.code).collect(),
        }
    };
    let Quotas { tenants, connectors, .. } = Quotas::DEFAULT;
    assert_eq!(codes(tenants, 1), [""; 0]);
    assert_eq!(codes(tenants + 1, 1), ["too-many-tenants"]);
    assert_eq!(codes(1, connectors), [""; 0]);
    assert_eq!(codes(1, connectors + 1), ["too-many-connectors"]);
}

#[test]
fn s22_the_page_shows_the_table() {
    let page = include_str!("../../../docs/architecture.md");
    for row in Quotas::DEFAULT.rows() {
        let line = format!("| {} |", row.join(" | "));
        assert!(page.contains(&line), "docs/architecture.md lacks the line\n{line}");
    }
}
