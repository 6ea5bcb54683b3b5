//! A backfill of 200,000 contacts under the documented limits, with live traffic beside it.
//!
//! The least number of calls that such a backfill can take (docs/performance.md, "Calls of a
//! backfill"):
//!
//! ```text
//! census     ⌈contacts that were there ÷ 1,000⌉, at least 1
//! imports    ⌈rows of a group ÷ rows that fit⌉, for each group that is blocked alike
//! looks      for each import, how often 15, 30, 60, 120, 240, 300 … s fit into its time, and one more
//! reading    ⌈rows of an import ÷ 1,000⌉, for each import
//! set-up     8: attributes read twice and two made, folders and lists looked at, one of each made
//! ```

use std::collections::BTreeMap;

use serde_json::json;

use super::bench::{Bench, MINUTE, Read, person};
use super::fake::FakeContact;
use crate::brevo::imports::{BYTES, PAGE};
use crate::registry::{ConsentBasis, ConsentStatus};
use crate::store::outbox::State;
use crate::world::Millis;

const PEOPLE: usize = 200_000;
/// Strangers that the account had before.
const STRANGERS: usize = 10_000;
/// Of a hundred people, how many opted out.
const OPTED_OUT: usize = 8;
/// Rows that Brevo imports in a second.
const SPEED: usize = 1_000;
/// How long a call takes.
const LATENCY: Millis = 40;
/// Waits between looks at a process, in milliseconds.
const LOOKS: [Millis; 6] = [15_000, 30_000, 60_000, 120_000, 240_000, 300_000];

fn opted_out(n: usize) -> bool {
    n % 100 < OPTED_OUT
}

fn attributes(n: usize) -> serde_json::Value {
    json!({ "FIRSTNAME": format!("First {n}"), "LASTNAME": format!("Last name {n}"), "TIER": "gold", "POINTS": n })
}

fn email(n: usize) -> String {
    format!("customer-number-{n:06}@some-mail-provider.example.org")
}

/// Looks at a process that takes so long.
fn looks(takes: Millis) -> usize {
    let mut waited = 0;
    let mut looks = 0;
    while waited < takes || looks == 0 {
        waited += LOOKS[looks.min(LOOKS.len() - 1)];
        looks += 1;
    }
    looks
}

/// The least that the backfill can take, by the formula above.
fn least() -> usize {
    let row = json!({
        "email": email(0),
        "attributes": {
            "FIRSTNAME": "First 000000", "LASTNAME": "Last name 000000", "TIER": "gold", "POINTS": 100_000,
            "EXT_ID": "u000000",
        }
    });
    let fit = BYTES / row.to_string().len();
    let mut calls = STRANGERS.div_ceil(PAGE).max(1) + 8;
    let blocked = (0..PEOPLE).filter(|n| opted_out(*n)).count();
    for group in [blocked, PEOPLE - blocked] {
        let mut left = group;
        while left > 0 {
            let rows = left.min(fit);
            let takes = (rows / SPEED * 1_000) as Millis;
            calls += 1 + looks(takes) + rows.div_ceil(PAGE);
            left -= rows;
        }
    }
    calls
}

#[test]
fn a_backfill_of_200_000_contacts_takes_hardly_more_calls_than_it_must() {
    let bench = Bench::new();
    {
        let mut state = bench.brevo.state();
        (state.bulk.limited, state.bulk.latency, state.bulk.speed) = (true, LATENCY, SPEED / 1_000);
        for n in 0..STRANGERS {
            state.add(FakeContact { email: Some(format!("stranger-{n}@x.org")), ..FakeContact::default() });
        }
    }
    bench.backfill((0..PEOPLE).map(|n| Read {
        person: person(&format!("u{n:06}"), &email(n)),
        attributes: attributes(n),
        consent: Some(if opted_out(n) { ConsentStatus::OptedOut } else { ConsentStatus::OptedIn }),
    }));
    let delivery = bench.delivery();
    let (mut live, mut who, mut longest) = (0, 99, 0);
    loop {
        bench.run_with(&delivery, bench.now() + MINUTE / 6);
        let here = bench.brevo.state().contacts.len() - STRANGERS;
        if bench.waiting() == 0 {
            assert_eq!(here, PEOPLE);
            break;
        }
        if here == 0 {
            bench.wait(1_000);
            continue;
        }
        // Somebody who may be there already opts out.
        let one = person(&format!("u{who:06}"), &email(who));
        let at = bench.now();
        let said = bench.consent(&one, ConsentStatus::OptedOut, ConsentBasis::Signal, at);
        while matches!(bench.end(said).0, State::Waiting | State::InFlight) {
            bench.run_with(&delivery, bench.now());
            bench.wait(10);
        }
        longest = longest.max(bench.now() - at);
        (live, who) = (live + 1, who + 100);
        bench.wait(2_000);
    }
    assert!(live > 5, "live traffic came while the backfill was under way: {live}");
    assert!(longest < 5_000, "a live opt-out waited {longest} ms");
    let state = bench.brevo.state();
    assert!(state.bulk.merged.is_empty() && state.unblocked.is_empty());
    assert_eq!((state.bulk.side_by_side, state.bulk.over_limit), (0, 0));
    let blocked = state.contacts.values().filter(|contact| contact.email_blocked).count();
    assert_eq!(blocked, (0..PEOPLE).filter(|n| opted_out(*n)).count() + live);
    let mut by_label = BTreeMap::<&str, usize>::new();
    for (label, _) in &state.journal {
        *by_label.entry(label).or_default() += 1;
    }
    // Only what is live is about one contact.
    let (alone, bulk): (Vec<_>, Vec<_>) =
        by_label.iter().partition(|(label, _)| label.ends_with("/contacts/{id}"));
    let sum = |calls: &[(&&str, &usize)]| calls.iter().map(|(_, count)| **count).sum::<usize>();
    let (made, least) = (sum(&bulk), least());
    println!(
        "{made} calls, at least {least}, in {} s: {by_label:?}",
        (bench.now() - super::bench::START) / 1_000
    );
    assert!(made <= least + least / 10, "{made} calls where {least} are the least: {by_label:?}");
    // A look at the contact and its block.
    assert!(sum(&alone) <= 2 * live + 2, "{by_label:?}");
}
