//! A store of export files in memory: a bucket or a web server, and the host's spool before it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use moengage_connector::{
    Cursor, Failure, Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Next, Note, Object, Objects,
    Page, PageRequest, Position, Reach, Record, Reject, Settings,
};
use serde_json::{Value, json};

use crate::reach::Memory;
use crate::{event, parse, plain_settings};

/// 2022-05-20T00:00:00Z, the day of [`crate::T`].
pub const TODAY: i64 = 19_132 * DAY;
pub const DAY: i64 = 86_400_000;
/// Long after everything that these tests read.
pub const LATER: i64 = TODAY + 40 * DAY;

pub const S3: &str = "s3";
pub const WEB: &str = "https";

/// The plain settings with a block `exports` for one kind of store.
pub fn settings_json(storage: &str) -> Value {
    let mut settings = plain_settings();
    settings["exports"] = match storage {
        "s3" => {
            json!({"storage": "s3", "bucket": "acme-moengage", "region": "eu-central-1", "access_key_id": "AKIA0123456789ABCDEF"})
        }
        "gcs" => json!({"storage": "gcs", "bucket": "acme_moengage", "access_key_id": "GOOG1E0123456789"}),
        _ => json!({"storage": "https", "user": "tajo"}),
    };
    settings["exports"]["secret"] = json!("exports");
    settings["exports"]["folder"] = json!("dump/events_acme");
    settings["exports"]["db_name"] = json!("Acme");
    settings
}

pub fn settings(storage: &str) -> Settings {
    parse(&settings_json(storage))
}

/// An event of the documented shape at an instant, about a person of its own.
pub fn numbered(number: u32, at: i64) -> Value {
    event(json!({
        "event_uuid": format!("uuid-{number}"),
        "event_time": at / 1000,
        "uid": format!("cust-{number}"),
        "user_attributes": {"moengage_user_id": format!("m{number}"), "u_em": format!("c{number}@example.com")}
    }))
}

/// A line of an export file around an event.
pub fn line(event: &Value) -> String {
    json!({"app_name": "Shop", "db_name": "Acme", "export_hour": "4", "export_day": "2022-05-20", "event": event})
        .to_string()
}

pub fn lines(events: &[Value]) -> String {
    events.iter().map(|event| line(event) + "\n").collect()
}

struct File {
    bytes: Vec<u8>,
    etag: String,
    modified: i64,
}

/// What the spool says of a file instead of giving it.
pub type Refusal = (HttpErrorKind, &'static str);

/// Everything that can be set, and what was asked.
pub struct Store {
    storage: &'static str,
    files: BTreeMap<String, File>,
    /// Keys of one listing.
    pub max_keys: usize,
    /// Bytes of one read.
    pub piece: usize,
    /// The store's clock.
    pub clock: i64,
    pub ignores_start_after: bool,
    /// Given instead of a listing.
    pub answer: Option<HttpResponse>,
    pub refusals: BTreeMap<String, Refusal>,
    /// Etags that the spool holds, by key.
    spool: BTreeMap<String, BTreeSet<String>>,
    pub spool_forgets: bool,
    pub asked: Vec<HttpRequest>,
    pub calls: u32,
}

impl Store {
    pub fn new(storage: &'static str) -> Self {
        Self {
            storage,
            files: BTreeMap::new(),
            max_keys: usize::MAX,
            piece: usize::MAX,
            clock: LATER,
            ignores_start_after: false,
            answer: None,
            refusals: BTreeMap::new(),
            spool: BTreeMap::new(),
            spool_forgets: false,
            asked: Vec::new(),
            calls: 0,
        }
    }

    /// Puts a file below the tenant's folder.
    pub fn put(&mut self, name: &str, bytes: impl Into<Vec<u8>>) -> &mut Self {
        let bytes = bytes.into();
        let version = self.files.get(&key(name)).map_or(0, |file| file.etag.len());
        let file = File { bytes, etag: "v".repeat(version + 1), modified: self.clock };
        self.files.insert(key(name), file);
        self
    }

    pub fn remove(&mut self, name: &str) {
        self.files.remove(&key(name));
    }

    fn list_bucket(&self, request: &HttpRequest) -> String {
        let query = |name: &str| {
            request.query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
        };
        assert_eq!((request.path.len(), query("list-type")), (1, "2"));
        let after = if self.ignores_start_after { "" } else { query("start-after") };
        let wanted: usize = query("max-keys").parse().unwrap();
        let (prefix, most) = (query("prefix"), wanted.min(self.max_keys));
        let found: Vec<_> =
            self.files.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after).collect();
        let contents: String = found
            .iter()
            .take(most)
            .map(|(key, file)| {
                let key = key.replace('&', "&amp;").replace('<', "&lt;");
                format!(
                    "<Contents><Key>{key}</Key><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag>\
                     <Size>{}</Size></Contents>",
                    iso(file.modified),
                    file.etag,
                    file.bytes.len()
                )
            })
            .collect();
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{}</Name><IsTruncated>{}</IsTruncated>{contents}</ListBucketResult>"#,
            request.path[0],
            found.len() > most
        )
    }

    /// In no order, as a file system has it.
    fn list_directory(&self, request: &HttpRequest) -> Option<String> {
        assert_eq!(request.path.last().map(String::as_str), Some(""), "a directory ends in a slash");
        let prefix = request.path.join("/");
        let mut entries = BTreeMap::new();
        for (key, file) in
            self.files.iter().filter_map(|(key, file)| Some((key.strip_prefix(&prefix)?, file)))
        {
            let (name, kind) = match key.split_once('/') {
                Some((name, _)) => (name, "directory"),
                None => (key, "file"),
            };
            let entry = json!({"name": name, "type": kind, "mtime": http_date(file.modified), "size": file.bytes.len()});
            entries.insert(name.to_owned(), entry);
        }
        (!entries.is_empty()).then(|| Value::from_iter(entries.into_values().rev()).to_string())
    }
}

fn key(name: &str) -> String {
    format!("dump/events_acme/{name}")
}

fn civil(at: i64) -> (String, String) {
    // The months of these tests are May to July 2022.
    let day = at.div_euclid(DAY) - 19_113; // 2022-05-01 is day 19113
    let (month, day) = match day {
        0..31 => (5, day + 1),
        31..61 => (6, day - 30),
        _ => (7, day - 60),
    };
    let second = at.rem_euclid(DAY) / 1000;
    let time = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    (format!("2022-{month:02}-{day:02}"), time)
}

pub fn iso(at: i64) -> String {
    let (day, time) = civil(at);
    format!("{day}T{time}.000Z")
}

fn http_date(at: i64) -> String {
    let (day, time) = civil(at);
    let month = ["May", "Jun", "Jul"][day[5..7].parse::<usize>().unwrap() - 5];
    let names = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    format!("{}, {} {month} 2022 {time} GMT", names[(at.div_euclid(DAY) % 7) as usize], &day[8..])
}

/// `export_day=2022-05-20`, that many days after [`TODAY`].
pub fn folder(days: i64) -> String {
    format!("export_day={}", civil(TODAY + days * DAY).0)
}

/// The same in the other spelling.
pub fn folder_day_first(days: i64) -> String {
    let day = civil(TODAY + days * DAY).0;
    let parts: Vec<_> = day.rsplit('-').collect();
    format!("export_day={}", parts.join("-"))
}

struct Wire<'s>(&'s RefCell<Store>);

impl Http for Wire<'_> {
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut store = self.0.borrow_mut();
        store.asked.push(request.clone());
        store.calls += 1;
        if let Some(answer) = &store.answer {
            return Ok(answer.clone());
        }
        let body = if store.storage == WEB {
            store.list_directory(request)
        } else {
            Some(store.list_bucket(request))
        };
        let headers = vec![("date".to_owned(), http_date(store.clock))];
        let status = if body.is_some() { 200 } else { 404 };
        Ok(HttpResponse { status, headers, body: body.unwrap_or_default().into_bytes() })
    }
}

impl Wire<'_> {
    fn key(store: &Store, endpoint: &str, path: &[String]) -> String {
        assert_eq!(endpoint, format!("exports-{}", store.storage));
        assert!(path.iter().all(|segment| !segment.is_empty() && !segment.contains('/')), "{path:?}");
        path[usize::from(store.storage != WEB)..].join("/")
    }
}

fn error((kind, code): Refusal) -> HttpError {
    HttpError { kind, code: code.to_owned(), message: "refused".to_owned(), retry_after_ms: Some(1_000) }
}

impl Objects for Wire<'_> {
    fn open(&mut self, endpoint: &str, path: &[String], etag: Option<&str>) -> Result<Object, HttpError> {
        let mut store = self.0.borrow_mut();
        store.calls += 1;
        let key = Self::key(&store, endpoint, path);
        if let Some(refusal) = key.rsplit('/').next().and_then(|name| store.refusals.get(name)) {
            return Err(error(*refusal));
        }
        let Some(file) = store.files.get(&key) else {
            return Err(error((HttpErrorKind::BadAnswer, "object-status-404")));
        };
        let object = Object { etag: file.etag.clone(), size: file.bytes.len() as u64 };
        if etag.is_some_and(|etag| etag != object.etag) {
            return Err(error((HttpErrorKind::BadAnswer, "object-changed")));
        }
        store.spool.entry(key).or_default().insert(object.etag.clone());
        Ok(object)
    }

    fn read(
        &mut self,
        endpoint: &str,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, HttpError> {
        let mut store = self.0.borrow_mut();
        store.calls += 1;
        assert!(length <= 4 << 20, "at most 4 MiB");
        let key = Self::key(&store, endpoint, path);
        let held = store.spool.get(&key).is_some_and(|etags| etags.contains(etag));
        let current = store.files.get(&key).filter(|file| file.etag == etag);
        let Some(file) = current.filter(|_| held) else {
            return Err(error((HttpErrorKind::BadAnswer, "object-gone")));
        };
        let begin = file.bytes.len().min(offset as usize);
        let end = file.bytes.len().min(begin + store.piece.min(length as usize));
        let bytes = file.bytes[begin..end].to_vec();
        if store.spool_forgets {
            store.spool.clear();
        }
        Ok(bytes)
    }
}

pub fn fetch(
    settings: &Settings,
    store: &RefCell<Store>,
    position: Position,
    budget: u32,
) -> Result<Page, Failure> {
    let request = PageRequest { resource: "event-exports".to_owned(), position, budget, now: LATER };
    let (http, objects) = (&mut Wire(store), &mut Wire(store));
    store.borrow_mut().calls = 0;
    let page = moengage_connector::fetch_page(
        settings,
        &request,
        &mut Reach { http, objects, storage: &mut Memory::default() },
    );
    assert!(store.borrow().calls <= 64, "the contract has 64 calls");
    if let Ok(page) = &page {
        assert!(page.records.len() <= budget as usize, "no more than the budget");
        if let Next::More(cursor) = &page.next {
            assert!(cursor.bytes.len() <= 4096, "the contract has 4 KiB");
            assert_ne!(request.position, Position::Cursor(cursor.clone()), "`more` moves the cursor");
        }
    }
    page
}

/// A whole run.
#[derive(Debug, Default)]
pub struct Run {
    pub records: Vec<Record>,
    pub rejects: Vec<Reject>,
    pub notes: BTreeMap<String, u32>,
    pub progress: Vec<u32>,
    pub pages: usize,
    pub truncated: Option<String>,
}

impl Run {
    /// Takes a page, and gives the cursor of the next one.
    pub fn take(&mut self, page: Page) -> Option<Cursor> {
        self.pages += 1;
        self.records.extend(page.records);
        self.rejects.extend(page.rejects);
        for Note { name, count, .. } in page.notes {
            if name == "progress" {
                self.progress.push(count);
            } else {
                *self.notes.entry(name).or_default() += count;
            }
        }
        match page.next {
            Next::More(cursor) => Some(cursor),
            Next::Later(cursor, at) => {
                assert_eq!(at, LATER + 1_000, "when the host says");
                Some(cursor)
            }
            Next::Done { cursor, truncated } => {
                assert_eq!(cursor, None);
                self.truncated = truncated;
                None
            }
        }
    }

    /// Ids of the events, sorted.
    pub fn events(&self) -> Vec<&str> {
        let events = self.records.iter().filter(|record| record.kind == "event");
        let mut ids: Vec<_> = events.map(|record| record.id.rsplit(':').next().unwrap()).collect();
        ids.sort_unstable();
        ids
    }

    pub fn codes(&self) -> Vec<(&str, &str)> {
        self.rejects.iter().map(|reject| (reject.pointer.as_str(), reject.code.as_str())).collect()
    }

    pub fn note(&self, name: &str) -> u32 {
        self.notes.get(name).copied().unwrap_or(0)
    }
}

/// Reads a window to its end, page by page.
pub fn run(settings: &Settings, store: &RefCell<Store>, window: (i64, i64), budget: u32) -> Run {
    let mut run = Run::default();
    let mut position = Position::Window(window.0, window.1);
    while let Some(cursor) = run.take(fetch(settings, store, position, budget).unwrap()) {
        assert!(run.pages < 10_000, "no end");
        position = Position::Cursor(cursor);
    }
    run
}

/// The day that most tests read.
pub fn day(settings: &Settings, store: Store) -> Run {
    run(settings, &RefCell::new(store), (TODAY, TODAY + DAY), 1_000)
}
