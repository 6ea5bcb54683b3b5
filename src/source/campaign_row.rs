//! One campaign as search writes it; V1 and V5 differ in names of filters and words, not of rows.

use serde_json::value::RawValue;

use super::campaigns::texts;
use super::identity;
use super::notes::{Notes, Notice};
use super::refusal::{Refusal, refusal};
use super::{digest as digests, time};
use crate::json::{self, Object, Scalar, to_json};
use crate::model::campaign::{CampaignBody, Status};
use crate::model::ids::record_id;
use crate::model::{
    CAMPAIGN, MAX_BODY_BYTES, Millis, Nature, Observation, Occurrence, Provenance, Record, Subject, TimeTrust,
};
use crate::settings::Settings;

/// Rank of what a poll of campaigns sees. No other door has campaigns.
const RANK: u8 = 10;

const REPORT: &str = "Report it with the payload: MoEngage documents this otherwise.";

/// A row whose campaign is known.
pub struct Row<'a> {
    object: Object<'a>,
    campaign_id: String,
}

/// What tells a row from the others of the list: the id of its document, in V1 that of the campaign.
/// Where that is missing the whole row has to do.
pub fn digest(row: &RawValue) -> u64 {
    let id = Object::parse(row.get()).and_then(|object| {
        let id = |key: &str| identity::id(object.get(key)).ok().flatten();
        id("id").or_else(|| id("campaign_id")).map(|id| digests::of(id.as_bytes()))
    });
    id.unwrap_or_else(|| digests::of(row.get().as_bytes()))
}

/// When the campaign of a row was created, if that can be read.
pub fn created(row: &RawValue) -> Option<Millis> {
    time::instant(&Object::parse(row.get())?.get("created_at")?.text()?)
}

impl<'a> Row<'a> {
    /// Reads a row as far as it says which campaign it is.
    pub fn read(row: &'a RawValue) -> Result<Self, Refusal> {
        json::check(row.get())?;
        let Some(object) = Object::parse(row.get()) else {
            return Err(refusal("campaign-not-object", "The campaign is not a JSON object.", REPORT));
        };
        // `campaign_id` is the campaign through all of its versions, and what events and
        // statistics name; `id` is one document of it, and changes with every version (OpenAPI of
        // campaign drafts). Without versioning they are equal, so that a fallback from one to the
        // other would work until the day on which versioning is switched on.
        match identity::id(object.get("campaign_id"))? {
            Some(id) => {
                let campaign_id = id.into_owned();
                Ok(Self { object, campaign_id })
            }
            None => Err(refusal(
                "missing-campaign-id",
                "The campaign has no campaign_id, so nobody knows which one it is.",
                REPORT,
            )),
        }
    }

    /// What is kept of it.
    pub fn body(&self, notes: &mut Notes) -> CampaignBody {
        let details =
            self.object.raw("basic_details").and_then(|raw| Object::parse(raw.get())).unwrap_or_default();
        let text = |object: &Object<'_>, key: &str| {
            object
                .get(key)
                .and_then(Scalar::text)
                .filter(|text| !text.is_empty())
                .map(|text| text.into_owned())
        };
        let id = |key: &str| identity::id(self.object.get(key)).ok().flatten().map(|id| id.into_owned());
        let mut at = |key: &str| {
            let written = text(&self.object, key)?;
            let at = time::instant(&written);
            if at.is_none() {
                notes.add(Notice::UnreadableCampaignTime);
            }
            at
        };
        let (created_at, updated_at, sent_at) = (at("created_at"), at("updated_at"), at("sent_time"));
        let status_raw = text(&self.object, "status");
        let status = status_raw.as_deref().and_then(Status::read);
        if status_raw.is_some() && status.is_none() {
            notes.add(Notice::UnknownStatus);
        }
        let version = match self.object.get("version_number") {
            Some(Scalar::Number(number)) => json::whole_number(number).and_then(|number| number.parse().ok()),
            _ => None,
        };
        CampaignBody {
            campaign_id: self.campaign_id.clone(),
            id: id("id"),
            version,
            name: text(&details, "name"),
            channel: text(&self.object, "channel"),
            delivery_type: text(&self.object, "campaign_delivery_type"),
            status,
            status_raw,
            tags: texts(details.raw("tags")),
            platforms: texts(details.raw("platforms")),
            team: text(&details, "team"),
            content_type: text(&details, "content_type"),
            subscription_category: text(&details, "subscription_category"),
            parent_id: id("parent_id"),
            flow_id: id("flow_id"),
            flow_name: text(&self.object, "flow_name"),
            created_at,
            updated_at,
            sent_at,
        }
    }
}

/// The record of a campaign, as it was seen in a run.
pub fn record(settings: &Settings, body: &CampaignBody, run: Millis, now: Millis) -> Result<Record, Refusal> {
    let too_long = Refusal::from(identity::Unusable::TooLong);
    let id = record_id(&settings.workspace(), CAMPAIGN, &body.campaign_id).ok_or(too_long)?;
    let text = to_json(body);
    if text.len() > MAX_BODY_BYTES {
        return Err(refusal(
            "campaign-too-large",
            "The campaign's name, tags and other texts are larger than 256 KiB.",
            REPORT,
        ));
    }
    Ok(Record {
        id,
        kind: CAMPAIGN.to_owned(),
        nature: Nature::State,
        subject: Subject::Object(CAMPAIGN.to_owned(), body.campaign_id.clone()),
        // The run is a part of it: paused, active and paused again is three observations.
        observation: Observation {
            id: format!("campaigns.{run}.{:016x}", digests::of(text.as_bytes())),
            rank: RANK,
        },
        // What a poll sees is so now. `updated_at` would not do: a status can change by itself,
        // as when a scheduled campaign is sent, and an observation with an unchanged time is
        // decided by chance. It stands in the body.
        occurred: Occurrence { at: Some(now), trust: TimeTrust::Arrival },
        body: text,
        provenance: Provenance::Poll,
    })
}
