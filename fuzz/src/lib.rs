//! Bodies of the targets: plain functions that take bytes and panic where a promise is broken.
//!
//! The tests of the two crates include the modules below and play every kept corpus through them, so that neither
//! the targets nor the corpora rot. `docs/fuzzing.md` says how they are run.

pub mod connector;
pub mod corpora;
pub mod host;
