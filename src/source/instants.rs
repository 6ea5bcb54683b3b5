//! Digests with the instant of each, as a value of plugin storage: a byte for the format, then 8
//! bytes for either, big endian.

use crate::model::Millis;

const VERSION: u8 = 1;

/// What a value holds, in its order; nothing where it isn't one.
pub fn read(value: &[u8]) -> Option<Vec<(u64, Millis)>> {
    let (version, rest) = value.split_first()?;
    let (entries, remainder) = rest.as_chunks::<16>();
    if *version != VERSION || !remainder.is_empty() {
        return None;
    }
    let mut known = Vec::with_capacity(entries.len());
    for entry in entries {
        let (digest, at) = entry.split_first_chunk::<8>()?;
        known.push((u64::from_be_bytes(*digest), Millis::from_be_bytes(at.try_into().ok()?)));
    }
    Some(known)
}

/// The value that holds these.
pub fn written(known: &[(u64, Millis)]) -> Vec<u8> {
    let mut value = Vec::with_capacity(1 + known.len() * 16);
    value.push(VERSION);
    for (digest, at) in known {
        value.extend_from_slice(&digest.to_be_bytes());
        value.extend_from_slice(&at.to_be_bytes());
    }
    value
}
