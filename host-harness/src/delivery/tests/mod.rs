//! The engine against a Brevo in memory, under a clock that is moved by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bench;
mod fake;
mod fake_import;
mod fake_sends;
#[path = "../../../tests/described/brevo.rs"]
mod vendor;

mod addresses;
mod answers;
mod backfill;
mod backlog;
mod budget;
mod campaigns;
mod consents;
mod contacts;
mod crm;
mod deletes;
mod events;
mod faults;
mod imports;
mod late;
mod lists;
mod mails;
mod objects;
mod orders;
mod products;
mod texts;
