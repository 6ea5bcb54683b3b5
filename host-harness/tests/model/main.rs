//! The model: random histories of people, in random orders of arrival, through every door, with faults
//! at Brevo and restarts of the host, end at Brevo as the fold of the sources by the rules says.
//!
//! `MODEL_SEEDS=200 cargo test -p host-harness --test model` plays that many, `MODEL_SEED=17` one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod compare;
mod fold;
mod found;
mod history;
mod planted;
mod proxy;
#[path = "../sources/mod.rs"]
mod sources;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use proxy::Tamper;

/// As many as a minute of two cores plays in the dev profile.
const SEEDS: u64 = 8;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// What is wrong with a seed's history, if anything is.
fn wrong(seed: u64) -> Option<String> {
    let history = history::history(seed);
    let expected = fold::fold(&history);
    let played = catch_unwind(AssertUnwindSafe(|| world::play(&history, Tamper::Nothing)));
    let found = match played {
        Ok(observed) => {
            let differences = compare::compare(&history, &expected, &observed);
            if differences.is_empty() {
                return None;
            }
            format!(
                "{differences:#?}\nundelivered: {:#?}\nletters: {:?}\ncontacts: {:#?}",
                observed.undelivered, observed.letters, observed.contacts
            )
        }
        Err(_) => "the host did not come to rest, or broke a vendor's rules (above)".to_owned(),
    };
    Some(format!(
        "seed {seed} ends otherwise than the fold of its sources:\n{found}\n\
         again: MODEL_SEED={seed} cargo test -p host-harness --test model any_history"
    ))
}

#[test]
fn n28_any_history_ends_at_brevo_as_the_fold_of_its_sources() {
    let seeds = match number("MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("MODEL_SEEDS").unwrap_or(SEEDS) + 1,
    };
    let wrong: Vec<String> = seeds.filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_seed_is_one_history() {
    let written = |seed| format!("{:?}", history::history(seed));
    assert_eq!(written(5), written(5));
    assert_ne!(written(5), written(6));
}
