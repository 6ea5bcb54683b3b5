//! Counts, one record a page. The second of two versions: its cursor is four bytes, and it reads that of
//! the first as well, unless the settings say `forgetful`.

use kit::*;

struct Counter;

fn unreadable() -> Failure {
    Failure { kind: FailureKind::Cursor, ..internal("cursor-unreadable") }
}

impl Connector for Counter {
    fn configure(settings: Settings) -> Result<Profile, Vec<Problem>> {
        let mut profile = profile();
        profile.version = "0.2.0".into();
        profile.resources[0].cadence = 3_600;
        profile.cursor_versions = if settings.contains("forgetful") { vec![2] } else { vec![1, 2] };
        Ok(profile)
    }

    fn fetch_page(request: PageRequest) -> Result<Page, Failure> {
        let at = match request.position {
            Position::Cursor(Cursor { version: 1, bytes }) => {
                let text = String::from_utf8(bytes).map_err(|_| unreadable())?;
                text.parse().map_err(|_| unreadable())?
            }
            Position::Cursor(cursor) => {
                u32::from_be_bytes(cursor.bytes.as_slice().try_into().map_err(|_| unreadable())?)
            }
            _ => 0,
        };
        let record = Record { provenance: Provenance::Poll, ..contact(&format!("n{at}")) };
        let next = Cursor { version: 2, bytes: (at + 1).to_be_bytes().to_vec() };
        let next = Next::Done(RunEnd { cursor: Some(next), truncated: None });
        Ok(Page { records: vec![record], next, ..empty_page() })
    }
}

guest!(Counter);
