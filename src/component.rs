//! The contract: one line per type, no decisions.
//!
//! Everything that a host calls passes through here, and nothing here knows MoEngage.

#[allow(missing_docs)] // documented in `wit/v0.1`, from which this is generated
#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod bindings {
    wit_bindgen::generate!({ path: "wit/v0.1", world: "plugin" });
}

use std::cell::RefCell;
use std::rc::Rc;

use bindings::tajo::connector::{http, log, objects, storage, types as wit};

use crate::settings::Settings;

struct Component;
bindings::export!(Component with_types_in bindings);

impl bindings::Guest for Component {
    fn configure(settings: wit::Settings) -> Result<wit::Profile, Vec<wit::Problem>> {
        crate::configure(&settings)
            .map(profile)
            .map_err(|problems| problems.into_iter().map(problem).collect())
    }

    fn fetch_page(request: wit::PageRequest) -> Result<wit::Page, wit::Failure> {
        let settings = parsed(request.settings)?;
        let request = crate::PageRequest {
            resource: request.resource,
            position: match request.position {
                wit::Position::Start => crate::Position::Start,
                wit::Position::Cursor(cursor) => crate::Position::Cursor(cursor_in(cursor)),
                wit::Position::Window((from, to)) => crate::Position::Window(from, to),
            },
            budget: request.budget,
            now: request.now,
        };
        let reach =
            &mut crate::Reach { http: &mut HostHttp, objects: &mut HostObjects, storage: &mut HostStorage };
        crate::fetch_page(&settings, &request, reach).map(page).map_err(failure)
    }

    fn handle_webhook(request: wit::WebhookRequest) -> Result<wit::WebhookOutcome, wit::Failure> {
        let settings = parsed(request.settings)?;
        let request = crate::WebhookRequest {
            surface: request.surface,
            body: request.body,
            headers: request.headers,
            received_at: request.received_at,
        };
        let outcome = crate::handle_webhook(&settings, &request, &mut HostStorage).map_err(failure)?;
        Ok(wit::WebhookOutcome {
            records: outcome.records.into_iter().map(record_out).collect(),
            rejects: outcome.rejects.into_iter().map(reject).collect(),
            notes: outcome.notes.into_iter().map(note).collect(),
        })
    }

    fn map_record(
        settings: wit::Settings,
        record: wit::Record,
        now: wit::Timestamp,
    ) -> Result<wit::Mapping, wit::Failure> {
        let settings = parsed(settings)?;
        match crate::map_record(&settings, &record_in(record), now, &mut HostLog).map_err(failure)? {
            crate::Mapping::Actions(actions) => {
                Ok(wit::Mapping::Actions(actions.into_iter().map(action).collect()))
            }
            crate::Mapping::Nothing(why) => Ok(wit::Mapping::Nothing(why)),
        }
    }
}

thread_local! {
    /// The settings of this unit: the host passes the same text with every record.
    static LAST: RefCell<Option<(String, Rc<Settings>)>> = const { RefCell::new(None) };
}

fn parsed(text: String) -> Result<Rc<Settings>, wit::Failure> {
    LAST.with_borrow_mut(|last| {
        if let Some((known, settings)) = last
            && *known == text
        {
            return Ok(settings.clone());
        }
        let settings = Rc::new(Settings::parse(&text).map_err(|problems| {
            let first = problems.into_iter().next().map(|problem| problem.message).unwrap_or_default();
            wit::Failure {
                kind: wit::FailureKind::Config,
                code: "bad-settings".to_owned(),
                message: format!("The settings are not valid: {first}"),
            }
        })?);
        *last = Some((text, settings.clone()));
        Ok(settings)
    })
}

struct HostLog;

impl crate::Log for HostLog {
    fn warn(&mut self, message: &'static str, fields: &[(&'static str, &str)]) {
        let fields: Vec<_> = fields.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        log::emit(log::Level::Warn, message, &fields);
    }
}

struct HostHttp;

impl crate::Http for HostHttp {
    fn send(&mut self, request: &crate::HttpRequest) -> Result<crate::HttpResponse, crate::HttpError> {
        let request = http::Request {
            endpoint: request.endpoint.clone(),
            method: match request.method {
                crate::Method::Get => http::Method::Get,
                crate::Method::Post => http::Method::Post,
            },
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            timeout_ms: None,
        };
        match http::send(&request) {
            Ok(response) => Ok(crate::HttpResponse {
                status: response.status,
                headers: response.headers,
                body: response.body,
            }),
            Err(error) => Err(http_error(error)),
        }
    }
}

fn http_error(error: http::Error) -> crate::HttpError {
    crate::HttpError {
        kind: match error.kind {
            http::ErrorKind::Denied => crate::HttpErrorKind::Denied,
            http::ErrorKind::NoSecret => crate::HttpErrorKind::NoSecret,
            http::ErrorKind::Budget => crate::HttpErrorKind::Budget,
            http::ErrorKind::RateLimited => crate::HttpErrorKind::RateLimited,
            http::ErrorKind::Unreachable => crate::HttpErrorKind::Unreachable,
            http::ErrorKind::Timeout => crate::HttpErrorKind::Timeout,
            http::ErrorKind::BadAnswer => crate::HttpErrorKind::BadAnswer,
        },
        code: error.code,
        message: error.message,
        retry_after_ms: error.retry_after_ms,
    }
}

struct HostObjects;

impl crate::Objects for HostObjects {
    fn open(
        &mut self,
        endpoint: &str,
        path: &[String],
        etag: Option<&str>,
    ) -> Result<crate::Object, crate::HttpError> {
        objects::open(endpoint, path, etag)
            .map(|object| crate::Object { etag: object.etag, size: object.size })
            .map_err(http_error)
    }

    fn read(
        &mut self,
        endpoint: &str,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, crate::HttpError> {
        objects::read(endpoint, path, etag, offset, length).map_err(http_error)
    }
}

struct HostStorage;

// Reads fail only for keys that are empty or too long: nothing is there.
impl crate::Storage for HostStorage {
    fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        storage::get(key).ok().flatten().map(|entry| entry.value)
    }

    fn set(&mut self, key: &str, value: &[u8]) -> bool {
        storage::set(key, value).is_ok()
    }

    fn list(&mut self, prefix: &str, after: Option<&str>) -> Vec<String> {
        storage::list(prefix, after).unwrap_or_default()
    }
}

// ---- what goes out ------------------------------------------------------------------------------

fn profile(profile: crate::Profile) -> wit::Profile {
    wit::Profile {
        connector: profile.connector,
        version: profile.version,
        workspace: profile.workspace,
        source_key: profile.source_key,
        cursor_versions: profile.cursor_versions,
        slots: profile
            .slots
            .into_iter()
            .map(|slot| wit::SecretSlot { name: slot.name, purpose: slot.purpose, required: slot.required })
            .collect(),
        resources: profile.resources.into_iter().map(resource).collect(),
        surfaces: profile.surfaces.into_iter().map(surface).collect(),
        targets: wit::Targets {
            attributes: profile.targets.attributes.into_iter().map(attribute_target).collect(),
            events: profile.targets.events,
            event_prefix: profile.targets.event_prefix,
        },
    }
}

fn resource(resource: crate::ResourceSpec) -> wit::ResourceSpec {
    wit::ResourceSpec {
        name: resource.name,
        kind: resource.kind,
        primary_key: resource.primary_key,
        nature: nature_out(resource.nature),
        mode: match resource.mode {
            crate::SyncMode::Full => wit::SyncMode::Full,
            crate::SyncMode::Incremental => wit::SyncMode::Incremental,
            crate::SyncMode::Check => wit::SyncMode::Check,
        },
        cursor_strategy: resource.cursor_strategy,
        page_limit: resource.page_limit,
        replay_policy: resource.replay_policy,
        cadence: resource.cadence,
        rate_windows: resource
            .rate_windows
            .into_iter()
            .map(|window| wit::RateWindow { calls: window.calls, seconds: window.seconds })
            .collect(),
        schema: resource.schema,
        endpoint: resource.endpoint,
        slot: resource.slot,
    }
}

fn nature_out(nature: crate::Nature) -> wit::Nature {
    match nature {
        crate::Nature::Event => wit::Nature::Event,
        crate::Nature::State => wit::Nature::State,
    }
}

fn surface(surface: crate::Surface) -> wit::Surface {
    wit::Surface {
        name: surface.name,
        kinds: surface.schemas.iter().map(|(kind, _)| kind.clone()).collect(),
        verification: surface.verification,
        answer: wit::StaticAnswer {
            status: surface.answer.status,
            content_type: surface.answer.content_type,
            body: surface.answer.body,
        },
        body_cap: surface.body_cap,
        headers: surface.headers,
        dedupe_key: surface.dedupe_key,
        replay_window: surface.replay_window,
        schemas: surface.schemas,
    }
}

fn attribute_target(target: crate::AttributeTarget) -> wit::AttributeTarget {
    wit::AttributeTarget {
        name: target.name,
        kind: match target.kind {
            crate::AttributeType::Text => wit::AttributeType::Text,
            crate::AttributeType::Number => wit::AttributeType::Number,
            crate::AttributeType::Boolean => wit::AttributeType::Boolean,
            crate::AttributeType::Date => wit::AttributeType::Date,
        },
        create: target.create,
    }
}

fn problem(problem: crate::Problem) -> wit::Problem {
    wit::Problem { code: problem.code, path: problem.path, message: problem.message, remedy: problem.remedy }
}

fn failure(failure: crate::Failure) -> wit::Failure {
    wit::Failure {
        kind: match failure.kind {
            crate::FailureKind::Config => wit::FailureKind::Config,
            crate::FailureKind::Auth { slot } => wit::FailureKind::Auth(slot),
            crate::FailureKind::Permission { slot, scope } => wit::FailureKind::Permission((slot, scope)),
            crate::FailureKind::RateLimited(wait) => wit::FailureKind::RateLimited(wait),
            crate::FailureKind::Cursor => wit::FailureKind::Cursor,
            crate::FailureKind::Transient => wit::FailureKind::Transient,
            crate::FailureKind::Gone => wit::FailureKind::Gone,
            crate::FailureKind::VendorContract(sample) => wit::FailureKind::VendorContract(sample),
            crate::FailureKind::Internal => wit::FailureKind::Internal,
        },
        code: failure.code,
        message: failure.message,
    }
}

fn page(page: crate::Page) -> wit::Page {
    wit::Page {
        records: page.records.into_iter().map(record_out).collect(),
        rejects: page.rejects.into_iter().map(reject).collect(),
        next: match page.next {
            crate::Next::More(cursor) => wit::Next::More(cursor_out(cursor)),
            crate::Next::Later(cursor, at) => wit::Next::Later((cursor_out(cursor), at)),
            crate::Next::Done { cursor, truncated } => {
                wit::Next::Done(wit::RunEnd { cursor: cursor.map(cursor_out), truncated })
            }
        },
        not_before: page.not_before,
        notes: page.notes.into_iter().map(note).collect(),
    }
}

fn cursor_out(cursor: crate::Cursor) -> wit::Cursor {
    wit::Cursor { version: cursor.version, bytes: cursor.bytes }
}

fn reject(reject: crate::Reject) -> wit::Reject {
    wit::Reject { pointer: reject.pointer, code: reject.code, message: reject.message, remedy: reject.remedy }
}

fn note(note: crate::Note) -> wit::Note {
    wit::Note { name: note.name, count: note.count, message: note.message }
}

fn action(action: crate::Action) -> wit::Action {
    wit::Action {
        slot: action.slot,
        name: action.name,
        subject: subject_out(action.subject),
        payload: action.payload,
        not_after: action.not_after,
        not_before: action.not_before,
        coalesce: action.coalesce,
    }
}

fn subject_out(subject: crate::Subject) -> wit::Subject {
    match subject {
        crate::Subject::Person(person) => wit::Subject::Person(wit::Person {
            external_id: person.external_id,
            email: person.email,
            phone: person.phone,
            aliases: person
                .aliases
                .into_iter()
                .map(|alias| wit::Alias { kind: alias.kind, value: alias.value })
                .collect(),
        }),
        crate::Subject::Object(kind, key) => wit::Subject::Object((kind, key)),
    }
}

fn record_out(record: crate::Record) -> wit::Record {
    wit::Record {
        id: record.id,
        kind: record.kind,
        nature: nature_out(record.nature),
        subject: subject_out(record.subject),
        observation: wit::Observation { id: record.observation.id, rank: record.observation.rank },
        occurred: wit::Occurrence {
            at: record.occurred.at,
            trust: match record.occurred.trust {
                crate::TimeTrust::Vendor => wit::TimeTrust::Vendor,
                crate::TimeTrust::Arrival => wit::TimeTrust::Arrival,
                crate::TimeTrust::Unknown => wit::TimeTrust::Unknown,
            },
        },
        body: record.body,
        provenance: match record.provenance {
            crate::Provenance::Live => wit::Provenance::Live,
            crate::Provenance::Backfill => wit::Provenance::Backfill,
            crate::Provenance::Poll => wit::Provenance::Poll,
        },
    }
}

// ---- what comes in ------------------------------------------------------------------------------

fn cursor_in(cursor: wit::Cursor) -> crate::Cursor {
    crate::Cursor { version: cursor.version, bytes: cursor.bytes }
}

fn record_in(record: wit::Record) -> crate::Record {
    crate::Record {
        id: record.id,
        kind: record.kind,
        nature: match record.nature {
            wit::Nature::Event => crate::Nature::Event,
            wit::Nature::State => crate::Nature::State,
        },
        subject: match record.subject {
            wit::Subject::Person(person) => crate::Subject::Person(crate::Person {
                external_id: person.external_id,
                email: person.email,
                phone: person.phone,
                aliases: person
                    .aliases
                    .into_iter()
                    .map(|alias| crate::Alias { kind: alias.kind, value: alias.value })
                    .collect(),
            }),
            wit::Subject::Object((kind, key)) => crate::Subject::Object(kind, key),
        },
        observation: crate::Observation { id: record.observation.id, rank: record.observation.rank },
        occurred: crate::Occurrence {
            at: record.occurred.at,
            trust: match record.occurred.trust {
                wit::TimeTrust::Vendor => crate::TimeTrust::Vendor,
                wit::TimeTrust::Arrival => crate::TimeTrust::Arrival,
                wit::TimeTrust::Unknown => crate::TimeTrust::Unknown,
            },
        },
        body: record.body,
        provenance: match record.provenance {
            wit::Provenance::Live => crate::Provenance::Live,
            wit::Provenance::Backfill => crate::Provenance::Backfill,
            wit::Provenance::Poll => crate::Provenance::Poll,
        },
    }
}
