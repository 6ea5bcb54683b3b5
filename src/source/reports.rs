//! Campaign reports: files that a person scheduled in MoEngage's dashboard, by their names.
//!
//! MoEngage lists no reports and keeps each for seven days (OpenAPI of stats, reports), so the
//! settings name them. The host fetches and inflates a file, and its rows are read like those of
//! export files: in pieces, the cursor being a byte of a file, so that any instance can go on.
//! What a column means is MoEngage's and the person's who chose it; every value is carried as the
//! text that it is.

use super::client::{self, HttpErrorKind, HttpResponse};
use super::csv::{Item, Rows};
use super::digest;
use super::errors;
use super::identity;
use super::notes::{Notes, Notice};
use super::page::{self, Cursor, Next, Object as RemoteFile, Page, PageRequest, Position, Reach};
use super::refusal::{ASK_MOENGAGE, Refusal, refusal};
use crate::failure::{Failure, FailureKind};
use crate::json::{Object, Scalar, to_json};
use crate::model::ids::record_id;
use crate::model::{
    MAX_BODY_BYTES, Millis, Nature, Observation, Occurrence, Provenance, REPORT_ROW, Record, Subject,
    TimeTrust, report_row,
};
use crate::profile::{RateWindow, ResourceSpec, SyncMode};
use crate::settings::{KeySlot, Settings};

/// Name of the resource, and the endpoint of the manifest.
pub const RESOURCE: &str = "report-files";

/// The name under `sync`.
pub const SWITCH: &str = "report_files";

/// Most records and rejects of a page.
const PAGE_LIMIT: usize = 10_000;

/// Bytes of records after which a page ends, of the 16 MiB that may cross the boundary.
const PAGE_WEIGHT: usize = 8 * 1024 * 1024;

/// Bytes of files after which a page ends.
const PAGE_BYTES: u64 = 2 * 1024 * 1024;

/// Largest piece of one read, in bytes.
const PIECE: u64 = 256 * 1024;

/// Calls of one unit, of the 64 that the contract allows.
const CALLS: u32 = 60;

/// How often a file is begun again because it has changed.
const MOST_CHANGES: u8 = 3;

/// Longest identity of a file's content that a cursor holds, in bytes.
const LONGEST_ETAG: usize = 512;

/// Rank of what a poll sees. No other door has these things.
const RANK: u8 = 10;

/// What the connector declares, where the settings name reports.
pub fn resource(settings: &Settings) -> Option<ResourceSpec> {
    is_read(settings).then(|| ResourceSpec {
        name: RESOURCE.to_owned(),
        kind: REPORT_ROW.to_owned(),
        primary_key: vec!["file".to_owned(), "line".to_owned()],
        nature: Nature::State,
        mode: SyncMode::Full,
        cursor_strategy: "File and byte of the row that comes next. The files are those that the settings name, in \
                          the order of their names; one that MoEngage no longer has is told of and passed over."
            .to_owned(),
        page_limit: PAGE_LIMIT as u32,
        replay_policy: "A row of the same content of a file is one observation, however often it is read.".to_owned(),
        // A report is written once and lives for seven days.
        cadence: 86_400,
        schema: report_row::SCHEMA.trim_end().to_owned(),
        endpoint: RESOURCE.to_owned(),
        slot: Some(KeySlot::Campaigns.name().to_owned()),
        // Not documented for this call; that of statistics, which stand beside it.
        rate_windows: vec![RateWindow { calls: 100, seconds: 60 }],
    })
}

/// True where reports are named and wanted.
fn is_read(settings: &Settings) -> bool {
    settings.reads_other(SWITCH) && !settings.named.report_files.is_empty()
}

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    /// The file that is open, or the last one that was dealt with.
    name: Option<String>,
    file: Option<OpenFile>,
}

/// A file that is being read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OpenFile {
    /// Identity of its content.
    etag: String,
    /// Uncompressed bytes.
    size: u64,
    /// Where the next row begins; 0 is the header.
    offset: u64,
    /// Rows that were dealt with, the header not counted.
    line: u64,
    /// How often its content turned out to be another.
    changes: u8,
}

impl State {
    fn begin(request: &PageRequest) -> Result<Self, Failure> {
        match &request.position {
            Position::Start => Ok(Self::default()),
            Position::Cursor(cursor) => Self::read(&cursor.state(RESOURCE)?).ok_or_else(page::unreadable),
            Position::Window(..) => Err(Failure::new(
                FailureKind::Cursor,
                "position-not-supported",
                "Reports have no window; each is read whole.",
            )),
        }
    }

    fn read(state: &Object<'_>) -> Option<Self> {
        state.raw("name")?;
        let file = match state.raw("file") {
            Some(raw) if !Scalar::is_null(raw) => {
                let file = Object::parse(raw.get())?;
                let file = OpenFile {
                    etag: page::text(&file, "etag")??,
                    size: page::value(&file, "size")?,
                    offset: page::value(&file, "offset")?,
                    line: page::value(&file, "line")?,
                    changes: page::value(&file, "changes")?,
                };
                Some(if file.offset <= file.size { file } else { return None })
            }
            _ => None,
        };
        Some(Self { name: page::text(state, "name")?, file })
    }

    fn write(&self) -> Cursor {
        let file = self.file.as_ref().map_or_else(
            || "null".to_owned(),
            |OpenFile { etag, size, offset, line, changes }| {
                let etag = to_json(etag);
                format!(
                    r#"{{"etag":{etag},"size":{size},"offset":{offset},"line":{line},"changes":{changes}}}"#
                )
            },
        );
        Cursor::new(RESOURCE, &format!(r#"{{"name":{},"file":{file}}}"#, to_json(&self.name)))
    }
}

/// Why a page goes no further.
enum Halt {
    /// It is full, or the unit's calls are used up.
    Full,
    /// The host is still downloading; it says when to come back.
    Later(Millis),
    /// There is no page.
    Failed(Failure),
}

/// What opening a file came to.
enum Opened {
    File(OpenFile),
    /// It has another content than the one that was begun.
    Changed,
    /// MoEngage doesn't have it, or not any more.
    Gone,
    /// It can't be read as a whole.
    Refused(Refusal),
}

const BROKEN: Refusal = refusal(
    "broken-file",
    "The file is not the archive that it claims to be, or one of several files.",
    ASK_MOENGAGE,
);
const TOO_LARGE: Refusal = refusal(
    "file-too-large",
    "The file is larger, when inflated, than the host keeps for one installation.",
    "Let the operator raise the host's quota for files, or schedule a smaller report.",
);
const RESTLESS: Refusal = refusal(
    "file-keeps-changing",
    "The file was written anew again and again while it was read.",
    "Read it again later.",
);
const NO_HEADER: Refusal = refusal(
    "no-header",
    "The file has no row with the names of its columns.",
    "Look at the report in MoEngage's dashboard; it may be empty.",
);
const NOT_CSV: Refusal = refusal(
    "not-csv",
    "The file is no table of comma-separated values.",
    "Take only campaign reports into report_files, and those in CSV.",
);
const UNCLOSED: Refusal = refusal(
    "row-too-long",
    "A row is longer than 512 KiB, most likely by a quote that is never closed; the rest of the file is passed over.",
    ASK_MOENGAGE,
);
const TOO_WIDE: Refusal =
    refusal("row-too-wide", "A row has more values than the header has names.", ASK_MOENGAGE);
const NOT_UTF8: Refusal = refusal("non-utf8-row", "A row holds bytes that are not UTF-8.", ASK_MOENGAGE);
const TOO_LARGE_ROW: Refusal =
    refusal("row-too-large", "What is kept of a row is larger than 256 KiB.", "Schedule fewer columns.");

/// Reads one page.
pub fn fetch(settings: &Settings, request: &PageRequest, reach: &mut Reach<'_>) -> Result<Page, Failure> {
    let state = State::begin(request)?;
    let page = Page {
        records: Vec::new(),
        rejects: Vec::new(),
        next: Next::COMPLETE,
        not_before: None,
        notes: Vec::new(),
    };
    let most = usize::try_from(request.budget).unwrap_or(usize::MAX).clamp(1, PAGE_LIMIT);
    let mut reading = Reading {
        settings,
        reach,
        now: request.now,
        most,
        calls: CALLS,
        state: state.clone(),
        page,
        notes: Notes::default(),
        weight: 0,
        bytes: 0,
    };
    let ended = reading.files();
    let Reading { state: stands, mut page, notes, .. } = reading;
    page.next = match ended {
        Ok(()) => Next::COMPLETE,
        Err(Halt::Failed(failure)) => return Err(failure),
        Err(Halt::Later(at)) => Next::Later(stands.write(), at),
        Err(Halt::Full) if stands == state => {
            return Err(Failure::new(
                FailureKind::Transient,
                "no-progress",
                "The calls of one unit were used up without reading a single row.",
            ));
        }
        Err(Halt::Full) => Next::More(stands.write()),
    };
    page.notes = notes.into_list();
    Ok(page)
}

/// One page in the making.
struct Reading<'a, 'r> {
    settings: &'a Settings,
    reach: &'a mut Reach<'r>,
    now: Millis,
    /// Records and rejects that it takes.
    most: usize,
    calls: u32,
    state: State,
    page: Page,
    notes: Notes,
    /// Bytes of records.
    weight: usize,
    /// Bytes of files.
    bytes: u64,
}

impl Reading<'_, '_> {
    fn is_full(&self) -> bool {
        self.page.records.len() + self.page.rejects.len() >= self.most || self.weight >= PAGE_WEIGHT
    }

    fn count(&mut self) -> Result<(), Halt> {
        self.calls = self.calls.checked_sub(1).ok_or(Halt::Full)?;
        Ok(())
    }

    fn reject(&mut self, why: Refusal, pointer: String) {
        self.page.rejects.push(why.at(pointer));
    }

    /// Reads file after file, to the end of the run.
    fn files(&mut self) -> Result<(), Halt> {
        let named = &self.settings.named.report_files;
        loop {
            // One that the settings no longer name is left.
            let is_named = self.state.name.as_ref().is_some_and(|name| named.contains(name));
            if self.state.file.is_some() && is_named {
                self.file()?;
            }
            self.state.file = None;
            let after = self.state.name.as_ref();
            let Some(name) = named.iter().filter(|name| after.is_none_or(|after| *name > after)).min() else {
                return Ok(());
            };
            if self.is_full() {
                return Err(Halt::Full);
            }
            let opened = self.open(name, None)?;
            self.state.name = Some(name.clone());
            match opened {
                Opened::File(file) => self.state.file = Some(file),
                Opened::Gone => self.notes.add(Notice::ReportGone),
                Opened::Changed => return Err(in_flux()),
                Opened::Refused(why) => self.reject(why, format!("/{name}")),
            }
        }
    }

    /// Reads the open file to its end.
    fn file(&mut self) -> Result<(), Halt> {
        let (Some(name), Some(mut file)) = (self.state.name.clone(), self.state.file.clone()) else {
            return Ok(());
        };
        let mut rows = Rows::new(0);
        let mut header: Option<Vec<String>> = None;
        let refused = loop {
            if header.is_some() && self.is_full() {
                return Err(Halt::Full);
            }
            match (rows.next(), &header) {
                (Item::Row(row), None) => match names(&row) {
                    Ok(names) => {
                        header = Some(names);
                        if file.offset > 0 {
                            rows = Rows::new(file.offset);
                        } else {
                            file.offset = rows.offset();
                        }
                    }
                    Err(why) => break Some(why),
                },
                (Item::Row(row), Some(names)) => {
                    file.line += 1;
                    match self.row(&name, &file, names, &row) {
                        Ok(record) => {
                            self.weight += record.body.len();
                            self.page.records.push(record);
                        }
                        Err(why) => self.reject(why, format!("/{name}/{}", file.line)),
                    }
                    file.offset = rows.offset();
                }
                (Item::TooLong, None) => break Some(NOT_CSV),
                (Item::TooLong, Some(_)) => break Some(UNCLOSED),
                (Item::End, None) => break Some(NO_HEADER),
                (Item::End, Some(_)) => break None,
                (Item::Hungry, _) => {
                    if header.is_some() && self.bytes >= PAGE_BYTES {
                        return Err(Halt::Full);
                    }
                    let left = file.size.saturating_sub(rows.hungry_at());
                    if left == 0 {
                        rows.end();
                        continue;
                    }
                    if let Some(piece) = self.read(&name, &file.etag, rows.hungry_at(), left.min(PIECE))? {
                        rows.feed(&piece);
                        continue;
                    }
                    // The host dropped it: it is fetched again, and may be another one by now.
                    match self.open(&name, Some(&file.etag))? {
                        Opened::File(_) => {}
                        Opened::Changed if file.changes >= MOST_CHANGES => break Some(RESTLESS),
                        Opened::Changed => {
                            let changes = file.changes + 1;
                            let Opened::File(anew) = self.open(&name, None)? else { return Err(in_flux()) };
                            file = OpenFile { changes, ..anew };
                            self.state.file = Some(file.clone());
                            (rows, header) = (Rows::new(0), None);
                        }
                        Opened::Gone => {
                            self.notes.add(Notice::ReportGone);
                            break None;
                        }
                        Opened::Refused(why) => break Some(why),
                    }
                }
            }
            if let Some(open) = self.state.file.as_mut() {
                (open.offset, open.line) = (file.offset, file.line);
            }
        };
        if let Some(why) = refused {
            self.reject(why, format!("/{name}"));
        }
        Ok(())
    }

    /// The record of a row.
    fn row(&self, name: &str, file: &OpenFile, names: &[String], row: &[&[u8]]) -> Result<Record, Refusal> {
        // A comma behind the last value adds nothing.
        if row.iter().skip(names.len()).any(|value| !value.is_empty()) {
            return Err(TOO_WIDE);
        }
        let mut values = Vec::with_capacity(row.len());
        // A short row has no value for the last names, which is another thing than an empty one.
        for (name, value) in names.iter().zip(row) {
            let value = std::str::from_utf8(value).map_err(|_| NOT_UTF8)?;
            values.push(format!("{}:{}", to_json(name), to_json(&value)));
        }
        let line = file.line;
        let body =
            format!(r#"{{"file":{},"line":{line},"values":{{{}}}}}"#, to_json(&name), values.join(","));
        if body.len() > MAX_BODY_BYTES {
            return Err(TOO_LARGE_ROW);
        }
        let key = format!("{name}/{line}");
        let too_long = Refusal::from(identity::Unusable::TooLong);
        Ok(Record {
            id: record_id(&self.settings.workspace(), REPORT_ROW, &key).ok_or(too_long)?,
            kind: REPORT_ROW.to_owned(),
            nature: Nature::State,
            subject: Subject::Object(REPORT_ROW.to_owned(), key),
            // The file's content is what was seen, whenever it was looked at.
            observation: Observation {
                id: format!(
                    "{RESOURCE}.{:016x}.{:016x}",
                    digest::of(file.etag.as_bytes()),
                    digest::of(body.as_bytes())
                ),
                rank: RANK,
            },
            occurred: Occurrence { at: Some(self.now), trust: TimeTrust::Arrival },
            body,
            provenance: Provenance::Poll,
        })
    }

    fn path(&self, name: &str) -> Vec<String> {
        ["campaign_reports", "rest_api", &self.settings.workspace_id, name].map(str::to_owned).to_vec()
    }

    /// Makes a file readable; with `etag` only that content of it.
    fn open(&mut self, name: &str, etag: Option<&str>) -> Result<Opened, Halt> {
        self.count()?;
        let error = match self.reach.objects.open(RESOURCE, &self.path(name), etag) {
            Ok(RemoteFile { etag, size }) if etag.len() <= LONGEST_ETAG => {
                return Ok(Opened::File(OpenFile { etag, size, ..OpenFile::default() }));
            }
            Ok(RemoteFile { etag, .. }) => {
                return Err(Halt::Failed(Failure::vendor_contract(
                    etag.as_bytes(),
                    "unusable-etag",
                    "MoEngage gives a file an etag of more than 512 bytes.",
                )));
            }
            Err(error) => error,
        };
        // OpenAPI of stats: 400 for a name that is unknown or older than seven days, and 401 for a
        // signature that is not the key's.
        let status = match error.code.as_str() {
            "object-changed" => return Ok(Opened::Changed),
            "object-broken" => return Ok(Opened::Refused(BROKEN)),
            "object-too-large" => return Ok(Opened::Refused(TOO_LARGE)),
            "object-not-ready" => {
                let wait = error.retry_after_ms.unwrap_or(0);
                return Err(Halt::Later(self.now.saturating_add_unsigned(wait)));
            }
            "object-forbidden" => 401,
            code if error.kind == HttpErrorKind::BadAnswer => {
                code.strip_prefix("object-status-").and_then(|status| status.parse().ok()).unwrap_or(0)
            }
            _ => 0,
        };
        match status {
            0 => Err(self.no_answer(&error)),
            400 | 404 | 410 => Ok(Opened::Gone),
            status => {
                let response = HttpResponse { status, headers: Vec::new(), body: Vec::new() };
                Err(Halt::Failed(errors::refused(&response, KeySlot::Campaigns, self.now)))
            }
        }
    }

    /// The next piece of an open file. None where the host dropped the file.
    fn read(&mut self, name: &str, etag: &str, offset: u64, length: u64) -> Result<Option<Vec<u8>>, Halt> {
        self.count()?;
        match self.reach.objects.read(RESOURCE, &self.path(name), etag, offset, length as u32) {
            Ok(piece) if piece.is_empty() => Err(Halt::Failed(Failure::new(
                FailureKind::Transient,
                "file-cut-short",
                "The host gave fewer bytes of a file than it has.",
            ))),
            Ok(mut piece) => {
                piece.truncate(length as usize);
                self.bytes += piece.len() as u64;
                Ok(Some(piece))
            }
            Err(error) if error.code == "object-gone" => Ok(None),
            Err(error) => Err(self.no_answer(&error)),
        }
    }

    fn no_answer(&self, error: &super::HttpError) -> Halt {
        match error.kind {
            HttpErrorKind::Budget => Halt::Full,
            _ => Halt::Failed(client::no_answer(error, KeySlot::Campaigns)),
        }
    }
}

fn in_flux() -> Halt {
    Halt::Failed(Failure::new(
        FailureKind::Transient,
        "file-in-flux",
        "A file changed between two calls; it is read again later.",
    ))
}

/// The names of the columns. A blank one is named by its place and a repeated one counted, so that
/// no value is lost and none stands for another.
fn names(row: &[&[u8]]) -> Result<Vec<String>, Refusal> {
    let mut names: Vec<String> = Vec::with_capacity(row.len());
    for (n, name) in row.iter().enumerate() {
        let name = std::str::from_utf8(name).map_err(|_| NOT_CSV)?.trim();
        // An archive in the archive, or a page where a file should be.
        if name.contains(|c: char| c.is_control() && c != '\n' && c != '\r')
            || n == 0 && name.starts_with(['<', '{', '['])
        {
            return Err(NOT_CSV);
        }
        let name = if name.is_empty() { format!("column {}", n + 1) } else { name.to_owned() };
        let mut unique = name.clone();
        let mut times = 1;
        while names.contains(&unique) {
            times += 1;
            unique = format!("{name} ({times})");
        }
        names.push(unique);
    }
    if row.iter().all(|name| name.trim_ascii().is_empty()) {
        return Err(NO_HEADER);
    }
    Ok(names)
}
