//! Segments.

use super::item::{Ask, Body, Dates, Each, Item, Paging, Shape, Whom, renamed, same};
use crate::settings::KeySlot;
use crate::source::Method;

// OpenAPI of custom segments. Whether the list holds file and filter segments or filter segments
// only is said both ways there; whatever comes is kept.
pub const ITEMS: &[Item] = &[Item {
    name: "segments",
    switch: "segments",
    kind: "segment",
    about: "A MoEngage segment",
    key: &["id"],
    subject: Whom::Thing,
    by_default: true,
    endpoint: "segmentation",
    slot: KeySlot::Segmentation,
    ask: Ask {
        method: Method::Get,
        path: &["v3", "custom-segments"],
        query: &[],
        body: Body::None,
        dates: Dates::None,
        project: false,
    },
    rows: &["data"],
    single: false,
    paging: Paging::Whole,
    each: Each::Once,
    columns: &[
        same("id", Shape::Id),
        same("name", Shape::Text),
        renamed("type", "source_type", Shape::Text).about("As it came, for instance ELASTIC_SEARCH."),
        same("source", Shape::Text).about("Where it was made, as it came."),
        renamed("created_time", "created_at", Shape::Time)
            .about("Milliseconds since 1970; naive, taken as UTC."),
    ],
    remembered_as: None,
    cadence: 6 * 3_600,
    windows: &[(50, 60), (200, 3_600), (1_000, 86_400)],
    // OpenAPI of custom segments: internal services move `updated_time`.
    remark: "Changes are found by content: updated_time moves without a change, so it is no cursor and is not kept. \
             Members are not in it; they come by Outbound Segment Sync.",
}];
