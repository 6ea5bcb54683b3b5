//! A host that makes every call that it knows at a stand-in for Brevo.

use std::sync::Arc;
use std::time::Duration;

use host_harness::brevo::account::{self, Client};
use host_harness::contract::*;
use host_harness::delivery::Policy;
use host_harness::unit::MappedRecord;
use host_harness::world::{Clock as _, Millis};
use serde_json::{Value, json};
use stand_ins::brevo::{Campaign, ListEnvelope, NewList, ObjectType, Options, Plan};
use stand_ins::faults::{Fault, Rule};
use stand_ins::journal::Exchange;

use crate::described::brevo::Checked;
use crate::scripted::*;

const MINUTE: Millis = 60_000;

/// What it asked, and what it was told.
pub fn make(list_envelope: ListEnvelope) -> Vec<Exchange> {
    let text = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
    let object = ObjectType {
        name: "moengage_campaign".into(),
        attributes: vec![text("name", "text"), text("clicks", "number"), text("live", "boolean")],
    };
    let world = EveryCall {
        host: TestHost::new(),
        brevo: Checked::start(Options {
            plan: Plan::Unlimited,
            list_envelope,
            objects: Some(vec![object]),
            // The stand-in's clock is not the test's.
            processing_delay: Duration::ZERO,
            mail_log_delay: Duration::ZERO,
            sms_log_delay: Duration::ZERO,
            object_delay: Duration::ZERO,
            import_queue_delay: Duration::ZERO,
            import_delay: Duration::ZERO,
            ..Options::default()
        }),
        people: (0..30)
            .map(|n| match n {
                0 => Person { phone: Some("+491511234567".into()), ..person("p0") },
                1 => Person { email: Some("jörg@example.com".into()), ..person("p1") },
                n => person(&format!("p{n}")),
            })
            .collect(),
    };
    world.account();
    world.contacts();
    world.lists();
    world.events();
    world.mails_texts_and_a_campaign();
    world.things();
    world.notes_and_tasks();
    world.deletions();
    world.imports();
    assert_eq!(world.host.letters(), []);
    // What becomes of its rows depends on which of the two clocks is ahead.
    world.lost("/v3/contacts/import", 1);
    world.import("lost");
    world.brevo.journal().exchanges().cloned().collect()
}

struct EveryCall {
    host: TestHost,
    brevo: Checked,
    people: Vec<Person>,
}

impl EveryCall {
    fn now(&self) -> Millis {
        self.host.clock.now()
    }

    fn run(&self, records: Vec<MappedRecord>) {
        self.host.clock.advance(MINUTE);
        self.host.deliver(records);
        // A few contacts of a backfill are enough for an import.
        let policy = Policy { import_min: 5, ..Policy::default() };
        deliver_all(&self.host, &delivery_with(&self.host, &self.brevo, policy));
    }

    /// One action of an event, about a person or, where one is named, a thing.
    fn act(&self, key: &str, who: &Person, thing: Option<(&str, &str)>, name: &str, payload: Value) {
        let now = self.now();
        let mut mapped = event(key, who, Some(now), now);
        let mut act = action("one", name, who, payload, Some(now + HOUR));
        if let Some((kind, key)) = thing {
            act.subject = Subject::Object((kind.into(), key.into()));
        }
        mapped.mapping = Ok(Mapping::Actions(vec![act]));
        self.run(vec![mapped]);
    }

    /// The next so many calls are carried out and not answered.
    fn lost(&self, path: &str, times: u64) {
        self.brevo.faults().add(Rule::on("POST", path, Fault::close_after_effect()).times(times)).unwrap();
    }

    fn account(&self) {
        let key = self.brevo.api_key().to_owned();
        let client = Client::new(
            host_harness::egress::transport::network(),
            &format!("{}/v3", self.brevo.url()),
            Arc::new(move || Some(key.clone().into())),
            true,
            Duration::from_secs(10),
        );
        account::read_check(&client.send(&account::check()).unwrap()).unwrap();
    }

    /// Ann, who has another address by now.
    fn ann(&self) -> Person {
        Person { email: Some("ann+new@example.com".into()), ..self.people[0].clone() }
    }

    /// Made, changed, moved to another address, blocked, unblocked.
    fn contacts(&self) {
        let known = |who: &Person| {
            let key = who.external_id.clone().unwrap();
            let flag = consent(&format!("flag-{key}"), who, self.now(), "opted-in", "flag");
            [flag, contact(who, &format!("first-{key}"), self.now(), json!({ "A": "1" }))]
        };
        self.run(self.people.iter().flat_map(known).collect());
        let changed = json!({ "A": "2", "B": "x", "C": "y" });
        self.run(vec![contact(&self.people[0], "second", self.now(), changed)]);
        self.run(vec![contact(&self.ann(), "third", self.now(), json!({}))]);
        self.run(vec![consent("out", &self.ann(), self.now(), "opted-out", "signal")]);
        self.run(vec![consent("in", &self.ann(), self.now(), "opted-in", "signal")]);
    }

    /// By number, and by a name that is looked for and made.
    fn lists(&self) {
        let bought = self.brevo.add_list(&NewList {
            id: None,
            name: "Bought".into(),
            folder: "Shop".into(),
            automation: false,
        });
        let lists =
            [json!({ "list": { "id": bought.id } }), json!({ "list": { "name": "VIP", "folder": "New" } })];
        for (n, list) in lists.iter().enumerate() {
            let say = |member, execution: &str| {
                let key = format!("{execution}{n}");
                let word = |who| membership(who, list, member, &key, self.now(), Provenance::Live);
                self.run(self.people[1..5].iter().map(word).collect());
            };
            say(true, "join");
            say(false, "leave");
        }
        // A list that seems to be gone is looked for.
        let gone = Fault::status(404, r#"{"code":"document_not_found","message":"List ID does not exist"}"#);
        let add = Rule::on("POST", "/v3/contacts/lists/{id}/contacts/add", gone).times(1);
        self.brevo.faults().add(add).unwrap();
        let again = membership(&self.people[6], &lists[0], true, "again", self.now(), Provenance::Live);
        self.run(vec![again]);
    }

    /// One, one without an answer, many at once.
    fn events(&self) {
        let kinds =
            json!({ "event": "bought", "properties": { "gift": true, "price": 9.5, "n": 1, "tags": ["a"] } });
        self.act("one", &self.people[0], None, "brevo/track-event", kinds);
        self.lost("/v3/events", 1);
        self.run(vec![event("lost", &self.people[0], Some(self.now()), self.now())]);
        let many = |n: usize| event(&format!("many-{n}"), &self.people[n % 30], Some(self.now()), self.now());
        self.run((0..40).map(many).collect());
    }

    fn mails_texts_and_a_campaign(&self) {
        let ann = self.ann();
        let mail = json!({ "template_id": 101, "params": { "n": 1 }, "tags": ["welcome"] });
        self.act("mail", &ann, None, "brevo/send-email", mail);
        self.act("mail-8", &self.people[8], None, "brevo/send-email", json!({ "template_id": 101 }));
        // Until Brevo no longer knows its key: then it is looked for.
        self.lost("/v3/smtp/email", 30);
        self.act("mail-lost", &ann, None, "brevo/send-email", json!({ "template_id": 101 }));
        self.brevo.faults().clear();
        let payload = json!({ "channel": "sms", "status": "opted-in", "basis": "flag" });
        self.act("sms", &ann, None, "brevo/set-consent", payload);
        let text = json!({ "content": "Grüße", "sender": "ACME", "tag": "hello" });
        self.act("text", &ann, None, "brevo/send-sms", text);
        self.lost("/v3/transactionalSMS/send", 1);
        let marketing = json!({ "content": "Neu: 日本", "sender": "4915112345678", "kind": "marketing" });
        self.act("text-lost", &ann, None, "brevo/send-sms", marketing);
        let lists = self.brevo.lists().iter().map(|list| list.id).collect();
        self.brevo.put_campaign(Campaign::draft(7, lists));
        let payload = json!({ "campaign_id": 7 });
        self.act("campaign", &ann, Some(("brevo-campaign", "7")), "brevo/trigger-campaign", payload);
    }

    fn things(&self) {
        let ann = self.ann();
        let whole = json!({
            "id": "P1", "name": "Mug", "url": "https://example.com/p1", "image_url": "https://example.com/p1.png",
            "sku": "S", "price": 9.5, "parent_id": "P0", "categories": ["c"],
            "meta_info": { "a": "text", "b": 7, "c": 1.5, "d": true },
        });
        self.act("product", &ann, Some(("product", "P1")), "brevo/upsert-product", whole);
        let gone = json!({ "id": "P1", "name": "Mug", "deleted": true });
        self.act("product-gone", &ann, Some(("product", "P1")), "brevo/upsert-product", gone);
        let record = json!({
            "type": "moengage_campaign", "ext_id": "c1",
            "attributes": { "name": "Spring", "clicks": 3, "live": true },
        });
        self.act("record", &ann, Some(("campaign", "c1")), "brevo/upsert-object", record);
    }

    /// On a person and on nobody, answered and not.
    fn notes_and_tasks(&self) {
        let task = json!({ "name": "Call", "type": "Todo", "due_in": 86_400, "notes": "about it" });
        for (name, path, payload) in [
            ("brevo/add-note", "/v3/crm/notes", json!({ "text": "<p>Hi</p>" })),
            ("brevo/create-task", "/v3/crm/tasks", task),
        ] {
            for (key, thing) in [("person", None), ("thing", Some(("alert", "a1")))] {
                self.act(&format!("{name}-{key}"), &self.people[2], thing, name, payload.clone());
                self.lost(path, 1);
                self.act(&format!("{name}-{key}-lost"), &self.people[2], thing, name, payload.clone());
            }
        }
    }

    fn deletions(&self) {
        let soft = json!({ "behavior": "soft", "mark": "GONE_ON" });
        self.act("soft", &self.people[6], None, "brevo/delete-contact", soft);
        // Somebody who got a mail.
        self.act("hard", &self.people[8], None, "brevo/delete-contact", json!({ "behavior": "hard" }));
    }

    /// Some of whom are not to be written to.
    fn imports(&self) {
        self.import("first");
        self.import("second");
    }

    fn import(&self, name: &str) {
        let read = |n: usize| {
            let who = person(&format!("{name}{n}"));
            let key = format!("{name}-{n}");
            let status = if name == "second" { "opted-out" } else { "opted-in" };
            let flag = consent(&format!("flag-{key}"), &who, self.now(), status, "flag");
            [flag, contact(&who, &key, self.now(), json!({ "A": "1" }))]
        };
        let mut records: Vec<MappedRecord> = (0..10).flat_map(read).collect();
        for mapped in &mut records {
            mapped.record.provenance = Provenance::Backfill;
        }
        self.run(records);
    }
}
