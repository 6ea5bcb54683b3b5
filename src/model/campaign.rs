//! The body of a campaign record.

use serde::Serialize;

/// JSON Schema of [`CampaignBody`].
pub const SCHEMA: &str = include_str!("../schema/campaign.json");

/// The fields of [`CampaignBody`], its key first.
pub const FIELDS: [&str; 19] = [
    "campaign_id",
    "id",
    "version",
    "name",
    "channel",
    "delivery_type",
    "status",
    "status_raw",
    "tags",
    "platforms",
    "team",
    "content_type",
    "subscription_category",
    "parent_id",
    "flow_id",
    "flow_name",
    "created_at",
    "updated_at",
    "sent_at",
];

/// What a campaign is and how far it is. Never what it says, nor by whom or through which account
/// it is sent. Missing means that MoEngage did not say.
#[derive(Debug, Default, Serialize)]
pub struct CampaignBody {
    /// The campaign, through all of its versions.
    pub campaign_id: String,
    /// This version of it; another id than the campaign's where versioning is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Number of the version, where versioning is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `EMAIL`, `PUSH`, `SMS`, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// `ONE_TIME`, `PERIODIC`, `EVENT_TRIGGERED` and others, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_type: Option<String>,
    /// The status, where it is a known one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The status as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_raw: Option<String>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Devices that a push is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<String>>,
    /// The team that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// `PROMOTIONAL` or `TRANSACTIONAL`, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Category that a person can subscribe to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_category: Option<String>,
    /// The periodic campaign that it is a run of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// The flow that it is a step of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<String>,
    /// That flow's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_name: Option<String>,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<i64>,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<i64>,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<i64>,
}

/// How far a campaign is.
// OpenAPI of campaign drafts (the first eight) and of the V1 meta call (`RETIRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Not published.
    Draft,
    /// Running.
    Active,
    /// To run later.
    Scheduled,
    /// Held by a person.
    Paused,
    /// On its way out.
    Sending,
    /// Out.
    Sent,
    /// Ended by a person.
    Stopped,
    /// Put away.
    Archived,
    /// Ended for good.
    Retired,
}

impl Status {
    /// The status of that word: V5 writes `ACTIVE`, V1 `Active`.
    pub fn read(word: &str) -> Option<Self> {
        const WORDS: [(&str, Status); 9] = [
            ("draft", Status::Draft),
            ("active", Status::Active),
            ("scheduled", Status::Scheduled),
            ("paused", Status::Paused),
            ("sending", Status::Sending),
            ("sent", Status::Sent),
            ("stopped", Status::Stopped),
            ("archived", Status::Archived),
            ("retired", Status::Retired),
        ];
        WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word.trim())).map(|(_, status)| *status)
    }
}
