//! The connector that this host was built with.

/// The MoEngage component, as `cargo build --release --target wasm32-wasip2` makes it.
pub const COMPONENT: &[u8] = include_bytes!(env!("HARNESS_COMPONENT"));

/// The manifest beside it, JSON (see [`crate::manifest`]).
pub const MANIFEST: &str = include_str!(env!("HARNESS_MANIFEST"));
