//! Memberships from a commit to Brevo's lists: first runs, differences, new generations, and the
//! words that only an operator gives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod histories;
#[path = "../scripted/mod.rs"]
mod scripted;
#[path = "../sources/mod.rs"]
mod sources;
mod whole;

use host_harness::contract::*;
use host_harness::operate::accounting::Sums;
use host_harness::operate::lists::{self, Allowed, Confirmed, ListError, ListStatus, REMOVALS};
use host_harness::operate::status::Status;
use host_harness::people::identity::PersonId;
use host_harness::people::tombstone;
use host_harness::store::StoreError;
use host_harness::store::outbox::State;
use host_harness::unit::{Outcome, UnitError};
use host_harness::world::Clock as _;
use scripted::*;
use serde_json::{Value, json};
use sources::vendor::Checked;
use stand_ins::brevo::{ListEnvelope, Options, Plan};
use stand_ins::faults::{Fault, Rule};

pub const MINUTE: i64 = 60_000;

/// A host with a scripted guest, and its Brevo.
struct Lists {
    pub host: TestHost,
    pub brevo: Checked,
}

/// What a payload names.
pub fn vip() -> Value {
    json!({ "list": { "name": "VIP", "folder": "MoEngage" } })
}

fn quiet() -> Value {
    json!({ "list": { "name": "Quiet", "folder": "MoEngage" }, "inert": true })
}

impl Lists {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let brevo = Checked::start(Options { plan: Plan::Unlimited, ..options });
        Self { host: TestHost::new(), brevo }
    }

    /// People come to be known, mailable and at Brevo.
    pub fn known(&self, people: &[Person]) {
        let now = self.host.clock.now();
        let mut records = Vec::new();
        for who in people {
            let key = who.external_id.clone().unwrap();
            records.push(consent(&format!("c-{key}"), who, now, "opted-in", "flag"));
            records.push(contact(who, &format!("o-{key}"), now, json!({ "A": "1" })));
        }
        self.host.deliver(records);
        self.run();
    }

    /// Delivers everything, as after a restart.
    pub fn run(&self) {
        deliver_all(&self.host, &delivery(&self.host, &self.brevo));
    }

    /// A chunk of a live execution that began now.
    fn live(&self, execution: &str, add: &[Person], remove: &[Person]) {
        self.chunk(&vip(), execution, Provenance::Live, add, remove);
    }

    fn first_run(&self, list: &Value, add: &[Person]) {
        self.chunk(list, "first", Provenance::Backfill, add, &[]);
    }

    fn chunk(
        &self,
        list: &Value,
        execution: &str,
        provenance: Provenance,
        add: &[Person],
        remove: &[Person],
    ) {
        self.host.clock.advance(MINUTE);
        let at = self.host.clock.now();
        let words = remove.iter().map(|who| (who, false)).chain(add.iter().map(|who| (who, true)));
        let records = words.map(|(who, member)| membership(who, list, member, execution, at, provenance));
        self.host.deliver(records.collect());
    }

    pub fn status(&self) -> Vec<ListStatus> {
        self.host.store.read::<_, StoreError>(lists::all).unwrap()
    }

    fn only(&self) -> ListStatus {
        let mut all = self.status();
        assert_eq!(all.len(), 1, "{all:?}");
        all.pop().unwrap()
    }

    fn resync(&self) {
        self.host.clock.advance(MINUTE);
        let (id, now) = (self.only().id, self.host.clock.now());
        self.host.store.write(|tx| lists::resync(tx, id, now)).unwrap();
    }

    pub fn confirm(&self, allowed: &Allowed) -> Result<Confirmed, ListError> {
        let (id, now) = (self.status()[0].id, self.host.clock.now());
        self.host.store.write(|tx| lists::confirm(tx, id, allowed, now))
    }

    /// External ids of the list's members at Brevo.
    pub fn members(&self, name: &str) -> Vec<String> {
        let found: Vec<_> = self.brevo.lists().into_iter().filter(|list| list.name == name).collect();
        let [list] = found.as_slice() else {
            assert!(found.is_empty(), "made twice: {found:?}");
            return Vec::new();
        };
        let mut members: Vec<String> =
            self.brevo.list_members(list.id).into_iter().map(|contact| contact.ext_id.unwrap()).collect();
        members.sort();
        members
    }

    fn watched(&self) {
        self.brevo.set_automations(self.brevo.lists().into_iter().map(|list| list.id));
    }

    fn joins(&self) -> usize {
        self.brevo.list_changes().into_iter().filter(|change| change.joined).count()
    }

    /// Nothing against Brevo's documents, nobody re-subscribed, both sums add up.
    pub fn assert_clean(&self) {
        assert_eq!(self.brevo.violations(), []);
        assert!(self.brevo.resubscriptions().is_empty());
        self.host.assert_sums();
        let id = self.host.installation.id;
        let sums = self.host.store.read::<_, StoreError>(|tx| Sums::of(tx, id)).unwrap();
        assert!(sums.agree(), "{sums:?}");
    }

    fn is_well(&self) -> bool {
        let now = self.host.clock.now();
        self.host.store.read::<_, StoreError>(|tx| Status::of(tx, now)).unwrap().is_well()
    }
}

pub const DELIVER: Allowed = Allowed { deliver_joins: Some(true), at_most: None, although_incomplete: false };
const WITHOUT: Allowed = Allowed { deliver_joins: Some(false), ..DELIVER };

fn people(names: &[&str]) -> Vec<Person> {
    names.iter().map(|name| person(name)).collect()
}

#[test]
fn a_first_run_is_held_until_an_operator_says_what_becomes_of_its_joins() {
    for envelope in [ListEnvelope::Wrapped, ListEnvelope::Bare] {
        let lists = Lists::with(Options { list_envelope: envelope, ..Options::default() });
        let all = people(&["a", "b", "c"]);
        lists.known(&all);
        lists.first_run(&vip(), &all);
        lists.run();
        assert_eq!(lists.joins(), 0);
        let status = lists.only();
        assert_eq!((status.members, status.delivered, status.held["baseline-unconfirmed"]), (3, 0, 3));
        assert_eq!(status.waits_for.as_ref().unwrap().code, "baseline-unconfirmed");
        assert!(!lists.is_well());
        assert_eq!(lists.confirm(&Allowed::default()).unwrap_err().code(), "joins-undecided");
        let done = lists.confirm(&DELIVER).unwrap();
        assert_eq!(done, Confirmed { removed: 0, joins_released: 3, joins_declined: 0 });
        lists.run();
        assert_eq!(lists.members("VIP"), ["a", "b", "c"]);
        assert_eq!(lists.only().delivered, 3);
        assert!(lists.is_well());
        assert_eq!(lists.confirm(&DELIVER).unwrap_err().code(), "nothing-to-confirm");
        lists.assert_clean();
    }
}

#[test]
fn declined_joins_stay_away_until_the_person_comes_back_or_a_later_full_run_brings_them() {
    let lists = Lists::new();
    let all = people(&["a", "b"]);
    lists.known(&all);
    lists.first_run(&vip(), &all);
    lists.confirm(&WITHOUT).unwrap();
    lists.live("e1", &all, &[]);
    lists.run();
    assert_eq!(lists.joins(), 0, "they were members before");
    lists.live("e2", &[], &all[..1]);
    lists.live("e3", &all[..1], &[]);
    lists.run();
    assert_eq!(lists.members("VIP"), ["a"]);
    lists.resync();
    lists.live("full", &all, &[]);
    lists.confirm(&DELIVER).unwrap();
    lists.run();
    assert_eq!(lists.members("VIP"), ["a", "b"]);
    lists.assert_clean();
}

#[test]
fn the_first_run_of_an_inert_list_needs_no_word() {
    let lists = Lists::new();
    let all = people(&["a", "b"]);
    lists.known(&all);
    lists.first_run(&quiet(), &all);
    lists.run();
    assert_eq!(lists.members("Quiet"), ["a", "b"]);
    assert!(lists.is_well());
    lists.assert_clean();
}

#[test]
fn a_new_generation_fills_beside_the_old_one_and_only_a_word_removes_who_is_absent() {
    let lists = Lists::new();
    let all = people(&["a", "b", "c", "d"]);
    lists.known(&all);
    lists.live("e1", &all[..3], &[]);
    lists.run();
    lists.watched();
    let number = lists.only().brevo_id;
    lists.resync();
    lists.live("full", &all[1..], &[]);
    lists.run();
    assert_eq!(lists.members("VIP"), ["a", "b", "c"], "nothing is removed, and who is new is held");
    let status = lists.only();
    assert_eq!((status.absent, status.held["baseline-unconfirmed"]), (Some(1), 1));
    assert_eq!(status.waits_for.unwrap().code, "list-filling");
    assert!(!lists.is_well());
    let done = lists.confirm(&DELIVER).unwrap();
    assert_eq!(done, Confirmed { removed: 1, joins_released: 1, joins_declined: 0 });
    lists.run();
    assert_eq!(lists.members("VIP"), ["b", "c", "d"]);
    assert_eq!(lists.only().brevo_id, number);
    let fewest = lists.brevo.list_changes().into_iter().skip(3).map(|change| change.members).min();
    assert!(fewest >= Some(2), "{:?}", lists.brevo.list_changes());
    let started: Vec<_> = lists.brevo.automations_started().into_iter().map(|one| one.ext_id).collect();
    assert_eq!(started, [Some("d".to_owned())], "nobody who stayed joined again");
    lists.assert_clean();
}

#[test]
fn removing_is_capped_and_an_empty_run_never_empties_a_list() {
    let lists = Lists::new();
    let names: Vec<String> = (0..150).map(|n| format!("u{n:03}")).collect();
    let all: Vec<Person> = names.iter().map(|name| person(name)).collect();
    lists.chunk(&quiet(), "e1", Provenance::Live, &all, &[]);
    lists.resync();
    assert_eq!(lists.confirm(&DELIVER).unwrap_err().code(), "empty-generation");
    lists.chunk(&quiet(), "full", Provenance::Live, &all[..49], &[]);
    let refused = lists.confirm(&DELIVER).unwrap_err();
    assert!(matches!(refused, ListError::TooMany { absent: 101, limit: REMOVALS }), "{refused}");
    assert_eq!(lists.only().members, 150, "nothing at all was done");
    let done = lists.confirm(&Allowed { at_most: Some(101), ..DELIVER }).unwrap();
    assert_eq!(done.removed, 101);
    assert_eq!(lists.only().members, 49);
    lists.assert_clean();
}

#[test]
fn nothing_is_confirmed_while_part_of_the_run_may_still_be_in_the_host() {
    let lists = Lists::new();
    let all = people(&["a", "b"]);
    lists.known(&all);
    lists.live("e1", &all, &[]);
    lists.resync();
    lists.live("full", &all[..1], &[]);
    lists.host.append();
    let refused = lists.confirm(&DELIVER).unwrap_err();
    assert!(matches!(refused, ListError::Incomplete { queued: 1, .. }), "{refused}");
    lists.host.script(|_, _| Err(UnitError::Fault { code: "guest-trap".into(), message: "x".into() }));
    for _ in 0..5 {
        lists.host.settle();
        lists.host.clock.advance(HOUR);
    }
    let refused = lists.confirm(&DELIVER).unwrap_err();
    assert!(matches!(refused, ListError::Incomplete { queued: 0, put_aside: 1, .. }), "{refused}");
    let done = lists.confirm(&Allowed { although_incomplete: true, ..DELIVER }).unwrap();
    assert_eq!(done.removed, 1);
}

#[test]
fn a_dropped_generation_removes_nobody_and_the_next_one_begins_anew() {
    let lists = Lists::new();
    let all = people(&["a", "b", "c"]);
    lists.known(&all);
    lists.live("e1", &all, &[]);
    lists.run();
    lists.resync();
    lists.live("full", &all[..1], &[]);
    let id = lists.only().id;
    lists.host.store.write(|tx| lists::abandon(tx, id)).unwrap();
    lists.run();
    assert_eq!(lists.members("VIP"), ["a", "b", "c"]);
    let refused = lists.host.store.write(|tx| lists::abandon(tx, id)).unwrap_err();
    assert_eq!(refused.code(), "list-not-filling");
    lists.resync();
    lists.live("full2", &all[1..], &[]);
    lists.confirm(&DELIVER).unwrap();
    lists.run();
    assert_eq!(lists.members("VIP"), ["b", "c"], "the dropped run spoke of a, this one did not");
    lists.assert_clean();
}

#[test]
fn w15_a_chunk_that_comes_again_counts_once_and_not_in_a_later_generation() {
    let lists = Lists::new();
    let all = people(&["a", "b"]);
    lists.known(&all);
    let at = lists.host.clock.now();
    let chunk = || {
        all.iter().map(|who| membership(who, &vip(), true, "e1/x", at, Provenance::Live)).collect::<Vec<_>>()
    };
    for _ in 0..3 {
        lists.host.deliver(chunk());
    }
    lists.run();
    assert_eq!(lists.joins(), 2);
    assert_eq!(lists.host.count("duplicate"), 4);
    lists.resync();
    lists.host.deliver(chunk());
    // Another part of the old execution, which comes for the first time.
    let late = membership(&all[0], &vip(), true, "e1/y", at, Provenance::Live);
    lists.host.deliver(vec![late]);
    assert_eq!(lists.only().absent, Some(2));
    lists.assert_clean();
}

#[test]
fn n28_executions_count_in_their_order_and_not_in_that_of_their_chunks() {
    let (first, second, third) = (START - 3 * MINUTE, START - 2 * MINUTE, START - MINUTE);
    let ann = person("ann");
    let word =
        |member, execution: &str, at| membership(&ann, &vip(), member, execution, at, Provenance::Live);
    let words = [
        word(true, "e1", first),
        word(false, "e2", second),
        word(true, "e3", third),
        word(false, "e3b", third),
    ];
    // The last two are of one instant: leaving wins.
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1], [1, 3, 0, 2]];
    for order in orders {
        let lists = Lists::new();
        lists.known(std::slice::from_ref(&ann));
        lists.host.clock.advance(MINUTE);
        for n in order {
            lists.host.deliver(vec![words[n].clone()]);
        }
        lists.run();
        assert!(lists.members("VIP").is_empty(), "{order:?}");
        assert_eq!(lists.only().members, 0);
        lists.assert_clean();
    }
}

#[test]
fn a_late_chunk_of_before_the_full_run_brings_nobody_back() {
    let lists = Lists::new();
    let all = people(&["a", "b", "c"]);
    lists.known(&all);
    lists.live("e1", &all[..2], &[]);
    let old = lists.host.clock.now();
    lists.resync();
    lists.live("full", &all[..1], &[]);
    lists.confirm(&DELIVER).unwrap();
    let late = |who: &Person| membership(who, &vip(), true, "e1/late", old, Provenance::Live);
    lists.host.deliver(vec![late(&all[1]), late(&all[2])]);
    lists.run();
    assert_eq!(lists.members("VIP"), ["a"]);
    lists.assert_clean();
}

#[test]
fn whoever_is_known_by_an_alias_only_is_waited_for_and_joins_once() {
    let lists = Lists::new();
    let alias = Alias { kind: "moengage-user-id".into(), value: "m-ann".into() };
    let by_alias = Person { external_id: None, email: None, phone: None, aliases: vec![alias.clone()] };
    lists.live("e1", std::slice::from_ref(&by_alias), &[]);
    lists.run();
    assert_eq!(lists.only().held["contact-unknown"], 1);
    assert!(lists.brevo.contacts().is_empty(), "nobody is created by a join");
    let ann = Person { aliases: vec![alias], ..person("ann") };
    lists.known(std::slice::from_ref(&ann));
    lists.live("e2", std::slice::from_ref(&ann), &[]);
    lists.run();
    assert_eq!(lists.members("VIP"), ["ann"]);
    assert_eq!(lists.joins(), 1);
    lists.live("e3", &[], std::slice::from_ref(&by_alias));
    lists.run();
    assert!(lists.members("VIP").is_empty());
    lists.assert_clean();
}

#[test]
fn two_that_turn_out_to_be_one_have_one_membership_and_the_newest_word_holds() {
    let lists = Lists::new();
    let alias = Alias { kind: "moengage-user-id".into(), value: "m-ann".into() };
    let by_alias = Person { external_id: None, email: None, phone: None, aliases: vec![alias.clone()] };
    lists.known(&[person("ann")]);
    lists.live("e1", &[person("ann")], &[]);
    lists.live("e2", &[], std::slice::from_ref(&by_alias));
    lists.run();
    assert_eq!(lists.members("VIP"), ["ann"], "nothing is merged on a guess");
    let ann = Person { aliases: vec![alias], ..person("ann") };
    let now = lists.host.clock.now();
    lists.host.deliver(vec![contact(&ann, "o2", now, json!({ "A": "2" }))]);
    lists.run();
    assert!(lists.members("VIP").is_empty());
    assert_eq!(lists.only().members, 0);
    lists.assert_clean();
}

#[test]
fn d18_whoever_was_erased_joins_nothing_any_more() {
    let lists = Lists::new();
    lists.first_run(&vip(), &people(&["a", "b"]));
    let destination = lists.host.installation.destination;
    lists
        .host
        .store
        .write::<_, StoreError>(|tx| tombstone::erase(tx, destination, PersonId(1), &[], START))
        .unwrap();
    lists.live("e1", &[], &people(&["a"]));
    lists.live("e2", &people(&["a"]), &[]);
    assert_eq!(lists.only().members, 1);
    assert_eq!(lists.host.count("skipped:person-erased"), 2);
    lists.assert_clean();
}

#[test]
fn a_shared_address_names_nobody_for_a_list() {
    let lists = Lists::new();
    let at = |key: &str| Person { email: Some("us@example.com".into()), ..person(key) };
    lists.known(&[at("a")]);
    lists.host.deliver(vec![contact(&at("b"), "ob", START, json!({ "A": "1" }))]);
    let by_mail =
        Person { external_id: None, email: Some("us@example.com".into()), phone: None, aliases: vec![] };
    lists.live("e1", std::slice::from_ref(&by_mail), &[]);
    let codes: Vec<_> = lists.host.letters().into_iter().map(|(_, _, code)| code).collect();
    assert_eq!(codes, ["identity-ambiguous"]);
    lists.assert_clean();
}

#[test]
fn whoever_opted_out_may_be_in_a_list_and_stays_blocked() {
    let lists = Lists::new();
    let ann = person("ann");
    lists.known(std::slice::from_ref(&ann));
    let now = lists.host.clock.now();
    lists.host.deliver(vec![consent("out", &ann, now, "opted-out", "signal")]);
    lists.live("e1", std::slice::from_ref(&ann), &[]);
    lists.run();
    assert_eq!(lists.members("VIP"), ["ann"]);
    assert!(lists.brevo.contact_by_ext_id("ann").unwrap().email_blacklisted);
    lists.assert_clean();
}

#[test]
fn payloads_of_lists_are_checked_strictly() {
    let lists = Lists::new();
    let bad = [
        json!({}),
        json!({ "list": {} }),
        json!({ "list": 5 }),
        json!({ "list": { "id": 0 } }),
        json!({ "list": { "id": "5" } }),
        json!({ "list": { "id": 5, "name": "x", "folder": "y" } }),
        json!({ "list": { "name": "x" } }),
        json!({ "list": { "name": "", "folder": "y" } }),
        json!({ "list": { "name": " x", "folder": "y" } }),
        json!({ "list": { "name": "x\u{7}", "folder": "y" } }),
        json!({ "list": { "id": 5 }, "inert": "yes" }),
        json!({ "list": { "id": 5 }, "more": 1 }),
    ];
    for (n, payload) in bad.iter().enumerate() {
        lists.host.deliver(vec![membership(
            &person("ann"),
            payload,
            true,
            &format!("e{n}"),
            START,
            Provenance::Live,
        )]);
    }
    let letters = lists.host.letters();
    assert_eq!(letters.len(), bad.len());
    assert!(letters.iter().all(|(_, _, code)| code == "bad-action-payload"), "{letters:?}");
    assert!(lists.status().is_empty() && lists.host.actions().is_empty());
    lists.assert_clean();
}

/// Answers are lost, refused and cut; the list is made once, and each join starts one automation.
#[test]
fn n05_n14_whatever_brevo_does_meanwhile_nobody_joins_twice() {
    let lists = Lists::new();
    let names: Vec<String> = (0..40).map(|n| format!("u{n:02}")).collect();
    let all: Vec<Person> = names.iter().map(|name| person(name)).collect();
    lists.known(&all);
    lists.live("e1", &all[..1], &[]);
    lists.run();
    lists.watched();
    let faults = lists.brevo.faults();
    for (path, seed) in [("add", 3), ("remove", 4)] {
        let path = format!("/v3/contacts/lists/{{id}}/contacts/{path}");
        faults.add(Rule::on("POST", &path, Fault::close_after_effect()).probability(0.4, seed)).unwrap();
        faults.add(Rule::on("POST", &path, Fault::status(500, "oops")).probability(0.3, seed + 7)).unwrap();
    }
    for (n, chunk) in all[1..].chunks(4).enumerate() {
        lists.live(&format!("e2-{n}"), chunk, &[]);
        lists.run();
    }
    lists.live("e3", &[], &all[30..]);
    lists.run();
    assert_eq!(lists.members("VIP"), names[..30]);
    let mut started: Vec<_> =
        lists.brevo.automations_started().into_iter().map(|one| one.ext_id.unwrap()).collect();
    started.sort();
    assert_eq!(started, names[1..], "once each");
    assert!(lists.host.letters().is_empty(), "{:?}", lists.host.letters());
    lists.assert_clean();
}

#[test]
fn a_list_that_is_gone_goes_on_after_a_word_and_its_members_are_a_full_run() {
    let lists = Lists::new();
    let all = people(&["a", "b"]);
    lists.known(&all);
    lists.live("e1", &all[..1], &[]);
    lists.run();
    let missing =
        || Fault::status(404, r#"{"code":"document_not_found","message":"List ID does not exist"}"#);
    for (method, path) in
        [("POST", "/v3/contacts/lists/{id}/contacts/add"), ("GET", "/v3/contacts/lists/{id}")]
    {
        lists.brevo.faults().add(Rule::on(method, path, missing()).times(1)).unwrap();
    }
    lists.live("e2", &all[1..], &[]);
    lists.run();
    let status = lists.only();
    assert_eq!(status.held["list-stopped"], 1);
    assert_eq!(status.waits_for.unwrap().code, "list-gone");
    assert_eq!(lists.host.letters().len(), 1);
    assert!(!lists.is_well());
    let (id, now) = (status.id, lists.host.clock.now());
    assert_eq!(lists.confirm(&DELIVER).unwrap_err().code(), "list-stopped");
    // The second join was live and goes on; the first member comes back as in a full run.
    assert_eq!(lists.host.store.write(|tx| lists::resume(tx, id, now)).unwrap(), 1);
    assert_eq!(
        lists.host.store.write(|tx| lists::resume(tx, id, now)).unwrap_err().code(),
        "list-not-stopped"
    );
    assert!(lists.host.letters().is_empty());
    lists.run();
    assert_eq!(lists.only().held["baseline-unconfirmed"], 1);
    lists.confirm(&DELIVER).unwrap();
    lists.run();
    assert_eq!(lists.members("VIP"), ["a", "b"]);
    lists.assert_clean();
}

/// The checker is checked: somebody at Brevo takes a person out, and a repeated join starts again.
#[test]
fn a_planted_second_join_is_seen() {
    let lists = Lists::new();
    lists.known(&[person("ann")]);
    lists.live("e1", &[person("ann")], &[]);
    lists.run();
    lists.watched();
    let list = lists.brevo.lists()[0].id;
    let contact = lists.brevo.contacts()[0].id;
    for verb in ["remove", "add"] {
        let answer = ureq::post(format!("{}/v3/contacts/lists/{list}/contacts/{verb}", lists.brevo.url()))
            .header("api-key", lists.brevo.api_key())
            .header("content-type", "application/json")
            .send(json!({ "ids": [contact] }).to_string())
            .unwrap();
        assert_eq!(answer.status(), 201);
    }
    assert_eq!(lists.brevo.automations_started().len(), 1);
    assert_eq!(lists.joins(), 2);
}

#[test]
fn a_join_past_its_time_starts_nothing_and_a_full_run_brings_it_up_again() {
    let lists = Lists::new();
    let ann = person("ann");
    lists.known(std::slice::from_ref(&ann));
    let mut late = membership(&ann, &vip(), true, "e1", START, Provenance::Live);
    if let Ok(Mapping::Actions(actions)) = &mut late.mapping {
        actions[0].not_after = Some(START - 1);
    }
    lists.host.deliver(vec![late]);
    lists.run();
    let last = lists.host.actions().pop().unwrap();
    assert_eq!((last.1, last.3.as_deref()), (State::Expired, Some("too-old")));
    lists.resync();
    lists.live("full", std::slice::from_ref(&ann), &[]);
    lists.confirm(&DELIVER).unwrap();
    lists.run();
    assert_eq!(lists.members("VIP"), ["ann"]);
    lists.assert_clean();
}

#[test]
fn a_unit_that_conflicts_leaves_no_membership_behind() {
    let lists = Lists::new();
    lists.host.append();
    let record = membership(&person("ann"), &vip(), true, "e1", START, Provenance::Live);
    lists.host.script(move |_, _| {
        let full = vec![0; (host_harness::quotas::Quotas::DEFAULT.storage_bytes + 1) as usize];
        let storage =
            host_harness::unit::StorageDelta { reads: vec![], writes: vec![("k".into(), Some(full))] };
        Ok(Outcome { storage, records: vec![record.clone()], ..Outcome::default() })
    });
    lists.host.settle();
    assert!(lists.status().is_empty());
}
