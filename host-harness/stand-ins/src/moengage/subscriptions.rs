//! Subscription categories, and the preferences of one known user.

use serde_json::{Value, json};

use super::envelopes::{Envelope, Ids, Refusal};
use super::options::Family;
use super::routes::{Call, Calls, DAY, Key, Limit, MINUTE, Query, Route};
use super::rows::{Held, Table, without};
use super::workspace::Workspace;
use crate::http::Reply;
use crate::windows::Window;

const KEY: Key = Key { family: Family::Data, permission: "read:subscriptions" };

/// moengage: MD:api/subscription-categories/subscription-categories-v5/….yaml: "100 RPM and 360k
/// per day".
const WINDOWS: &[Window] =
    &[Window { limit: 100, period_ms: MINUTE }, Window { limit: 360_000, period_ms: DAY }];
const CATEGORIES: Limit = Limit { name: "subscription-categories", windows: WINDOWS };
const PREFERENCES: Limit = Limit { name: "subscription-preferences", windows: WINDOWS };

const SUBSCRIPTIONS: Envelope = Envelope { ids: Ids::Prefixed, ..Envelope::plain(refused) };

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::get(
            "/v5/subscription-categories",
            KEY,
            SUBSCRIPTIONS,
            &CATEGORIES,
            Workspace::subscription_categories,
        ),
        Route::get(
            "/v5/subscription-preferences",
            KEY,
            SUBSCRIPTIONS,
            &PREFERENCES,
            Workspace::subscription_preferences,
        ),
    ],
    rows: &[
        Held { table: Table::SubscriptionCategories, id: "name", samples },
        Held { table: Table::SubscriptionPreferences, id: "user_id", samples: preference_samples },
    ],
    controls: &[],
};

/// moengage: `ErrorResponse` of the same file: codes in PascalCase, no `response_id`.
fn refused(refusal: Refusal<'_>, _id: &str) -> Value {
    let scope;
    let (code, message, target) = match refusal {
        Refusal::Invalid { target, message } => ("BadArgument", message, Some(target)),
        Refusal::NoAppKey => ("Unauthorized", "Invalid or missing credentials", Some("MOE-APPKEY")),
        Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => {
            ("Unauthorized", "Invalid or missing credentials", Some("Authorization"))
        }
        Refusal::Scope(permission) => {
            scope = format!("Token is missing required scope {permission}");
            ("Forbidden", scope.as_str(), Some("Authorization"))
        }
        Refusal::Suspended | Refusal::Address | Refusal::NotSwitchedOn => {
            ("Forbidden", "The account is suspended", Some("Authorization"))
        }
        Refusal::TooMany => ("TooManyRequests", "Rate limit exceeded", None),
        Refusal::Named { code, target, message, .. } => (code, message, Some(target)),
    };
    json!({"error": {"code": code, "message": message, "target": target}})
}

fn channel<'a>(call: &Call<'_>, query: &Query<'a>) -> Result<Option<&'a str>, Reply> {
    match query.get("channel") {
        None | Some("email" | "sms") => Ok(query.get("channel")),
        Some(_) => Err(call.invalid("channel", "channel must be one of: email, sms")),
    }
}

impl Workspace {
    /// A call of a portfolio names its project.
    fn project(&self, call: &Call<'_>) -> Result<(), Reply> {
        match &self.readings.project_code {
            Some(code) if call.request.header("moe-project-code") != Some(code) => {
                Err(call.invalid("MOE-PROJECT-CODE", "MOE-PROJECT-CODE is required"))
            }
            _ => Ok(()),
        }
    }

    /// `GET /v5/subscription-categories?channel=`: the active ones, no paging.
    fn subscription_categories(&mut self, call: &Call<'_>) -> Reply {
        let asked = || {
            self.project(call)?;
            channel(call, &call.query(&["channel"], &[])?)
        };
        let channel = match asked() {
            Ok(channel) => channel,
            Err(reply) => return reply,
        };
        let rows = self.tables.of(Table::SubscriptionCategories).iter();
        let rows: Vec<&Value> = rows
            .filter(|row| row["status"] == "active")
            .filter(|row| channel.is_none_or(|channel| row["channel"] == channel))
            .collect();
        Reply::json(200, &json!({"response_id": call.id, "type": "subscription_category", "data": rows}))
    }

    /// `GET /v5/subscription-preferences?user_identifier_type=&user_identifier_value=&channel=`.
    fn subscription_preferences(&mut self, call: &Call<'_>) -> Reply {
        let found = || {
            self.project(call)?;
            let query = call.query(&["user_identifier_type", "user_identifier_value", "channel"], &[])?;
            let (member, value) = identifier(call, &query)?;
            let channel = channel(call, &query)?;
            let rows = self.tables.of(Table::SubscriptionPreferences).iter();
            let found: Vec<&Value> = rows.filter(|row| row[member] == value.as_str()).collect();
            match found.as_slice() {
                [] => {
                    let message = "No user found for the given identifier";
                    Err(call.not_found("NotFound", "user_identifier_value", message))
                }
                [_, _, ..] if member == "email" && !self.readings.unsubscribes_by_email => {
                    Err(call.refused(Refusal::Named {
                        status: 409,
                        code: "Conflict",
                        target: "user_identifier_value",
                        message: "Multiple user profiles match this email; cannot resolve unambiguously",
                    }))
                }
                [first, ..] => Ok(shown(first, channel)),
            }
        };
        match found() {
            Ok(data) => Reply::json(
                200,
                &json!({"response_id": call.id, "type": "subscription_preference", "data": data}),
            ),
            Err(reply) => reply,
        }
    }
}

/// Member of a row, and the value that it has to have.
fn identifier(call: &Call<'_>, query: &Query<'_>) -> Result<(&'static str, String), Reply> {
    let member = match query.get("user_identifier_type") {
        Some("moe_user_id") => "user_id",
        Some("uid") => "uid",
        Some("email") => "email",
        _ => {
            let message = "user_identifier_type must be one of: moe_user_id, uid, email";
            return Err(call.invalid("user_identifier_type", message));
        }
    };
    let Some(value) = query.get("user_identifier_value").filter(|value| !value.is_empty()) else {
        return Err(call.invalid("user_identifier_value", "user_identifier_value is required"));
    };
    // MoEngage's id is taken with and without its prefix.
    let prefixed = member == "user_id" && !value.starts_with("usr_");
    Ok((member, if prefixed { format!("usr_{value}") } else { value.to_owned() }))
}

fn shown(row: &Value, channel: Option<&str>) -> Value {
    let mut row = without(&without(row, "uid"), "email");
    if let (Some(channel), Some(categories)) = (channel, row["categories"].as_array_mut()) {
        categories.retain(|category| category["channel"] == channel);
    }
    row
}

const NAMES: &[(&str, &str, &str, &str)] = &[
    ("promotional", "Promotional", "email", "Marketing"),
    ("product_update", "Product Update", "email", "Updates"),
    ("promotional_sms", "Promotional SMS", "sms", "Marketing"),
];

fn samples() -> Vec<Value> {
    let category = |(name, display_name, channel, group): &(&str, &str, &str, &str)| {
        json!({
            "name": name, "display_name": display_name, "description": display_name, "channel": channel,
            "group": group, "status": "active",
        })
    };
    NAMES.iter().map(category).collect()
}

fn preference_samples() -> Vec<Value> {
    let user = |n: usize, email: &str, unsubscribed: bool| {
        let category = |(name, display_name, channel, group): &(&str, &str, &str, &str)| {
            let status =
                if unsubscribed || *name == "product_update" { "unsubscribed" } else { "subscribed" };
            json!({
                "name": name, "display_name": display_name, "channel": channel, "group": group, "status": status,
            })
        };
        json!({
            "user_id": format!("usr_64f0a1b2c3d4e5f6001122{n:02}"), "uid": format!("user-{n}"), "email": email,
            "is_globally_unsubscribed": unsubscribed,
            "categories": NAMES.iter().map(category).collect::<Vec<_>>(),
        })
    };
    vec![
        user(1, "ada@example.com", false),
        user(2, "grace@example.com", true),
        user(3, "family@example.com", false),
        user(4, "family@example.com", true),
    ]
}
