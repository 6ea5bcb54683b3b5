//! Tenants of one host: nothing of one reaches another, and none can take what the others need.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod apart;
mod history;
mod quotas;
#[path = "../scripted/mod.rs"]
mod scripted;
mod two;
#[path = "../described/brevo.rs"]
mod vendor;
