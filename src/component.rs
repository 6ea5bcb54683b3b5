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

use bindings::tajo::connector::{http, log, types as wit};

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
                wit::Position::Cursor(cursor) => crate::Position::Cursor(cursor.version),
                wit::Position::Window((from, to)) => crate::Position::Window(from, to),
            },
            now: request.now,
        };
        crate::fetch_page(&settings, &request, &mut HostHttp).map(page).map_err(failure)
    }

    fn handle_webhook(request: wit::WebhookRequest) -> Result<wit::WebhookOutcome, wit::Failure> {
        let settings = parsed(request.settings)?;
        let request = crate::WebhookRequest {
            surface: request.surface,
            body: request.body,
            headers: request.headers,
            received_at: request.received_at,
        };
        let outcome = crate::handle_webhook(&settings, &request).map_err(failure)?;
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
            Err(error) => Err(crate::HttpError {
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
            }),
        }
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
        primary_key: Vec::new(),
        nature: wit::Nature::State,
        mode: wit::SyncMode::Check,
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
        slot: Some(resource.slot),
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
        next: wit::Next::Done(wit::RunEnd { cursor: None, truncated: None }),
        not_before: page.not_before,
        notes: page.notes.into_iter().map(note).collect(),
    }
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
        nature: match record.nature {
            crate::Nature::Event => wit::Nature::Event,
            crate::Nature::State => wit::Nature::State,
        },
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
