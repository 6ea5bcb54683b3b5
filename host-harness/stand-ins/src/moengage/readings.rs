//! Where the documents contradict each other or leave a choice to the workspace: which of the
//! readings this one follows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MoEngage;
use super::options::Family;

/// How a workspace is to be read. `Default` is the reading that is named first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Readings {
    /// Keys of calls whose documents name different ones, by template: `/v5/offers` takes the
    /// campaigns key (seen in code) or the Personalize one (OpenAPI file of offerings);
    /// `/v5/analytics/dashboards` the campaigns or the Data key (OpenAPI file of analytics);
    /// `/v3/custom-segments` one of its own (MD:.../api-key-dashboard.mdx) or Data's (OpenAPI file
    /// of custom segments); catalogs, cards, coupons and recommendations the campaigns key (the
    /// tile of their OpenAPI files) or the Data key (seen in code); `/v2/email-templates` the
    /// campaigns key (MD:snippets/api-authentication.mdx) or the Data key (its OpenAPI file).
    pub keys: BTreeMap<String, Family>,
    /// The project of a portfolio; where there is one, calls of subscriptions need its
    /// `MOE-PROJECT-CODE` (MD:api/subscription-categories/subscription-categories-v5).
    pub project_code: Option<String>,
    /// `GET /v3/custom-segments/{id}`: one segment, or a list of at most one.
    pub segment_by_id: SegmentById,
    /// The list of segments is said to hold all of them, and elsewhere filter segments only.
    pub filter_segments_only: bool,
    /// `updated_time` of a segment moves although nobody changed it (OpenAPI file of custom
    /// segments: because of services of MoEngage's own).
    pub restless_segments: bool,
    /// Flows have teams: a search has to name some (OpenAPI file of flows).
    pub flow_teams: bool,
    /// An e-mail address of several users is no conflict: the first is answered.
    pub unsubscribes_by_email: bool,
    /// Charts that may still be computed this month (OpenAPI file of analytics, 428); none is no
    /// limit. An answer from the cache counts too.
    pub chart_quota: Option<u64>,
}

/// Shape of one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentById {
    /// `FilterSegmentResponseV3`: what the same path answers to a `PATCH`. An unknown id is a 404.
    #[default]
    Object,
    /// `SegmentListResponseV3`, which the OpenAPI file refers to. An unknown id is an empty list.
    List,
}

impl MoEngage {
    /// Sets which reading the workspace follows from now on.
    pub fn set_readings(&self, readings: Readings) {
        self.server.shared.with(|workspace| workspace.readings = readings);
    }
}
