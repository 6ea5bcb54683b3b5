//! Campaigns, by search: the whole list each time, changes found by content.
//!
//! Nothing but the date of creation filters by time, so an incremental read is not possible. A
//! run has two passes: everything that is published, then drafts, which MoEngage only gives when
//! they are asked for by name (OpenAPI of campaign drafts, `status`).
//!
//! V5 is asked; a workspace that has no V5 says `campaigns.api: v1`. The two name rows, filters and
//! statuses differently, and V1 has no drafts; the records are the same.

use serde_json::value::RawValue;

use super::campaign_row::{self, Row};
use super::client::{self, Http, HttpResponse, Method};
use super::inventory::{self, PARENTS};
use super::notes::{Notes, Notice};
use super::page::{self, Cursor, Next, Page, PageRequest, Position, Reach};
use super::paging::End;
use super::paging::walk::{Walk, Window};
use super::refusal::Refusal;
use super::{digest, errors, rate, time};
use crate::failure::{Failure, FailureKind};
use crate::json::{Object, Scalar, elements, to_json};
use crate::model::{CAMPAIGN, Millis, Nature, Record, campaign};
use crate::profile::{RateWindow, ResourceSpec, SyncMode};
use crate::settings::{Campaigns, KeySlot, Settings};

/// Name of the resource.
pub const CAMPAIGNS: &str = "campaigns";

/// Endpoint of the manifest.
const ENDPOINT: &str = "campaigns";

/// OpenAPI of campaign drafts, `limit`.
const LARGEST_PAGE: u64 = 15;

/// Where a run stands.
#[derive(Debug, Default)]
struct State {
    /// When the run began; names it.
    run: Millis,
    /// The filter that the run was begun with.
    created_since: Option<Millis>,
    /// True where V1 is asked.
    by_v1: bool,
    /// True in the second pass.
    drafts: bool,
    /// Why the first pass was cut short, if it was.
    cut_short: Option<String>,
    walk: Walk,
}

impl State {
    fn write(&self) -> Cursor {
        let Self { run, created_since, by_v1, drafts, cut_short, walk } = self;
        let (created_since, cut_short) = (to_json(created_since), to_json(cut_short));
        let walk = walk.write();
        let state = format!(
            r#"{{"run":{run},"created_since":{created_since},"drafts":{drafts},"cut_short":{cut_short},"walk":{walk}"#
        );
        // Only where it is so: a cursor of V5 keeps its bytes.
        let by_v1 = if *by_v1 { r#","by_v1":true"# } else { "" };
        Cursor::new(CAMPAIGNS, &format!("{state}{by_v1}}}"))
    }

    fn read(state: &Object<'_>) -> Option<Self> {
        Some(Self {
            run: page::value(state, "run")?,
            created_since: page::optional(state, "created_since")?,
            by_v1: page::value(state, "by_v1")?,
            drafts: page::value(state, "drafts")?,
            cut_short: page::text(state, "cut_short")?,
            walk: match state.raw("walk") {
                Some(walk) => Walk::read(&Object::parse(walk.get())?)?,
                None => Walk::default(),
            },
        })
    }
}

/// What the connector declares.
pub fn resource(settings: &Settings) -> Option<ResourceSpec> {
    settings.reads_other(CAMPAIGNS).then(|| ResourceSpec {
        name: CAMPAIGNS.to_owned(),
        kind: CAMPAIGN.to_owned(),
        primary_key: vec!["campaign_id".to_owned()],
        nature: Nature::State,
        mode: SyncMode::Full,
        cursor_strategy: "The position in the list and the rows read last. Pages overlap, so that rows which move \
                          while the list is read are not missed; where that can't be shown the run ends truncated."
            .to_owned(),
        page_limit: LARGEST_PAGE as u32,
        replay_policy: "The same content in the same run is one observation; another run is another.".to_owned(),
        cadence: 3600,
        schema: campaign::SCHEMA.trim_end().to_owned(),
        endpoint: ENDPOINT.to_owned(),
        slot: Some(KeySlot::Campaigns.name().to_owned()),
        // OpenAPI of campaign drafts: the windows of an hour and a minute slide.
        rate_windows: [(10, 1), (100, 60), (6000, 3600)]
            .map(|(calls, seconds)| RateWindow { calls, seconds })
            .to_vec(),
    })
}

/// Reads one page of campaigns.
pub fn fetch(settings: &Settings, request: &PageRequest, reach: &mut Reach<'_>) -> Result<Page, Failure> {
    let mut state = begin(settings, request)?;
    let window = state.walk.window(LARGEST_PAGE);
    let response = search(settings, &state, window, request.now, reach.http)?;
    let rows = rows(&state, &response, window, request.now)?;
    if rows.is_empty() && state.walk.pages() == 0 && !state.drafts {
        control(settings, &state, request.now, reach.http)?;
    }
    let names: Vec<u64> = rows.iter().map(|row| campaign_row::digest(row)).collect();
    let budget = usize::try_from(request.budget).unwrap_or(usize::MAX);
    let turn = state.walk.turn(window, &names, budget).map_err(|_| repeating(&response))?;

    let mut notes = Notes::default();
    let repeated = (1..names.len()).filter(|&n| names.iter().take(n).any(|name| names.get(n) == Some(name)));
    repeated.for_each(|_| notes.add(Notice::RepeatedRow));
    let mut page = Page {
        records: Vec::new(),
        rejects: Vec::new(),
        next: Next::COMPLETE,
        not_before: rate::not_before(&response, request.now),
        notes: Vec::new(),
    };
    for index in turn.rows {
        let Some(row) = rows.get(index) else { continue };
        match read(settings, &state, row, request.now, reach, &mut notes) {
            Ok(record) => page.records.extend(record),
            Err(why) => page.rejects.push(why.at(format!("/data/campaigns/{index}"))),
        }
    }
    page.notes = notes.into_list();
    page.next = next(state, turn.end);
    Ok(page)
}

fn begin(settings: &Settings, request: &PageRequest) -> Result<State, Failure> {
    let Campaigns { created_since, by_v1 } = settings.campaigns;
    let start = State { run: request.now, created_since, by_v1, ..State::default() };
    match &request.position {
        Position::Start => Ok(start),
        Position::Cursor(cursor) => {
            let state = State::read(&cursor.state(CAMPAIGNS)?).ok_or_else(page::unreadable)?;
            if !state.walk.is_sound() {
                return Err(Failure::new(
                    FailureKind::Cursor,
                    "unreadable-cursor",
                    "The cursor holds numbers that no run comes to.",
                ));
            }
            // Positions in another list mean nothing. The filter is no part of the source key:
            // changing it must not cost other resources their cursors.
            Ok(if (state.created_since, state.by_v1) == (created_since, by_v1) { state } else { start })
        }
        Position::Window(..) => Err(Failure::new(
            FailureKind::Cursor,
            "position-not-supported",
            "Campaigns have no window; they are read whole.",
        )),
    }
}

fn next(mut state: State, end: Option<End>) -> Next {
    let cut_short = match end {
        None => return Next::More(state.write()),
        Some(End::Complete) => None,
        Some(End::Truncated(why)) => Some(why.to_owned()),
    };
    state.cut_short = state.cut_short.or(cut_short);
    if state.drafts || state.by_v1 {
        return Next::Done { cursor: None, truncated: state.cut_short };
    }
    state.drafts = true;
    state.walk = Walk::default();
    Next::More(state.write())
}

fn search(
    settings: &Settings,
    state: &State,
    window: Window,
    now: Millis,
    http: &mut dyn Http,
) -> Result<HttpResponse, Failure> {
    let path: &[&str] = if state.by_v1 {
        &["core-services", "v1", "campaigns", "search"]
    } else {
        &["v5", "campaigns", "search"]
    };
    let call = client::request(settings, ENDPOINT, Method::Post, path);
    let mut request = client::with_body(call, search_body(state, window, now));
    if state.by_v1 {
        return client::send(http, &request, KeySlot::Campaigns, now);
    }
    // A key lives for a day and brings back the same answer: it has to be another one for every
    // page that is read, and the same one only where this very unit is run again.
    let name = [state.run, now, i64::from(state.drafts), i64::from(state.walk.pages())];
    let mut name: Vec<u8> = name.into_iter().flat_map(i64::to_le_bytes).collect();
    name.extend_from_slice(settings.workspace_id.as_bytes());
    name.extend_from_slice(request.body.as_deref().unwrap_or_default());
    request.headers.push(("idempotency-key".to_owned(), digest::uuid(&name)));
    let response = client::exchange(http, &request, KeySlot::Campaigns)?;
    if (200..=299).contains(&response.status) {
        return Ok(response);
    }
    let failure = errors::refused(&response, KeySlot::Campaigns, now);
    // Nobody's envelope: the way itself is not there.
    if response.status == 404 && failure.code == "unexpected-status" {
        return Err(Failure::new(
            FailureKind::Config,
            "v5-not-available",
            "This workspace has no V5 search of campaigns; write api: v1 under campaigns.",
        ));
    }
    Err(failure)
}

/// The body of a search. In V5 no `request_id`: the host names each attempt in the header
/// `X-MOE-Request-Id`, and where both are there they have to be the same (OpenAPI of campaign
/// drafts).
fn search_body(state: &State, window: Window, now: Millis) -> String {
    // The names of V5: an old name such as `delivery_type` finds nothing, without an error
    // (MD:api/campaigns/search-campaigns-v5-migration.mdx).
    let mut filters = Vec::new();
    if state.drafts {
        filters.push(r#""status":["DRAFT"]"#.to_owned());
    }
    if let Some(since) = state.created_since {
        let from = time::naive(since);
        // No campaign is older than tomorrow, in any zone; fixed, so that the list of a run is one.
        let to = time::naive(state.run.saturating_add(2 * 86_400_000));
        // V1 takes days only (OpenAPI of campaigns).
        let bound = |text: &'_ str| {
            text.get(..if state.by_v1 { 10 } else { text.len() }).unwrap_or_default().to_owned()
        };
        let (from, to) = (bound(&from), bound(&to));
        filters.push(format!(r#""created_date":{{"from_date":"{from}","to_date":"{to}"}}"#));
    }
    let filter = match filters.is_empty() {
        true => String::new(),
        false => format!(r#","campaign_fields":{{{}}}"#, filters.join(",")),
    };
    let Window { limit, page } = window;
    // OpenAPI of campaigns: mandatory in V1.
    let id =
        if state.by_v1 { format!(r#""request_id":"campaigns-{}-{now}","#, state.run) } else { String::new() };
    format!(
        r#"{{{id}"limit":{limit},"page":{page},"include_child_campaigns":true,"include_archive_campaigns":true{filter}}}"#
    )
}

/// The rows of an answer.
fn rows<'r>(
    state: &State,
    response: &'r HttpResponse,
    window: Window,
    now: Millis,
) -> Result<Vec<&'r RawValue>, Failure> {
    let rows = if state.by_v1 {
        // A bare list; anything else may be a failure in disguise.
        let text = std::str::from_utf8(&response.body).unwrap_or_default();
        let not_one = || errors::success(response, KeySlot::Campaigns, now).err();
        elements(text).ok_or_else(|| not_one().unwrap_or_else(|| errors::unexpected(response)))?
    } else {
        let answer = errors::success(response, KeySlot::Campaigns, now)?;
        answer
            .raw("data")
            .and_then(|data| Object::parse(data.get())?.raw("campaigns"))
            .and_then(|rows| elements(rows.get()))
            .ok_or_else(|| errors::unexpected(response))?
    };
    if rows.len() as u64 > window.limit {
        return Err(Failure::vendor_contract(
            &response.body,
            "limit-ignored",
            "MoEngage answered with more campaigns than were asked for, so that positions in the list mean nothing.",
        ));
    }
    Ok(rows)
}

/// A filter that MoEngage doesn't understand finds nothing and is no error. So where the filter by
/// date finds nothing at all, the list is looked at once without it. Drafts can't be held against
/// such a list: without their filter they are never in it.
fn control(settings: &Settings, state: &State, now: Millis, http: &mut dyn Http) -> Result<(), Failure> {
    let Some(since) = state.created_since else { return Ok(()) };
    let unfiltered = State { run: state.run, by_v1: state.by_v1, ..State::default() };
    let window = unfiltered.walk.window(LARGEST_PAGE);
    let response = search(settings, &unfiltered, window, now, http)?;
    for row in rows(&unfiltered, &response, window, now)? {
        let created = campaign_row::created(row);
        if created.is_some_and(|created| created >= since) {
            return Err(Failure::vendor_contract(
                &response.body,
                "filter-finds-nothing",
                "MoEngage finds no campaign by date of creation, although there are some: it does not understand the \
                 filter.",
            ));
        }
    }
    Ok(())
}

fn repeating(response: &HttpResponse) -> Failure {
    Failure::vendor_contract(
        &response.body,
        "repeating-page",
        "MoEngage keeps answering with campaigns that it has already given, whichever page is asked for.",
    )
}

/// A row's record; none where the row is not to be taken.
fn read(
    settings: &Settings,
    state: &State,
    row: &RawValue,
    now: Millis,
    reach: &mut Reach<'_>,
    notes: &mut Notes,
) -> Result<Option<Record>, Refusal> {
    let row = Row::read(row)?;
    let body = row.body(notes);
    // The filter takes days, and what day it is depends on a zone; what is left out here is what
    // the settings say.
    if body.created_at.zip(state.created_since).is_some_and(|(created, since)| created < since) {
        notes.add(Notice::FilterIgnored);
        return Ok(None);
    }
    if is_outdated(&body, reach) {
        notes.add(Notice::OutdatedVersion);
        return Ok(None);
    }
    if inventory::needs(settings, PARENTS) {
        // A run names its campaign; a periodic one has runs, or will have. They are asked for by V1,
        // whose `campaign_id` is the document's id of V5 (both are ObjectIds in the OpenAPI files).
        let periodic =
            body.delivery_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("PERIODIC"));
        let own = body.id.as_ref().unwrap_or(&body.campaign_id);
        let parent = body.parent_id.as_ref().or(periodic.then_some(own));
        parent.into_iter().for_each(|id| inventory::remember(reach.storage, PARENTS, id, notes));
    }
    campaign_row::record(settings, &body, state.run, now).map(Some)
}

/// Where versioning is on, a campaign stands in the list once for each version, under one
/// `campaign_id`. The newest stands for it; which one that is has to be remembered, as nothing
/// says in which order they come.
fn is_outdated(body: &campaign::CampaignBody, reach: &mut Reach<'_>) -> bool {
    let Some(version) = body.version else { return false };
    let key = format!("campaign-version/{}", body.campaign_id);
    let known = reach.storage.get(&key).and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
    if known.is_some_and(|known: u64| known > version) {
        return true;
    }
    if known != Some(version) {
        // Where the storage is full an older version may come to stand for the campaign.
        let _ = reach.storage.set(&key, version.to_string().as_bytes());
    }
    false
}

/// The texts of a list; none where it is no list.
pub(super) fn texts(raw: Option<&RawValue>) -> Option<Vec<String>> {
    let items = elements(raw?.get())?;
    Some(items.into_iter().filter_map(|item| Scalar::of(item).text()).map(|text| text.into_owned()).collect())
}
