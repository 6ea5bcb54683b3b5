//! MoEngage: what it pushes and what it answers.

mod campaign_row;
mod campaigns;
mod client;
pub mod codes;
mod contact;
mod credentials;
mod digest;
mod errors;
mod exports;
mod flags;
mod identity;
mod inner_event;
mod inventory;
mod notes;
mod page;
mod paging;
mod rate;
mod refusal;
mod resources;
mod stats;
mod streams;
mod surfaces;
mod time;
mod user_names;
mod users;
mod watch;

pub use client::{Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Method};
pub(crate) use inventory::all as all_items;
pub(crate) use inventory::is_listed;
pub(crate) use inventory::item::{Each, Item};
pub use notes::Note;
pub use page::{CURSOR_VERSION, Cursor, Next, Object, Objects, Page, PageRequest, Position, Reach, Storage};
pub use resources::{fetch_page, resources};
pub use surfaces::{Reject, WebhookOutcome, WebhookRequest, handle_webhook, surfaces};
pub(crate) use time::day;
