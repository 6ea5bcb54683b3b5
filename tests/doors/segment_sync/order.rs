//! Executions in the order of their first arrival, whatever else is mixed up.

use std::collections::{BTreeMap, BTreeSet};

use moengage_connector::{Provenance, Record};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{chunk, push, row, settings};
use crate::body;
use crate::reach::Memory;

/// Where each person stands after what a host would accept: an observation once, the newest
/// instant, then the higher rank.
#[derive(Default)]
struct Ledger {
    seen: BTreeSet<(String, String)>,
    current: BTreeMap<String, ((i64, u8, String), bool)>,
}

impl Ledger {
    fn take(&mut self, records: Vec<Record>) {
        for record in records {
            if !self.seen.insert((record.id.clone(), record.observation.id.clone())) {
                continue;
            }
            let order = (record.occurred.at.unwrap(), record.observation.rank, record.observation.id.clone());
            let member = body(&record)["member"].as_bool().unwrap();
            let newer = self.current.get(&record.id).is_none_or(|(current, _)| *current <= order);
            if newer {
                self.current.insert(record.id, (order, member));
            }
        }
    }

    fn members(&self) -> BTreeMap<String, bool> {
        self.current.iter().map(|(id, (_, member))| (id.clone(), *member)).collect()
    }
}

/// A chunk of an execution: person to joins or leaves.
type Rows = BTreeMap<usize, bool>;

fn wire(execution: usize, number: usize, rows: &Rows) -> Value {
    let of = |wanted| {
        rows.iter().filter(|(_, member)| **member == wanted).map(|(n, _)| row(*n)).collect::<Vec<_>>()
    };
    let mut chunk = chunk(&format!("e{execution}"), &of(true), &of(false));
    chunk["pagination"]["page_count"] = json!(number);
    chunk
}

fn rows() -> impl Strategy<Value = Rows> {
    proptest::collection::btree_map(0..5_usize, any::<bool>(), 0..5)
}

/// Executions with their chunks.
fn executions() -> impl Strategy<Value = Vec<Vec<Rows>>> {
    proptest::collection::vec(proptest::collection::vec(rows(), 1..4), 1..5)
}

/// What everybody is after executions in this order: the newest that mentions a person counts, and
/// where it says both, leaving.
fn expected(executions: &[Vec<Rows>], order: &[usize]) -> BTreeMap<String, bool> {
    let mut members = BTreeMap::new();
    for execution in order {
        let mut own: BTreeMap<usize, bool> = BTreeMap::new();
        for (person, member) in executions[*execution].iter().flatten() {
            own.entry(*person).and_modify(|known| *known &= member).or_insert(*member);
        }
        members.extend(own);
    }
    members
        .into_iter()
        .map(|(n, member)| (format!("moengage:ABC123:membership:65a1/uid.u{n}"), member))
        .collect()
}

proptest! {
    #[test]
    fn executions_count_in_the_order_of_first_arrival_however_their_chunks_are_mixed(
        executions in executions(), shuffle in proptest::collection::vec(any::<u16>(), 16), again: bool,
        same_instant: bool
    ) {
        let mut deliveries: Vec<(usize, usize)> = executions.iter().enumerate()
            .flat_map(|(execution, chunks)| (0..chunks.len()).map(move |chunk| (execution, chunk))).collect();
        let mut keys = shuffle.iter().cycle();
        deliveries.sort_by_cached_key(|_| *keys.next().unwrap());
        let mut order: Vec<usize> = Vec::new();
        for (execution, _) in &deliveries {
            if !order.contains(execution) { order.push(*execution) }
        }
        // W15: what was answered too late for the sender comes again, any time later.
        if again { deliveries.extend(deliveries.clone().iter().rev()) }
        let settings = settings(json!({}));
        let (mut storage, mut ledger) = (Memory::default(), Ledger::default());
        for (at, (execution, number)) in deliveries.iter().enumerate() {
            let body = wire(*execution, *number, &executions[*execution][*number]);
            let at = 1_000 + if same_instant { at as i64 / 3 } else { at as i64 };
            let outcome = push(&settings, &body, at, &mut storage).unwrap();
            for record in &outcome.records {
                let baseline = *execution == order[0];
                prop_assert_eq!(record.provenance == Provenance::Backfill, baseline);
            }
            ledger.take(outcome.records);
        }
        prop_assert_eq!(ledger.members(), expected(&executions, &order));
    }

    #[test]
    fn units_that_a_host_works_off_in_any_order_give_the_same(
        executions in executions(), shuffle in proptest::collection::vec(any::<u16>(), 16)
    ) {
        // Executions follow each other; only the host's workers overtake each other.
        let mut deliveries: Vec<(usize, usize, i64)> = Vec::new();
        for (execution, chunks) in executions.iter().enumerate() {
            for number in 0..chunks.len() {
                deliveries.push((execution, number, 1_000 + deliveries.len() as i64));
            }
        }
        let mut keys = shuffle.iter().cycle();
        deliveries.sort_by_cached_key(|_| *keys.next().unwrap());
        let settings = settings(json!({}));
        let (mut storage, mut ledger) = (Memory::default(), Ledger::default());
        for (execution, number, at) in deliveries {
            let body = wire(execution, number, &executions[execution][number]);
            ledger.take(push(&settings, &body, at, &mut storage).unwrap().records);
        }
        let order: Vec<usize> = (0..executions.len()).collect();
        prop_assert_eq!(ledger.members(), expected(&executions, &order));
    }

    #[test]
    fn any_bytes_give_a_typed_result(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = crate::reach::handle_webhook(&settings(json!({})), &super::request(bytes, 7));
    }

    #[test]
    fn a_chunk_cut_or_flipped_anywhere_loses_nobody_in_silence(at: usize, with: u8, cut: bool) {
        let body = chunk("e1", &[row(1), row(2)], &[row(3)]).to_string();
        let mut bytes = body.into_bytes();
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] = with }
        if let Ok(outcome) = crate::reach::handle_webhook(&settings(json!({})), &super::request(bytes, 7)) {
            let repeated = crate::note(&outcome, "repeated-row") + crate::note(&outcome, "in-both-lists");
            prop_assert_eq!(outcome.records.len() + outcome.rejects.len() + repeated as usize, 3);
            for record in &outcome.records {
                crate::schemas::assert_fits_schema(&record.kind, &body_of(record));
            }
        }
    }
}

fn body_of(record: &Record) -> Value {
    body(record)
}

#[test]
fn w15_a_repeated_chunk_is_the_same_observation() {
    let settings = settings(json!({}));
    let mut storage = Memory::default();
    let first = push(&settings, &chunk("e1", &[row(1)], &[]), 100, &mut storage).unwrap();
    let again = push(&settings, &chunk("e1", &[row(1)], &[]), 5_000, &mut storage).unwrap();
    assert_eq!(first, again);
}

#[test]
fn the_baseline_lasts_however_long_its_chunks_take() {
    let settings = settings(json!({}));
    let mut storage = Memory::default();
    let day = 86_400_000;
    let mut provenance = |execution: &str, number, at| {
        push(&settings, &chunk(execution, &[row(number)], &[]), at, &mut storage).unwrap().records[0]
            .provenance
    };
    assert_eq!(provenance("first", 1, day), Provenance::Backfill);
    assert_eq!(provenance("second", 2, 2 * day), Provenance::Live);
    assert_eq!(provenance("first", 3, 5 * day), Provenance::Backfill);
    assert_eq!(provenance("third", 4, 6 * day), Provenance::Live);
}

#[test]
fn every_sync_has_an_order_of_its_own() {
    let settings = settings(json!({}));
    let mut storage = Memory::default();
    let mut other = chunk("e1", &[row(1)], &[]);
    other["data"]["moengage_sync_id"] = json!("99zz");
    push(&settings, &chunk("e1", &[row(1)], &[]), 100, &mut storage).unwrap();
    let outcome = push(&settings, &other, 200, &mut storage).unwrap();
    assert_eq!(
        (outcome.records[0].occurred.at, outcome.records[0].provenance),
        (Some(200), Provenance::Backfill)
    );
}
