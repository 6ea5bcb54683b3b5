//! Transactional mail of the Brevo stand-in, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::time::Duration;

use client::Client;
use serde_json::{Value, json};
use stand_ins::brevo::{BlockReason, Brevo, Options, Plan, Template};
use stand_ins::clock::Scale;
use stand_ins::faults::{Fault, Rule};

fn start(options: Options) -> (Brevo, Client) {
    let brevo = Brevo::start(options).unwrap();
    let client = Client::brevo(&brevo);
    (brevo, client)
}

/// What was sent is in the log at once.
fn brevo() -> (Brevo, Client) {
    start(Options { plan: Plan::Unlimited, mail_log_delay: Duration::ZERO, ..Options::default() })
}

fn mail(key: &str) -> Value {
    json!({
        "templateId": 101, "to": [{"email": "Ann@example.com"}], "params": {"order": {"id": 7}},
        "tags": ["welcome", "u1"], "headers": {"idempotencyKey": key},
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut changed = mail("k");
    changed[key] = value;
    changed
}

#[test]
fn a_mail_is_sent_and_read_back() {
    let (brevo, client) = brevo();
    let sent = client.post("/v3/smtp/email", mail("k1"));
    assert_eq!(sent.status, 201);
    let id = sent.json()["messageId"].as_str().unwrap().to_owned();
    assert!(id.starts_with('<') && id.ends_with('>') && id.contains('@'), "{id}");
    let mails = brevo.mails();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert_eq!(
        (mail.recipient.as_str(), mail.template_id, mail.delivered),
        ("Ann@example.com", Some(101), true)
    );
    assert_eq!(
        (json!(mail.params), mail.tags.as_slice()),
        (json!({"order": {"id": 7}}), &["welcome", "u1"].map(str::to_owned)[..])
    );
    assert_eq!((mail.key.as_deref(), mail.message_id.as_str()), (Some("k1"), id.as_str()));
    assert_eq!(brevo.journal().of("POST", "/v3/smtp/email").next().unwrap().seq, mail.seq);

    let escaped = id.replace('<', "%3C").replace('>', "%3E");
    for filter in
        ["email=ann%40example.com".to_owned(), "templateId=101".to_owned(), format!("messageId={escaped}")]
    {
        let read = client.get(&format!("/v3/smtp/emails?{filter}")).json();
        assert_eq!(read["count"], 1, "{filter}");
        let row = &read["transactionalEmails"][0];
        assert_eq!((&row["messageId"], &row["tags"]), (&json!(id), &json!(["welcome", "u1"])));
        for name in ["date", "email", "subject", "uuid", "from"] {
            assert!(row[name].is_string(), "{name}");
        }
    }
    assert_eq!(client.get("/v3/smtp/emails?email=bob%40example.com").json()["count"], 0);
    let tags = "%5B%22u1%22%5D";
    let events = client.get(&format!("/v3/smtp/statistics/events?tags={tags}&sort=asc")).json();
    let names: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["requests", "delivered"]);
    assert_eq!(events["events"][0]["messageId"], json!(id));
    let one =
        client.get(&format!("/v3/smtp/statistics/events?event=requests&messageId={escaped}&days=1")).json();
    assert_eq!(one["events"].as_array().unwrap().len(), 1);
    let other = client.get("/v3/smtp/statistics/events?tags=%5B%22u2%22%5D").json();
    assert_eq!(other, json!({"events": []}));
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn a_key_holds_for_its_window_and_no_longer() {
    let still = Scale::from_now(1e-9);
    let (brevo, client) = start(Options { scale: still, ..Options::default() });
    assert_eq!(client.post("/v3/smtp/email", mail("k1")).status, 201);
    let repeat = client.post("/v3/smtp/email", mail("k1"));
    assert_eq!((repeat.status, repeat.code().as_str()), (400, "duplicate_parameter"));
    assert_eq!(client.post("/v3/smtp/email", mail("k2")).status, 201);
    // Brevo changes the case of header names.
    let recased = json!({"IdempotencyKey": "k1"});
    assert_eq!(client.post("/v3/smtp/email", with("headers", recased)).status, 400);
    // Another spelling protects from nothing.
    let hyphens = json!({"Idempotency-Key": "k1"});
    assert_eq!(client.post("/v3/smtp/email", with("headers", hyphens)).status, 201);
    assert_eq!(brevo.mails().len(), 3);
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());

    // A minute in a thousandth of a second.
    let (brevo, client) = start(Options { scale: Scale::from_now(60_000.0), ..Options::default() });
    client.post("/v3/smtp/email", mail("k1"));
    let over = brevo.mails()[0].at + 15 * 60_000;
    while brevo.now() < over {
        std::thread::yield_now();
    }
    assert_eq!(client.post("/v3/smtp/email", mail("k1")).status, 201, "sent again");
    assert_eq!(brevo.mails().len(), 2);
}

#[test]
fn a_refused_mail_takes_no_key() {
    let (brevo, client) = brevo();
    brevo.set_email_credits(Some(0));
    let refused = client.post("/v3/smtp/email", mail("k1"));
    assert_eq!((refused.status, refused.code().as_str()), (402, "not_enough_credits"));
    brevo.set_email_credits(Some(1));
    assert_eq!(client.post("/v3/smtp/email", mail("k1")).status, 201);
    assert_eq!(client.post("/v3/smtp/email", mail("k2")).status, 402);
    brevo.set_email_credits(None);
    brevo.set_templates(vec![Template::inactive(101)]);
    for template in [101, 102] {
        let answer = client.post("/v3/smtp/email", with("templateId", json!(template)));
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_parameter"));
    }
    assert_eq!(brevo.mails().len(), 1);
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn the_sandbox_sends_nothing() {
    let (brevo, client) = brevo();
    let headers = json!({"X-Sib-Sandbox": "drop", "idempotencyKey": "k1"});
    let dropped = client.post("/v3/smtp/email", with("headers", headers));
    assert_eq!((dropped.status, dropped.json()["messageId"].is_string()), (201, true));
    assert!(brevo.mails().is_empty());
    assert_eq!(client.get("/v3/smtp/emails?templateId=101").json()["count"], 0);
    assert_eq!(client.post("/v3/smtp/email", mail("k1")).status, 201);
}

#[test]
fn undocumented_mails_are_refused() {
    let (brevo, client) = brevo();
    let without = |key: &str| {
        let mut changed = mail("k");
        changed.as_object_mut().unwrap().remove(key);
        changed
    };
    let people: Vec<Value> = (0..100).map(|n| json!({"email": format!("p{n}@example.com")})).collect();
    let refused = [
        without("to"),
        without("templateId"),
        with("to", json!("ann@example.com")),
        with("to", json!([{"address": "ann@example.com"}])),
        with("to", json!([{"email": "ann@example.com", "name": "x".repeat(71)}])),
        with("to", json!(people)),
        with("templateId", json!("101")),
        with("template_id", json!(101)),
        with("tags", json!("welcome")),
        with("tags", json!([1])),
        with("params", json!([])),
        with("params", json!({"text": "x".repeat(100 * 1024)})),
        with("headers", json!({"idempotencyKey": 1})),
        with("headers", json!({"idempotencyKey": ""})),
        with("headers", json!({"X-Sib-Sandbox": "on"})),
        with("sender", json!({"email": "a@example.com", "id": 1})),
        with("subject", Value::Null),
    ];
    let many = refused.len();
    for body in refused {
        let answer = client.post("/v3/smtp/email", body.clone());
        assert_eq!(answer.status, 400, "{body}");
    }
    assert_eq!(brevo.violations().len(), many, "{:?}", brevo.violations());
    let address = client.post("/v3/smtp/email", with("to", json!([{"email": "nobody"}])));
    assert_eq!((address.status, address.json()["message"].as_str()), (400, Some("email is not valid in to")));
    for (path, wrong) in [
        ("emails", "limit=1"),
        ("emails", "email=a%40example.com&limit=1001"),
        ("emails", "templateId=x"),
        ("emails", "email=a%40example.com&startDate=2026-01-01"),
        ("emails", "email=a%40example.com&startDate=2026-01-01&endDate=2026-03-01"),
        ("emails", "email=a%40example.com&tags=%5B%5D"),
        ("statistics/events", "tags=welcome"),
        ("statistics/events", "days=91"),
        ("statistics/events", "event=seen"),
        ("statistics/events", "days=1&startDate=2026-01-01&endDate=2026-01-02"),
        ("blockedContacts", "limit=101"),
    ] {
        assert_eq!(client.get(&format!("/v3/smtp/{path}?{wrong}")).status, 400, "{path}?{wrong}");
    }
    assert!(brevo.mails().is_empty());
    let edge = with("params", json!({"text": "x".repeat(100 * 1024 - 11)}));
    assert_eq!(client.post("/v3/smtp/email", edge).status, 201, "100 KB exactly");
    let own = json!({
        "sender": {"email": "shop@example.com", "name": "Shop"}, "to": [{"email": "a@example.com"}],
        "subject": "Hello", "htmlContent": "<p>Hello</p>",
    });
    assert_eq!(client.post("/v3/smtp/email", own).status, 201);
    assert_eq!(brevo.mails()[1].sender, "shop@example.com");
}

#[test]
fn who_is_blocked_gets_nothing() {
    let (brevo, client) = brevo();
    brevo.block_transactional("ann@EXAMPLE.com", BlockReason::HardBounce);
    client.post("/v3/contacts", json!({"email": "bob@example.com"}));
    client.put(
        "/v3/contacts/1",
        json!({"smtpBlacklistSender": ["hello@example.com"], "emailBlacklisted": true}),
    );
    client.post("/v3/contacts", json!({"email": "cleo@example.com"}));
    client.put("/v3/contacts/2", json!({"emailBlacklisted": true}));
    let people =
        json!([{"email": "ann@example.com"}, {"email": "bob@example.com"}, {"email": "cleo@example.com"}]);
    assert_eq!(client.post("/v3/smtp/email", with("to", people)).status, 201);
    let delivered: Vec<bool> = brevo.mails().iter().map(|mail| mail.delivered).collect();
    assert_eq!(delivered, [false, false, true], "a block for campaigns stops no transactional mail");
    let blocked = client.get("/v3/smtp/statistics/events?event=blocked").json();
    assert_eq!(blocked["events"].as_array().unwrap().len(), 2);
    let listed = client.get("/v3/smtp/blockedContacts?sort=asc&limit=1").json();
    assert_eq!(
        (listed["count"].as_i64(), &listed["contacts"][0]["email"]),
        (Some(2), &json!("ann@EXAMPLE.com"))
    );
    assert_eq!(listed["contacts"][0]["reason"]["code"], "hardBounce");
    let nobody = client.get("/v3/smtp/blockedContacts?senders=other%40example.com").json();
    assert_eq!(nobody, json!({"count": 0, "contacts": []}));
    assert_eq!(client.delete("/v3/contacts/1").status, 204);
    assert_eq!(brevo.transactional_blocks().len(), 1, "the block went with the contact");
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn the_log_is_late_and_can_be_deleted() {
    let (brevo, client) = start(Options {
        plan: Plan::Unlimited,
        mail_log_delay: Duration::from_secs(3_600),
        ..Options::default()
    });
    client.post("/v3/smtp/email", mail("k1"));
    assert_eq!(client.get("/v3/smtp/emails?templateId=101").json()["count"], 0);
    assert_eq!(client.get("/v3/smtp/statistics/events").json(), json!({"events": []}));
    assert_eq!(client.delete("/v3/smtp/log/ann%40example.com").status, 404, "nothing there yet");
    assert_eq!(brevo.mails().len(), 1);

    let (brevo, client) = self::brevo();
    let ids: Vec<String> = ["k1", "k2"]
        .map(|key| client.post("/v3/smtp/email", mail(key)).json()["messageId"].as_str().unwrap().to_owned())
        .to_vec();
    let path = |id: &str| format!("/v3/smtp/log/{}", id.replace('<', "%3C").replace('>', "%3E"));
    assert_eq!(client.delete(&path(&ids[0])).status, 204);
    assert_eq!(client.delete(&path(&ids[0])).status, 404);
    assert_eq!(client.get("/v3/smtp/emails?templateId=101").json()["count"], 1);
    assert_eq!(
        client.delete("/v3/smtp/log/ANN%40example.com?from_date=2001-01-01&to_date=2001-01-02").status,
        404
    );
    assert_eq!(client.delete("/v3/smtp/log/ANN%40example.com").status, 204);
    assert_eq!(client.get("/v3/smtp/emails?templateId=101").json()["count"], 0);
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
    assert_eq!(client.delete("/v3/smtp/log/17").status, 400);
    assert_eq!(brevo.mails().len(), 2, "what was sent was sent");
}

#[test]
fn mail_has_windows_of_its_own() {
    let (brevo, client) = start(Options { scale: Scale::from_now(1e-9), ..Options::default() });
    let limit = |method: &str, path: &str, body: Value| {
        client.send(method, path, body).header("x-sib-ratelimit-limit").unwrap().to_owned()
    };
    assert_eq!(limit("POST", "/v3/smtp/email", mail("k1")), "1000");
    assert_eq!(limit("GET", "/v3/smtp/blockedContacts", Value::Null), "1000");
    assert_eq!(limit("GET", "/v3/smtp/statistics/events", Value::Null), "300");
    assert_eq!(limit("DELETE", "/v3/smtp/log/a%40example.com", Value::Null), "300");
    for status in [200, 200, 429] {
        assert_eq!(client.get("/v3/smtp/emails?templateId=101").status, status);
    }
    assert_eq!(brevo.over_limit(), 1);
}

#[test]
fn faults_break_a_mail_before_and_after_it_is_sent() {
    let (brevo, client) = brevo();
    let rule = |fault: Fault| Rule::on("POST", "/v3/smtp/email", fault).times(1);
    brevo.faults().add(rule(Fault::close())).unwrap();
    assert!(client.try_send("POST", "/v3/smtp/email", mail("k1").to_string().as_bytes()).is_err());
    assert!(brevo.mails().is_empty());
    brevo.faults().add(rule(Fault::close_after_effect())).unwrap();
    assert!(client.try_send("POST", "/v3/smtp/email", mail("k1").to_string().as_bytes()).is_err());
    assert_eq!(brevo.mails().len(), 1);
    assert_eq!(client.post("/v3/smtp/email", mail("k1")).code(), "duplicate_parameter");
    brevo.faults().add(rule(Fault::rate_limited(true))).unwrap();
    assert_eq!(client.post("/v3/smtp/email", mail("k2")).status, 429);
    brevo.faults().add(rule(Fault::status(502, "<html>"))).unwrap();
    assert_eq!(client.post("/v3/smtp/email", mail("k2")).status, 502);
    brevo.faults().add(rule(Fault::cut(5))).unwrap();
    assert_eq!(client.post("/v3/smtp/email", mail("k2")).body, None);
    assert_eq!(brevo.mails().len(), 2);
}
