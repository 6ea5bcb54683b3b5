//! Subscription categories, and what known people chose.

use super::item::{Ask, Body, Column, Dates, Each, Item, Paging, Shape, Whom, renamed, same};
use crate::model::SUBSCRIPTION;
use crate::settings::KeySlot;
use crate::source::Method;
use crate::source::watch;

// MD:api/subscription-categories/subscription-categories-v5/subscription-categories-v5.yaml:
// 100 a minute and 360,000 a day.
const WINDOWS: &[(u32, u32)] = &[(100, 60), (360_000, 86_400)];

const CHOICES: &[Column] = &[
    same("name", Shape::Text),
    same("display_name", Shape::Text),
    same("channel", Shape::Word).about("email or sms."),
    same("group", Shape::Text),
    same("status", Shape::Word).about("subscribed or unsubscribed."),
];

pub const ITEMS: &[Item] = &[
    Item {
        name: "subscription-categories",
        switch: "subscription_categories",
        kind: "subscription-category",
        about: "A category that people can subscribe to at MoEngage",
        key: &["channel", "name"],
        subject: Whom::Thing,
        by_default: true,
        endpoint: "subscriptions",
        slot: KeySlot::Data,
        ask: Ask {
            method: Method::Get,
            path: &["v5", "subscription-categories"],
            query: &[],
            body: Body::None,
            dates: Dates::None,
            project: true,
        },
        rows: &["data"],
        single: false,
        paging: Paging::Whole,
        each: Each::Once,
        columns: &[
            same("channel", Shape::Word).about("email or sms."),
            same("name", Shape::Text),
            same("display_name", Shape::Text),
            same("description", Shape::Text),
            same("group", Shape::Text),
            same("status", Shape::Word),
        ],
        remembered_as: None,
        cadence: 6 * 3_600,
        windows: WINDOWS,
        remark: "MoEngage serves it from a cache of an hour.",
    },
    Item {
        name: "subscription-preferences",
        switch: "subscription_preferences",
        kind: SUBSCRIPTION,
        about: "What one person subscribed to at MoEngage",
        key: &["uid"],
        subject: Whom::Person,
        // A call for each known person: only where it is asked for.
        by_default: false,
        endpoint: "subscriptions",
        slot: KeySlot::Data,
        ask: Ask {
            method: Method::Get,
            path: &["v5", "subscription-preferences"],
            query: &[("user_identifier_type", "uid"), ("user_identifier_value", "{0}")],
            body: Body::None,
            dates: Dates::None,
            project: true,
        },
        rows: &["data"],
        single: true,
        paging: Paging::Whole,
        each: Each::Known(watch::PREFIX),
        columns: &[
            renamed("{0}", "uid", Shape::Id).about("The customer id that was asked for."),
            renamed("is_globally_unsubscribed", "globally_unsubscribed", Shape::Flag),
            same("categories", Shape::Rows(CHOICES)),
        ],
        remembered_as: None,
        cadence: 86_400,
        windows: WINDOWS,
        remark: "The ids are those of the watch list, which all doors feed. A person whom MoEngage doesn't know is left \
                 as they are.",
    },
];
