//! Flows, their versions, and what their analytics say.

use super::item::{Ask, Body, Dates, Each, Item, Paging, Place, Shape, Whom, renamed, same};
use crate::model::FLOW;
use crate::settings::KeySlot;
use crate::source::Method;

/// What stands before a flow's id in plugin storage.
const FLOWS: &str = "flow/";

// OpenAPI of flows and MD:api/rate-limits.mdx.
const WINDOWS: &[(u32, u32)] = &[(10, 1), (100, 60), (6_000, 3_600)];

pub const ITEMS: &[Item] = &[
    Item {
        name: "flows",
        switch: "flows",
        kind: FLOW,
        about: "A MoEngage flow",
        key: &["flow_id"],
        subject: Whom::Thing,
        by_default: true,
        endpoint: "flows",
        slot: KeySlot::Campaigns,
        ask: Ask {
            method: Method::Post,
            path: &["v5", "flows", "search"],
            query: &[],
            body: Body::Members(r#""include_archived":true"#),
            dates: Dates::None,
            project: false,
        },
        rows: &["data", "flows"],
        single: false,
        paging: Paging::Tokens { place: Place::Body, limit: 100, onward: &["data"] },
        each: Each::Once,
        columns: &[
            same("flow_id", Shape::Id),
            same("name", Shape::Text),
            same("status", Shape::Word)
                .about("draft, active, scheduled, paused, stopped, completed, retired and others."),
            same("archived", Shape::Flag),
            same("delivery_type", Shape::Word),
            same("active_version_name", Shape::Text),
            same("tags", Shape::Texts),
            same("created_at", Shape::Time),
            same("updated_at", Shape::Time),
            same("published_at", Shape::Time),
        ],
        remembered_as: Some(FLOWS),
        cadence: 3_600,
        windows: WINDOWS,
        remark: "Newest first and not to be sorted otherwise: a flow that is made during a run is read by the next. In \
                 workspaces with teams MoEngage may want the teams to be named, which is not supported.",
    },
    Item {
        name: "flow-versions",
        switch: "flow_versions",
        kind: "flow-version",
        about: "One version of a MoEngage flow",
        key: &["flow_id", "version_id"],
        subject: Whom::Thing,
        by_default: true,
        endpoint: "flows",
        slot: KeySlot::Campaigns,
        ask: Ask {
            method: Method::Get,
            path: &["v5", "flows", "{0}"],
            query: &[],
            body: Body::None,
            dates: Dates::None,
            project: false,
        },
        rows: &["data", "versions"],
        single: false,
        paging: Paging::Whole,
        each: Each::Known(FLOWS),
        columns: &[
            renamed("{0}", "flow_id", Shape::Id),
            same("version_id", Shape::Id),
            same("version_name", Shape::Text),
            same("version_no", Shape::Count),
            same("status", Shape::Word),
        ],
        remembered_as: None,
        cadence: 6 * 3_600,
        windows: WINDOWS,
        remark: "",
    },
    Item {
        name: "flow-analytics",
        switch: "flow_analytics",
        kind: "flow-analytics",
        about: "How many journeys of a MoEngage flow began and ended in a span of time",
        key: &["flow_id", "timestamp"],
        subject: Whom::Thing,
        // MD:api/flows/flow-analytics.yaml calls it BETA.
        by_default: false,
        endpoint: "flows",
        slot: KeySlot::Campaigns,
        ask: Ask {
            method: Method::Get,
            path: &["v5", "flows", "{0}", "analytics"],
            query: &[
                ("version_name", "All Versions"),
                ("attribution_type", "CLICK_THROUGH"),
                ("metric_type", "TOTAL"),
                ("fields", "summary"),
            ],
            body: Body::None,
            dates: Dates::Activity,
            project: false,
        },
        rows: &["data", "summary"],
        single: false,
        paging: Paging::Whole,
        each: Each::Known(FLOWS),
        columns: &[
            renamed("{0}", "flow_id", Shape::Id),
            same("timestamp", Shape::Seconds).about("Begin of the span, milliseconds since 1970."),
            renamed("trip_stats.trips_started", "trips_started", Shape::Count),
            renamed("trip_stats.trips_completed", "trips_completed", Shape::Count),
            renamed("trip_stats.trips_in_progress", "trips_in_progress", Shape::Count),
            renamed("trip_stats.trips_dropped", "trips_dropped", Shape::Count),
        ],
        remembered_as: None,
        cadence: 86_400,
        windows: WINDOWS,
        remark: "Each run looks back three days, because figures are restated; the first one 89 days.",
    },
];
