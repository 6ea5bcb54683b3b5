//! Files that a vendor serves: gzip, zip, encodings, and how they are cut.

use std::io::Read as _;
use std::path::Path;

use host_harness::egress::spool::{Content, Draft, Fault};
use host_harness::world::HttpResponse;

use super::first_line;

const CAP: u64 = 256 * 1024;

/// A line with a content encoding (or nothing), and then the bytes of an answer.
pub fn spool(data: &[u8]) {
    static HOME: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let home = HOME.get_or_init(|| tempfile::tempdir().expect("a directory")).path();
    let (encoding, body) = first_line(data);
    let whole = take(home, &encoding, body, body.len());
    if let Ok(content) = &whole {
        assert!(content.len() as u64 <= CAP);
        let plain = encoding.is_empty() && !body.starts_with(&[0x1f, 0x8b]) && !body.starts_with(b"PK");
        assert!(!plain || content == body, "a plain file was changed");
    }
    // How the network cuts it makes no difference.
    for piece in [if body.len() < 400 { 1 } else { 100 }, 1_000] {
        assert_eq!(take(home, &encoding, body, piece), whole, "in pieces of {piece}");
    }
}

fn take(home: &Path, encoding: &str, body: &[u8], piece: usize) -> Result<Vec<u8>, String> {
    let headers = match encoding {
        "" => Vec::new(),
        value => vec![("content-encoding".to_owned(), value.to_owned())],
    };
    let head = HttpResponse { status: 200, headers, body: Vec::new() };
    let fault = |fault: Fault| match fault {
        Fault::Disk(error) => panic!("{error}"),
        other => format!("{other:?}"),
    };
    let draft = Draft::new(home, false).expect("a file");
    let mut content = Content::new(&head, draft, CAP).map_err(fault)?;
    for bytes in body.chunks(piece.max(1)) {
        content.push(bytes).map_err(fault)?;
        assert!(content.size() <= CAP);
    }
    let mut draft = content.finish().map_err(fault)?;
    let mut bytes = Vec::new();
    draft.reader().and_then(|mut file| file.read_to_end(&mut bytes)).expect("what was written is there");
    assert_eq!(bytes.len() as u64, draft.size());
    Ok(bytes)
}
