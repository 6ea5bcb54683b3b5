//! Random histories of a segment, in random order of arrival, with restarts: the list at Brevo ends
//! as the fold of what was said, whatever came when.
//!
//! `HISTORIES=100 cargo test -p host-harness --test lists` tries more of them.

use std::collections::{BTreeMap, BTreeSet};

use host_harness::contract::{Alias, Person, Provenance};
use host_harness::operate::lists as orders;
use host_harness::world::Clock as _;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::scripted::{START, membership, person};
use super::{DELIVER, Lists, MINUTE, vip};

const PEOPLE: usize = 6;

/// One word of an execution about one person.
#[derive(Clone, Debug)]
struct Said {
    person: usize,
    member: bool,
    /// Number of the execution, which is its place in time.
    execution: i64,
    part: usize,
    first_run: bool,
    /// How the row names the person.
    names: Names,
}

/// Names that turn out to be one person's.
#[derive(Clone, Copy, Debug)]
enum Names {
    Alias,
    Own,
    Both,
}

/// What happens between two looks at the whole: chunks that arrive in this order.
type Phase = Vec<Vec<Said>>;

#[derive(Clone, Debug)]
struct History {
    /// Before the new generation, while it is filled, and after it.
    phases: [Phase; 3],
    /// Members as the full run tells them.
    full: BTreeSet<usize>,
    /// After which chunk, by phase, delivery runs (as after a restart).
    pauses: [Vec<bool>; 3],
    /// When the people come to be known, counted in chunks.
    known_after: Vec<usize>,
}

/// Executions 0 to 5 come before the operator's word, 10 is the full run, 11 to 13 come after it.
const FULL: i64 = 10;

fn said(executions: std::ops::Range<i64>) -> impl Strategy<Value = Said> {
    let names = prop_oneof![Just(Names::Alias), Just(Names::Own), Just(Names::Both)];
    (0..PEOPLE, prop::bool::weighted(0.65), executions, 0..3usize, names).prop_map(
        |(person, member, execution, part, names)| Said {
            person,
            member,
            execution,
            part,
            first_run: execution == 0,
            names,
        },
    )
}

/// Words become chunks of one execution each, in any order.
fn chunks(words: Vec<Said>) -> impl Strategy<Value = Phase> {
    let mut by_chunk: BTreeMap<(i64, usize), Vec<Said>> = BTreeMap::new();
    for word in words {
        let chunk = by_chunk.entry((word.execution, word.part)).or_default();
        // One chunk says one thing about a person.
        if chunk.iter().all(|known| known.person != word.person) {
            chunk.push(word);
        }
    }
    Just(by_chunk.into_values().collect::<Vec<_>>()).prop_shuffle()
}

fn history() -> impl Strategy<Value = History> {
    let old = prop::collection::vec(said(0..6), 3..24).prop_flat_map(chunks);
    let full = prop::collection::btree_set(0..PEOPLE, 1..=PEOPLE);
    let after = prop::collection::vec(said(11..14), 0..10).prop_flat_map(chunks);
    (old, full, after, any::<prop::sample::Index>(), any::<prop::sample::Index>())
        .prop_flat_map(|(old, full, after, first, second)| {
            // Some old chunks arrive while the new generation is filled, some only after it.
            let cut = first.index(old.len() + 1);
            let (before, late) = old.split_at(cut);
            let cut = second.index(late.len() + 1);
            let (during, later) = late.split_at(cut);
            let run = full.iter().map(|person| Said {
                person: *person,
                member: true,
                execution: FULL,
                part: person % 2,
                first_run: false,
                names: if person % 3 == 0 { Names::Alias } else { Names::Both },
            });
            let mut parts: Vec<Vec<Said>> = vec![Vec::new(), Vec::new()];
            for word in run {
                parts[word.part].push(word);
            }
            let during: Phase =
                during.iter().cloned().chain(parts).filter(|chunk| !chunk.is_empty()).collect();
            let later: Phase = later.iter().cloned().chain(after).collect();
            let sizes = [before.len(), during.len(), later.len()];
            let pauses = sizes.map(|size| prop::collection::vec(prop::bool::weighted(0.4), size));
            (
                Just(before.to_vec()),
                Just(during).prop_shuffle(),
                Just(later).prop_shuffle(),
                Just(full),
                pauses,
                prop::collection::vec(0..12usize, PEOPLE),
            )
        })
        .prop_map(|(before, during, later, full, pauses, known_after)| History {
            phases: [before, during, later],
            full,
            pauses,
            known_after,
        })
}

fn alias(n: usize) -> Alias {
    Alias { kind: "moengage-user-id".into(), value: format!("m-{n}") }
}

fn whole(n: usize) -> Person {
    Person { aliases: vec![alias(n)], ..person(&format!("u{n}")) }
}

fn named(word: &Said) -> Person {
    match word.names {
        Names::Alias => {
            Person { external_id: None, email: None, phone: None, aliases: vec![alias(word.person)] }
        }
        Names::Own => person(&format!("u{}", word.person)),
        Names::Both => whole(word.person),
    }
}

fn instant(execution: i64) -> i64 {
    START + execution * MINUTE
}

/// What the newest word says: leaving wins at one instant.
type Known = BTreeMap<usize, (i64, bool)>;

fn fold(known: &mut Known, word: &Said) {
    let new = (word.execution, !word.member);
    let place = known.entry(word.person).or_insert(new);
    *place = new.max(*place);
}

/// Who is in the list in the end, thought out apart from the host.
fn expected(history: &History) -> BTreeSet<usize> {
    let mut known = Known::new();
    let [before, during, later] = &history.phases;
    for word in before.iter().chain(during).flatten() {
        fold(&mut known, word);
    }
    // The full run began after everything that is older than it.
    for (execution, left) in known.values_mut() {
        if *execution < FULL {
            (*execution, *left) = (FULL, true);
        }
    }
    for word in later.iter().flatten() {
        if word.execution < FULL && word.member {
            continue; // the full run would have named them
        }
        fold(&mut known, word);
    }
    known.into_iter().filter(|(_, (_, left))| !left).map(|(person, _)| person).collect()
}

fn play(history: &History) -> Vec<String> {
    let lists = Lists::new();
    let mut chunks_so_far = 0;
    let mut known = BTreeSet::new();
    for (n, phase) in history.phases.iter().enumerate() {
        // Arrival is after the time of everything that arrives in the phase.
        let begins = [instant(6), instant(FULL + 1), instant(20)][n];
        lists.host.clock.advance((begins - lists.host.clock.now()).max(0));
        for (chunk, pause) in phase.iter().zip(&history.pauses[n]) {
            for (person, after) in history.known_after.iter().enumerate() {
                if *after <= chunks_so_far && known.insert(person) {
                    lists.known(&[whole(person)]);
                }
            }
            let records = chunk.iter().map(|word| {
                let provenance = if word.first_run { Provenance::Backfill } else { Provenance::Live };
                let execution = format!("e{}/{}", word.execution, word.part);
                membership(&named(word), &vip(), word.member, &execution, instant(word.execution), provenance)
            });
            lists.host.deliver(records.collect());
            chunks_so_far += 1;
            if *pause {
                lists.run();
            }
        }
        for person in 0..PEOPLE {
            if known.insert(person) {
                lists.known(&[whole(person)]);
            }
        }
        let Some(list) = lists.status().first().map(|list| list.id) else { continue };
        match n {
            0 => {
                // The word is given after everything old began and before the full run did.
                lists.host.store.write(|tx| orders::resync(tx, list, instant(FULL) - 1)).unwrap();
            }
            1 => {
                lists.confirm(&DELIVER).unwrap();
            }
            _ => {}
        }
    }
    if lists.status().iter().any(|list| list.waits_for.is_some()) {
        lists.confirm(&DELIVER).unwrap();
    }
    lists.run();
    lists.assert_clean();
    assert!(lists.host.letters().is_empty(), "{:?}", lists.host.letters());
    let status = lists.status();
    for list in &status {
        assert_eq!((list.members, list.waiting, list.parked_or_failed), (list.delivered, 0, 0), "{list:?}");
        assert!(list.held.is_empty(), "{list:?}");
    }
    lists.members("VIP")
}

#[test]
fn n28_any_order_of_a_segments_history_ends_in_the_list_that_the_fold_gives() {
    let cases = std::env::var("HISTORIES").map_or(12, |text| text.parse().expect("HISTORIES is a number"));
    let mut runner = TestRunner::new(Config { cases, max_shrink_iters: 60, ..Config::default() });
    runner
        .run(&history(), |history| {
            // Without a word before the operator's there is no list to begin a generation of.
            prop_assume!(!history.phases[0].is_empty());
            let expected: Vec<String> = expected(&history).into_iter().map(|n| format!("u{n}")).collect();
            prop_assert_eq!(play(&history), expected);
            prop_assert!(!history.full.is_empty());
            Ok(())
        })
        .unwrap();
}
