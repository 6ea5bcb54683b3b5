//! MoEngage, as a Tajo connector.
//!
//! The crate knows one vendor: how MoEngage's webhooks and answers look, what stable objects they
//! become, and which Brevo actions those call for. It is plain Rust without the contract; only
//! `component` (compiled to wasm) translates between the two, one line per type.
//!
//! The four doors are those of the contract: [`configure`], [`handle_webhook`], [`map_record`]
//! and [`fetch_page`]. All are pure functions of their arguments, except that `fetch_page` reads
//! through a [`Reach`], `handle_webhook` may remember things in a [`Storage`], and `map_record`
//! may write to a [`Log`].

mod activate;
mod convert;
mod failure;
mod json;
mod model;
mod profile;
mod settings;
mod source;

#[cfg(target_family = "wasm")]
mod component;

pub use activate::{Log, map_record};
pub use failure::{Failure, FailureKind};
pub use model::{
    ALERT, Action, Alias, CAMPAIGN, CONTACT, EVENT, MEMBERSHIP, Mapping, Millis, Nature, Observation,
    Occurrence, Person, Provenance, Record, Subject, TimeTrust,
};
pub use profile::{
    AttributeTarget, Profile, RateWindow, ResourceSpec, SecretSlot, StaticAnswer, Surface, SyncMode, Targets,
    configure,
};
pub use settings::{AttributeType, Problem, Settings};
pub use source::{
    Cursor, Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Method, Next, Note, Object, Objects,
    Page, PageRequest, Position, Reach, Reject, Storage, WebhookOutcome, WebhookRequest, fetch_page,
    handle_webhook,
};
