//! How a MoEngage stand-in is set up.

use serde::{Deserialize, Serialize};

use crate::clock::Scale;

/// One MoEngage workspace. `Default` is workspace `STANDIN` in real time, with all keys set.
#[derive(Clone, Debug)]
pub struct Options {
    /// On loopback; 0 takes a free one.
    pub port: u16,
    /// For rate windows and the retries of streams.
    pub scale: Scale,
    /// User of Basic and value of `MOE-APPKEY`.
    pub workspace_id: String,
    /// Password of Basic for Data calls; none where no key was ever made.
    pub data_key: Option<String>,
    /// As `data_key`, for campaigns.
    pub campaigns_key: Option<String>,
    /// As `data_key`, for segments.
    pub segmentation_key: Option<String>,
    /// As `data_key`, for offers where [`super::Readings::keys`] says so.
    pub personalize_key: Option<String>,
    /// Campaigns that a search finds at first: [`super::Campaign::numbered`], the newest first.
    pub campaigns: usize,
    /// How Get User answers.
    pub get_user: GetUser,
    /// How `x-ratelimit-reset` is to be read: the documents say both.
    pub reset: Reset,
    /// Requests that the journal keeps.
    pub journal_limit: usize,
    /// Whether the journal keeps whole exchanges too: [`crate::journal::Journal::exchanges`].
    pub record_exchanges: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            scale: Scale::REAL,
            workspace_id: "STANDIN".to_owned(),
            data_key: Some("data-key".to_owned()),
            campaigns_key: Some("campaigns-key".to_owned()),
            segmentation_key: Some("segmentation-key".to_owned()),
            personalize_key: Some("personalize-key".to_owned()),
            campaigns: 20,
            get_user: GetUser::default(),
            reset: Reset::SecondsLeft,
            journal_limit: 200_000,
            record_exchanges: false,
        }
    }
}

/// How Get User answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetUser {
    /// Whether MoEngage's support switched it on: it is off until a customer asks for it.
    pub switched_on: bool,
    /// Names of the standard attributes in the answer: the documents show both.
    pub names: FieldNames,
}

impl Default for GetUser {
    fn default() -> Self {
        Self { switched_on: true, names: FieldNames::Keys }
    }
}

/// Spelling of standard attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldNames {
    /// `u_em`, `u_fn`, `uid`: the list of what can be exported (MD:api/data/data-overview.mdx).
    Keys,
    /// `email`, `first_name`, `customer_id`: the sample answer of the OpenAPI file of Data.
    Readable,
}

/// Meaning of `x-ratelimit-reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// MD:api/data/data-overview.mdx.
    SecondsLeft,
    /// UTC epoch seconds: MD:api/rate-limits.mdx.
    Epoch,
}

/// Which key a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Family {
    Data,
    Campaigns,
    Segmentation,
    Personalize,
}

/// What the workspace lets a family's right key do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    #[default]
    Granted,
    /// 403: the account is suspended.
    Suspended,
    /// 403: the key lacks the permission.
    NoPermission,
    /// 403: the caller's address is not on the allow-list.
    AddressNotListed,
}
