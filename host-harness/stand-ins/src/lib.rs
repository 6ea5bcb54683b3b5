//! Stand-ins for MoEngage, the store of its export files, and Brevo: real HTTP on loopback, with
//! faults on demand.
//!
//! Each stand-in is written from its vendor's public documents alone and knows nothing of the
//! code that it tests. It runs on a thread of its own, answers on `127.0.0.1`, keeps what it
//! holds in memory (a bucket may serve folders too), and stops when its handle is dropped.
//!
//! - [`brevo::Brevo`] is one Brevo account: contacts, imports, lists, events, mail, text messages,
//!   campaigns, products, objects, notes, tasks, rate windows. Every request is held against a strict
//!   schema; what the vendor would forgive in silence is written down in the [`journal`].
//! - [`moengage::MoEngage`] is one MoEngage workspace: it pushes Streams batches, segments, alerts
//!   and connector campaigns with the documented retries, and answers the calls that read it.
//! - [`bucket::Bucket`] is the store that export files lie in: S3, Google's, or an nginx.
//! - [`faults`] break an exchange at an exact point.
//!
//! # Driven by a person
//!
//! Each answers under `/_control`, beside the vendor's paths, without credentials:
//!
//! | call | meaning |
//! |---|---|
//! | `GET /_control/faults` | rules that are set, each with its id and how often it fired |
//! | `POST /_control/faults` | sets one [`faults::Rule`]; answers `{"id": 1}` |
//! | `DELETE /_control/faults` | removes all rules |
//! | `POST /_control/refuse` | `{"connections": 3}`: the next three are closed unread |
//! | `GET /_control/journal?after=N&limit=M` | requests with a number above N, oldest first |
//! | `GET /_control/state` | what the vendor now holds |
//! | `POST /_control/unsubscribe` | Brevo: `{"email": "...", "at_ms": 0}`, an unsubscribe in a mail's footer |
//! | `POST /_control/lists` | Brevo: adds a list ([`brevo::NewList`]); answers its id |
//! | `POST /_control/automations` | Brevo: `{"lists": [5]}`, the lists that start an automation |
//! | `POST /_control/campaigns` | MoEngage: one change of the list ([`moengage::Change`]) |
//! | `POST /_control/search-quirks` | MoEngage: how searches misbehave ([`moengage::SearchQuirks`]) |
//! | `POST /_control/cursor-quirks` | MoEngage: how lists with a cursor misbehave ([`moengage::CursorQuirks`]) |
//! | `POST /_control/readings` | MoEngage: which of two readings of the documents it follows ([`moengage::Readings`]) |
//! | `POST /_control/rows` | MoEngage: `{"table": "segments", "change": ...}`, one change ([`moengage::RowChange`]) of what is only read ([`moengage::Table`]) |
//! | `POST /_control/page-quirks` | MoEngage: `{"path": "/v1/cards/fetch", "quirks": ...}`, how the pages of a call misbehave ([`moengage::PageQuirks`]) |
//! | `POST /_control/figures` | MoEngage: adds or restates figures of campaigns (a list of [`moengage::Figures`]) |
//! | `POST /_control/reports` | MoEngage: `{"name": "Report.zip", "csv": "..."}`, a report file, packed by its name; `created_at` where it is not new |
//! | `POST /_control/users` | MoEngage: adds or replaces users (a list of [`moengage::User`]) |
//! | `POST /_control/objects` | Bucket: puts or removes a file ([`bucket::FileChange`]) |
//! | `POST /_control/push` | MoEngage: generates events and pushes them ([`moengage::Push`]) |
//! | `POST /_control/segment-syncs` | MoEngage: `{"destination": {}, "members": []}` ([`moengage::segment_sync::Destination`]); answers `{"sync": 0}` |
//! | `POST /_control/segment-members` | MoEngage: `{"sync": 0, "put": [], "remove": ["id"]}` |
//! | `POST /_control/segment-runs` | MoEngage: `{"sync": 0, "kind": "ad-hoc"}` ([`moengage::segment_sync::RunKind`]) |
//! | `POST /_control/alert-webhooks` | MoEngage: a webhook ([`moengage::alerts::AlertTarget`]); answers `{"webhook": 0}` |
//! | `POST /_control/alerts` | MoEngage: `{"webhook": 0, "alert": {"kind": "FLOW_STATS"}}`, or `{"again": 0}` |
//! | `POST /_control/connectors` | MoEngage: a connector campaign ([`moengage::connector_campaign::Connector`]); answers `{"connector": 0}` |
//! | `POST /_control/connector-batches` | MoEngage: `{"connector": 0, "users": []}`, or `{"rerun": 0}` |
//!
//! ```text
//! curl -X POST http://127.0.0.1:PORT/_control/faults -d '
//!   {"method": "POST", "path": "/v3/events", "nth": [3],
//!    "fault": {"answer": {"kind": "close"}, "effect": "at-once"}}'
//! ```

pub mod brevo;
pub mod bucket;
pub mod clock;
mod control;
pub mod faults;
mod http;
pub mod journal;
pub mod moengage;
mod outgoing;
mod random;
mod windows;
