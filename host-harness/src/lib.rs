//! The host of Tajo connectors.
//!
//! It loads a connector (a WASI component), gives it HTTP, storage and scheduling, keeps its
//! secrets, makes everything durable, delivers to Brevo, and shows an operator what happened.
//! `docs/architecture.md` tells the way of the data and the commit rules.

pub mod bench;
pub mod brevo;
pub mod cli;
pub mod config;
pub mod connectors;
pub mod contract;
pub mod crash;
pub mod delivery;
pub mod demo;
pub mod egress;
pub mod embedded;
pub mod hex;
pub mod host;
pub mod intake;
pub mod json;
pub mod manifest;
pub mod networks;
pub mod operate;
pub mod people;
pub mod pipeline;
pub mod plugin;
pub mod quotas;
pub mod registry;
pub mod sealed;
pub mod secrets;
pub mod store;
pub mod unit;
pub mod world;
