//! Every kept input of every fuzz target of the connector, played without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../fuzz/src/connector/mod.rs"]
mod connector;
#[path = "../fuzz/src/corpora.rs"]
mod corpora;

#[test]
fn every_kept_input_of_the_connector_s_targets_keeps_the_promises() {
    corpora::play(connector::TARGETS);
}
