//! Figures of campaigns, day by day.
//!
//! MoEngage answers for a span of days without saying which figure belongs to which day, so each
//! day is asked for by itself. Figures are restated for some days, so every run looks back: the
//! same day, campaign, platform, locale and variation is the same record, and the newest read
//! stands for it.

use serde_json::value::RawValue;

use super::client::{self, HttpResponse, Method};
use super::inventory::MOST_ROWS;
use super::notes::{Notes, Notice};
use super::page::{self, Cursor, Next, Page, PageRequest, Position, Reach};
use super::paging::End;
use super::paging::numbered::{Numbered, Stated};
use super::refusal::{Refusal, refusal};
use super::{digest, errors, identity, rate, time};
use crate::failure::{Failure, FailureKind};
use crate::json::{self, Object, Scalar, elements, to_json, whole_number};
use crate::model::ids::record_id;
use crate::model::{
    CAMPAIGN_STATS, MAX_BODY_BYTES, Millis, Nature, Observation, Occurrence, Provenance, Record, Subject,
    TimeTrust, campaign_stats,
};
use crate::profile::{RateWindow, ResourceSpec, SyncMode};
use crate::settings::{KeySlot, Settings};

/// Name of the resource, and the endpoint of the manifest.
pub const RESOURCE: &str = "campaign-stats";

/// The name under `sync`.
pub const SWITCH: &str = "campaign_stats";

const DAY: Millis = 86_400_000;

/// Days that a run looks back before the last one, for figures that were restated.
const LOOK_BACK: Millis = 3 * DAY;

/// Days of the first run. OpenAPI of stats: 30 days are the most that one call takes.
const FIRST_RUN: Millis = 29 * DAY;

/// Campaigns of a page; OpenAPI of stats, `limit`.
const CAMPAIGNS_OF_A_PAGE: u64 = 10;

const RANK: u8 = 10;

const REPORT: &str = "Report it with the payload: MoEngage documents this otherwise.";

/// Groups of figures: where they stand and what they become.
const GROUPS: [(&str, &str); 3] =
    [("performance_stats", "performance"), ("delivery_funnel", "funnel"), ("failure_breakdown", "failures")];

/// The one text among the figures of a goal.
const GOAL_NAME: &str = "goal_name";

/// Where a run stands.
#[derive(Debug, Default)]
struct State {
    /// When the run began; names it.
    run: Millis,
    /// First instant of the day that is being read.
    day: Millis,
    list: Numbered,
    cut_short: Option<String>,
}

/// What the connector declares.
pub fn resource(settings: &Settings) -> Option<ResourceSpec> {
    settings.reads_other(SWITCH).then(|| ResourceSpec {
        name: RESOURCE.to_owned(),
        kind: CAMPAIGN_STATS.to_owned(),
        primary_key: ["campaign_id", "platform", "locale", "variation", "day"].map(str::to_owned).to_vec(),
        nature: Nature::State,
        mode: SyncMode::Incremental,
        cursor_strategy: "The last day that was read, and within a run the day and the page. Each run begins three \
                          days before the last one, because figures are restated; the first begins 29 days back. What \
                          MoEngage counts is held against what was read."
            .to_owned(),
        // One campaign can have many platforms, locales and variations; none is documented.
        page_limit: MOST_ROWS as u32,
        replay_policy: "A day that is read again restates its figures; equal ones change nothing.".to_owned(),
        cadence: 6 * 3_600,
        schema: campaign_stats::SCHEMA.trim_end().to_owned(),
        endpoint: RESOURCE.to_owned(),
        slot: Some(KeySlot::Campaigns.name().to_owned()),
        // OpenAPI of stats.
        rate_windows: vec![RateWindow { calls: 100, seconds: 60 }],
    })
}

/// Reads one page of one day.
pub fn fetch(settings: &Settings, request: &PageRequest, reach: &mut Reach<'_>) -> Result<Page, Failure> {
    let mut state = State::begin(request)?;
    let body = state.body(settings, request.now);
    let call = client::request(settings, RESOURCE, Method::Post, &["core-services", "v1", "campaign-stats"]);
    let response = client::send(reach.http, &client::with_body(call, body), KeySlot::Campaigns, request.now)?;
    let answer = errors::success(&response, KeySlot::Campaigns, request.now)?;
    let data = answer.raw("data").and_then(|raw| Object::parse(raw.get()));
    let data = data.ok_or_else(|| errors::unexpected(&response))?;
    let count = |key: &str| answer.raw(key).and_then(|raw| raw.get().parse().ok());
    let stated = Stated { total: count("total_campaigns"), pages: count("total_pages"), more: None };
    if stated.pages.is_none() {
        return Err(errors::unexpected(&response));
    }
    let names: Vec<u64> = data.entries().map(|(id, _)| digest::of(id.as_bytes())).collect();
    let end = state.list.turn(&names, stated).map_err(|_| repeating(&response))?;

    let mut page = Page {
        records: Vec::new(),
        rejects: Vec::new(),
        next: Next::COMPLETE,
        not_before: rate::not_before(&response, request.now),
        notes: Vec::new(),
    };
    let mut notes = Notes::default();
    let day = Day { settings, run: state.run, now: request.now, date: time::naive(state.day) };
    for (campaign, figures) in data.entries() {
        if let Err(why) = day.campaign(campaign, figures, &mut page.records, &mut notes) {
            // A member of an object is named by its key, which is a short text for every campaign.
            let short = campaign.len() <= 64
                && !campaign.contains(['/', '~'])
                && !campaign.contains(char::is_control);
            page.rejects.push(why.at(if short { format!("/data/{campaign}") } else { "/data".to_owned() }));
        }
    }
    if page.records.len() > MOST_ROWS {
        return Err(Failure::vendor_contract(
            &response.body,
            "too-many-rows",
            "MoEngage answered with more figures than a page can hold.",
        ));
    }
    page.notes = notes.into_list();
    page.next = state.onward(end);
    Ok(page)
}

impl State {
    fn begin(request: &PageRequest) -> Result<Self, Failure> {
        let midnight = |at: Millis| at - at.rem_euclid(DAY);
        let from = |day| Self { run: request.now, day: midnight(day), ..Self::default() };
        match &request.position {
            Position::Start => Ok(from(request.now.saturating_sub(FIRST_RUN))),
            Position::Cursor(cursor) => {
                let state = cursor.state(RESOURCE)?;
                if let Some(through) =
                    page::optional::<Millis>(&state, "through").ok_or_else(page::unreadable)?
                {
                    // A clock that was set back must not ask for days to come.
                    return Ok(from(through.min(request.now).saturating_sub(LOOK_BACK)));
                }
                Self::read(&state).ok_or_else(page::unreadable)
            }
            Position::Window(..) => Err(Failure::new(
                FailureKind::Cursor,
                "position-not-supported",
                "Figures have no window; each run looks back by itself.",
            )),
        }
    }

    fn read(state: &Object<'_>) -> Option<Self> {
        state.raw("run")?;
        let read = Self {
            run: page::value(state, "run")?,
            day: page::value(state, "day")?,
            list: Numbered::read(&Object::parse(state.raw("list")?.get())?)?,
            cut_short: page::text(state, "cut_short")?,
        };
        (read.day.rem_euclid(DAY) == 0 && (0..=read.run).contains(&read.day)).then_some(read)
    }

    fn body(&self, settings: &Settings, now: Millis) -> String {
        let day = time::naive(self.day);
        let day = day.get(..10).unwrap_or_default();
        let offset = (self.list.page() - 1) * CAMPAIGNS_OF_A_PAGE;
        let figures = &settings.stats;
        format!(
            r#"{{"request_id":"{RESOURCE}-{}-{now}","start_date":"{day}","end_date":"{day}","attribution_type":"{}","#,
            self.run, figures.attribution_type
        ) + &format!(
            r#""metric_type":"{}","offset":{offset},"limit":{CAMPAIGNS_OF_A_PAGE}}}"#,
            figures.metric_type
        )
    }

    fn onward(mut self, end: Option<End>) -> Next {
        if let Some(end) = end {
            if let End::Truncated(why) = end {
                self.cut_short.get_or_insert_with(|| why.to_owned());
            }
            self.day += DAY;
            self.list = Numbered::default();
            if self.day > self.run {
                let cursor = Cursor::new(RESOURCE, &format!(r#"{{"through":{}}}"#, self.run));
                return Next::Done { cursor: Some(cursor), truncated: self.cut_short };
            }
        }
        let Self { run, day, list, cut_short } = &self;
        let (list, cut_short) = (list.write(), to_json(cut_short));
        Next::More(Cursor::new(
            RESOURCE,
            &format!(r#"{{"run":{run},"day":{day},"list":{list},"cut_short":{cut_short}}}"#),
        ))
    }
}

fn repeating(response: &HttpResponse) -> Failure {
    Failure::vendor_contract(
        &response.body,
        "repeating-page",
        "MoEngage keeps answering with campaigns that it has already given, whichever page is asked for.",
    )
}

/// The figures of one day.
struct Day<'a> {
    settings: &'a Settings,
    run: Millis,
    now: Millis,
    /// Date and time of its begin.
    date: String,
}

impl Day<'_> {
    /// The records of a campaign: one for each platform, locale and variation.
    fn campaign(
        &self,
        campaign: &str,
        figures: &RawValue,
        records: &mut Vec<Record>,
        notes: &mut Notes,
    ) -> Result<(), Refusal> {
        json::check(figures.get())?;
        let first = records.len();
        let shape = refusal(
            "stats-not-as-documented",
            "The figures of a campaign are not of the documented shape.",
            REPORT,
        );
        for details in elements(figures.get()).ok_or(shape)? {
            let details = Object::parse(details.get()).ok_or(shape)?;
            let Some(platforms) = branch(&details, "platforms", shape)? else { continue };
            for (platform, inside) in platforms.entries() {
                let inside = Object::parse(inside.get()).ok_or(shape)?;
                let Some(locales) = branch(&inside, "locales", shape)? else { continue };
                for (locale, inside) in locales.entries() {
                    let inside = Object::parse(inside.get()).ok_or(shape)?;
                    let Some(variations) = branch(&inside, "variations", shape)? else { continue };
                    for (variation, figures) in variations.entries() {
                        let figures = Object::parse(figures.get()).ok_or(shape)?;
                        let names = [campaign, platform, locale, variation];
                        let record = self.record(names, &figures, notes)?;
                        match records.get(first..).and_then(|all| all.iter().find(|one| one.id == record.id))
                        {
                            None => records.push(record),
                            Some(same) if same.body == record.body => notes.add(Notice::RepeatedRow),
                            // The list of a campaign has one entry for each version and no name for
                            // it (OpenAPI of stats); which of two counts nobody can know.
                            Some(_) => {
                                return Err(refusal(
                                    "figures-contradict",
                                    "A campaign has two different figures for the same day, platform, locale and variation.",
                                    REPORT,
                                ));
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn record(&self, names: [&str; 4], figures: &Object<'_>, notes: &mut Notes) -> Result<Record, Refusal> {
        for name in names {
            identity::id(Some(Scalar::Text(name.into())))?.ok_or(refusal(
                "missing-key",
                "A row has no id, so nobody knows what it is about.",
                REPORT,
            ))?;
        }
        let [campaign, platform, locale, variation] = names;
        // The sample writes platforms in small letters, the description in capitals.
        let platform = platform.to_lowercase();
        let platform = platform.as_str();
        let day = self.date.get(..10).unwrap_or_default();
        let key = [campaign, platform, locale, variation, day].map(escaped).join("/");
        let too_long = Refusal::from(identity::Unusable::TooLong);
        let id = record_id(&self.settings.workspace(), CAMPAIGN_STATS, &key).ok_or(too_long)?;
        let stats = &self.settings.stats;
        let mut members = vec![
            format!(r#""campaign_id":{}"#, to_json(&campaign)),
            format!(r#""platform":{}"#, to_json(&platform)),
            format!(r#""locale":{}"#, to_json(&locale)),
            format!(r#""variation":{}"#, to_json(&variation)),
            format!(r#""day":"{day}""#),
            format!(
                r#""attribution_type":"{}","metric_type":"{}""#,
                stats.attribution_type, stats.metric_type
            ),
        ];
        for (from, to) in GROUPS {
            if let Some(group) = figures.raw(from).and_then(|raw| Object::parse(raw.get())) {
                members.push(format!(r#""{to}":{}"#, numbers(&group, notes)));
            }
        }
        if let Some(goals) = figures.raw("conversion_goal_stats").and_then(|raw| Object::parse(raw.get())) {
            let goal = |(name, goal): (&str, &RawValue)| {
                let Some(object) = Object::parse(goal.get()) else {
                    notes.add(Notice::UnreadableField);
                    return None;
                };
                let title = object.get(GOAL_NAME).and_then(Scalar::text);
                let title = title.map_or_else(String::new, |title| format!(r#""name":{},"#, to_json(&title)));
                let figures = numbers(&object, notes);
                Some(format!(r#"{{"goal":{},{title}"figures":{figures}}}"#, to_json(&name)))
            };
            let goals: Vec<_> = goals.entries().filter_map(goal).collect();
            members.push(format!(r#""goals":[{}]"#, goals.join(",")));
        }
        let body = format!("{{{}}}", members.join(","));
        if body.len() > MAX_BODY_BYTES {
            return Err(refusal("row-too-large", "What is kept of a row is larger than 256 KiB.", REPORT));
        }
        Ok(Record {
            id,
            kind: CAMPAIGN_STATS.to_owned(),
            nature: Nature::State,
            subject: Subject::Object(CAMPAIGN_STATS.to_owned(), key),
            observation: Observation {
                id: format!("{RESOURCE}.{}.{:016x}", self.run, digest::of(body.as_bytes())),
                rank: RANK,
            },
            // When the figures were read: a restated one has to win over the one before.
            occurred: Occurrence { at: Some(self.now), trust: TimeTrust::Arrival },
            body,
            provenance: Provenance::Poll,
        })
    }
}

/// An object that may be missing or empty.
fn branch<'a>(object: &Object<'a>, key: &str, shape: Refusal) -> Result<Option<Object<'a>>, Refusal> {
    match object.raw(key) {
        Some(raw) if !Scalar::is_null(raw) => Object::parse(raw.get()).map(Some).ok_or(shape),
        _ => Ok(None),
    }
}

/// The numbers of a group under their names; the sample of the OpenAPI file writes `campaing` in
/// one of them.
fn numbers(group: &Object<'_>, notes: &mut Notes) -> String {
    let mut members = Vec::new();
    for (key, raw) in group.entries().filter(|(key, _)| *key != GOAL_NAME) {
        match Scalar::of(raw) {
            Scalar::Number(number) => {
                let number = whole_number(number).unwrap_or(number.into());
                members.push(format!("{}:{number}", to_json(&key.replace("campaing", "campaign"))));
            }
            Scalar::Null => members.push(format!("{}:null", to_json(&key))),
            Scalar::Text(_) | Scalar::Bool(_) | Scalar::Compound => notes.add(Notice::UnreadableField),
        }
    }
    format!("{{{}}}", members.join(","))
}

fn escaped(part: &str) -> String {
    part.replace('%', "%25").replace('/', "%2F")
}
