//! The order of a sync's executions.
//!
//! A chunk has no time and no number: only the id of its execution tells two runs apart, and
//! their chunks may arrive mixed and late. So the order is that of first arrival, and it is
//! written down: for each sync one value in plugin storage, under `segment-sync/<sync id>`.
//!
//! What stands there is never changed. An execution keeps its instant, also where a chunk that
//! came earlier is read later, because records with that instant have left already.

use super::page::Storage;
use super::{digest, instants};
use crate::model::Millis;

/// What stands before the id in a key of the storage.
const PREFIX: &str = "segment-sync/";

/// How many executions of a sync are remembered beside the first, which stays in the first place:
/// half a year of hourly ones, 64 KiB. The others are in the order of time. A chunk of one that was
/// forgotten counts from its own arrival.
const KEPT: usize = 4096;

/// What is known about an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When its first chunk arrived; no two executions of a sync share an instant.
    pub first_seen: Millis,
    /// True for the first execution that ever came, however long its chunks take, and for any
    /// that turns out to be older.
    pub baseline: bool,
}

/// The standing of an execution, which is written down where it is new. Nothing where the
/// storage is full.
pub fn standing(
    storage: &mut dyn Storage,
    sync_id: &str,
    execution_id: &str,
    received_at: Millis,
) -> Option<Standing> {
    let key = format!("{PREFIX}{sync_id}");
    let id = digest::of(execution_id.as_bytes());
    // A value that can't be read begins anew: what comes is a baseline again, which a person
    // confirms.
    let mut known = storage.get(&key).and_then(|value| instants::read(&value)).unwrap_or_default();
    let baseline = known.first().map(|(_, at)| *at);
    let of = |at: Millis| Standing { first_seen: at, baseline: baseline.is_none_or(|first| at <= first) };
    if let Some((_, at)) = known.iter().find(|(other, _)| *other == id) {
        return Some(of(*at));
    }
    let mut at = received_at;
    while known.iter().any(|(_, taken)| *taken == at) {
        at += 1;
    }
    let place = match known.get(1..) {
        Some(others) => 1 + others.partition_point(|(_, other)| *other < at),
        None => 0,
    };
    known.insert(place, (id, at));
    if known.len() > 1 + KEPT {
        known.remove(1);
    }
    storage.set(&key, &instants::written(&known)).then(|| of(at))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct One(Option<Vec<u8>>, bool);

    impl Storage for One {
        fn get(&mut self, _: &str) -> Option<Vec<u8>> {
            self.0.clone()
        }

        fn set(&mut self, _: &str, value: &[u8]) -> bool {
            if self.1 {
                self.0 = Some(value.to_vec());
            }
            self.1
        }

        fn list(&mut self, _: &str, _: Option<&str>) -> Vec<String> {
            Vec::new()
        }
    }

    fn of(storage: &mut One, execution: &str, received_at: Millis) -> (Millis, bool) {
        let standing = standing(storage, "s", execution, received_at).unwrap();
        (standing.first_seen, standing.baseline)
    }

    #[test]
    fn the_first_execution_is_the_baseline_for_ever() {
        let mut storage = One(None, true);
        assert_eq!(of(&mut storage, "a", 100), (100, true));
        assert_eq!(of(&mut storage, "b", 200), (200, false));
        assert_eq!(of(&mut storage, "a", 500_000_000), (100, true));
        for n in 0..3 * KEPT as i64 {
            assert_eq!(of(&mut storage, &format!("e{n}"), 1_000 + n), (1_000 + n, false));
        }
        assert_eq!(storage.0.as_ref().unwrap().len(), 1 + (1 + KEPT) * 16);
        assert_eq!(of(&mut storage, "a", 9_000_000), (100, true));
        assert_eq!(of(&mut storage, &format!("e{}", 3 * KEPT - 1), 9_000_000).0, 1_000 + 3 * KEPT as i64 - 1);
        // What was forgotten and run again from its raw body keeps its place before the rest.
        assert_eq!(of(&mut storage, "b", 200), (200, false));
    }

    #[test]
    fn executions_of_one_millisecond_have_an_order() {
        let mut storage = One(None, true);
        assert_eq!(
            [of(&mut storage, "a", 5).0, of(&mut storage, "b", 5).0, of(&mut storage, "c", 5).0],
            [5, 6, 7]
        );
    }

    #[test]
    fn an_execution_that_turns_out_to_be_older_than_the_first_is_baseline_too() {
        let mut storage = One(None, true);
        assert_eq!(of(&mut storage, "b", 12), (12, true));
        assert_eq!(of(&mut storage, "a", 10), (10, true));
        assert_eq!(of(&mut storage, "c", 11), (11, true));
        assert_eq!(of(&mut storage, "d", 13), (13, false));
    }

    #[test]
    fn a_full_storage_says_so_and_a_spoilt_value_begins_anew() {
        assert_eq!(standing(&mut One(None, false), "s", "a", 1), None);
        for spoilt in [&b""[..], b"\x02", b"\x01123", b"garbage"] {
            assert_eq!(of(&mut One(Some(spoilt.to_vec()), true), "a", 7), (7, true));
        }
    }

    proptest! {
        #[test]
        fn an_instant_is_given_once_and_never_shared(arrivals in proptest::collection::vec((0..40_u8, 0..60_i64), 1..200)) {
            let mut storage = One(None, true);
            let mut given = std::collections::BTreeMap::new();
            for (execution, received_at) in arrivals {
                let (at, _) = of(&mut storage, &execution.to_string(), received_at);
                prop_assert_eq!(*given.entry(execution).or_insert(at), at);
            }
            let instants: std::collections::BTreeSet<_> = given.values().collect();
            prop_assert_eq!(instants.len(), given.len());
        }
    }
}
