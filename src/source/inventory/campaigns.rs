//! The runs of periodic campaigns.

use super::item::{Ask, Body, Dates, Each, Item, Paging, Shape, Whom, renamed, same};
use crate::settings::KeySlot;
use crate::source::Method;

/// What stands before the id of a campaign that has runs of its own, in plugin storage.
pub const PARENTS: &str = "campaign-parent/";

// OpenAPI of campaigns: `limit` at most 15, both mandatory.
pub const ITEMS: &[Item] = &[Item {
    name: "campaign-children",
    switch: "campaign_children",
    kind: "campaign-execution",
    about: "One run of a periodic or repeated MoEngage campaign",
    key: &["campaign_id"],
    subject: Whom::Thing,
    by_default: true,
    endpoint: "campaign-children",
    slot: KeySlot::Campaigns,
    ask: Ask {
        method: Method::Post,
        path: &["core-services", "v1", "campaigns", "{0}", "executions"],
        query: &[],
        body: Body::RequestId,
        dates: Dates::None,
        project: false,
    },
    rows: &["executions"],
    single: false,
    paging: Paging::Walk { limit: "limit", largest: 15 },
    each: Each::Known(PARENTS),
    columns: &[
        same("campaign_id", Shape::Id).about("The run; events and statistics name it as their campaign."),
        renamed("{0}", "parent_id", Shape::Id).about("The campaign that it is a run of."),
        same("status", Shape::Word).about("sent, sending, scheduled, failed."),
        renamed("sent_time", "sent_at", Shape::Time)
            .about("Milliseconds since 1970; naive at MoEngage, taken as UTC."),
    ],
    remembered_as: None,
    cadence: 3_600,
    windows: &[(10, 1), (100, 60), (6_000, 3_600)],
    remark: "The campaigns are those that a read of campaigns has shown to be periodic or to have runs.",
}];
