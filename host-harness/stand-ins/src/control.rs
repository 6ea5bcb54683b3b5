//! Calls of a person, under `/_control`: see the crate's page.

use serde::Serialize;
use serde_json::{Value, json};

use crate::faults::Rule;
use crate::http::{Reply, Request, Shared, Vendor};

/// Answers `/_control/{call}`.
pub(crate) fn answer<V: Vendor>(shared: &Shared<V>, call: &str, request: &Request) -> Reply {
    let refused = |message: String| Reply::json(400, &json!({"error": message}));
    let number = |name: &str, default: u64| {
        let text = request.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        text.map_or(Ok(default), |text| text.parse().map_err(|_| refused(format!("{name} is not a number"))))
    };
    match (request.method.as_str(), call) {
        ("GET", "faults") => listed(&shared.faults.all()),
        ("DELETE", "faults") => {
            shared.faults.clear();
            Reply::empty(204)
        }
        ("POST", "faults") => match serde_json::from_slice::<Rule>(&request.body) {
            Ok(rule) => match shared.faults.add(rule) {
                Ok(id) => Reply::json(201, &json!({"id": id})),
                Err(e) => refused(e.to_string()),
            },
            Err(e) => refused(e.to_string()),
        },
        ("GET", "journal") => {
            let (after, limit) = match (number("after", 0), number("limit", 1_000)) {
                (Ok(after), Ok(limit)) => (after, limit),
                (Err(reply), _) | (_, Err(reply)) => return reply,
            };
            shared.with_journal(|journal| {
                let rows = journal.entries().filter(|entry| entry.seq > after).take(limit as usize);
                listed(&rows.collect::<Vec<_>>())
            })
        }
        ("GET", "state") => {
            let mut state = shared.with(|vendor| vendor.state(request.at));
            state["journal"] = shared.with_journal(|journal| {
                json!({
                    "received": journal.received(), "findings": journal.findings(),
                    "violations": journal.violations(),
                })
            });
            Reply::json(200, &state)
        }
        ("POST", call) => {
            let body: Value = match serde_json::from_slice(&request.body) {
                Ok(body) => body,
                Err(e) => return refused(e.to_string()),
            };
            if call == "refuse" {
                let Some(connections) = body["connections"].as_u64() else {
                    return refused("connections must be a number".to_owned());
                };
                shared.faults.refuse_connections(connections);
                return Reply::empty(204);
            }
            let answer = shared.with(|vendor| vendor.control(call, &body, request.at));
            answer.unwrap_or_else(|| Reply::json(404, &json!({"error": "no such call"})))
        }
        _ => Reply::json(404, &json!({"error": "no such call"})),
    }
}

fn listed<T: Serialize>(rows: &T) -> Reply {
    match serde_json::to_value(rows) {
        Ok(rows) => Reply::json(200, &rows),
        Err(e) => Reply::json(500, &json!({"error": e.to_string()})),
    }
}
