//! Templates of every channel, and content blocks. Never what they say.

use super::item::{Ask, Body, Column, Dates, Each, Item, Paging, Place, Shape, Whom, renamed, same};
use crate::settings::KeySlot;
use crate::source::Method;

// MD:api/rate-limits.mdx.
const WINDOWS: &[(u32, u32)] = &[(100, 60)];

/// Columns of a template of V2, which are the same for all channels but for what it says
/// (OpenAPI files of templates for e-mail, SMS, push, on-site and in-app).
macro_rules! columns {
    ($channel:literal) => {
        &[
            renamed("", "channel", Shape::Fixed($channel)),
            same("external_template_id", Shape::Id),
            same("version", Shape::Count)
                .about("Version of the external id; the newest that the search gives."),
            renamed("meta_info.template_id", "template_id", Shape::Id),
            renamed("meta_info.template_name", "name", Shape::Text),
            renamed("meta_info.template_version", "template_version", Shape::Id),
            renamed("meta_info.template_type", "template_type", Shape::Word),
            renamed("meta_info.template_source", "template_source", Shape::Word),
            renamed("meta_info.locale", "locale", Shape::Text),
            renamed("meta_info.variation", "variation", Shape::Id),
            renamed("meta_info.group_id", "group_id", Shape::Id),
            same("created_at", Shape::Time),
            same("updated_at", Shape::Time),
        ]
    };
}

const fn template(
    (name, switch): (&'static str, &'static str),
    path: &'static [&'static str],
    columns: &'static [Column],
) -> Item {
    Item {
        name,
        switch,
        kind: "template",
        about: "A MoEngage template, without what it says",
        key: &["channel", "external_template_id"],
        subject: Whom::Thing,
        by_default: true,
        endpoint: "templates",
        slot: KeySlot::Campaigns,
        ask: Ask {
            method: Method::Post,
            path,
            query: &[],
            body: Body::Members(""),
            dates: Dates::None,
            project: false,
        },
        rows: &["data"],
        single: false,
        // Both mandatory since 2025-11-15, at most 15.
        paging: Paging::Walk { limit: "entries", largest: 15 },
        each: Each::Once,
        columns,
        remembered_as: None,
        cadence: 6 * 3_600,
        windows: WINDOWS,
        remark: "",
    }
}

pub const ITEMS: &[Item] = &[
    Item {
        name: "email-templates-v1",
        switch: "email_templates_v1",
        kind: "email-template",
        about: "A MoEngage e-mail template of the first generation, without what it says",
        key: &["template_id"],
        subject: Whom::Thing,
        by_default: true,
        endpoint: "templates-v1",
        slot: KeySlot::Data,
        ask: Ask {
            method: Method::Get,
            path: &["v2", "email-templates"],
            query: &[],
            body: Body::None,
            dates: Dates::None,
            project: false,
        },
        rows: &["data", "templates"],
        single: false,
        // OpenAPI of e-mail templates 1: 20 a page.
        paging: Paging::Numbered {
            page: "page",
            place: Place::Query,
            size: 20,
            total: &["data", "no_of_templates"],
            more: &[],
        },
        each: Each::Once,
        columns: &[
            same("template_id", Shape::Id),
            renamed("template_name", "name", Shape::Text),
            renamed("is_archived", "archived", Shape::Flag),
            same("builder_supported", Shape::Flag),
            same("editor", Shape::Text),
            renamed("created_date", "created_at", Shape::Time),
            same("updated_at", Shape::Time),
        ],
        remembered_as: None,
        cadence: 6 * 3_600,
        windows: &[(1_000, 60)],
        remark: "",
    },
    template(
        ("email-templates", "email_templates"),
        &["v1.0", "custom-templates", "email", "search"],
        columns!("email"),
    ),
    template(
        ("sms-templates", "sms_templates"),
        &["v1.0", "custom-templates", "sms", "search"],
        columns!("sms"),
    ),
    template(
        ("push-templates", "push_templates"),
        &["v1.0", "custom-templates", "push", "search"],
        columns!("push"),
    ),
    template(
        ("on-site-templates", "on_site_templates"),
        &["v1.0", "custom-templates", "osm", "search"],
        columns!("on-site"),
    ),
    template(
        ("in-app-templates", "in_app_templates"),
        &["v1.0", "custom-templates", "inapp", "search"],
        columns!("in-app"),
    ),
    Item {
        name: "content-blocks",
        switch: "content_blocks",
        kind: "content-block",
        about: "A MoEngage content block, without what it says",
        key: &["id"],
        subject: Whom::Thing,
        by_default: true,
        endpoint: "content-blocks",
        slot: KeySlot::Campaigns,
        ask: Ask {
            method: Method::Post,
            path: &["v1", "external", "campaigns", "content-blocks", "search"],
            query: &[],
            body: Body::Members(r#""filters":{}"#),
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
            same("label", Shape::Text),
            same("description", Shape::Text),
            same("content_type", Shape::Word).about("html or text."),
            same("status", Shape::Word),
            same("tag_ids", Shape::Texts),
            same("team_ids", Shape::Texts),
            same("created_at", Shape::Time),
            same("updated_at", Shape::Time),
        ],
        remembered_as: None,
        cadence: 6 * 3_600,
        // Not documented for this call; that of templates, which stand beside it.
        windows: WINDOWS,
        remark: "",
    },
];
