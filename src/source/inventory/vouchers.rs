//! What can be offered to people: catalog items, cards, coupon lists (never codes),
//! recommendations. All but coupon lists are given for ids that the settings name only.

use super::item::{Ask, Body, Dates, Each, Item, Paging, Parent, Place, Shape, Whom, renamed, same};
use crate::json::to_json;
use crate::model::CATALOG_ITEM;
use crate::settings::{KeySlot, Settings};
use crate::source::Method;

/// OpenAPI of catalog: 1 to 50 ids a call.
const ITEMS_OF_A_CALL: usize = 50;

/// Names of a catalog's item that have a column of their own, or say nothing of it.
const ITEM_FIELDS: &[&str] = &[
    "catalog_id",
    "feed_id",
    "id",
    "product_id",
    "title",
    "description",
    "link",
    "image_link",
    "price",
    "price_currency",
    "creation_date",
    "last_updated",
];

pub const ITEMS: &[Item] = &[
    Item {
        name: "catalog-items",
        switch: "catalog_items",
        kind: CATALOG_ITEM,
        about: "An item of a MoEngage catalog",
        key: &["catalog_id", "item_id"],
        subject: Whom::Thing,
        by_default: true,
        endpoint: "catalog",
        // As for business events: two sources name two keys, and `key_for` decides.
        slot: KeySlot::Campaigns,
        ask: Ask {
            method: Method::Post,
            path: &["v1", "catalog", "{0}", "items", "search"],
            query: &[],
            body: Body::Members(""),
            dates: Dates::None,
            project: false,
        },
        rows: &["items"],
        single: false,
        paging: Paging::Whole,
        each: Each::Named(catalogs),
        columns: &[
            renamed("{0}", "catalog_id", Shape::Id),
            // The answer of the OpenAPI file says product_id, the item that is put in says id.
            renamed("product_id|id", "item_id", Shape::Id),
            same("title", Shape::Text),
            same("description", Shape::Text),
            same("link", Shape::Text),
            same("image_link", Shape::Text),
            same("price", Shape::Number),
            renamed("price_currency", "currency", Shape::Text),
            renamed("creation_date", "created_at", Shape::Time),
            renamed("last_updated", "updated_at", Shape::Time),
            renamed("", "attributes", Shape::Others(ITEM_FIELDS))
                .about("The catalog's own attributes, as they came."),
        ],
        remembered_as: None,
        cadence: 6 * 3_600,
        windows: &[(100, 60), (1_000, 3_600)],
        remark: "MoEngage lists neither catalogs nor items. An item that is not in the answer is not deleted by that.",
    },
    Item {
        name: "cards",
        switch: "cards",
        kind: "card",
        about: "A card in the inbox of one person",
        key: &["uid", "card_id"],
        subject: Whom::Person,
        by_default: true,
        endpoint: "cards",
        slot: KeySlot::Campaigns,
        ask: Ask {
            method: Method::Post,
            path: &["v1", "cards", "fetch"],
            query: &[("limit", "50")],
            body: Body::Members(""),
            dates: Dates::None,
            project: false,
        },
        rows: &["data", "cards"],
        single: false,
        paging: Paging::Numbered { page: "page", place: Place::Query, size: 50, total: &[], more: &[] },
        each: Each::Named(card_users),
        columns: &[
            renamed("{0}", "uid", Shape::Id),
            renamed("id", "card_id", Shape::Id),
            same("platform", Shape::Word),
            same("category", Shape::Text),
            renamed("meta_data.moe_campaign_id", "campaign_id", Shape::Id),
            renamed("meta_data.moe_campaign_name", "campaign_name", Shape::Text),
            renamed("meta_data.moe_delivery_type", "delivery_type", Shape::Word),
            renamed("user_activity.is_clicked", "clicked", Shape::Flag),
            renamed("user_activity.first_delivered", "delivered_at", Shape::Seconds),
            renamed("user_activity.first_seen", "seen_at", Shape::Seconds),
            renamed("display_controls.is_pin", "pinned", Shape::Flag),
            renamed("display_controls.expire_at", "expires_at", Shape::Seconds),
            same("created_at", Shape::Seconds),
            same("updated_at", Shape::Seconds),
        ],
        remembered_as: None,
        cadence: 6 * 3_600,
        windows: &[(50_000, 60)],
        remark: "The list counts nothing: it ends with an empty page.",
    },
    Item {
        name: "coupon-lists",
        switch: "coupon_lists",
        kind: "coupon-list",
        about: "A MoEngage list of coupons, without the codes",
        key: &["id"],
        subject: Whom::Thing,
        by_default: true,
        endpoint: "coupon-lists",
        slot: KeySlot::Campaigns,
        ask: Ask {
            method: Method::Get,
            path: &["v1", "coupon-list"],
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
            renamed("_id", "id", Shape::Id),
            same("name", Shape::Text),
            same("label", Shape::Text),
            same("status", Shape::Word),
            same("total_coupons", Shape::Count),
            same("available_coupons", Shape::Count),
            // `yyyy-mm-dd` in the description of the field, with a time in the samples.
            same("expires_at", Shape::Day),
            same("created_at", Shape::Time),
            same("updated_at", Shape::Time),
        ],
        remembered_as: None,
        cadence: 6 * 3_600,
        // OpenAPI of coupons: 10,000 reads a day.
        windows: &[(10_000, 86_400)],
        remark: "",
    },
    Item {
        name: "recommendations",
        switch: "recommendations",
        kind: "recommendation",
        about: "An item that MoEngage recommends to one person",
        key: &["recommendation_id", "user_id", "item_id"],
        subject: Whom::Thing,
        by_default: true,
        endpoint: "recommendations",
        slot: KeySlot::Campaigns,
        ask: Ask {
            method: Method::Post,
            path: &["v1", "recommendations", "{0}", "items"],
            query: &[],
            body: Body::Members(""),
            dates: Dates::None,
            project: false,
        },
        rows: &["items"],
        single: false,
        paging: Paging::Whole,
        each: Each::Named(recommendations),
        columns: &[
            renamed("{0}", "recommendation_id", Shape::Id),
            renamed("{1}", "user_id", Shape::Id),
            renamed("item_id|product_id|id", "item_id", Shape::Id),
            same("catalog_id", Shape::Id),
            same("title", Shape::Text),
            same("link", Shape::Text),
            same("image_link", Shape::Text),
            same("price", Shape::Number),
            renamed("price_currency", "currency", Shape::Text),
        ],
        remembered_as: None,
        cadence: 86_400,
        // MD:api/rate-limits.mdx.
        windows: &[(10_000, 60)],
        remark: "",
    },
];

fn catalogs(settings: &Settings) -> Vec<Parent> {
    let mut parents = Vec::new();
    for (catalog, items) in &settings.named.catalogs {
        // In their order, and known by the last of them: an edit that moves items to other calls
        // in mid-run makes some of them be read twice and none be passed over.
        let items: Vec<&String> = items.iter().collect();
        for items in items.chunks(ITEMS_OF_A_CALL) {
            parents.push(Parent {
                name: named(catalog, items.last().map_or("", |item| item)),
                ids: vec![catalog.clone()],
                members: format!(r#""items":{}"#, to_json(&items)),
                headers: Vec::new(),
            });
        }
    }
    parents
}

/// A name of two ids. No id of the settings holds a control character, so that no two pairs share
/// one, and they sort as the pairs do.
fn named(one: &str, other: &str) -> String {
    format!("{one}\n{other}")
}

fn card_users(settings: &Settings) -> Vec<Parent> {
    let parent = |user: &String| Parent {
        name: user.clone(),
        ids: vec![user.clone()],
        // OpenAPI of cards: `uid` is the customer id.
        members: format!(r#""uid":{}"#, to_json(user)),
        headers: Vec::new(),
    };
    settings.named.card_users.iter().map(parent).collect()
}

fn recommendations(settings: &Settings) -> Vec<Parent> {
    let mut parents = Vec::new();
    for (id, wanted) in &settings.named.recommendations {
        for user in &wanted.users {
            let item = wanted
                .item
                .as_ref()
                .map_or_else(String::new, |item| format!(r#","item_id":{}"#, to_json(item)));
            parents.push(Parent {
                name: named(id, user),
                ids: vec![id.clone(), user.clone()],
                members: format!(r#""user_id":{}{item}"#, to_json(user)),
                headers: vec![("recommendation-type".to_owned(), wanted.kind.clone())],
            });
        }
    }
    parents
}
