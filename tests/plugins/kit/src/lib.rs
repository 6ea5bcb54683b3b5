//! A well-behaved connector for an invented vendor, in pieces. A guest takes what it wants from
//! here and does one thing otherwise.
//!
//! The webhook's body is a list of lines. Each line becomes a contact whose vendor key is the
//! line; its mapping is one `brevo/upsert-contact`.

pub mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit/v0.1",
        world: "plugin",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "kit::bindings",
    });
}

pub use bindings::Guest;
pub use bindings::tajo::connector::types::*;
pub use bindings::tajo::connector::{http, log, objects, schedule, storage};

pub const KIND: &str = "contact";

/// A profile with one surface (`push`), one resource (`pages`) and a check resource (`probe`).
pub fn profile() -> Profile {
    Profile {
        connector: "example".into(),
        version: "0.1.0".into(),
        workspace: "w1".into(),
        source_key: "{}".into(),
        cursor_versions: vec![1],
        slots: vec![SecretSlot { name: "key".into(), purpose: "Opens the vendor.".into(), required: true }],
        resources: vec![
            resource("pages", KIND, SyncMode::Incremental),
            resource("probe", "check", SyncMode::Check),
        ],
        surfaces: vec![Surface {
            name: "push".into(),
            kinds: vec![KIND.into()],
            verification: "bearer".into(),
            answer: StaticAnswer { status: 200, content_type: "text/plain".into(), body: "ok".into() },
            body_cap: 1 << 20,
            headers: vec![],
            dedupe_key: "the line".into(),
            replay_window: 86_400,
            schemas: vec![(KIND.into(), "{}".into())],
        }],
        targets: Targets {
            attributes: vec![AttributeTarget {
                name: "NAME".into(),
                kind: AttributeType::Text,
                create: true,
            }],
            events: vec![],
            event_prefix: None,
        },
    }
}

fn resource(name: &str, kind: &str, mode: SyncMode) -> ResourceSpec {
    ResourceSpec {
        name: name.into(),
        kind: kind.into(),
        primary_key: vec!["id".into()],
        nature: Nature::State,
        mode,
        cursor_strategy: "none".into(),
        page_limit: 100,
        replay_policy: "harmless".into(),
        cadence: 0,
        rate_windows: vec![],
        schema: "{}".into(),
        endpoint: "api".into(),
        slot: Some("key".into()),
    }
}

/// The contact with this vendor key.
pub fn contact(key: &str) -> Record {
    let person = Person { external_id: Some(key.into()), email: None, phone: None, aliases: vec![] };
    Record {
        id: format!("example:w1:{KIND}:{key}"),
        kind: KIND.into(),
        nature: Nature::State,
        subject: Subject::Person(person),
        observation: Observation { id: format!("seen-{key}"), rank: 1 },
        occurred: Occurrence { at: Some(1_700_000_000_000), trust: TimeTrust::Vendor },
        body: "{\"name\":\"a name\"}".into(),
        provenance: Provenance::Live,
    }
}

/// One contact for each line.
pub fn contacts(request: &WebhookRequest) -> WebhookOutcome {
    let text = String::from_utf8_lossy(&request.body);
    WebhookOutcome { records: text.lines().map(contact).collect(), rejects: vec![], notes: vec![] }
}

/// An empty, complete page.
pub fn empty_page() -> Page {
    Page {
        records: vec![],
        rejects: vec![],
        next: Next::Done(RunEnd { cursor: None, truncated: None }),
        not_before: None,
        notes: vec![],
    }
}

/// One upsert.
pub fn upsert(record: &Record) -> Mapping {
    Mapping::Actions(vec![Action {
        slot: "contact".into(),
        name: "brevo/upsert-contact".into(),
        subject: record.subject.clone(),
        payload: "{\"attributes\":{\"NAME\":\"a name\"}}".into(),
        not_after: None,
        not_before: None,
        coalesce: None,
    }])
}

/// A failure of the connector itself.
pub fn internal(code: &str) -> Failure {
    Failure { kind: FailureKind::Internal, code: code.into(), message: "see the code".into() }
}

/// The contract's exports, well-behaved. A guest overrides what it does otherwise.
pub trait Connector {
    fn configure(_settings: Settings) -> Result<Profile, Vec<Problem>> {
        Ok(profile())
    }

    fn fetch_page(_request: PageRequest) -> Result<Page, Failure> {
        Ok(empty_page())
    }

    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        Ok(contacts(&request))
    }

    fn map_record(_settings: Settings, record: Record, _now: Timestamp) -> Result<Mapping, Failure> {
        Ok(upsert(&record))
    }
}

/// Exports a type that implements [`Connector`].
#[macro_export]
macro_rules! guest {
    ($connector:ty) => {
        struct Exports;

        impl $crate::Guest for Exports {
            fn configure(settings: $crate::Settings) -> Result<$crate::Profile, Vec<$crate::Problem>> {
                <$connector as $crate::Connector>::configure(settings)
            }

            fn fetch_page(request: $crate::PageRequest) -> Result<$crate::Page, $crate::Failure> {
                <$connector as $crate::Connector>::fetch_page(request)
            }

            fn handle_webhook(
                request: $crate::WebhookRequest,
            ) -> Result<$crate::WebhookOutcome, $crate::Failure> {
                <$connector as $crate::Connector>::handle_webhook(request)
            }

            fn map_record(
                settings: $crate::Settings,
                record: $crate::Record,
                now: $crate::Timestamp,
            ) -> Result<$crate::Mapping, $crate::Failure> {
                <$connector as $crate::Connector>::map_record(settings, record, now)
            }
        }

        $crate::bindings::export!(Exports with_types_in $crate::bindings);
    };
}
