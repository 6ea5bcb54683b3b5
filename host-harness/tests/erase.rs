//! Deletions from a record, or an operator's word, to Brevo: soft and for good, held where they are too
//! many or too old, and kept through replays, backfills and requeues.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "scripted/mod.rs"]
mod scripted;
#[path = "described/brevo.rs"]
mod vendor;

use host_harness::contract::*;
use host_harness::operate::accounting::Sums;
use host_harness::operate::erase::{self, By, EraseError, HeldDeletes, Whom};
use host_harness::operate::{dead_letters, status::Status};
use host_harness::people::deletions::{A_DAY, DAY};
use host_harness::people::tombstone;
use host_harness::registry::{DeleteBehavior, DeleteContact};
use host_harness::store::StoreError;
use host_harness::store::outbox::State;
use host_harness::unit::{MappedRecord, Outcome, UnitError};
use host_harness::world::{Clock as _, Millis};
use scripted::*;
use serde_json::{Value, json};
use stand_ins::brevo::{Options, Plan};
use stand_ins::faults::{Fault, Rule};
use vendor::Checked;

const MINUTE: Millis = 60_000;
const HARD: DeleteContact = DeleteContact { behavior: DeleteBehavior::Hard, mark: None };
const SOFT: DeleteContact = DeleteContact { behavior: DeleteBehavior::Soft, mark: None };

struct Deletes {
    host: TestHost,
    brevo: Checked,
}

fn vip() -> Value {
    json!({ "list": { "name": "VIP", "folder": "MoEngage" } })
}

/// A record that asks for a deletion, as a signal named in the settings would.
fn deletion(key: &str, who: &Person, at: Millis, behavior: &str) -> MappedRecord {
    let mut mapped = event(key, who, Some(at), at);
    let payload = match behavior {
        "soft" => json!({ "behavior": "soft", "mark": "GONE_ON" }),
        _ => json!({ "behavior": behavior }),
    };
    mapped.mapping = Ok(Mapping::Actions(vec![action("delete", "brevo/delete-contact", who, payload, None)]));
    mapped
}

impl Deletes {
    fn new() -> Self {
        let brevo = Checked::start(Options { plan: Plan::Unlimited, ..Options::default() });
        Self { host: TestHost::new(), brevo }
    }

    fn run(&self) {
        deliver_all(&self.host, &delivery(&self.host, &self.brevo));
    }

    fn now(&self) -> Millis {
        self.host.clock.now()
    }

    /// What is known of a person who is at Brevo and in a list.
    fn history(&self, who: &Person) -> Vec<MappedRecord> {
        let (now, key) = (self.now(), who.external_id.clone().unwrap());
        vec![
            consent(&format!("c-{key}"), who, now, "opted-in", "flag"),
            contact(who, &format!("o-{key}"), now, json!({ "A": "1" })),
            event(&format!("e-{key}"), who, Some(now), now),
            membership(who, &vip(), true, &format!("l-{key}"), now, Provenance::Live),
        ]
    }

    /// Delivers the history, and gives it.
    fn known(&self, who: &Person) -> Vec<MappedRecord> {
        let history = self.history(who);
        self.host.deliver(history.clone());
        self.run();
        self.host.clock.advance(MINUTE);
        history
    }

    fn end(&self, name: &str) -> (State, Option<String>) {
        let mut found: Vec<_> = self.host.actions().into_iter().filter(|(of, ..)| of == name).collect();
        let (_, state, _, code) = found.pop().unwrap();
        (state, code)
    }

    fn held(&self) -> Vec<HeldDeletes> {
        self.host.store.read::<_, StoreError>(erase::held).unwrap()
    }

    fn settle(&self, release: bool) -> Result<usize, EraseError> {
        let (id, now) = (self.host.installation.id, self.now());
        self.host.store.write(|tx| erase::settle(tx, id, release, now))
    }

    fn order(&self, people: &[Person], delete: &DeleteContact) -> Result<Vec<i64>, EraseError> {
        let now = self.now();
        self.host
            .store
            .write(|tx| erase::order(tx, &self.host.installation, people, delete, erase::AT_MOST, now))
    }

    fn sweep(&self) {
        let now = self.now();
        self.host.store.write(|tx| tombstone::sweep(tx, now)).unwrap();
    }

    fn is_well(&self) -> bool {
        let now = self.now();
        self.host.store.read::<_, StoreError>(|tx| Status::of(tx, now)).unwrap().is_well()
    }

    fn assert_clean(&self) {
        self.host.assert_sums();
        let id = self.host.installation.id;
        let sums = self.host.store.read::<_, StoreError>(|tx| Sums::of(tx, id)).unwrap();
        assert!(sums.agree(), "{sums:?}");
        assert!(self.brevo.resubscriptions().is_empty());
    }

    /// Everything in the store that is text or can be unpacked, as an operator could find it.
    fn store_holds(&self, needle: &str) -> Vec<&'static str> {
        let places = [
            ("identity", "SELECT value FROM identity"),
            (
                "action",
                "SELECT subject || payload || coalesce(intent, '') || coalesce(coalesce_key, '') FROM action",
            ),
            ("person", "SELECT desired || fields || refused FROM person"),
            ("dead_letter", "SELECT message || remedy || coalesce(pointer, '') FROM dead_letter"),
        ];
        let mut found = Vec::new();
        self.host
            .store
            .read::<_, StoreError>(|tx| {
                for (table, sql) in places {
                    let mut statement = tx.prepare(sql)?;
                    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
                    if rows.map(Result::unwrap).any(|text| text.contains(needle)) {
                        found.push(table);
                    }
                }
                let batches: i64 =
                    tx.query_row("SELECT coalesce(max(id), 0) FROM batch", [], |row| row.get(0))?;
                for batch in 1..=batches {
                    for position in 0..50 {
                        let kept = host_harness::store::batches::get(tx, batch, position)?;
                        if kept.is_some_and(|kept| serde_json::to_string(&kept).unwrap().contains(needle)) {
                            found.push("batch");
                        }
                    }
                }
                Ok(())
            })
            .unwrap();
        found.dedup();
        found
    }
}

#[test]
fn d18_who_was_erased_by_a_signal_stays_erased_through_replays_backfills_and_requeues() {
    let deletes = Deletes::new();
    let (ann, bob) = (person("ann"), person("bob"));
    let history = deletes.known(&ann);
    deletes.known(&bob);
    let mut poison = event("poison", &ann, Some(deletes.now()), deletes.now());
    poison.mapping = Err(UnitError::Fault { code: "guest-trap".into(), message: "unreachable".into() });
    deletes.host.deliver(vec![poison]);
    let letter = deletes.host.letters()[0].0;
    deletes.host.clock.advance(MINUTE);
    let journal = deletes.host.deliver(vec![deletion("gone", &ann, deletes.now(), "hard")]);
    deletes.run();
    assert_eq!(deletes.end("brevo/delete-contact").0, State::Delivered);
    let ids = || -> Vec<String> {
        deletes.brevo.contacts().into_iter().map(|contact| contact.ext_id.unwrap()).collect()
    };
    assert_eq!(ids(), ["bob"]);

    let replay = |history: Vec<MappedRecord>| {
        deletes.host.clock.advance(MINUTE);
        deletes.host.deliver(history);
        deletes.run();
    };
    replay(history.clone());
    replay(
        history
            .iter()
            .cloned()
            .map(|mut mapped| {
                mapped.record.provenance = Provenance::Backfill;
                mapped
            })
            .collect(),
    );
    // By another door: newer, and under one of her names only.
    let by_mail = Person { external_id: None, email: Some("ANN@example.com".into()), ..ann.clone() };
    replay(vec![
        contact(&ann, "newer", deletes.now(), json!({ "A": "2" })),
        event("new", &by_mail, None, START),
    ]);
    // The same webhook again, and the quarantined record.
    let now = deletes.now();
    let requeue = |id| deletes.host.store.write(|tx| dead_letters::requeue(tx, id, true, now));
    requeue(letter).unwrap();
    deletes.host.script({
        let ann = ann.clone();
        move |_, _| {
            Ok(Outcome { records: vec![event("poison", &ann, Some(START), START)], ..Outcome::default() })
        }
    });
    deletes.host.settle();
    deletes
        .host
        .store
        .write::<_, StoreError>(|tx| {
            Ok(tx.execute("UPDATE journal SET state = 0, due_at = 0 WHERE id = ?1", [journal])?)
        })
        .unwrap();
    deletes.host.settle();
    deletes.run();
    assert_eq!(ids(), ["bob"]);
    assert!(deletes.host.count("skipped:person-erased") >= 10);

    deletes.sweep();
    assert_eq!(deletes.store_holds("ann"), Vec::<&str>::new());
    assert!(deletes.store_holds("bob").contains(&"batch"), "nobody else is blanked");
    deletes.assert_clean();
}

#[test]
fn d18_what_comes_while_brevo_fails_to_delete_makes_nobody_again() {
    let deletes = Deletes::new();
    let ann = person("ann");
    deletes.known(&ann);
    let unavailable = Rule::on("DELETE", "/v3/contacts/{identifier}", Fault::status(503, "")).times(2);
    deletes.brevo.faults().add(unavailable).unwrap();
    deletes.host.deliver(vec![deletion("gone", &ann, deletes.now(), "hard")]);
    let delivery = delivery(&deletes.host, &deletes.brevo);
    while deletes.end("brevo/delete-contact").1.as_deref() != Some("brevo-unavailable") {
        delivery.step().unwrap();
    }
    assert_eq!(deletes.brevo.contacts().len(), 1, "it is still there");
    // She is refused already, so nothing waits behind the deletion.
    deletes.host.clock.advance(MINUTE);
    deletes.host.deliver(vec![contact(&ann, "newer", deletes.now(), json!({ "A": "2" }))]);
    assert_eq!(deletes.host.count("skipped:person-erased"), 1);
    deliver_all(&deletes.host, &delivery);
    assert!(deletes.brevo.contacts().is_empty());
    assert_eq!(deletes.end("brevo/delete-contact").0, State::Delivered);
    deletes.sweep();
    assert_eq!(deletes.store_holds("ann"), Vec::<&str>::new());
    deletes.assert_clean();
}

#[test]
fn a_soft_delete_ends_what_is_older_whenever_it_comes_and_what_is_newer_counts() {
    let deletes = Deletes::new();
    let ann = person("ann");
    let history = deletes.known(&ann);
    let before = deletes.now();
    deletes.host.clock.advance(MINUTE);
    deletes.host.deliver(vec![deletion("gone", &ann, deletes.now(), "soft")]);
    deletes.run();
    assert_eq!(deletes.end("brevo/delete-contact").0, State::Delivered);
    let at_brevo = || deletes.brevo.contact_by_ext_id("ann").unwrap();
    let day = |contact: &stand_ins::brevo::Contact| contact.attributes.get("GONE_ON").cloned();
    let marked = day(&at_brevo());
    assert!(marked.is_some() && at_brevo().list_ids.is_empty());

    let events = deletes.brevo.events().len();
    deletes.host.deliver(history);
    deletes.host.deliver(vec![
        contact(&ann, "late", before, json!({ "A": "late" })),
        event("late", &ann, Some(before), before),
        membership(&ann, &vip(), true, "late", before, Provenance::Live),
    ]);
    assert_eq!(deletes.end("brevo/track-event"), (State::Refused, Some("person-deleted".into())));
    deletes.run();
    assert_eq!(at_brevo().attributes["A"], json!("1"));
    assert_eq!((at_brevo().list_ids.len(), deletes.brevo.events().len()), (0, events));

    // She came back: newer words count, and the mark stays until a newer record speaks of it.
    deletes.host.clock.advance(MINUTE);
    let now = deletes.now();
    deletes.host.deliver(vec![
        contact(&ann, "back", now, json!({ "A": "1", "B": "2" })),
        event("back", &ann, Some(now), now),
        membership(&ann, &vip(), true, "back", now, Provenance::Live),
    ]);
    deletes.run();
    assert_eq!(at_brevo().attributes["B"], json!("2"));
    assert_eq!((at_brevo().list_ids.len(), deletes.brevo.events().len()), (1, events + 1));
    assert_eq!(day(&at_brevo()), marked);
    deletes.host.clock.advance(MINUTE);
    deletes.host.deliver(vec![contact(&ann, "unmarked", deletes.now(), json!({ "GONE_ON": null }))]);
    deletes.run();
    assert!(day(&at_brevo()).is_none_or(|value| value == json!("")));
    deletes.assert_clean();
}

#[test]
fn who_was_deleted_before_they_were_delivered_is_not_made_and_comes_back_whole() {
    let deletes = Deletes::new();
    let ann = person("ann");
    deletes.host.deliver(deletes.history(&ann));
    deletes.host.clock.advance(MINUTE);
    deletes.host.deliver(vec![deletion("gone", &ann, deletes.now(), "soft")]);
    deletes.run();
    assert_eq!(deletes.end("brevo/delete-contact"), (State::Deduplicated, Some("not-at-brevo".into())));
    assert!(deletes.brevo.contacts().is_empty() && deletes.brevo.events().is_empty());
    deletes.host.clock.advance(MINUTE);
    deletes.host.deliver(vec![contact(&ann, "back", deletes.now(), json!({ "A": "1" }))]);
    deletes.run();
    let contact = deletes.brevo.contact_by_ext_id("ann").unwrap();
    assert_eq!((contact.email.as_deref(), &contact.attributes["A"]), (Some("ann@example.com"), &json!("1")));
    deletes.assert_clean();
}

#[test]
fn n28_any_order_of_a_deletion_and_what_is_older_and_newer_folds_to_the_same_person() {
    let ann = person("ann");
    let records = [
        contact(&ann, "old", START, json!({ "A": "1", "B": "1" })),
        membership(&ann, &vip(), true, "old", START, Provenance::Live),
        deletion("gone", &ann, START + MINUTE, "soft"),
        contact(&ann, "new", START + 2 * MINUTE, json!({ "A": "2" })),
        membership(&ann, &vip(), true, "new", START + 2 * MINUTE, Provenance::Live),
    ];
    let mut orders = vec![vec![]];
    for _ in 0..records.len() {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..5)
                    .filter(|n| !order.contains(n))
                    .map(|n| [order.clone(), vec![n]].concat())
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    assert_eq!(orders.len(), 120);
    let mut folded = std::collections::BTreeSet::new();
    for order in orders {
        let deletes = Deletes { host: TestHost::new(), brevo: Checked::start(Options::default()) };
        deletes.host.clock.advance(3 * MINUTE);
        for n in order {
            deletes.host.deliver(vec![records[n].clone()]);
        }
        let wanted: String = deletes
            .host
            .store
            .read::<_, StoreError>(|tx| {
                Ok(tx.query_row("SELECT group_concat(wanted || at) FROM membership", [], |row| row.get(0))?)
            })
            .unwrap();
        folded.insert(format!("{}{wanted}", deletes.host.folded()));
    }
    assert_eq!(folded.len(), 1, "{folded:#?}");
}

#[test]
fn deletions_are_capped_by_the_day_and_the_rest_is_held_untouched_until_a_word() {
    for release in [true, false] {
        let deletes = Deletes::new();
        let last = person("last");
        let history = deletes.known(&last);
        let many: Vec<_> = (0..A_DAY)
            .map(|n| deletion(&format!("d{n}"), &person(&format!("u{n}")), deletes.now(), "soft"))
            .collect();
        deletes.host.deliver(many);
        let open = event("open", &last, Some(deletes.now()), deletes.now());
        deletes.host.deliver(vec![open]);
        deletes.host.clock.advance(MINUTE);
        for behavior in ["soft", "hard"] {
            deletes.host.deliver(vec![deletion(behavior, &last, deletes.now(), behavior)]);
            assert_eq!(deletes.end("brevo/delete-contact"), (State::Held, Some("deletes-capped".into())));
        }
        assert_eq!(deletes.end("brevo/track-event").0, State::Waiting, "nothing of the person was touched");
        assert_eq!(deletes.host.letters().len(), 1, "one letter for all");
        assert!(!deletes.is_well());
        let now = deletes.now();
        let status = deletes.host.store.read::<_, StoreError>(|tx| Status::of(tx, now)).unwrap();
        assert_eq!(status.installations[0].held_deletions.as_ref(), deletes.held().first());
        assert!(status.installations[0].adds_up);
        deletes.run();
        let count = deletes.brevo.contact_by_ext_id("last").unwrap().list_ids.len();
        assert_eq!(count, 1);
        let one = deletes.held().pop().unwrap();
        assert_eq!((one.capped, one.outdated, one.hard), (2, 0, 1));

        assert_eq!(deletes.settle(release).unwrap(), 2);
        assert!(deletes.host.letters().is_empty() && deletes.held().is_empty());
        assert!(matches!(deletes.settle(release), Err(EraseError::NothingHeld)));
        deletes.run();
        assert_eq!(deletes.brevo.contact_by_ext_id("last").is_none(), release);
        deletes.host.deliver(history);
        deletes.run();
        assert_eq!(deletes.brevo.contact_by_ext_id("last").is_none(), release);
        // The next day has room again.
        deletes.host.clock.advance(DAY + 1);
        deletes.host.deliver(vec![deletion("next", &person("u0"), deletes.now(), "soft")]);
        assert_eq!(deletes.end("brevo/delete-contact").0, State::Waiting);
        deletes.assert_clean();
    }
}

#[test]
fn a_deletion_that_is_older_than_what_is_known_since_or_undated_in_a_backfill_is_held() {
    let deletes = Deletes::new();
    let ann = person("ann");
    deletes.known(&ann);
    deletes.host.deliver(vec![deletion("old", &ann, START - DAY, "hard")]);
    assert_eq!(deletes.end("brevo/delete-contact"), (State::Held, Some("delete-outdated".into())));
    let mut undated = deletion("undated", &ann, START, "soft");
    undated.record.occurred = Occurrence { at: None, trust: TimeTrust::Unknown };
    undated.record.provenance = Provenance::Backfill;
    deletes.host.deliver(vec![undated]);
    assert_eq!(deletes.held().pop().unwrap().outdated, 2);
    deletes.run();
    assert_eq!(deletes.brevo.contact_by_ext_id("ann").unwrap().list_ids.len(), 1);
    // A soft one of the past is no danger: everything newer stays.
    deletes.host.deliver(vec![deletion("soft", &ann, START - DAY, "soft")]);
    deletes.run();
    assert_eq!(deletes.brevo.contact_by_ext_id("ann").unwrap().list_ids.len(), 1);
    assert_eq!(deletes.settle(false).unwrap(), 2);
    deletes.run();
    assert!(deletes.brevo.contact_by_ext_id("ann").is_some());
    deletes.assert_clean();
}

#[test]
fn an_operators_order_is_taken_whole_or_not_at_all() {
    let deletes = Deletes::new();
    let (ann, home) = (person("ann"), "home@example.com");
    deletes.known(&ann);
    for id in ["x", "y"] {
        let shares = Person { email: Some(home.into()), ..person(id) };
        deletes.host.deliver(vec![contact(&shares, &format!("s-{id}"), START, json!({ "A": "1" }))]);
    }
    let by_id = |id: &str| By::ExternalId.person(id);
    let before = deletes.host.actions().len();
    let nobody = deletes.order(&[by_id("ann"), by_id("nobody")], &SOFT).unwrap_err();
    assert!(matches!(nobody, EraseError::Unknown(2)), "{nobody}");
    let shared = deletes.order(&[by_id("ann"), By::Email.person(home)], &HARD).unwrap_err();
    assert!(matches!(shared, EraseError::Shared(2)), "{shared}");
    let many: Vec<Person> = (0..101).map(|n| by_id(&format!("u{n}"))).collect();
    assert!(matches!(deletes.order(&many, &HARD), Err(EraseError::TooMany { named: 101, limit: 100 })));
    let mark = DeleteContact { mark: Some("A".into()), ..SOFT };
    assert_eq!(deletes.order(&[by_id("ann")], &mark).unwrap_err().code(), "undeclared-target");
    assert_eq!(deletes.host.actions().len(), before, "none of these did anything");

    let actions = deletes.order(&[By::Email.person("ANN@example.com"), by_id("nobody")], &HARD).unwrap();
    deletes.run();
    let stands = |id| deletes.host.store.read(|tx| erase::stands(tx, id)).unwrap().unwrap();
    assert_eq!(stands(actions[0]).0, State::Delivered);
    assert_eq!(stands(actions[1]), (State::Deduplicated, Some("not-at-brevo".into())));
    // Whoever was erased without being known never comes in.
    deletes.host.deliver(deletes.history(&person("nobody")));
    deletes.run();
    assert!(deletes.brevo.contacts().is_empty());
    let destination = deletes.host.installation.destination;
    let look =
        |people: &[Person]| deletes.host.store.read(|tx| erase::look(tx, destination, people)).unwrap();
    assert_eq!(look(&[ann.clone(), by_id("x"), by_id("z")]), [Whom::Erased, Whom::Known, Whom::Unknown]);

    // An operator's word lets her in again, under every name that she had.
    let readmit =
        |who: Person| deletes.host.store.write(|tx| erase::readmit(tx, destination, &[who])).unwrap();
    assert_eq!(readmit(By::ExternalId.person("ann")), 1);
    assert_eq!(readmit(By::ExternalId.person("ann")), 0);
    deletes.host.clock.advance(MINUTE);
    deletes.host.deliver(vec![
        consent("c-again", &ann, deletes.now(), "opted-in", "flag"),
        contact(&ann, "again", deletes.now(), json!({ "A": "1" })),
    ]);
    deletes.run();
    assert!(deletes.brevo.contact_by_ext_id("ann").is_some());
    deletes.assert_clean();
}
