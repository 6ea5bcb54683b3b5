//! The model: random histories of people, in random orders of arrival, through every door, with faults
//! at Brevo and restarts of the host, end at Brevo as the fold of the sources by the rules says.
//!
//! `MODEL_SEEDS=200 cargo test -p host-harness --test model` plays that many, `MODEL_SEED=17` one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod compare;
mod effects;
mod expected;
mod fold;
mod found;
mod history;
mod maker;
mod observe;
mod planted;
mod proxy;
mod random;
#[path = "../relay/mod.rs"]
mod relay;
mod serving;
#[path = "../sources/mod.rs"]
mod sources;
mod things;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use compare::Observed;
use history::{History, Step};
use proxy::Tamper;

/// As many as a minute of two cores plays in the dev profile.
const SEEDS: u64 = 8;
const WORKERS: usize = 3;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// How much of each kind there was, so that a kind that no seed has is seen.
type Tally = BTreeMap<&'static str, usize>;

/// What is wrong with a seed's history, if anything is.
fn wrong(seed: u64, tally: &Mutex<Tally>) -> Option<String> {
    let history = maker::history(seed);
    if number("MODEL_SEED").is_some() {
        eprintln!("{}", history.shown());
    }
    let played = catch_unwind(AssertUnwindSafe(|| world::play(&history, Tamper::Nothing)));
    let found = match played {
        Ok(observed) => {
            let expected = fold::fold(&history, &observed.course);
            for (kind, count) in kinds(&history, &observed) {
                *tally.lock().unwrap().entry(kind).or_default() += count;
            }
            let differences = compare::compare(&history, &expected, &observed);
            if differences.is_empty() {
                return None;
            }
            format!(
                "{differences:#?}\nundelivered: {:#?}\nletters: {:?}\nclicks: {:?}\ncontacts: {:#?}",
                observed.undelivered, observed.letters, observed.course.clicks, observed.contacts
            )
        }
        Err(_) => "the host did not come to rest, or broke a vendor's rules (above)".to_owned(),
    };
    Some(format!(
        "seed {seed} ends otherwise than the fold of its sources:\n{found}\n\
         again: MODEL_SEED={seed} cargo test -p host-harness --test model any_history"
    ))
}

fn kinds(history: &History, observed: &Observed) -> [(&'static str, usize); 11] {
    let steps = || history.plan.iter().flatten();
    let closed = |event: &&history::Event| history.soft && event.code == history::Code::Closed;
    [
        ("contacts", observed.contacts.len()),
        ("soft deletions", history.events.iter().filter(closed).count()),
        ("erasures", usize::from(history.erased.is_some())),
        ("unsubscribed at Brevo", observed.course.clicks.len()),
        ("histories with imports", usize::from(history.imports)),
        ("mails", observed.mails.len()),
        ("texts", observed.texts.len()),
        ("notes and tasks", observed.notes.len() + observed.tasks.len()),
        ("products and objects", observed.products.len() + observed.objects.len()),
        ("troubles", steps().filter(|step| matches!(step, Step::Trouble(..))).count()),
        ("kills", steps().filter(|step| matches!(step, Step::Kill(_))).count()),
    ]
}

#[test]
fn n28_any_history_ends_at_brevo_as_the_fold_of_its_sources() {
    let one = number("MODEL_SEED");
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => 1..number("MODEL_SEEDS").unwrap_or(SEEDS) + 1,
    };
    let left = Mutex::new(seeds);
    let (found, tally) = (Mutex::new(Vec::new()), Mutex::new(Tally::new()));
    // Much of a history is waiting.
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(seed) = { left.lock().unwrap().next() } {
                    let wrong = wrong(seed, &tally);
                    found.lock().unwrap().extend(wrong);
                }
            });
        }
    });
    let (wrong, tally) = (found.into_inner().unwrap(), tally.into_inner().unwrap());
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(one.is_some() || tally.values().all(|count| *count > 0), "{tally:?}");
    eprintln!("{tally:?}");
}

#[test]
fn a_seed_is_one_history() {
    let written = |seed| format!("{:?}", maker::history(seed));
    assert_eq!(written(5), written(5));
    assert_ne!(written(5), written(6));
}
