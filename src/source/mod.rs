//! MoEngage: what it pushes and what it answers.

mod client;
pub mod codes;
mod credentials;
mod flags;
mod identity;
mod inner_event;
mod notes;
mod streams;
mod time;

pub use client::{Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Method};
pub use credentials::{Page, PageRequest, Position, check_resources, fetch_page};
pub use notes::Note;
pub use streams::{Reject, STREAMS, WebhookOutcome, WebhookRequest, handle_webhook};
