//! A stand-in for Brevo in a test of the host: every request that it gets is one that
//! `docs/brevo-openapi.yaml` describes and, where Brevo's own file has the call, that file too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]
// Test binaries of several helpers have it in each of them.
#![allow(clippy::duplicate_mod)]

#[path = "checker.rs"]
pub mod checker;
#[path = "deviation.rs"]
pub mod deviation;
#[path = "brevo_deviations.rs"]
pub mod deviations;

use std::path::PathBuf;

use serde_json::{Value, json};
use stand_ins::brevo::{Brevo, Options};
use stand_ins::journal::Exchange;

use deviations::OF_EXCHANGES;

/// The description in `docs/`.
pub fn ours() -> PathBuf {
    checker::root().join("docs/brevo-openapi.yaml")
}

/// Brevo's own OpenAPI file, where the environment says that it is at hand.
pub fn theirs() -> Option<PathBuf> {
    std::env::var_os("BREVO_OPENAPI").filter(|file| !file.is_empty()).map(PathBuf::from)
}

/// What of a request is not as both descriptions say.
pub fn found(request: &Value) -> Vec<Value> {
    let mut all = checker::found(&ours(), request);
    if let Some(file) = theirs() {
        let not_there =
            |one: &Value| ["no-such-path", "no-such-method"].iter().any(|rule| one["rule"] == *rule);
        let excused = |one: &Value| OF_EXCHANGES.iter().any(|deviation| deviation.excuses(one));
        let theirs = checker::found(&file, request).into_iter();
        all.extend(theirs.filter(|one| !not_there(one) && !excused(one)));
    }
    all
}

/// A request as the checker reads it.
pub fn request(exchange: &Exchange) -> Value {
    json!({
        "method": exchange.method, "path": exchange.path, "query": exchange.query,
        "headers": exchange.headers, "body": exchange.body, "request_only": true,
    })
}

/// Everything that a stand-in got so far, and was to record, is as described.
pub fn hold(brevo: &Brevo) {
    assert_eq!(brevo.violations(), [], "not as the stand-in's schemas say");
    for exchange in brevo.journal().exchanges() {
        let found = found(&request(exchange));
        assert!(found.is_empty(), "not as described: {found:#?}\n{exchange:#?}");
    }
}

/// One whose test fails at its end where a request was not as described.
pub struct Checked(Brevo);

impl Checked {
    pub fn start(options: Options) -> Self {
        let brevo = Brevo::start(options).unwrap();
        brevo.record_exchanges();
        Self(brevo)
    }
}

impl std::ops::Deref for Checked {
    type Target = Brevo;

    fn deref(&self) -> &Brevo {
        &self.0
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            hold(&self.0);
        }
    }
}
