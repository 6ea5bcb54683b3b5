//! Everything that MoEngage lists: each resource by its documented answer, and what holds for all.

mod declared;
mod fan_out;
mod forbidden;
mod paging;
mod refusals;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use moengage_connector::{
    Cursor, Failure, FailureKind, Http, HttpError, HttpRequest, HttpResponse, Mapping, Method, Next, Page,
    PageRequest, Position, Provenance, Reach, Record, ResourceSpec, Settings, Subject, TimeTrust, configure,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::golden::assert_golden_value;
use crate::reach::{Memory, NoObjects};
use crate::schemas::{assert_fits_schema, everything, known_ids, other_keys};
use crate::{NOW, body, map, parse};

/// A vendor that answers by a function of the request.
pub struct Vendor<F> {
    pub answer: F,
    pub asked: Vec<HttpRequest>,
}

pub fn vendor<F: FnMut(&HttpRequest) -> HttpResponse>(answer: F) -> Vendor<F> {
    Vendor { answer, asked: Vec::new() }
}

impl<F: FnMut(&HttpRequest) -> HttpResponse> Http for Vendor<F> {
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        self.asked.push(request.clone());
        Ok((self.answer)(request))
    }
}

pub fn answered(status: u16, body: impl Into<Vec<u8>>) -> HttpResponse {
    HttpResponse { status, headers: Vec::new(), body: body.into() }
}

pub fn ok(body: &Value) -> HttpResponse {
    answered(200, body.to_string())
}

/// Resources of the inventory, with the figures of campaigns.
pub fn resources() -> Vec<ResourceSpec> {
    let others = ["campaigns", "users", "event-exports", "report-files"];
    let profile = configure(&everything().to_string()).unwrap();
    let all = profile.resources.into_iter().filter(|resource| resource.kind != "check");
    all.filter(|resource| !others.contains(&resource.name.as_str())).collect()
}

/// The documented answers, byte for byte.
pub fn samples() -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(include_str!("golden/inventory.json")).unwrap()
}

pub fn unit(
    settings: &Settings,
    resource: &str,
    http: &mut dyn Http,
    storage: &mut Memory,
    (position, budget, now): (Position, u32, i64),
) -> Result<Page, Failure> {
    let request = PageRequest { resource: resource.to_owned(), position, budget, now };
    let page = moengage_connector::fetch_page(
        settings,
        &request,
        &mut Reach { http, objects: &mut NoObjects, storage },
    )?;
    assert!(page.records.len() <= budget as usize, "{resource}: no more than the budget");
    if let Next::More(cursor) | Next::Later(cursor, _) = &page.next {
        assert!(cursor.bytes.len() <= 4_096 && cursor.version == 1, "{resource}: {}", cursor.bytes.len());
    }
    if let Next::More(cursor) = &page.next {
        assert_ne!(request.position, Position::Cursor(cursor.clone()), "{resource}: `more` moves the cursor");
    }
    Ok(page)
}

/// The first page of a resource, where other reads have left what it needs.
pub fn first(resource: &str, response: HttpResponse) -> Result<Page, Failure> {
    let http = &mut vendor(|_| response.clone());
    unit(&parse(&everything()), resource, http, &mut known_ids(), (Position::Start, 1_000, NOW))
}

/// A whole run.
#[derive(Debug, Default)]
pub struct Run {
    pub records: Vec<Record>,
    /// Notes by name, rejects by pointer and code.
    pub codes: BTreeMap<String, u32>,
    pub truncated: Option<String>,
    pub cursor: Option<Cursor>,
    pub units: usize,
}

impl Run {
    /// Last parts of the records' ids.
    pub fn keys(&self) -> BTreeSet<String> {
        self.records.iter().map(|record| record.id.rsplit(':').next().unwrap().to_owned()).collect()
    }
}

/// Reads to the end, each unit from the bytes of the cursor alone, which is all that a unit leaves
/// behind with the storage. Settings, budget and clock are those of each unit.
pub fn run_with(
    resource: &str,
    http: &mut dyn Http,
    storage: &mut Memory,
    from: Position,
    each: impl Fn(usize) -> (Settings, u32, i64),
) -> Result<Run, Failure> {
    let mut run = Run::default();
    let mut position = from;
    loop {
        let (settings, budget, now) = each(run.units);
        let page = unit(&settings, resource, http, storage, (position, budget, now))?;
        run.units += 1;
        assert!(run.units < 12_000, "{resource}: the run does not end");
        run.records.extend(page.records);
        for note in page.notes {
            *run.codes.entry(note.name).or_default() += note.count;
        }
        for reject in page.rejects {
            *run.codes.entry(format!("{} {}", reject.pointer, reject.code)).or_default() += 1;
        }
        match page.next {
            Next::More(cursor) | Next::Later(cursor, _) => {
                position = Position::Cursor(Cursor { version: cursor.version, bytes: cursor.bytes.clone() });
            }
            Next::Done { cursor, truncated } => {
                (run.cursor, run.truncated) = (cursor, truncated);
                return Ok(run);
            }
        }
    }
}

pub fn run(resource: &str, http: &mut dyn Http) -> Result<Run, Failure> {
    let settings = parse(&everything());
    let each = |unit| (settings.clone(), 1_000, NOW + unit as i64);
    run_with(resource, http, &mut known_ids(), Position::Start, each)
}

fn asked(request: &HttpRequest) -> Value {
    let body = request.body.as_ref().map(|body| serde_json::from_slice::<Value>(body).unwrap());
    let pairs = |pairs: &[(String, String)]| -> Vec<String> {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect()
    };
    json!({
        "call": format!("{} {}", if request.method == Method::Get { "GET" } else { "POST" }, request.path.join("/")),
        "endpoint": request.endpoint, "query": pairs(&request.query), "headers": pairs(&request.headers), "body": body,
    })
}

/// A record, short: what is the same for all is asserted here.
fn told(record: &Record) -> Value {
    assert_eq!((record.provenance, record.occurred.trust), (Provenance::Poll, TimeTrust::Arrival));
    assert_eq!((record.occurred.at, record.observation.rank), (Some(NOW), 10));
    assert_fits_schema(&record.kind, &body(record));
    let mapping = match map(&parse(&everything()), record).unwrap() {
        Mapping::Nothing(why) => json!(why),
        Mapping::Actions(actions) => {
            actions.iter().map(|a| json!({"slot": a.slot, "payload": a.payload})).collect()
        }
    };
    let subject = match &record.subject {
        Subject::Object(kind, key) => format!("{kind} {key}"),
        Subject::Person(person) => format!("person {}", person.external_id.as_deref().unwrap()),
    };
    json!({
        "id": record.id, "subject": subject, "observation": record.observation.id,
        "body": serde_json::from_str::<Value>(&record.body).unwrap(), "mapping": mapping,
    })
}

/// Read by a person, as the other golden files.
#[test]
fn the_documented_answer_of_every_resource() {
    let samples = samples();
    let mut told_of = BTreeMap::new();
    for resource in resources() {
        let sample = samples.get(&resource.name).unwrap_or_else(|| panic!("no sample of {}", resource.name));
        let http = &mut vendor(|_| answered(200, sample.get()));
        let settings = parse(&everything());
        let page = unit(&settings, &resource.name, http, &mut known_ids(), (Position::Start, 1_000, NOW));
        let page = page.unwrap_or_else(|failure| panic!("{}: {failure:?}", resource.name));
        assert!(!page.records.is_empty() && page.rejects.is_empty(), "{}: {:?}", resource.name, page.rejects);
        assert!(page.records.iter().all(|record| record.kind == resource.kind));
        assert_eq!(http.asked.len(), 1, "{}: one call", resource.name);
        let notes: Vec<String> =
            page.notes.iter().map(|note| format!("{} {}", note.name, note.count)).collect();
        let next = match &page.next {
            Next::More(_) => "more".to_owned(),
            other => format!("{other:?}"),
        };
        let records: Vec<Value> = page.records.iter().map(told).collect();
        let told = json!({"asked": asked(&http.asked[0]), "records": records, "notes": notes, "next": next});
        told_of.insert(resource.name, told);
    }
    assert_eq!(told_of.len(), samples.len(), "a sample of each, and no other");
    assert_golden_value("inventory", &json!(told_of));
}

#[test]
fn another_key_opens_a_family_where_the_settings_say_so() {
    let mut settings = everything();
    settings["key_for"] = other_keys();
    let profile = configure(&settings.to_string()).unwrap();
    let settings = parse(&settings);
    let mut others = BTreeSet::new();
    for resource in resources() {
        let slot = resource.slot.clone().unwrap();
        let http = &mut vendor(|_| answered(401, ""));
        let failure =
            unit(&settings, &resource.name, http, &mut known_ids(), (Position::Start, 9, NOW)).unwrap_err();
        let endpoint = http.asked[0].endpoint.clone();
        let declared = profile.resources.iter().find(|other| other.name == resource.name).unwrap();
        assert_eq!((&declared.endpoint, declared.slot.as_ref()), (&endpoint, Some(&slot_of(&failure))));
        if endpoint != resource.endpoint {
            assert_ne!(slot_of(&failure), slot, "{}", resource.name);
            assert_eq!(endpoint, format!("{}-by-{}", resource.endpoint, slot_of(&failure)));
            others.insert(resource.endpoint);
        }
    }
    assert_eq!(others.len(), other_keys().as_object().unwrap().len());
}

fn slot_of(failure: &Failure) -> String {
    match &failure.kind {
        FailureKind::Auth { slot } => slot.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_portfolio_names_its_project_where_moengage_wants_it() {
    let mut settings = everything();
    settings["project_code"] = json!("shop");
    let settings = parse(&settings);
    for resource in resources() {
        let http = &mut vendor(|_| answered(500, ""));
        unit(&settings, &resource.name, http, &mut known_ids(), (Position::Start, 1_000, NOW)).unwrap_err();
        let named =
            http.asked[0].headers.iter().any(|header| *header == ("moe-project-code".into(), "shop".into()));
        assert_eq!(named, resource.endpoint == "subscriptions", "{}", resource.name);
    }
}

#[test]
fn an_opt_out_of_everything_is_one_for_every_channel_and_nothing_else_opts_in() {
    let preferences = |data: Value| first("subscription-preferences", ok(&json!({"data": data}))).unwrap();
    let settings = parse(&everything());
    let page = preferences(json!({"is_globally_unsubscribed": true, "categories": []}));
    let Mapping::Actions(actions) = map(&settings, &page.records[0]).unwrap() else { panic!("nothing") };
    let told: Vec<(&str, Value)> = actions
        .iter()
        .map(|action| (action.slot.as_str(), serde_json::from_str(&action.payload).unwrap()))
        .collect();
    let opted_out = |channel: &str| json!({"channel": channel, "status": "opted-out", "basis": "flag"});
    assert_eq!(told, [("consent-email", opted_out("email")), ("consent-sms", opted_out("sms"))]);
    for data in [
        json!({"is_globally_unsubscribed": false, "categories": []}),
        json!({"is_globally_unsubscribed": null}),
        json!({"is_globally_unsubscribed": "true"}),
        json!({}),
    ] {
        let page = preferences(data);
        assert_eq!(
            map(&settings, &page.records[0]).unwrap(),
            Mapping::Nothing("not-unsubscribed".to_owned())
        );
    }
}
