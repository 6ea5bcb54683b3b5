//! A run of one item: what is asked for next, and how it goes on.

use serde_json::value::RawValue;

use super::MOST_ROWS;
use super::item::{Body, Dates, Each, Item, Paging, Parent, Place, Shape};
use super::row;
use crate::failure::{Failure, FailureKind};
use crate::json::{Object, Scalar, elements, to_json};
use crate::model::Millis;
use crate::settings::Settings;
use crate::source::client::{self, HttpRequest, HttpResponse};
use crate::source::notes::{Notes, Notice};
use crate::source::page::{self, Cursor, Next, Page, PageRequest, Position, Reach, Storage};
use crate::source::paging::numbered::{Numbered, Stated};
use crate::source::paging::tokens::{Broken, Onward, Tokens};
use crate::source::paging::walk::{Walk, Window};
use crate::source::paging::{End, Repeating};
use crate::source::{errors, rate, time};

const DAY: Millis = 86_400_000;

/// Restated figures: how far back a read of activity begins before the latest one.
const LOOK_BACK: Millis = 3 * DAY;

/// MD:api/flows/flow-analytics.yaml: at most 90 days.
const LONGEST_ACTIVITY: Millis = 89 * DAY;

/// OpenAPI of the Data API, import status: "Difference exceeds 30 days" is an error.
const LONGEST_IMPORTS: Millis = 29 * DAY;

/// How often a list is begun anew whose cursor MoEngage no longer takes.
const MOST_RESTARTS: u32 = 2;

/// Why a list is left whose cursors MoEngage refuses again and again.
const CURSORS_REFUSED: &str =
    "MoEngage keeps refusing its own cursors, so that the list was not read to its end.";

/// Why a run is cut short in which MoEngage refused one of several lists.
const PARENT_REFUSED: &str =
    "MoEngage refuses to list what belongs to at least one of those that were asked for.";

/// A quota of fair use says nothing of when it opens again (OpenAPI of analytics, 428).
const QUOTA_WAIT: Millis = 3_600_000;

/// Longest cursor that the contract takes.
const LONGEST_CURSOR: usize = 4 * 1024;

/// Where a run stands.
#[derive(Debug, Default)]
struct State {
    /// When the run began; names it.
    run: Millis,
    /// When the run before it began, where that matters.
    before: Option<Millis>,
    /// The last parent whose list was read to its end.
    after: Option<String>,
    /// The parent whose list is being read.
    current: Option<String>,
    place: Standing,
    restarts: u32,
    /// Why a list of this run was cut short, if one was.
    cut_short: Option<String>,
}

/// Where a list stands, in the style of its item.
#[derive(Debug, Default)]
enum Standing {
    #[default]
    Begin,
    Walk(Walk),
    Numbered(Numbered),
    Tokens(Tokens),
}

impl Standing {
    fn of(item: &Item, written: Option<&Object<'_>>) -> Option<Self> {
        Some(match (item.paging, written) {
            (Paging::Whole, _) => Self::Begin,
            (Paging::Walk { .. }, None) => Self::Walk(Walk::default()),
            (Paging::Numbered { .. }, None) => Self::Numbered(Numbered::default()),
            (Paging::Tokens { .. }, None) => Self::Tokens(Tokens::default()),
            (Paging::Walk { .. }, Some(object)) => Self::Walk(Walk::read(object).filter(Walk::is_sound)?),
            (Paging::Numbered { .. }, Some(object)) => Self::Numbered(Numbered::read(object)?),
            (Paging::Tokens { .. }, Some(object)) => Self::Tokens(Tokens::read(object)?),
        })
    }

    fn write(&self) -> String {
        match self {
            Self::Begin => "null".to_owned(),
            Self::Walk(walk) => walk.write(),
            Self::Numbered(numbered) => numbered.write(),
            Self::Tokens(tokens) => tokens.write(),
        }
    }

    fn has_begun(&self) -> bool {
        match self {
            Self::Begin => false,
            Self::Walk(walk) => walk.pages() > 0,
            Self::Numbered(numbered) => numbered.page() > 1,
            Self::Tokens(tokens) => tokens.token().is_some(),
        }
    }
}

impl State {
    fn write(&self, item: &Item) -> Result<Cursor, Failure> {
        let Self { run, before, place, restarts, cut_short, .. } = self;
        // One name says enough, and a cursor has no room for two: that of the list that is being
        // read, or before its first page that of the one before it, because an edit of the settings
        // can make another the next.
        let (after, current) = match place.has_begun() {
            true => (&None, &self.current),
            false => (&self.after, &None),
        };
        let (before, after, current) = (to_json(before), to_json(after), to_json(current));
        let state = format!(
            r#"{{"run":{run},"before":{before},"after":{after},"current":{current},"place":{},"restarts":{restarts},"cut_short":{}}}"#,
            place.write(),
            to_json(cut_short),
        );
        let cursor = Cursor::new(item.name, &state);
        if cursor.bytes.len() > LONGEST_CURSOR {
            return Err(Failure::new(
                FailureKind::Internal,
                "cursor-too-long",
                "Where the run stands does not fit into a cursor.",
            ));
        }
        Ok(cursor)
    }

    fn read(item: &Item, state: &Object<'_>) -> Option<Self> {
        let place = match state.raw("place") {
            Some(raw) if !Scalar::is_null(raw) => Some(Object::parse(raw.get())?),
            _ => None,
        };
        // The run names observations: without it there is no going on.
        state.raw("run")?;
        Some(Self {
            run: page::value(state, "run").filter(|run| *run >= 0)?,
            before: page::optional(state, "before")?,
            after: page::text(state, "after")?,
            current: page::text(state, "current")?,
            place: Standing::of(item, place.as_ref())?,
            restarts: page::value(state, "restarts")?,
            cut_short: page::text(state, "cut_short")?,
        })
    }

    fn begin(item: &Item, request: &PageRequest) -> Result<Self, Failure> {
        let start = |before| Self {
            run: request.now,
            before,
            place: Standing::of(item, None).unwrap_or_default(),
            ..Self::default()
        };
        match &request.position {
            Position::Start => Ok(start(None)),
            Position::Cursor(cursor) => {
                let state = cursor.state(item.name)?;
                // The cursor between two runs holds nothing but when the last one began.
                if let Some(done) = page::optional(&state, "done").ok_or_else(page::unreadable)? {
                    return Ok(start(Some(done)));
                }
                Self::read(item, &state).ok_or_else(page::unreadable)
            }
            Position::Window(..) => Err(Failure::new(
                FailureKind::Cursor,
                "position-not-supported",
                "This resource has no window; MoEngage gives it as it is now.",
            )),
        }
    }

    /// The list to read from: the one that is being read, or the next; none where all were read.
    fn parent(&mut self, item: &Item, settings: &Settings, storage: &mut dyn Storage) -> Option<Parent> {
        let parent = match item.each {
            Each::Once if self.after.is_some() => None,
            Each::Once => Some(Parent::default()),
            Each::Named(all) => {
                let mut all = all(settings);
                // Small, and sorted so that an edit of the settings in mid-run loses nobody.
                let place = self.after.as_deref();
                all.retain(|parent| match &self.current {
                    Some(current) => parent.name >= *current,
                    None => place.is_none_or(|after| parent.name.as_str() > after),
                });
                let first = all.iter().map(|parent| parent.name.clone()).min()?;
                all.into_iter().find(|parent| parent.name == first)
            }
            Each::Known(prefix) => {
                let key = match &self.current {
                    Some(current) => Some(current.clone()),
                    None => {
                        let after = self.after.as_ref().map(|after| format!("{prefix}{after}"));
                        let next = storage.list(prefix, after.as_deref()).into_iter().next();
                        next.and_then(|key| key.strip_prefix(prefix).map(str::to_owned))
                    }
                };
                key.map(|key| Parent { ids: item.ids(&key), name: key, ..Parent::default() })
            }
        }?;
        if self.current.as_ref() != Some(&parent.name) && !matches!(item.each, Each::Once) {
            // The parent that was being read is gone from the settings: its list ends with it.
            self.current = Some(parent.name.clone());
            self.place = Standing::of(item, None).unwrap_or_default();
        }
        Some(parent)
    }

    /// The list that was being read is at its end.
    fn finished(&mut self, item: &Item, end: End) {
        if let End::Truncated(why) = end {
            self.cut_short.get_or_insert_with(|| why.to_owned());
        }
        self.after = Some(self.current.take().unwrap_or_default());
        self.place = Standing::of(item, None).unwrap_or_default();
    }

    fn done(self, item: &Item) -> Next {
        let remembers = item.ask.dates == Dates::Activity;
        let cursor = remembers.then(|| Cursor::new(item.name, &format!(r#"{{"done":{}}}"#, self.run)));
        Next::Done { cursor, truncated: self.cut_short }
    }
}

/// Reads one page.
pub fn fetch(
    settings: &Settings,
    item: &'static Item,
    request: &PageRequest,
    reach: &mut Reach<'_>,
) -> Result<Page, Failure> {
    let mut state = State::begin(item, request)?;
    let mut page = Page {
        records: Vec::new(),
        rejects: Vec::new(),
        next: Next::COMPLETE,
        not_before: None,
        notes: Vec::new(),
    };
    let Some(parent) = state.parent(item, settings, reach.storage) else {
        page.next = state.done(item);
        return Ok(page);
    };
    if !item.ask.path.iter().filter_map(|segment| row::of_parent(&parent, segment)).all(can_be_asked_for) {
        let mut notes = Notes::default();
        notes.add(Notice::ParentRefused);
        page.notes = notes.into_list();
        state.finished(item, End::Truncated(PARENT_REFUSED));
        let more = state.parent(item, settings, reach.storage).is_some();
        page.next = if more { Next::More(state.write(item)?) } else { state.done(item) };
        return Ok(page);
    }
    let asked = Asked { settings, item, parent: &parent, now: request.now, most: budget(request) };
    let (call, window) = asked.request(&state);
    let response = client::exchange(reach.http, &call, settings.key_of(item).0)?;
    page.not_before = rate::not_before(&response, request.now);
    let mut notes = Notes::default();
    match asked.answer(&response) {
        Ok(rows) => asked.take(&mut state, &rows, window, reach.storage, &mut page, &mut notes)?,
        Err(Refused::Quota) => {
            notes.add(Notice::QuotaUsedUp);
            page.notes = notes.into_list();
            page.next = Next::Later(state.write(item)?, request.now.saturating_add(QUOTA_WAIT));
            return Ok(page);
        }
        // What the list was for is gone; the others are not.
        Err(Refused::Failure(failure))
            if failure.kind == FailureKind::Gone && !matches!(item.each, Each::Once) =>
        {
            notes.add(Notice::ParentGone);
            state.finished(item, End::Complete);
        }
        // A cursor lives as long as MoEngage likes. The list is read anew, under the same run.
        Err(Refused::Failure(failure))
            if state.place.has_begun()
                && matches!(item.paging, Paging::Tokens { .. })
                && matches!(failure.kind, FailureKind::VendorContract(_) | FailureKind::Gone)
                && matches!(response.status, 400 | 404 | 410 | 422) =>
        {
            notes.add(Notice::CursorRefused);
            // A run that would be refused for ever ends, so that the next one can begin.
            if state.restarts >= MOST_RESTARTS {
                state.finished(item, End::Truncated(CURSORS_REFUSED));
            }
            state.restarts += 1;
            state.place = Standing::of(item, None).unwrap_or_default();
        }
        // MoEngage lists campaigns whose runs it doesn't give (OpenAPI of campaigns: only those of
        // e-mail and push that were made by API have any). One of them must not stop the others.
        Err(Refused::Failure(failure))
            if matches!(failure.kind, FailureKind::VendorContract(_))
                && matches!(response.status, 400 | 404 | 422)
                && !matches!(item.each, Each::Once) =>
        {
            notes.add(Notice::ParentRefused);
            state.finished(item, End::Truncated(PARENT_REFUSED));
        }
        Err(Refused::Failure(failure)) => return Err(failure),
    }
    page.notes = notes.into_list();
    let more = state.parent(item, settings, reach.storage).is_some();
    page.next = if more { Next::More(state.write(item)?) } else { state.done(item) };
    Ok(page)
}

/// One call of an item.
struct Asked<'a> {
    settings: &'a Settings,
    item: &'static Item,
    parent: &'a Parent,
    now: Millis,
    /// Records that the host takes.
    most: usize,
}

/// Why there are no rows.
enum Refused {
    Failure(Failure),
    /// A quota of fair use is used up, which is no failure.
    Quota,
}

/// The rows of an answer and what it says of the rest.
struct Answer<'r> {
    rows: Vec<&'r RawValue>,
    /// Where they stand, for rejects.
    pointer: String,
    stated: Stated,
    onward: Onward,
    /// The answer, for failures that name it.
    response: &'r HttpResponse,
}

impl Asked<'_> {
    fn request(&self, state: &State) -> (HttpRequest, Option<Window>) {
        let Self { settings, item, parent, now, .. } = *self;
        let filled = |text: &'static str| row::of_parent(parent, text).unwrap_or(text);
        let path: Vec<&str> = item.ask.path.iter().map(|segment| filled(segment)).collect();
        let mut call = client::request(settings, settings.key_of(item).1, item.ask.method, &path);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        call.query.extend(item.ask.query.iter().map(|(name, value)| pair(name, filled(value))));
        call.headers.extend(parent.headers.iter().cloned());
        let project = settings.project_code.as_ref().filter(|_| item.ask.project);
        call.headers.extend(project.map(|project| pair("moe-project-code", project)));
        let mut members = Vec::new();
        match item.ask.body {
            Body::Members(fixed) if !fixed.is_empty() => members.push(fixed.to_owned()),
            Body::RequestId => members.push(format!(r#""request_id":"{}-{}-{now}""#, item.name, state.run)),
            _ => {}
        }
        if !parent.members.is_empty() {
            members.push(parent.members.clone());
        }
        match item.ask.dates {
            Dates::None => {}
            Dates::LastMonth => {
                let (from, to) =
                    (time::day_month_year(state.run - LONGEST_IMPORTS), time::day_month_year(state.run));
                members.push(format!(
                    r#""date":{{"start_date":"{from}","end_date":"{to}","format":"DD/MM/YYYY"}}"#
                ));
            }
            Dates::Activity => {
                let earliest = state.run.saturating_sub(LONGEST_ACTIVITY);
                let from =
                    state.before.map_or(earliest, |before| before.saturating_sub(LOOK_BACK).max(earliest));
                // Whole days, so that a figure is never one of half a day.
                let from = from - from.rem_euclid(DAY);
                call.query.push(("activity_after".to_owned(), format!("{}Z", time::naive(from))));
                call.query.push(("activity_before".to_owned(), format!("{}Z", time::naive(state.run))));
            }
        }
        let mut window = None;
        match (item.paging, &state.place) {
            (Paging::Walk { limit, largest }, Standing::Walk(walk)) => {
                let asked = walk.window(largest);
                members.push(format!(r#""page":{},"{limit}":{}"#, asked.page, asked.limit));
                window = Some(asked);
            }
            (Paging::Numbered { page, place, .. }, Standing::Numbered(numbered)) => match place {
                Place::Query => call.query.push((page.to_owned(), numbered.page().to_string())),
                Place::Body => members.push(format!(r#""{page}":{}"#, numbered.page())),
                Place::BodyAsText => members.push(format!(r#""{page}":"{}""#, numbered.page())),
            },
            (Paging::Tokens { place, limit, .. }, Standing::Tokens(tokens)) => match place {
                Place::Query => {
                    call.query.push(("limit".to_owned(), limit.to_string()));
                    call.query.extend(tokens.token().map(|token| ("cursor".to_owned(), token.to_owned())));
                }
                Place::Body | Place::BodyAsText => {
                    members.push(format!(r#""limit":{limit}"#));
                    members.extend(tokens.token().map(|token| format!(r#""cursor":{}"#, to_json(&token))));
                }
            },
            _ => {}
        }
        if item.ask.body != Body::None {
            call = client::with_body(call, format!("{{{}}}", members.join(",")));
        }
        (call, window)
    }

    fn answer<'r>(&self, response: &'r HttpResponse) -> Result<Answer<'r>, Refused> {
        let Self { settings, item, now, .. } = *self;
        let (slot, _) = settings.key_of(item);
        match response.status {
            200..=299 => {}
            428 => return Err(Refused::Quota),
            _ => return Err(Refused::Failure(errors::refused(response, slot, now))),
        }
        let unexpected = || Refused::Failure(errors::unexpected(response));
        let text = std::str::from_utf8(&response.body).unwrap_or_default();
        let (rows, stated, onward) = if item.rows.is_empty() && !item.single {
            // A bare list; anything else may be a failure in disguise.
            let Some(rows) = elements(text) else {
                return Err(Refused::Failure(
                    errors::success(response, slot, now)
                        .err()
                        .unwrap_or_else(|| errors::unexpected(response)),
                ));
            };
            (rows, Stated::default(), Onward { more: None, token: None })
        } else {
            let object = errors::success(response, slot, now).map_err(Refused::Failure)?;
            let whole = || serde_json::from_str(text).ok();
            let found: Option<&RawValue> =
                if item.rows.is_empty() { whole() } else { at(&object, item.rows) };
            let rows = match found.filter(|found| !Scalar::is_null(found)) {
                None => lacks_rows(item, &object).then(Vec::new),
                Some(found) if item.single && item.rows.is_empty() => {
                    holds_its_lists(item, &object).then_some(vec![found])
                }
                Some(found) if item.single => Object::parse(found.get()).map(|_| vec![found]),
                Some(found) => elements(found.get()),
            };
            let rows: Vec<&RawValue> = rows.ok_or_else(unexpected)?;
            let (stated, onward) = self.rest(&object, rows.len() as u64).ok_or_else(unexpected)?;
            (rows, stated, onward)
        };
        // Only a walk chooses how many rows come; all others come as they are or not at all.
        let most =
            if matches!(item.paging, Paging::Walk { .. }) { MOST_ROWS } else { self.most.min(MOST_ROWS) };
        if rows.len() > most {
            return Err(Refused::Failure(Failure::vendor_contract(
                &response.body,
                "too-many-rows",
                "MoEngage answered with more rows than a page can hold.",
            )));
        }
        let pointer = item.rows.iter().map(|key| format!("/{key}")).collect();
        Ok(Answer { rows, pointer, stated, onward, response })
    }

    /// What an answer says of the rest of the list; nothing where it should and doesn't.
    fn rest(&self, object: &Object<'_>, rows: u64) -> Option<(Stated, Onward)> {
        let (mut stated, mut onward) = (Stated::default(), Onward { more: None, token: None });
        match self.item.paging {
            Paging::Whole | Paging::Walk { .. } => {}
            Paging::Numbered { total, more, size, .. } => {
                stated.total = at(object, total).and_then(|raw| raw.get().trim_matches('"').parse().ok());
                stated.more = at(object, more).and_then(flag);
                let says = !total.is_empty() || !more.is_empty();
                if says && stated.total.is_none() && stated.more.is_none() {
                    return None;
                }
                // OpenAPI of e-mail templates 1: "the number of templates returned", which may be
                // those of the page. So a full page is no end, and its own number says nothing.
                if stated.more.is_none() && stated.total.is_some() && rows >= u64::from(size) {
                    stated.more = Some(true);
                    stated.total = stated.total.filter(|total| *total != rows);
                }
            }
            Paging::Tokens { onward: place, .. } => {
                let said = at(object, place).and_then(|raw| Object::parse(raw.get()))?;
                onward.more = said.raw("has_more").and_then(flag);
                onward.token = said.get("next_cursor").and_then(Scalar::text).map(|token| token.into_owned());
                if onward.more.is_none() && onward.token.is_none() {
                    return None;
                }
            }
        }
        Some((stated, onward))
    }

    #[allow(clippy::too_many_arguments)] // one call site; the parts have nothing else in common
    fn take(
        &self,
        state: &mut State,
        answer: &Answer<'_>,
        window: Option<Window>,
        storage: &mut dyn Storage,
        page: &mut Page,
        notes: &mut Notes,
    ) -> Result<(), Failure> {
        let rows = &answer.rows;
        let names: Vec<u64> = rows.iter().map(|row| row::name(self.item, row)).collect();
        let mut taken: Vec<usize> = (0..rows.len()).collect();
        let sample = &answer.response.body;
        let repeating = |_: Repeating| broken(sample, Broken::Repeating);
        let end = match (&mut state.place, window) {
            (Standing::Walk(walk), Some(window)) => {
                if rows.len() as u64 > window.limit {
                    return Err(Failure::vendor_contract(
                        sample,
                        "limit-ignored",
                        "MoEngage answered with more rows than were asked for, so that positions in the list mean \
                         nothing.",
                    ));
                }
                let turn = walk.turn(window, &names, self.most).map_err(repeating)?;
                taken = turn.rows;
                turn.end
            }
            (Standing::Numbered(numbered), _) => numbered.turn(&names, answer.stated).map_err(repeating)?,
            (Standing::Tokens(tokens), _) => {
                tokens.turn(rows.len(), answer.onward.clone()).map_err(|why| broken(sample, why))?
            }
            _ => Some(End::Complete),
        };
        for index in taken {
            let Some(raw) = rows.get(index) else { continue };
            if names.get(..index).is_some_and(|earlier| earlier.contains(&names[index])) {
                notes.add(Notice::RepeatedRow);
                continue;
            }
            match row::record(self.settings, self.item, self.parent, raw, (state.run, self.now), notes) {
                Ok((record, key)) => {
                    if let Some(prefix) = self.item.remembered_as {
                        remember(storage, prefix, &key, notes);
                    }
                    page.records.push(record);
                }
                Err(why) => page.rejects.push(why.at(match self.item.single {
                    true => answer.pointer.clone(),
                    false => format!("{}/{index}", answer.pointer),
                })),
            }
        }
        if let Some(end) = end {
            state.finished(self.item, end);
        }
        Ok(())
    }
}

/// Writes down an id for the resources that read one list for each. Most are there already, and a
/// write costs a commit far more than a look.
pub fn remember(storage: &mut dyn Storage, prefix: &str, name: &str, notes: &mut Notes) {
    let key = format!("{prefix}{name}");
    if storage.get(&key).is_none() && !storage.set(&key, &[]) {
        notes.add(Notice::ListFull);
    }
}

fn broken(sample: &[u8], why: Broken) -> Failure {
    let (code, message) = match why {
        Broken::Repeating => (
            "repeating-page",
            "MoEngage keeps answering with what it has already given, whichever page is asked for.",
        ),
        Broken::NoToken => {
            ("next-page-missing", "MoEngage says that there is more and not how to ask for it.")
        }
        Broken::TooLong => ("page-token-too-long", "MoEngage's cursor is longer than can be kept."),
    };
    Failure::vendor_contract(sample, code, message)
}

/// Records that the host takes now.
fn budget(request: &PageRequest) -> usize {
    usize::try_from(request.budget).unwrap_or(usize::MAX)
}

/// True for an id that can stand in a path as one segment; hosts refuse the others, because servers
/// differ in how they read them.
fn can_be_asked_for(id: &str) -> bool {
    !matches!(id, "" | "." | "..") && !id.chars().any(|c| matches!(c, '/' | '\\') || c.is_control())
}

/// True where what an object is made of is there: without it any object would be one.
fn holds_its_lists(item: &Item, object: &Object<'_>) -> bool {
    let mut lists = item.columns.iter().filter(|column| matches!(column.shape, Shape::Rows(_)));
    lists.all(|column| object.raw(column.from).is_some_and(|list| elements(list.get()).is_some()))
}

/// True where one thing was answered without the list that it may have: what is empty is left out
/// or null (OpenAPI of flows requires no `versions`; MD:api/flows/flow-analytics.yaml: "omitted entirely").
fn lacks_rows(item: &Item, object: &Object<'_>) -> bool {
    let Some((_, above)) = item.rows.split_last() else { return false };
    let there = at(object, above).is_some_and(|raw| Object::parse(raw.get()).is_some());
    matches!(item.each, Each::Known(_)) && there
}

/// The value at a path.
fn at<'a>(object: &Object<'a>, path: &[&str]) -> Option<&'a RawValue> {
    let (first, rest) = path.split_first()?;
    let value = object.raw(first)?;
    if rest.is_empty() { Some(value) } else { at(&Object::parse(value.get())?, rest) }
}

/// True or false, also as text: `more_files` is a text in the schema of file imports and a flag
/// in its example.
fn flag(raw: &RawValue) -> Option<bool> {
    match Scalar::of(raw) {
        Scalar::Bool(value) => Some(value),
        Scalar::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Scalar::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}
