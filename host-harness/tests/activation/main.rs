//! What the documented settings do at Brevo: the real component with settings as a tenant writes them,
//! a whole host in this process, and both vendors' stand-ins over real connections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../sources/mod.rs"]
mod sources;

mod accounts;
mod deletes;
mod imports;
mod losses;
mod mapped_again;
mod objects;
mod restored;
mod rules;
mod stage;
