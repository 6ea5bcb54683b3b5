//! Counts, one record a page. The first of two versions: its cursor is a number as text.

use kit::*;

struct Counter;

impl Connector for Counter {
    fn configure(_: Settings) -> Result<Profile, Vec<Problem>> {
        let mut profile = profile();
        profile.resources[0].cadence = 3_600;
        Ok(profile)
    }

    fn fetch_page(request: PageRequest) -> Result<Page, Failure> {
        let at: u32 = match request.position {
            Position::Cursor(cursor) => String::from_utf8(cursor.bytes)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| Failure { kind: FailureKind::Cursor, ..internal("cursor-unreadable") })?,
            _ => 0,
        };
        let record = Record { provenance: Provenance::Poll, ..contact(&format!("n{at}")) };
        let next = Cursor { version: 1, bytes: (at + 1).to_string().into_bytes() };
        let next = Next::Done(RunEnd { cursor: Some(next), truncated: None });
        Ok(Page { records: vec![record], next, ..empty_page() })
    }
}

guest!(Counter);
