//! Digests that tell things apart and protect nothing.

/// FNV-1a, 64 bits.
pub fn of(bytes: &[u8]) -> u64 {
    on(0xcbf2_9ce4_8422_2325, bytes)
}

/// FNV-1a of more bytes after those of an earlier digest.
pub fn on(digest: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(digest, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// A text of the shape of a UUID version 4, always the same for the same bytes. The v5 APIs take
/// nothing else as an idempotency key.
pub fn uuid(bytes: &[u8]) -> String {
    let (high, low) = (of(bytes), on(of(b"uuid"), bytes));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFF,
        8 | low >> 62,
        low >> 48 & 0xFFF,
        low & 0xFFFF_FFFF_FFFF,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_fnv_1a() {
        // Vectors of the FNV authors.
        assert_eq!(of(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(of(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(on(of(b"foo"), b"bar"), of(b"foobar"));
    }

    #[test]
    fn uuids_have_the_shape_of_version_4() {
        for n in 0..1000_u32 {
            let uuid = uuid(&n.to_le_bytes());
            assert_eq!(uuid.len(), 36);
            let shape = |at| uuid.as_bytes().get(at).copied();
            assert_eq!(
                (shape(8), shape(13), shape(18), shape(23)),
                (Some(b'-'), Some(b'-'), Some(b'-'), Some(b'-'))
            );
            assert_eq!(shape(14), Some(b'4'));
            assert!(matches!(shape(19), Some(b'8' | b'9' | b'a' | b'b')), "{uuid}");
        }
        assert_ne!(uuid(b"a"), uuid(b"b"));
    }
}
