//! A connector for Pebble, a loyalty card that does not exist.
//!
//! It shows the smallest whole connector: one resource read page by page, one webhook, two kinds
//! of records, three kinds of actions. It was written from `wit/v0.1` alone and passes through
//! the same host as the one for MoEngage.

wit_bindgen::generate!({ path: "../../../wit/v0.1", world: "plugin", generate_all });

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tajo::connector::http::{self, ErrorKind, Method, Request};
use tajo::connector::types::{
    Action, Alias, AttributeTarget, AttributeType, Cursor, FailureKind, Nature, Next, Observation,
    Occurrence, Person, Position, Provenance, RateWindow, Reject, ResourceSpec, RunEnd, SecretSlot,
    StaticAnswer, Subject, Surface, SyncMode, Targets, TimeTrust,
};

struct Pebble;
export!(Pebble);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    shop: String,
    #[allow(dead_code)] // holds the slot's name; the host reads it through the manifest
    keys: Value,
    #[allow(dead_code)]
    webhook: Value,
}

#[derive(Deserialize)]
struct MemberPage {
    members: Vec<Member>,
    more: bool,
}

#[derive(Serialize, Deserialize)]
struct Member {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newsletter: Option<bool>,
    changed_at: i64,
}

#[derive(Serialize, Deserialize)]
struct Purchase {
    id: String,
    member: u64,
    at: i64,
    total: f64,
}

impl Guest for Pebble {
    fn configure(settings: Settings) -> Result<Profile, Vec<Problem>> {
        let config: Config = serde_json::from_str(&settings).map_err(|error| {
            vec![Problem {
                code: "bad-settings".into(),
                path: String::new(),
                message: format!("The settings are not as expected: {:?}.", error.classify()),
                remedy: "Give `shop`, `keys.api`, `webhook.header` and `webhook.secret`, and nothing else."
                    .into(),
            }]
        })?;
        Ok(Profile {
            connector: "pebble".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            workspace: config.shop.clone(),
            source_key: json!({ "shop": config.shop }).to_string(),
            cursor_versions: vec![1],
            slots: vec![
                SecretSlot { name: "api".into(), purpose: "Pebble's API token.".into(), required: true },
                SecretSlot {
                    name: "webhook".into(),
                    purpose: "Sent by Pebble with each purchase.".into(),
                    required: true,
                },
            ],
            resources: vec![ResourceSpec {
                name: "members".into(),
                kind: "contact".into(),
                primary_key: vec!["id".into()],
                nature: Nature::State,
                mode: SyncMode::Full,
                cursor_strategy: "The last member id read; a run ends with `more: false`.".into(),
                page_limit: 50,
                replay_policy: "Content decides: an unchanged member calls for nothing.".into(),
                cadence: 3_600,
                rate_windows: vec![RateWindow { calls: 60, seconds: 60 }],
                schema: r#"{"type":"object","required":["id","changed_at"]}"#.into(),
                endpoint: "api".into(),
                slot: Some("api".into()),
            }],
            surfaces: vec![Surface {
                name: "purchases".into(),
                kinds: vec!["purchase".into()],
                verification: "header".into(),
                answer: StaticAnswer { status: 204, content_type: "text/plain".into(), body: String::new() },
                body_cap: 65_536,
                headers: vec![],
                dedupe_key: "The purchase's id.".into(),
                replay_window: 86_400,
                schemas: vec![(
                    "purchase".into(),
                    r#"{"type":"object","required":["id","member","at"]}"#.into(),
                )],
            }],
            targets: Targets {
                attributes: vec![AttributeTarget {
                    name: "PEBBLE_MEMBER".into(),
                    kind: AttributeType::Boolean,
                    create: true,
                }],
                events: vec!["pebble_purchase".into()],
                event_prefix: None,
            },
        })
    }

    fn fetch_page(request: PageRequest) -> Result<Page, Failure> {
        let shop = shop(&request.settings)?;
        let after = match &request.position {
            Position::Cursor(cursor) => String::from_utf8(cursor.bytes.clone())
                .map_err(|_| failure(FailureKind::Cursor, "bad-cursor", "The cursor is not text."))?,
            Position::Start | Position::Window(_) => "0".into(),
        };
        let limit = request.budget.min(50).to_string();
        let answer = http::send(&Request {
            endpoint: "api".into(),
            method: Method::Get,
            path: vec!["v1".into(), "members".into()],
            query: vec![("after".into(), after), ("limit".into(), limit)],
            headers: vec![],
            body: None,
            timeout_ms: None,
        })
        .map_err(|error| {
            let kind = match error.kind {
                ErrorKind::RateLimited => FailureKind::RateLimited(error.retry_after_ms),
                ErrorKind::NoSecret => FailureKind::Auth("api".into()),
                ErrorKind::Denied => FailureKind::Internal,
                _ => FailureKind::Transient,
            };
            failure(kind, &error.code, "Pebble could not be reached.")
        })?;
        match answer.status {
            200 => {}
            401 => {
                return Err(failure(
                    FailureKind::Auth("api".into()),
                    "token-refused",
                    "Pebble refuses the token.",
                ));
            }
            429 => return Err(failure(FailureKind::RateLimited(None), "slow-down", "Pebble asks to wait.")),
            _ => {
                return Err(failure(FailureKind::Transient, "pebble-down", "Pebble answered with an error."));
            }
        }
        let page: MemberPage = serde_json::from_slice(&answer.body).map_err(|_| {
            let sample = answer.body.iter().copied().take(1024).collect();
            failure(FailureKind::VendorContract(sample), "bad-page", "The page is not what Pebble documents.")
        })?;
        let next = match (page.more, page.members.last()) {
            (true, Some(last)) => Next::More(Cursor { version: 1, bytes: last.id.to_string().into_bytes() }),
            (true, None) => {
                let sample = answer.body.iter().copied().take(1024).collect();
                return Err(failure(
                    FailureKind::VendorContract(sample),
                    "empty-page",
                    "More is promised after an empty page.",
                ));
            }
            (false, _) => Next::Done(RunEnd { cursor: None, truncated: None }),
        };
        let records = page
            .members
            .into_iter()
            .map(|member| Record {
                id: format!("pebble:{shop}:contact:{}", member.id),
                kind: "contact".into(),
                nature: Nature::State,
                subject: Subject::Person(Person {
                    external_id: None,
                    email: member.mail.clone(),
                    phone: None,
                    aliases: vec![Alias { kind: "pebble-member".into(), value: member.id.to_string() }],
                }),
                observation: Observation { id: member.changed_at.to_string(), rank: 20 },
                occurred: Occurrence { at: Some(member.changed_at), trust: TimeTrust::Vendor },
                body: json!(member).to_string(),
                provenance: Provenance::Poll,
            })
            .collect();
        Ok(Page { records, rejects: vec![], next, not_before: None, notes: vec![] })
    }

    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        let shop = shop(&request.settings)?;
        let mut outcome = WebhookOutcome { records: vec![], rejects: vec![], notes: vec![] };
        match serde_json::from_slice::<Purchase>(&request.body) {
            Ok(purchase) => outcome.records.push(Record {
                id: format!("pebble:{shop}:purchase:{}", purchase.id),
                kind: "purchase".into(),
                nature: Nature::Event,
                subject: Subject::Person(Person {
                    external_id: None,
                    email: None,
                    phone: None,
                    aliases: vec![Alias { kind: "pebble-member".into(), value: purchase.member.to_string() }],
                }),
                observation: Observation { id: purchase.id.clone(), rank: 20 },
                occurred: Occurrence { at: Some(purchase.at), trust: TimeTrust::Vendor },
                body: json!(purchase).to_string(),
                provenance: Provenance::Live,
            }),
            Err(_) => outcome.rejects.push(Reject {
                pointer: String::new(),
                code: "bad-purchase".into(),
                message: "The body is not a purchase.".into(),
                remedy: "Ask Pebble what it sent.".into(),
            }),
        }
        Ok(outcome)
    }

    fn map_record(_settings: Settings, record: Record, _now: Timestamp) -> Result<Mapping, Failure> {
        let body: Value = serde_json::from_str(&record.body)
            .map_err(|_| failure(FailureKind::Internal, "bad-body", "The record's body is not JSON."))?;
        let action = |slot: &str, name: &str, payload: Value, not_after| Action {
            slot: slot.into(),
            name: name.into(),
            subject: record.subject.clone(),
            payload: payload.to_string(),
            not_after,
            not_before: None,
            coalesce: None,
        };
        Ok(Mapping::Actions(match record.kind.as_str() {
            "contact" => {
                let mut actions = Vec::new();
                if let Some(newsletter) = body["newsletter"].as_bool() {
                    let status = if newsletter { "opted-in" } else { "opted-out" };
                    let payload = json!({ "channel": "email", "status": status, "basis": "flag" });
                    actions.push(action("consent-email", "brevo/set-consent", payload, None));
                }
                let payload = json!({ "attributes": { "PEBBLE_MEMBER": true } });
                actions.push(action("contact", "brevo/upsert-contact", payload, None));
                actions
            }
            "purchase" => {
                let payload = json!({ "event": "pebble_purchase", "properties": { "total": body["total"] } });
                let a_day_later = record.occurred.at.map(|at| at + 86_400_000);
                vec![action("event", "brevo/track-event", payload, a_day_later)]
            }
            _ => return Ok(Mapping::Nothing("unknown-kind".into())),
        }))
    }
}

fn shop(settings: &str) -> Result<String, Failure> {
    serde_json::from_str::<Config>(settings).map(|config| config.shop).map_err(|_| {
        failure(FailureKind::Config, "bad-settings", "The settings were never accepted by `configure`.")
    })
}

fn failure(kind: FailureKind, code: &str, message: &str) -> Failure {
    Failure { kind, code: code.into(), message: message.into() }
}
