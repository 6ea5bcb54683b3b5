//! One batch of the documented shape, through webhook and mapping, held against a file that was
//! read by a person. `UPDATE_GOLDEN=1` writes the file anew; the difference is then to be read.

use moengage_connector::{Action, Mapping, Person, Record, Subject};
use serde_json::{Value, json};

use crate::reach::handle_webhook;
use crate::{map, plain, request};

fn person(subject: &Subject) -> Value {
    let Subject::Person(Person { external_id, email, phone, aliases }) = subject else {
        panic!("not a person")
    };
    let aliases: Vec<_> = aliases.iter().map(|alias| format!("{}={}", alias.kind, alias.value)).collect();
    json!({"external_id": external_id, "email": email, "phone": phone, "aliases": aliases})
}

fn action(action: &Action) -> Value {
    json!({
        "slot": action.slot, "name": action.name, "not_after": action.not_after,
        "payload": serde_json::from_str::<Value>(&action.payload).unwrap(),
    })
}

fn record(record: &Record) -> Value {
    let mapping = match map(&plain(), record).unwrap() {
        Mapping::Actions(actions) => json!(actions.iter().map(action).collect::<Vec<_>>()),
        Mapping::Nothing(why) => json!(why),
    };
    json!({
        "id": record.id, "kind": record.kind, "subject": person(&record.subject),
        "observation": format!("{} rank {}", record.observation.id, record.observation.rank),
        "occurred": format!("{:?} {:?}", record.occurred.trust, record.occurred.at),
        "body": serde_json::from_str::<Value>(&record.body).unwrap(),
        "mapping": mapping,
    })
}

#[test]
fn the_documented_batch() {
    let outcome = handle_webhook(&plain(), &request(include_str!("golden/streams.json"))).unwrap();
    let result = json!({
        "records": outcome.records.iter().map(record).collect::<Vec<_>>(),
        "rejects": outcome.rejects.iter().map(|r| format!("{} {}", r.pointer, r.code)).collect::<Vec<_>>(),
        "notes": outcome.notes.iter().map(|n| format!("{} {}", n.name, n.count)).collect::<Vec<_>>(),
    });
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doors/golden/streams.expected.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, format!("{result:#}\n")).unwrap();
    }
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(format!("{result:#}"), format!("{expected:#}"));
}
