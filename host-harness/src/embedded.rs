//! The connector that this host was built with.

/// The MoEngage component, as `cargo rustc --release --target wasm32-wasip2 --lib --crate-type
/// cdylib` makes it.
pub const COMPONENT: &[u8] = include_bytes!(env!("HARNESS_COMPONENT"));

/// The manifest beside it, JSON (see [`crate::manifest`]).
pub const MANIFEST: &str = include_str!(env!("HARNESS_MANIFEST"));
