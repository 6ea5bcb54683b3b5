//! The contract of `wit/v0.1` as Rust types, generated from it.
//!
//! The types serialise, so that a unit of work and its outcome are plain values: they can be
//! stored, replayed, and one day be sent to a worker process.

#[allow(missing_docs)] // documented in `wit/v0.1`, from which this is generated
#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/v0.1",
        world: "plugin",
        imports: { default: trappable },
        additional_derives: [serde::Serialize, serde::Deserialize, PartialEq],
    });
}

pub use bindings::Plugin;
pub use bindings::tajo::connector::http;
pub use bindings::tajo::connector::log;
pub use bindings::tajo::connector::objects;
pub use bindings::tajo::connector::schedule;
pub use bindings::tajo::connector::storage;
pub use bindings::tajo::connector::types::*;

/// Version of the contract that this host speaks; a component built for another is refused.
pub const VERSION: &str = "0.1.0";

impl Person {
    /// True where nothing names the person.
    pub fn is_anonymous(&self) -> bool {
        self.external_id.is_none() && self.email.is_none() && self.phone.is_none() && self.aliases.is_empty()
    }
}
