//! Connector campaigns, against a receiver.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;
mod receiver;

use std::time::Duration;

use client::Client;
use receiver::{Answer, Receiver};
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::moengage::connector_campaign::{Connector, ConnectorMethod, Template};
use stand_ins::moengage::posting::Outcome;
use stand_ins::moengage::{MoEngage, Options, User};

const WAIT: Duration = Duration::from_secs(60);

fn moengage() -> MoEngage {
    MoEngage::start(Options { scale: Scale::from_now(1_000.0), ..Options::default() }).unwrap()
}

fn user(n: usize) -> User {
    let attributes =
        json!({"u_em": format!("p{n}@example.com"), "points": 12.0, "u_ln": null, "note": "a \"b\" & c"});
    let Value::Object(attributes) = attributes else { unreachable!() };
    User { id: format!("moe-{n}"), customer_id: Some(format!("uid-{n}")), attributes }
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_body_is_the_marketers() {
    let receiver = Receiver::start(|_| 200_u16);
    let moengage = moengage();
    let template = [
        ("id", "{{uid}}"),
        ("to", "<{{ u_em }}>"),
        ("p", "{{points}}{{u_ln}}{{nothing}}"),
        ("n", "{{note}}"),
    ];
    let raw = "{\"id\": \"{{moengage_id}}\", \"who\": [\"{{u_em}}\"], \"open\": \"{{\"}".to_owned();
    let expected_json = json!({"id": "uid-1", "to": "<p1@example.com>", "p": "12.0", "n": "a \"b\" & c"});
    for (method, body, media, expected) in [
        (
            ConnectorMethod::Post,
            Template::Json(pairs(&template)),
            "application/json",
            expected_json.to_string(),
        ),
        (
            ConnectorMethod::Put,
            Template::Form(pairs(&template)),
            "application/x-www-form-urlencoded",
            "id=uid-1&to=%3Cp1%40example.com%3E&p=12.0&n=a+%22b%22+%26+c".to_owned(),
        ),
        (
            ConnectorMethod::Post,
            Template::Raw(raw),
            "application/json",
            "{\"id\": \"moe-1\", \"who\": [\"p1@example.com\"], \"open\": \"{{\"}".to_owned(),
        ),
        (
            ConnectorMethod::Post,
            Template::Raw("{\"note\": \"{{note}}\"}".to_owned()),
            "application/json",
            "{\"note\": \"a \"b\" & c\"}".to_owned(),
        ),
    ] {
        let headers = pairs(&[("x-tajo-key", "k")]);
        let connector = Connector { method, body, headers, ..Connector::new(&receiver.url("/hook?c=1")) };
        let campaign = moengage.connector_campaign(connector).unwrap();
        campaign.send([user(1)]);
        assert!(campaign.wait(WAIT));
        let came = receiver.received().pop().unwrap();
        let verb = if method == ConnectorMethod::Post { "POST" } else { "PUT" };
        assert_eq!(came.headers[0], format!("{verb} /hook?c=1 HTTP/1.1"));
        assert_eq!((came.header("content-type"), came.header("x-tajo-key")), (Some(media), Some("k")));
        assert_eq!(String::from_utf8(came.body.clone()).unwrap(), expected);
        let sent = &campaign.sent()[0];
        assert!(sent.delivered() && sent.body == came.body && sent.moengage_id == "moe-1");
    }
}

#[test]
fn only_200_counts() {
    let receiver = Receiver::start(|n| [200_u16, 202, 201, 302, 500, 0][n - 1]);
    let moengage = moengage();
    let connector = Connector { concurrency: 1, ..Connector::new(&receiver.url("/")) };
    let campaign = moengage.connector_campaign(connector).unwrap();
    campaign.send((0..6).map(user));
    assert!(campaign.wait(WAIT));
    let delivered: Vec<bool> = campaign.sent().iter().map(|sent| sent.delivered()).collect();
    assert_eq!(delivered, [true, false, false, false, false, false]);
    assert!(campaign.sent().iter().all(|sent| sent.tries.len() == 1), "retries are off");
}

#[test]
fn retries_come_every_five_seconds_and_a_rerun_sends_all_again() {
    // The first user's request is refused three times, the second one's always.
    let receiver = Receiver::start(|n| if n <= 3 || (5..=8).contains(&n) { 202_u16 } else { 200 });
    let moengage = moengage();
    let connector = Connector { retries: true, concurrency: 1, ..Connector::new(&receiver.url("/")) };
    let campaign = moengage.connector_campaign(connector).unwrap();
    let batch = campaign.send([user(1), user(2)]);
    assert!(campaign.wait(WAIT));
    let sent = campaign.sent();
    assert_eq!((sent[0].tries.len(), sent[0].delivered()), (4, true));
    assert_eq!((sent[1].tries.len(), sent[1].delivered()), (4, false));
    for pair in sent[0].tries.windows(2) {
        assert!(pair[1].sent_at - pair[0].over_at >= 5_000, "{pair:?}");
    }
    assert!(campaign.rerun(batch));
    assert!(!campaign.rerun(9));
    assert!(campaign.wait(WAIT));
    let again = campaign.sent();
    let runs: Vec<(usize, u32, &str)> =
        again.iter().map(|sent| (sent.batch, sent.run, sent.moengage_id.as_str())).collect();
    assert_eq!(runs, [(0, 1, "moe-1"), (0, 1, "moe-2"), (0, 2, "moe-1"), (0, 2, "moe-2")]);
    assert_eq!((again[2].body.clone(), again[3].body.clone()), (sent[0].body.clone(), sent[1].body.clone()));
}

#[test]
fn the_deadline_is_real_time() {
    let receiver = Receiver::start(|_| Answer { after: Duration::from_millis(400), ..Answer::from(200) });
    let moengage = moengage();
    let patient = moengage.connector_campaign(Connector::new(&receiver.url("/"))).unwrap();
    assert_eq!(Connector::new("").deadline, Duration::from_secs(5));
    let deadline = Duration::from_millis(100);
    let hasty =
        moengage.connector_campaign(Connector { deadline, ..Connector::new(&receiver.url("/")) }).unwrap();
    patient.send([user(1)]);
    hasty.send([user(2)]);
    assert!(patient.wait(WAIT) && hasty.wait(WAIT));
    assert!(patient.sent()[0].delivered(), "400 s of host time, but not of the socket's");
    assert_eq!(hasty.sent()[0].tries[0].outcome, Outcome::Timeout);
    assert!(moengage.connector_campaign(Connector::new("https://127.0.0.1/")).is_err());
    assert!(
        moengage
            .connector_campaign(Connector { concurrency: 0, ..Connector::new(&receiver.url("/")) })
            .is_err()
    );
}

#[test]
fn a_person_sends_a_campaign() {
    let receiver = Receiver::start(|_| 200_u16);
    let moengage = moengage();
    let person = Client::new(&moengage.url(), &[]);
    let connector = json!({"url": receiver.url("/"), "method": "PUT", "body": {"form": [["u", "{{uid}}"]]}});
    assert_eq!(person.post("/_control/connectors", connector).json(), json!({"connector": 0}));
    let batch = json!({"users": [{"id": "m1", "customer_id": "7"}]});
    assert_eq!(person.post("/_control/connector-batches", batch).json(), json!({"batch": 0}));
    assert_eq!(person.post("/_control/connector-batches", json!({"rerun": 0})).json(), json!({"batch": 0}));
    let until = std::time::Instant::now() + WAIT;
    while receiver.received().len() < 2 {
        assert!(std::time::Instant::now() < until);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(receiver.bodies().iter().all(|body| body == b"u=7"));
    for body in [json!({}), json!({"rerun": 5}), json!({"connector": 2, "rerun": 0})] {
        assert_eq!(person.post("/_control/connector-batches", body).status, 400);
    }
}
