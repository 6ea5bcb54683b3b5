//! People who share a mailbox, and people of whom only an address was known: from a unit's commit to
//! Brevo's stand-in, in every order in which it may arrive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod late;
mod mailboxes;
#[path = "../scripted/mod.rs"]
mod scripted;
#[path = "../described/brevo.rs"]
mod vendor;

use host_harness::contract::*;
use host_harness::delivery::{Delivery, Step};
use host_harness::unit::MappedRecord;
use host_harness::world::Clock as _;
use scripted::*;
use serde_json::{Value, json};
use stand_ins::brevo::{Options, Plan};
use vendor::Checked;

const MINUTE: i64 = 60_000;

/// A host with a scripted guest, its Brevo, and the deliveries between them.
struct Stage {
    host: TestHost,
    brevo: Checked,
    delivery: Delivery,
}

impl Stage {
    fn new() -> Self {
        let brevo = Checked::start(Options { plan: Plan::Unlimited, ..Options::default() });
        let host = TestHost::new();
        let delivery = delivery(&host, &brevo);
        Self { host, brevo, delivery }
    }

    /// One unit, and everything that it leads to. What is held stays so, and does not become too old.
    fn tell(&self, records: Vec<MappedRecord>) {
        self.host.deliver(records);
        for _ in 0..100_000 {
            match self.delivery.step().unwrap() {
                Step::Worked => {}
                Step::Idle(Some(next)) if next - self.host.clock.now() < HOUR => {
                    self.host.clock.advance((next - self.host.clock.now()).max(1));
                }
                Step::Idle(_) => return,
            }
        }
        panic!("delivery never comes to rest");
    }

    /// Codes of open dead letters.
    fn letters(&self) -> Vec<String> {
        self.host.letters().into_iter().map(|(_, _, code)| code).collect()
    }
}

/// Somebody by external id, e-mail address and vendor's alias; what is empty is not named.
fn named(id: &str, email: &str, alias: &str) -> Person {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let aliases = some(alias).map(|value| Alias { kind: "vendor".into(), value });
    Person { external_id: some(id), email: some(email), phone: None, aliases: aliases.into_iter().collect() }
}

/// A contact's state under a key of its own, whatever names the person.
fn profile_of(key: &str, who: &Person, at: i64, attributes: Value) -> MappedRecord {
    let mut mapped = contact(who, key, at, attributes);
    mapped.record.id = format!("scripted:ws:contact:{key}");
    mapped
}

/// Somebody may be written to as far as a flag says.
fn mailable(key: &str, who: &Person) -> MappedRecord {
    consent(key, who, START - 2 * HOUR, "opted-in", "flag")
}

/// A word about a channel.
fn said(key: &str, who: &Person, at: i64, action_name: &str, payload: Value) -> MappedRecord {
    let mut mapped = event(key, who, Some(at), at);
    mapped.mapping = Ok(Mapping::Actions(vec![action("word", action_name, who, payload, None)]));
    mapped
}

/// Every order of so many things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    let Some(last) = n.checked_sub(1) else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for shorter in orders(last) {
        for place in 0..=last {
            let mut order = shorter.clone();
            order.insert(place, last);
            all.push(order);
        }
    }
    all
}
