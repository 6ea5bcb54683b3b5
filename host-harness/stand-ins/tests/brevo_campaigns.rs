//! E-mail campaigns of the Brevo stand-in, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::time::Duration;

use client::Client;
use serde_json::{Value, json};
use stand_ins::brevo::{Brevo, Campaign, CampaignStatus, NewList, Options, Plan};
use stand_ins::clock::Scale;
use stand_ins::faults::{Fault, Rule};

const SEND: &str = "/v3/emailCampaigns/7/sendNow";

/// Campaign 7 for list 1, from which those of list 2 are excluded; five people, one of them
/// blocked and one excluded.
fn start(options: Options) -> (Brevo, Client) {
    let campaign = Campaign { exclusion_list_ids: vec![2], ..Campaign::draft(7, vec![1]) };
    let options = Options { plan: Plan::Unlimited, campaigns: vec![campaign], ..options };
    let brevo = Brevo::start(options).unwrap();
    let client = Client::brevo(&brevo);
    for id in [1, 2] {
        let (name, folder) = (format!("L{id}"), "F".to_owned());
        brevo.add_list(&NewList { id: Some(id), name, folder, automation: false });
    }
    for n in 1..=4 {
        let lists = if n == 4 { json!([1, 2]) } else { json!([1]) };
        let body =
            json!({"email": format!("p{n}@example.com"), "listIds": lists, "emailBlacklisted": n == 3});
        assert_eq!(client.post("/v3/contacts", body).status, 201);
    }
    (brevo, client)
}

fn status(client: &Client) -> String {
    client.get("/v3/emailCampaigns/7").json()["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_campaign_goes_out_once() {
    let (brevo, client) = start(Options { campaign_delay: Duration::ZERO, ..Options::default() });
    let draft = client.get("/v3/emailCampaigns/7").json();
    assert_eq!((&draft["status"], &draft["type"]), (&json!("draft"), &json!("classic")));
    assert_eq!(draft["recipients"], json!({"lists": [1], "exclusionLists": [2]}));
    for name in ["name", "createdAt", "modifiedAt", "footer", "header", "htmlContent", "replyTo"] {
        assert!(draft[name].is_string(), "{name}");
    }
    for name in [
        "campaignStats",
        "globalStats",
        "linksStats",
        "mirrorClick",
        "remaining",
        "statsByBrowser",
        "statsByDevice",
        "statsByDomain",
    ] {
        assert!(!draft["statistics"][name].is_null(), "{name}");
    }
    for name in ["sent", "delivered", "viewed", "uniqueClicks", "opensRate", "appleMppOpens"] {
        assert!(draft["statistics"]["globalStats"][name].is_number(), "{name}");
    }
    assert!(draft.get("sentDate").is_none());
    let sent = client.send("POST", SEND, Value::Null);
    assert_eq!((sent.status, sent.body.as_deref()), (204, Some(&b""[..])));
    let read = client.get("/v3/emailCampaigns/7?statistics=globalStats").json();
    assert_eq!(read["status"], "sent");
    assert!(read["sentDate"].is_string());
    assert_eq!(
        (read["statistics"]["globalStats"]["sent"].as_i64(), read["statistics"].as_object().unwrap().len()),
        (Some(2), 1)
    );
    let again = client.send("POST", SEND, Value::Null);
    assert_eq!((again.status, again.code().as_str()), (400, "campaign_sent"));
    let sends = brevo.campaign_sends();
    assert_eq!(sends.len(), 1);
    assert_eq!(
        (sends[0].campaign_id, sends[0].recipients.as_slice()),
        (7, &["p1@example.com", "p2@example.com"].map(str::to_owned)[..])
    );
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn a_campaign_takes_its_time_and_its_people_when_it_is_processed() {
    let hour = Duration::from_secs(3_600);
    // Half an hour in nine tenths of a second.
    let (brevo, client) =
        start(Options { campaign_delay: hour, scale: Scale::from_now(2_000.0), ..Options::default() });
    assert_eq!(client.send("POST", SEND, Value::Null).status, 204);
    assert_eq!(status(&client), "queued");
    let refused = client.send("POST", SEND, Value::Null);
    assert_eq!((refused.status, refused.code().as_str()), (400, "campaign_processing"));
    let send = brevo.campaign_sends().remove(0);
    assert!(send.recipients.is_empty());
    client.post("/v3/contacts", json!({"email": "late@example.com", "listIds": [1]}));
    assert!(brevo.now() < send.processed_at, "this machine is too slow for the test");
    while brevo.now() < send.processed_at {
        std::thread::yield_now();
    }
    assert_eq!(status(&client), "in_process");
    assert_eq!(client.send("POST", SEND, Value::Null).code(), "campaign_processing");
    assert_eq!(brevo.campaign_sends()[0].recipients.len(), 3, "who joined in time gets it");
    client.post("/v3/contacts", json!({"email": "later@example.com", "listIds": [1]}));
    while brevo.now() < send.sent_at {
        std::thread::yield_now();
    }
    assert_eq!(brevo.campaign_status(7), Some(CampaignStatus::Sent));
    assert_eq!(brevo.campaign_sends()[0].recipients.len(), 3);
}

#[test]
fn what_can_not_be_sent_is_refused() {
    let (brevo, client) = start(Options::default());
    let missing = client.get("/v3/emailCampaigns/8");
    assert_eq!((missing.status, missing.code().as_str()), (404, "document_not_found"));
    assert_eq!(client.send("POST", "/v3/emailCampaigns/8/sendNow", Value::Null).status, 404);
    brevo.put_campaign(Campaign::draft(8, vec![]));
    assert_eq!(client.send("POST", "/v3/emailCampaigns/8/sendNow", Value::Null).status, 400);
    for (state, code) in [
        (CampaignStatus::Queued, "campaign_processing"),
        (CampaignStatus::InProcess, "campaign_processing"),
        (CampaignStatus::Sent, "campaign_sent"),
        (CampaignStatus::Archive, "campaign_sent"),
    ] {
        brevo.put_campaign(Campaign { status: state, ..Campaign::draft(9, vec![1]) });
        assert_eq!(client.send("POST", "/v3/emailCampaigns/9/sendNow", Value::Null).code(), code);
    }
    brevo.set_email_credits(Some(1));
    let broke = client.send("POST", SEND, Value::Null);
    assert_eq!((broke.status, broke.code().as_str()), (402, "not_enough_credits"));
    assert_eq!(status(&client), "draft");
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
    assert_eq!(client.post(SEND, json!({"scheduledAt": "2026-01-01T00:00:00Z"})).status, 400);
    assert_eq!(client.get("/v3/emailCampaigns/7?statistics=all").status, 400);
    assert_eq!(client.get("/v3/emailCampaigns/7?fields=id").status, 400);
    assert_eq!(client.get("/v3/emailCampaigns/seven").status, 400);
    assert_eq!(brevo.violations().len(), 4);
    assert!(brevo.campaign_sends().is_empty());
}

#[test]
fn an_answer_may_be_lost_after_the_campaign_was_taken() {
    let (brevo, client) = start(Options::default());
    brevo
        .faults()
        .add(Rule::on("POST", "/v3/emailCampaigns/{id}/sendNow", Fault::close_after_effect()).times(1))
        .unwrap();
    assert!(client.try_send("POST", SEND, b"").is_err());
    assert_eq!(status(&client), "queued");
    assert_eq!(client.send("POST", SEND, Value::Null).code(), "campaign_processing");
    assert_eq!(brevo.campaign_sends().len(), 1);
}

#[test]
fn campaigns_share_the_window_of_everything_else() {
    let options = Options { campaigns: vec![Campaign::draft(7, vec![1])], ..Options::default() };
    let brevo = Brevo::start(options).unwrap();
    let client = Client::brevo(&brevo);
    let read = client.get("/v3/emailCampaigns/7");
    assert_eq!((read.status, read.header("x-sib-ratelimit-limit")), (200, Some("100")));
    assert_eq!(client.get("/v3/account").header("x-sib-ratelimit-remaining"), Some("98"));
}
