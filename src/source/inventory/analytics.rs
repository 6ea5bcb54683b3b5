//! Runs of file imports, and dashboards with the figures of their charts.

use super::item::{Ask, Body, Column, Dates, Each, Item, Paging, Place, Shape, Whom, renamed, same};
use crate::settings::KeySlot;
use crate::source::Method;

/// What stands before a dashboard's id, and before those of a dashboard and its chart.
const DASHBOARDS: &str = "dashboard/";
const CHARTS: &str = "chart/";

// MD:api/rate-limits.mdx: that of analytics queries, as these calls have none of their own. They
// share a quota of fair use with the people who look at dashboards (OpenAPI of analytics, 428).
const WINDOWS: &[(u32, u32)] = &[(5, 1), (20, 60), (350, 3_600)];

// OpenAPI of analytics: what stands beside the first three depends on the kind of analysis.
const POINT: &[Column] = &[
    same("metric", Shape::Number),
    same("granularity", Shape::Text).about("A day of the workspace's own time zone as it came, or `entire`."),
    same("splitby", Shape::Texts),
    same("grouped_by", Shape::Texts),
    same("step", Shape::Id).about("A letter, or the number of a funnel's step."),
    same("bucket", Shape::Id),
    same("total_users", Shape::Count),
    same("retained_user", Shape::Count),
    same("retention_comparison_index", Shape::Count),
    same("retention_compared_by", Shape::Text),
    same("analysis_type", Shape::Word),
    same("event_name", Shape::Text),
    same("fseq", Shape::Count),
    same("tseq", Shape::Count),
    same("cseq", Shape::Count),
];

const fn get(path: &'static [&'static str], query: &'static [(&'static str, &'static str)]) -> Ask {
    Ask { method: Method::Get, path, query, body: Body::None, dates: Dates::None, project: false }
}

pub const ITEMS: &[Item] = &[
    Item {
        name: "file-imports",
        switch: "file_imports",
        kind: "file-import",
        about: "A file import into MoEngage and its last run",
        key: &["import_id"],
        subject: Whom::Thing,
        by_default: true,
        endpoint: "data",
        slot: KeySlot::Data,
        ask: Ask {
            method: Method::Post,
            path: &["v1.0", "data", "fileimports", "import", "status"],
            query: &[],
            body: Body::Members(""),
            dates: Dates::LastMonth,
            project: false,
        },
        rows: &["data"],
        single: false,
        // OpenAPI of the Data API: pages of 50, and an offset that counts pages.
        paging: Paging::Numbered {
            page: "offset",
            place: Place::BodyAsText,
            size: 50,
            total: &["total_count"],
            more: &["more_files"],
        },
        each: Each::Once,
        columns: &[
            same("import_id", Shape::Id),
            renamed("import_name", "name", Shape::Text),
            same("import_type", Shape::Word).about("users, events or aux-data."),
            renamed("import_source", "source", Shape::Word),
            same("schedule_type", Shape::Word),
            same("status", Shape::Word),
            same("last_run_status", Shape::Word),
            same("total_files", Shape::Count),
            same("processed_files", Shape::Count),
            same("total_rows", Shape::Count),
            same("processed_rows", Shape::Count),
            same("created_at", Shape::Time),
            same("last_run_at", Shape::Time),
            same("next_scheduled_at", Shape::Time),
            same("time_zone", Shape::Text),
        ],
        remembered_as: None,
        cadence: 3_600,
        windows: &[(50, 60)],
        remark: "Those of the last 30 days: MoEngage shows no longer span.",
    },
    Item {
        name: "dashboards",
        switch: "dashboards",
        kind: "dashboard",
        about: "A MoEngage dashboard",
        key: &["id"],
        subject: Whom::Thing,
        by_default: false,
        endpoint: "analytics",
        slot: KeySlot::Data,
        ask: get(&["v5", "analytics", "dashboards"], &[]),
        rows: &["data"],
        single: false,
        paging: Paging::Whole,
        each: Each::Once,
        columns: &[renamed("_id", "id", Shape::Id), same("name", Shape::Text)],
        remembered_as: Some(DASHBOARDS),
        cadence: 86_400,
        windows: WINDOWS,
        remark: "Where the quota of fair use is spent the run waits an hour.",
    },
    Item {
        name: "charts",
        switch: "charts",
        kind: "chart",
        about: "A chart of a MoEngage dashboard",
        key: &["dashboard_id", "id"],
        subject: Whom::Thing,
        by_default: false,
        endpoint: "analytics",
        slot: KeySlot::Data,
        ask: get(&["v5", "analytics", "dashboards", "{0}", "charts"], &[]),
        rows: &["data", "chart_ids"],
        single: false,
        paging: Paging::Whole,
        each: Each::Known(DASHBOARDS),
        columns: &[
            renamed("{0}", "dashboard_id", Shape::Id),
            renamed("_id", "id", Shape::Id),
            same("name", Shape::Text),
        ],
        remembered_as: Some(CHARTS),
        cadence: 86_400,
        windows: WINDOWS,
        remark: "Where the quota of fair use is spent the run waits an hour.",
    },
    Item {
        name: "chart-figures",
        switch: "chart_figures",
        kind: "chart-figures",
        about: "The figures of a chart of a MoEngage dashboard",
        key: &["dashboard_id", "chart_id"],
        subject: Whom::Thing,
        by_default: false,
        endpoint: "analytics",
        slot: KeySlot::Data,
        ask: get(&["v5", "analytics", "dashboards", "{0}", "charts", "{1}"], &[("cache", "true")]),
        rows: &[],
        single: true,
        paging: Paging::Whole,
        each: Each::Known(CHARTS),
        columns: &[
            renamed("{0}", "dashboard_id", Shape::Id),
            renamed("{1}", "chart_id", Shape::Id),
            renamed("data", "points", Shape::Rows(POINT)),
        ],
        remembered_as: None,
        cadence: 86_400,
        windows: WINDOWS,
        remark: "From MoEngage's cache. Where the quota of fair use is spent the run waits an hour.",
    },
];
