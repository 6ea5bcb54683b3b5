//! Bodies that came lately, for a door whose deliveries have no id.
//!
//! Plugin storage holds 4,096 values under `connector-campaigns/<xxx>`, by the first digits of a
//! body's digest, so that a delivery costs one small read and write and units that work at the
//! same time rarely meet in one value.

use super::page::Storage;
use super::{digest, instants};
use crate::model::Millis;

const PREFIX: &str = "connector-campaigns/";

/// How many bodies one value remembers: a million in all, 16 MiB.
const KEPT: usize = 256;

/// What is known of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Stands for the body at its first arrival, the same for all repetitions.
    pub key: String,
    /// True where it came before.
    pub repeated: bool,
    /// True where another one had to be forgotten although its time was not over.
    pub forgot: bool,
}

/// The delivery that a body is, by the window within which the same body is the same one.
/// Nothing where the storage is full.
pub fn delivery(
    storage: &mut dyn Storage,
    body: &[u8],
    received_at: Millis,
    window: i64,
) -> Option<Delivery> {
    let digest = digest::of(body);
    let storage_key = format!("{PREFIX}{:03x}", digest >> 52);
    let mut known = storage.get(&storage_key).and_then(|value| instants::read(&value)).unwrap_or_default();
    let key = |first: Millis| format!("{digest:016x}{:016x}.{first}", digest::on(digest::of(b"body"), body));
    // A unit that is run late may be the earlier delivery, so the distance counts both ways.
    let near = |at: Millis| at.abs_diff(received_at) <= window.unsigned_abs();
    if let Some((_, first)) = known.iter().find(|(other, at)| *other == digest && near(*at)) {
        return Some(Delivery { key: key(*first), repeated: true, forgot: false });
    }
    known.retain(|(_, at)| *at >= received_at.saturating_sub(window));
    let place = known.partition_point(|(_, at)| *at <= received_at);
    known.insert(place, (digest, received_at));
    let forgot = known.len() > KEPT;
    if forgot {
        known.remove(0);
    }
    let delivery = Delivery { key: key(received_at), repeated: false, forgot };
    storage.set(&storage_key, &instants::written(&known)).then_some(delivery)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Memory(BTreeMap<String, Vec<u8>>);

    impl Storage for Memory {
        fn get(&mut self, key: &str) -> Option<Vec<u8>> {
            self.0.get(key).cloned()
        }

        fn set(&mut self, key: &str, value: &[u8]) -> bool {
            self.0.insert(key.to_owned(), value.to_vec());
            true
        }

        fn list(&mut self, _: &str, _: Option<&str>) -> Vec<String> {
            Vec::new()
        }
    }

    #[test]
    fn the_same_body_is_the_same_delivery_within_the_window_and_another_after_it() {
        let mut storage = Memory::default();
        let mut at = |body: &[u8], at| delivery(&mut storage, body, at, 1_000).unwrap();
        let first = at(b"a", 10_000);
        assert!(!first.repeated && !at(b"b", 10_000).repeated);
        let again = at(b"a", 11_000);
        assert!(again.repeated);
        assert_eq!(again.key, first.key);
        // Worked on late, though it came before.
        assert_eq!(at(b"a", 9_500).key, first.key);
        let later = at(b"a", 11_001);
        assert!(!later.repeated);
        assert_ne!(later.key, first.key);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_had_to_be_forgotten_is_said() {
        let mut storage = Memory::default();
        let mut forgot = 0;
        // Digests of numbers spread over the values, so one value overflows long after a million.
        for n in 0..300_u32 {
            let key = format!("{PREFIX}{:03x}", digest::of(b"x") >> 52);
            let mut known =
                instants::read(&storage.0.get(&key).cloned().unwrap_or_default()).unwrap_or_default();
            known.push((u64::from(n), 5_000 + i64::from(n)));
            storage.0.insert(key, instants::written(&known));
        }
        let found = delivery(&mut storage, b"x", 6_000, 10_000).unwrap();
        forgot += u32::from(found.forgot);
        assert_eq!(forgot, 1);
        let long_after = delivery(&mut storage, b"x", 9_000_000, 10_000).unwrap();
        assert!(!long_after.forgot && !long_after.repeated);
        assert_eq!(storage.0.values().map(Vec::len).sum::<usize>(), 1 + 16);
    }

    proptest! {
        #[test]
        fn storage_stays_bounded(bodies in proptest::collection::vec(any::<u16>(), 0..300)) {
            let mut storage = Memory::default();
            for (n, body) in bodies.into_iter().enumerate() {
                delivery(&mut storage, &body.to_be_bytes(), n as i64, 1_000_000).unwrap();
            }
            prop_assert!(storage.0.values().all(|value| value.len() <= 1 + 16 * KEPT));
        }
    }
}
