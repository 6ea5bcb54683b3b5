//! Notes and tasks of the Brevo stand-in, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::time::Duration;

use client::Client;
use serde_json::{Value, json};
use stand_ins::brevo::{Brevo, Options, Plan};
use stand_ins::clock::rfc3339;
use stand_ins::faults::{Fault, Rule};
use stand_ins::journal::FindingKind;

const NOTES: &str = "/v3/crm/notes";
const TASKS: &str = "/v3/crm/tasks";
const DAY: i64 = 86_400_000;

/// With contacts 1 and 2.
fn start(options: Options) -> (Brevo, Client) {
    let brevo = Brevo::start(options).unwrap();
    let client = Client::brevo(&brevo);
    for n in 1..=2 {
        let body = json!({"email": format!("p{n}@example.com")});
        assert_eq!(client.post("/v3/contacts", body).status, 201);
    }
    (brevo, client)
}

fn brevo() -> (Brevo, Client) {
    start(Options { plan: Plan::Unlimited, ..Options::default() })
}

fn type_id(client: &Client, title: &str) -> String {
    let types = client.get("/v3/crm/tasktypes").json();
    let found = types.as_array().unwrap().iter().find(|kind| kind["title"] == title).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

fn texts(client: &Client, query: &str) -> Vec<String> {
    let notes = client.get(&format!("{NOTES}{query}")).json();
    notes.as_array().unwrap().iter().map(|note| note["text"].as_str().unwrap().to_owned()).collect()
}

fn names(client: &Client, query: &str) -> Vec<String> {
    let tasks = client.get(&format!("{TASKS}{query}")).json();
    tasks["items"].as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn notes_are_made_and_found() {
    let (brevo, client) = brevo();
    let made = client.post(NOTES, json!({"text": "<p>one</p>", "contactIds": [1]}));
    assert_eq!(made.status, 200);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert!(id.len() == 24 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    let between = brevo.now();
    while brevo.now() == between {
        std::thread::yield_now();
    }
    client.post(NOTES, json!({"text": "two", "contactIds": [2, 1]}));
    client.post(NOTES, json!({"text": "three"}));
    client.post(NOTES, json!({"text": "three"}));
    assert_eq!(
        texts(&client, ""),
        ["three", "three", "two", "<p>one</p>"],
        "newest first, nothing is deduplicated"
    );
    assert_eq!(texts(&client, "?entity=contacts&entityIds=1&sort=asc"), ["<p>one</p>", "two"]);
    assert_eq!(texts(&client, "?entity=contacts&entityIds=2%2C9"), ["two"]);
    assert_eq!(texts(&client, "?entity=contacts"), ["two", "<p>one</p>"]);
    assert!(texts(&client, "?entity=deals").is_empty());
    assert_eq!(texts(&client, &format!("?dateTo={between}")), ["<p>one</p>"]);
    assert_eq!(texts(&client, &format!("?dateFrom={}&limit=1&offset=1", between + 1)), ["three"]);
    let row = client.get(&format!("{NOTES}?sort=asc&limit=1")).json()[0].clone();
    assert_eq!((&row["id"], &row["contactIds"], &row["dealIds"]), (&json!(id), &json!([1]), &json!([])));
    assert!(row["createdAt"].is_string() && row["updatedAt"].is_string() && row["authorId"].is_object());
    assert_eq!((brevo.notes().len(), brevo.notes()[1].contact_ids.as_slice()), (4, &[2, 1][..]));
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn links_to_what_does_not_exist_are_dropped_in_silence() {
    let (brevo, client) = brevo();
    let company = "61a5ce58c5d4795761045990";
    assert_eq!(
        client.post(NOTES, json!({"text": "x", "contactIds": [1, 9], "companyIds": [company]})).status,
        200
    );
    let kind = type_id(&client, "Todo");
    let task = json!({"name": "x", "taskTypeId": kind, "date": "2026-12-01T10:00:00Z", "contactsIds": [9], "dealsIds": [company]});
    assert_eq!(client.post(TASKS, task).status, 201);
    assert_eq!((brevo.notes()[0].contact_ids.as_slice(), brevo.tasks()[0].contact_ids.len()), (&[1][..], 0));
    assert_eq!(brevo.journal().count_of(FindingKind::IgnoredLink), 4);
    assert!(texts(&client, "?entity=contacts&entityIds=9").is_empty());
    assert_eq!(client.delete("/v3/contacts/1").status, 204);
    assert_eq!(texts(&client, "?entity=contacts&entityIds=1"), ["x"], "a note outlives its contact");
    assert!(brevo.violations().is_empty());
}

#[test]
fn tasks_are_made_and_found() {
    let (brevo, client) = brevo();
    let types = client.get("/v3/crm/tasktypes").json();
    assert_eq!(types.as_array().unwrap().len(), 7);
    let (todo, call) = (type_id(&client, "Todo"), type_id(&client, "Call"));
    assert_ne!(todo, call);
    let now = brevo.now();
    let task = |name: &str, kind: &str, due: i64| json!({"name": name, "taskTypeId": kind, "date": rfc3339(due), "contactsIds": [1], "notes": "u1"});
    let made = client.post(TASKS, task("late", &todo, now - 3 * DAY));
    assert_eq!((made.status, made.json()["id"].as_str().unwrap().len()), (201, 24));
    let mut other = task("done", &call, now + 30 * DAY);
    other["done"] = json!(true);
    other["contactsIds"] = json!([2]);
    other["assignToId"] = json!("ann@example.com");
    other["duration"] = json!(600_000);
    other["reminder"] = json!({"value": 10, "unit": "minutes", "types": ["email"]});
    client.post(TASKS, other);
    client.post(TASKS, task("soon", &todo, now - now.rem_euclid(DAY) + DAY + 1));
    assert_eq!(names(&client, ""), ["soon", "done", "late"]);
    for (query, expected) in [
        (format!("filter[type]={call}"), vec!["done"]),
        ("filter[status]=undone".to_owned(), vec!["soon", "late"]),
        ("filter[contacts]=1".to_owned(), vec!["soon", "late"]),
        ("filter[contacts]=2%2C7".to_owned(), vec!["done"]),
        ("filter[assignTo]=ann%40example.com".to_owned(), vec!["done"]),
        ("filter[companies]=61a5ce58c5d4795761045990".to_owned(), vec![]),
        ("filter[date]=overdue".to_owned(), vec!["late"]),
        ("filter[date]=tomorrow".to_owned(), vec!["soon"]),
        ("filter[date]=week".to_owned(), vec!["soon"]),
        ("filter[date]=today".to_owned(), vec![]),
        (format!("filter[date]=range&dateFrom={}&dateTo={}", now + 20 * DAY, now + 40 * DAY), vec!["done"]),
        ("sortBy=date&sort=asc".to_owned(), vec!["late", "soon", "done"]),
        ("sortBy=name&sort=asc&limit=1&offset=1".to_owned(), vec!["late"]),
    ] {
        let query = query.replace('[', "%5B").replace(']', "%5D");
        assert_eq!(names(&client, &format!("?{query}")), expected, "{query}");
    }
    let row = client.get(&format!("{TASKS}?limit=1")).json()["items"][0].clone();
    assert_eq!(
        (&row["taskTypeId"], &row["notes"], &row["done"]),
        (&json!(todo), &json!("u1"), &json!(false))
    );
    assert_eq!(row["contactsIds"], json!([1]));
    assert!(row["date"].is_string() && row["createdAt"].is_string());
    assert_eq!(brevo.tasks()[0].task_type, "Todo");
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn undocumented_notes_and_tasks_are_refused() {
    let (brevo, client) = brevo();
    let notes = [
        json!({}),
        json!({"text": ""}),
        json!({"text": "x".repeat(3_001)}),
        json!({"text": 1}),
        json!({"text": "x", "contactIds": ["1"]}),
        json!({"text": "x", "contactsIds": [1]}),
    ];
    let mut many = notes.len();
    for body in notes {
        assert_eq!(client.post(NOTES, body.clone()).status, 400, "{body}");
    }
    assert_eq!(client.post(NOTES, json!({"text": "ä".repeat(3_000)})).status, 200);
    let kind = type_id(&client, "Todo");
    let with = |key: &str, value: Value| {
        let mut task = json!({"name": "x", "taskTypeId": kind, "date": "2026-12-01T10:00:00Z"});
        task[key] = value;
        task
    };
    let tasks = [
        with("name", json!("")),
        with("name", Value::Null),
        with("date", json!("2026-12-01")),
        with("date", json!(1_790_000_000)),
        with("duration", json!(-1)),
        with("contactIds", json!([1])),
        with("reminder", json!({"value": 1, "unit": "years", "types": []})),
        json!({"name": "x", "taskTypeId": kind}),
    ];
    many += tasks.len();
    for body in tasks {
        assert_eq!(client.post(TASKS, body.clone()).status, 400, "{body}");
    }
    for path in [
        "/v3/crm/notes?entity=people",
        "/v3/crm/notes?entityIds=1",
        "/v3/crm/notes?dateFrom=2026-01-01",
        "/v3/crm/notes?text=x",
        "/v3/crm/tasks?filter%5Bdate%5D=range",
        "/v3/crm/tasks?dateFrom=1",
        "/v3/crm/tasks?filter%5Bname%5D=x",
        "/v3/crm/tasks?sortBy=colour",
        "/v3/crm/tasktypes?limit=1",
    ] {
        many += 1;
        assert_eq!(client.get(path).status, 400, "{path}");
    }
    assert_eq!(brevo.violations().len(), many, "{:?}", brevo.violations());
    assert_eq!(client.post(TASKS, with("taskTypeId", json!("Todo"))).status, 400, "a title is no id");
    assert_eq!(brevo.violations().len(), many);
    assert!(brevo.tasks().is_empty());
}

#[test]
fn what_was_made_may_be_listed_late_and_its_answer_be_lost() {
    let hour = Duration::from_secs(3_600);
    let (brevo, client) = start(Options { crm_delay: hour, ..Options::default() });
    let made = client.post(NOTES, json!({"text": "x"}));
    assert_eq!(made.header("x-sib-ratelimit-limit"), Some("100"));
    assert!(texts(&client, "").is_empty());
    assert_eq!(brevo.notes().len(), 1);
    let kind = type_id(&client, "Todo");
    let task = json!({"name": "x", "taskTypeId": kind, "date": "2026-12-01T10:00:00Z"});
    brevo.faults().add(Rule::on("POST", TASKS, Fault::close_after_effect()).times(1)).unwrap();
    assert!(client.try_send("POST", TASKS, task.to_string().as_bytes()).is_err());
    assert_eq!(brevo.tasks().len(), 1);
    assert!(names(&client, "").is_empty());
    let left = client.get(NOTES);
    assert_eq!(left.header("x-sib-ratelimit-remaining"), Some("94"), "one window for all of these");
}
