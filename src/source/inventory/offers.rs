//! Business events, offers and locales: the v5 lists that go on by a cursor.

use super::item::{Ask, Body, Dates, Each, Item, Paging, Place, Shape, Whom, same};
use crate::settings::KeySlot;
use crate::source::Method;

const fn get(path: &'static [&'static str]) -> Ask {
    Ask { method: Method::Get, path, query: &[], body: Body::None, dates: Dates::None, project: false }
}

pub const ITEMS: &[Item] = &[
    // MD:api/business-events/business-events-v5/business-events-v5.yaml
    Item {
        name: "business-events",
        switch: "business_events",
        kind: "business-event",
        about: "A MoEngage business event that was registered",
        key: &["id"],
        subject: Whom::Thing,
        by_default: true,
        endpoint: "business-events",
        // The tile of the dashboard says the campaign key (MD:snippets/api-authentication.mdx), a
        // catalogue of observed calls the data key: `key_for` decides.
        slot: KeySlot::Campaigns,
        ask: get(&["v5", "business-events"]),
        rows: &["data"],
        single: false,
        paging: Paging::Tokens { place: Place::Query, limit: 20, onward: &["pagination"] },
        each: Each::Once,
        columns: &[
            same("id", Shape::Id),
            same("name", Shape::Text),
            same("attributes", Shape::Rows(&[same("name", Shape::Text), same("data_type", Shape::Word)])),
            same("campaign_count", Shape::Count),
            same("trigger_count", Shape::Count),
            same("last_triggered_at", Shape::Time),
            same("created_at", Shape::Time),
        ],
        remembered_as: None,
        cadence: 6 * 3_600,
        windows: &[(60, 60), (1_000, 3_600)],
        remark: "",
    },
    // OpenAPI of offerings.
    Item {
        name: "offers",
        switch: "offers",
        kind: "offer",
        about: "A MoEngage offer",
        key: &["id"],
        subject: Whom::Thing,
        by_default: true,
        endpoint: "offers",
        slot: KeySlot::Campaigns,
        ask: get(&["v5", "offers"]),
        rows: &["data"],
        single: false,
        paging: Paging::Tokens { place: Place::Query, limit: 100, onward: &["pagination"] },
        each: Each::Once,
        columns: &[
            same("id", Shape::Id),
            same("name", Shape::Text),
            same("status", Shape::Word).about("active, scheduled, expired, archived, draft."),
            same("tags", Shape::Texts),
            same("created_at", Shape::Time),
        ],
        remembered_as: None,
        cadence: 6 * 3_600,
        windows: &[(150, 60), (500, 3_600), (1_000, 86_400)],
        remark: "",
    },
    // MD:api/locales/locales.yaml; no rate is documented, that of business events is taken.
    Item {
        name: "locales",
        switch: "locales",
        kind: "locale",
        about: "A MoEngage locale: a named audience for translated messages",
        key: &["id"],
        subject: Whom::Thing,
        by_default: true,
        endpoint: "locales",
        slot: KeySlot::Campaigns,
        ask: get(&["v5", "locales"]),
        rows: &["data"],
        single: false,
        paging: Paging::Tokens { place: Place::Query, limit: 20, onward: &["pagination"] },
        each: Each::Once,
        columns: &[
            same("id", Shape::Id),
            same("name", Shape::Text),
            same("custom_segment_id", Shape::Id),
            same("campaign_count", Shape::Count),
            same("created_at", Shape::Time),
            same("updated_at", Shape::Time),
        ],
        remembered_as: None,
        cadence: 86_400,
        windows: &[(60, 60), (1_000, 3_600)],
        remark: "",
    },
];
