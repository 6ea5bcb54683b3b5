//! Mails, texts and campaigns from a commit to Brevo over real HTTP: what is lost on the way reaches
//! nobody twice, and what is not proven waits for a word.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;
#[path = "described/brevo.rs"]
mod vendor;

use std::time::Duration;

use host_harness::contract::*;
use host_harness::store::dead_letters;
use host_harness::store::outbox::State;
use host_harness::unit::MappedRecord;
use host_harness::world::Clock as _;

use scripted::*;
use serde_json::{Value, json};
use stand_ins::brevo::{Campaign, Options, Plan};
use stand_ins::faults::{Fault, Rule};
use vendor::Checked;

const MAIL: &str = "/v3/smtp/email";
const TEXT: &str = "/v3/transactionalSMS/send";
const CAMPAIGN: &str = "/v3/emailCampaigns/{id}/sendNow";

struct Sends {
    host: TestHost,
    brevo: Checked,
}

fn reader() -> Person {
    Person { phone: Some("+491511234567".into()), ..person("u1") }
}

impl Sends {
    /// A person who is at Brevo and wants everything, and a campaign to their list.
    fn new() -> Self {
        let brevo = Checked::start(Options {
            plan: Plan::Unlimited,
            mail_log_delay: Duration::ZERO,
            sms_log_delay: Duration::ZERO,
            ..Options::default()
        });
        let sends = Self { host: TestHost::new(), brevo };
        let now = sends.host.clock.now();
        let mut sms = consent("c-sms", &reader(), now, "opted-in", "flag");
        let payload = json!({ "channel": "sms", "status": "opted-in", "basis": "flag" });
        sms.mapping = Ok(Mapping::Actions(vec![action("c", "brevo/set-consent", &reader(), payload, None)]));
        let list = json!({ "list": { "name": "VIP", "folder": "F" }, "inert": true });
        sends.host.deliver(vec![
            consent("c-mail", &reader(), now, "opted-in", "flag"),
            sms,
            contact(&reader(), "o-1", now, json!({ "A": "1" })),
            membership(&reader(), &list, true, "first", now, Provenance::Live),
        ]);
        sends.run();
        let lists = sends.brevo.lists().iter().map(|list| list.id).collect();
        sends.brevo.put_campaign(Campaign::draft(7, lists));
        sends
    }

    fn run(&self) {
        deliver_all(&self.host, &delivery(&self.host, &self.brevo));
    }

    /// One event that calls for one of each.
    fn send(&self, key: &str) {
        let now = self.host.clock.now();
        let deadline = Some(now + HOUR);
        let thing = Subject::Object(("brevo-campaign".into(), "7".into()));
        let mut mapped: MappedRecord = event(key, &reader(), Some(now), now);
        let mail = json!({ "template_id": 101, "params": { "n": 1 }, "tags": ["welcome"] });
        let text = json!({ "content": "Grüße", "sender": "ACME", "tag": "hello" });
        let campaign =
            action("campaign", "brevo/trigger-campaign", &reader(), json!({ "campaign_id": 7 }), deadline);
        mapped.mapping = Ok(Mapping::Actions(vec![
            action("mail", "brevo/send-email", &reader(), mail, deadline),
            action("text", "brevo/send-sms", &reader(), text, deadline),
            Action { subject: thing, ..campaign },
        ]));
        self.host.deliver(vec![mapped]);
        self.run();
    }

    /// State and code of the last mail, text and campaign.
    fn ends(&self) -> [(State, Option<String>); 3] {
        let actions = self.host.actions();
        ["brevo/send-email", "brevo/send-sms", "brevo/trigger-campaign"].map(|wanted| {
            let (_, state, _, code) = actions.iter().rfind(|(name, ..)| name == wanted).unwrap();
            (*state, code.clone())
        })
    }

    fn reached(&self) -> (usize, usize, usize) {
        (self.brevo.mails().len(), self.brevo.texts().len(), self.brevo.campaign_sends().len())
    }

    fn fault(&self, method: &str, path: &str, fault: Fault) {
        self.brevo.faults().add(Rule::on(method, path, fault).times(1)).unwrap();
    }

    fn assert_clean(&self) {
        assert!(self.brevo.violations().is_empty(), "{:?}", self.brevo.violations());
        self.host.assert_sums();
    }
}

fn delivered() -> [(State, Option<String>); 3] {
    [(State::Delivered, None), (State::Delivered, None), (State::Delivered, None)]
}

#[test]
fn one_of_each_goes_out_once_however_often_the_record_comes() {
    let sends = Sends::new();
    sends.send("e1");
    assert_eq!(sends.ends(), delivered());
    sends.send("e1");
    assert_eq!(sends.reached(), (1, 1, 1));
    let mail = sends.brevo.mails().pop().unwrap();
    assert_eq!((mail.recipient.as_str(), mail.params["n"].clone()), ("u1@example.com", Value::from(1)));
    assert_eq!(mail.tags, ["welcome".to_owned(), format!("tajo-{}", mail.key.unwrap())]);
    let text = sends.brevo.texts().pop().unwrap();
    assert_eq!((text.recipient.as_str(), text.tags.len(), text.parts), ("491511234567", 2, 1));
    // Another event of the person sends another mail and text, and the campaign is over.
    sends.send("e2");
    assert_eq!(sends.ends()[2], (State::Deduplicated, Some("campaign-sent".into())));
    assert_eq!(sends.reached(), (2, 2, 1));
    sends.assert_clean();
}

#[test]
fn n05_answers_that_are_lost_over_real_connections_reach_nobody_twice() {
    for fault in [
        Fault::close_after_effect(),
        Fault::cut(3),
        Fault::new(stand_ins::faults::Answer::Html {}).effect(stand_ins::faults::Effect::AtOnce),
    ] {
        let sends = Sends::new();
        for path in [MAIL, TEXT, CAMPAIGN] {
            sends.fault("POST", path, fault.clone());
        }
        sends.send("e1");
        assert_eq!(sends.ends(), delivered(), "{fault:?}");
        assert_eq!(sends.reached(), (1, 1, 1), "{fault:?}");
        assert!(sends.host.letters().is_empty());
        sends.assert_clean();
    }
}

#[test]
fn n05_requests_that_are_lost_are_repeated_where_that_is_safe_and_shown_where_it_is_not() {
    let sends = Sends::new();
    for path in [MAIL, TEXT, CAMPAIGN] {
        sends.fault("POST", path, Fault::close());
    }
    sends.send("e1");
    let unproven = (State::Parked, Some("outcome-unproven".to_owned()));
    assert_eq!(sends.ends(), [(State::Delivered, None), unproven, (State::Delivered, None)]);
    assert_eq!(sends.reached(), (1, 0, 1));
    let letters = sends.host.letters();
    let [(letter, _, code)] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!(code, "outcome-unproven");
    let now = sends.host.clock.now();
    sends.host.store.write(|tx| dead_letters::requeue_action(tx, *letter, true, now)).unwrap();
    sends.run();
    assert_eq!(sends.ends()[1], (State::Delivered, None));
    assert_eq!(sends.reached(), (1, 1, 1));
    sends.assert_clean();
}
