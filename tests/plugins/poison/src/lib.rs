//! Breaks in `map-record`, in the way that the vendor key names.

use kit::*;

struct Poison;

impl Connector for Poison {
    fn map_record(_: Settings, record: Record, _: Timestamp) -> Result<Mapping, Failure> {
        match record.id.rsplit(':').next() {
            Some("panic") => panic!("as asked"),
            Some("loop") => loop {
                std::hint::black_box(&record);
            },
            Some("deep") => return Err(internal(&recurse(1).to_string())),
            Some("fail") => return Err(internal("as-asked")),
            Some("call") => {
                let request = http::Request {
                    endpoint: "api".into(),
                    method: http::Method::Get,
                    path: vec![],
                    query: vec![],
                    headers: vec![],
                    body: None,
                    timeout_ms: None,
                };
                let denied = http::send(&request).err().map(|e| e.kind);
                let stored = storage::set("key", b"value");
                let job = schedule::Job {
                    key: "job".into(),
                    resource: "pages".into(),
                    cursor: None,
                    not_before: 0,
                };
                let queued = schedule::enqueue(&job);
                let opened = objects::open("api", &[], None).err().map(|e| e.kind);
                let all = denied == Some(http::ErrorKind::Denied)
                    && opened == Some(http::ErrorKind::Denied)
                    && stored == Err(storage::Error::Denied)
                    && queued == Err(schedule::Error::Denied);
                return Ok(Mapping::Nothing(if all { "all-denied" } else { "something-granted" }.into()));
            }
            _ => {}
        }
        Ok(upsert(&record))
    }
}

#[allow(unconditional_recursion)]
fn recurse(n: u64) -> u64 {
    std::hint::black_box(recurse(std::hint::black_box(n + 1)) + n)
}

guest!(Poison);
