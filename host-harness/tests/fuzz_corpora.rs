//! Every kept input of every fuzz target of the host, played without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../fuzz/src/corpora.rs"]
mod corpora;
#[path = "../../fuzz/src/host/mod.rs"]
mod host;

#[test]
fn every_kept_input_of_the_host_s_targets_keeps_the_promises() {
    corpora::play(host::TARGETS);
}
