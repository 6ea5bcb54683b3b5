//! Templates of five channels: one search each, with pages that are mandatory.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::envelopes::{Envelope, Refusal, letters};
use super::options::Family;
use super::pages::Slice;
use super::routes::{Call, Calls, Key, Limit, MINUTE, Route};
use super::rows::{Held, Table};
use super::workspace::Workspace;
use crate::http::Reply;
use crate::windows::Window;

/// moengage: OpenAPI files of templates, `entries`.
const LARGEST_PAGE: u64 = 15;

const KEY: Key = Key { family: Family::Campaigns, permission: "" };

/// What differs between the channels.
struct Channel {
    table: Table,
    path: &'static str,
    /// Filters beside those that all channels have.
    filters: &'static [&'static str],
    /// Whether a part of a name finds it.
    partial: bool,
}

/// moengage: the OpenAPI file of each channel.
const EMAIL: Channel = Channel {
    table: Table::EmailTemplatesV2,
    path: "/v1.0/custom-templates/email/search",
    filters: &[
        "template_id",
        "template_version",
        "external_template_ids",
        "group_id",
        "is_grouped_response",
        "is_count_required",
    ],
    partial: false,
};
const SMS: Channel = Channel {
    table: Table::SmsTemplates,
    path: "/v1.0/custom-templates/sms/search",
    filters: &["template_ids"],
    partial: true,
};
const PUSH: Channel = Channel {
    table: Table::PushTemplates,
    path: "/v1.0/custom-templates/push/search",
    filters: &["template_ids", "platform", "template_style"],
    partial: true,
};
const ON_SITE: Channel = Channel {
    table: Table::OnSiteTemplates,
    path: "/v1.0/custom-templates/osm/search",
    filters: &["template_id", "external_template_ids"],
    partial: false,
};
const IN_APP: Channel = Channel {
    table: Table::InAppTemplates,
    path: "/v1.0/custom-templates/inapp/search",
    filters: &["template_ids"],
    partial: false,
};

macro_rules! limit {
    ($name:literal) => {
        &Limit { name: $name, windows: &[Window { limit: 100, period_ms: MINUTE }] }
    };
}

macro_rules! search {
    ($channel:expr, $envelope:expr, $limit:literal) => {
        Route::post($channel.path, KEY, $envelope, limit!($limit), |workspace, call| {
            workspace.search_templates(call, &$channel)
        })
    };
}

pub(super) const CALLS: Calls = Calls {
    routes: &[
        search!(EMAIL, DETAILED, "templates-email"),
        search!(SMS, SMS_ERRORS, "templates-sms"),
        search!(PUSH, SIMPLE, "templates-push"),
        search!(ON_SITE, DETAILED, "templates-osm"),
        search!(IN_APP, DETAILED, "templates-inapp"),
    ],
    rows: &[
        Held { table: EMAIL.table, id: "external_template_id", samples: email },
        Held { table: SMS.table, id: "external_template_id", samples: sms },
        Held { table: PUSH.table, id: "external_template_id", samples: push },
        Held { table: ON_SITE.table, id: "external_template_id", samples: on_site },
        Held { table: IN_APP.table, id: "external_template_id", samples: in_app },
    ],
    controls: &[],
};

/// The n-th template of a channel; `own` lies over what all channels have.
fn sample(n: usize, channel: &str, own: Value) -> Value {
    let mut row = json!({
        "external_template_id": format!("b564524f-aa08-4149-a498-dbde0b7b{}{n:03}", channel.len()),
        "version": 1,
        "meta_info": {
            "template_id": format!("{channel}-{n}"), "template_name": format!("Template {n}"),
            "template_version": "1", "created_by": "jane.doe@example.com", "channel": channel,
            "template_source": "API", "template_type": "CUSTOM",
        },
        "created_by": "jane.doe@example.com", "created_at": "2026-02-27T12:33:05.575000",
        "updated_by": "john.doe@example.com", "updated_at": format!("2026-03-{:02}T12:33:05.575000", n + 1),
    });
    if let (Some(row), Some(own)) = (row.as_object_mut(), own.as_object()) {
        row.extend(own.clone());
    }
    row
}

fn email() -> Vec<Value> {
    let content = json!({
        "email_content": "<!DOCTYPE html><html><body>Hello</body></html>", "subject": "Hello",
        "attachments": [], "thumbnail_url": "https://example.com/thumbnail.png", "sender_name": "Example",
    });
    (0..2).map(|n| sample(n, "EMAIL", json!({"basic_details": content}))).collect()
}

fn sms() -> Vec<Value> {
    vec![sample(0, "SMS", json!({"basic_details": {"message": "Hello"}}))]
}

fn push() -> Vec<Value> {
    let android = json!({"basic_details": {
        "title": "Hello", "message": "Hello", "summary": "", "image_url": "",
        "default_click_action": "RICH_LANDING", "default_click_action_value": "https://example.com",
    }});
    let mut row = sample(0, "PUSH", json!({"ANDROID": android, "IOS": {"basic_details": {}}}));
    row["meta_info"]["platform"] = json!(["ANDROID"]);
    row["meta_info"]["template_style"] = json!("BASIC");
    vec![row]
}

fn on_site() -> Vec<Value> {
    let content = json!({"payload": "<html></html>", "preview_image": "https://example.com/preview.png"});
    vec![sample(0, "ON-SITE", json!({"basic_details": content}))]
}

fn in_app() -> Vec<Value> {
    let content = json!({
        "payload": "<html></html>", "preview_image": "https://example.com/preview.png",
        "inapp_template_type": "INAPP_HTML",
    });
    vec![sample(0, "INAPP", json!({"basic_details": content}))]
}

const DETAILED: Envelope = Envelope::plain(detailed);
const SIMPLE: Envelope = Envelope::plain(simple);
const SMS_ERRORS: Envelope = Envelope::plain(sms_errors).with_status(sms_status);

/// moengage: `ErrorResponse` of the OpenAPI file 2 of e-mail templates.
fn detailed(refusal: Refusal<'_>, id: &str) -> Value {
    let (code, message, target, detail) = match refusal {
        Refusal::TooMany => return too_many("custom_template", id),
        Refusal::Invalid { target, message } => ("400 Bad Request", "Invalid Field Value", target, message),
        Refusal::NoAppKey | Refusal::UnknownWorkspace => {
            ("401 Unauthorized", "Authentication required", "APP_ID", "Invalid APP_ID is provided.")
        }
        Refusal::WrongKey | Refusal::NoSecretSet => (
            "401 Unauthorized",
            "Authentication required",
            "APP_SECRET_KEY",
            "Invalid APP_SECRET_KEY is provided.",
        ),
        Refusal::Suspended | Refusal::Scope(_) | Refusal::Address | Refusal::NotSwitchedOn => {
            ("403 Forbidden", "Forbidden", "APP_SECRET_KEY", "The key is not allowed to make this call")
        }
        Refusal::Named { code, target, message, .. } => (code, message, target, message),
    };
    json!({"error": {
        "code": code, "message": message, "request_id": letters(id),
        "details": [{"code": "InvalidValue", "target": target, "message": detail}],
    }})
}

fn too_many(kind: &str, id: &str) -> Value {
    let error = json!({
        "code": "Too Many Requests", "message": "API rate limit breached. Current limit: 100/1 mins",
    });
    json!({"response_id": letters(id), "type": kind, "error": error})
}

/// moengage: `SimpleErrorResponse` of the OpenAPI file of push templates.
fn simple(refusal: Refusal<'_>, id: &str) -> Value {
    let (title, description) = match refusal {
        Refusal::TooMany => return too_many("custom_template", id),
        Refusal::Invalid { target: "Content-Type", message } => ("Unsupported media type", message),
        Refusal::Invalid { .. } => ("Invalid Field Value", "Some of the field values are invalid"),
        Refusal::NoAppKey => ("Authentication required", "MOE-APPKEY missing in Authentication Header"),
        Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => {
            ("Authentication required", "Invalid identity information found.")
        }
        Refusal::Suspended | Refusal::Scope(_) | Refusal::Address | Refusal::NotSwitchedOn => {
            ("Forbidden", "The key is not allowed to make this call")
        }
        Refusal::Named { code, message, .. } => (code, message),
    };
    json!({"title": title, "description": description, "code": letters(id)})
}

/// moengage: OpenAPI file of SMS templates: a wrong key is a 403 there, in the detailed shape, and
/// the 429 says that it is of a segment.
fn sms_errors(refusal: Refusal<'_>, id: &str) -> Value {
    let mut body = match refusal {
        Refusal::TooMany => return too_many("custom_segment", id),
        Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => detailed(refusal, id),
        _ => return simple(refusal, id),
    };
    body["error"]["code"] = json!("403 Forbidden");
    body
}

fn sms_status(refusal: Refusal<'_>) -> u16 {
    match refusal {
        Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => 403,
        _ => refusal.status(),
    }
}

#[derive(Deserialize)]
struct Search {
    page: u64,
    entries: u64,
    #[serde(flatten)]
    filters: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Versioned {
    external_template_id: String,
    version: u64,
}

/// Members by which a search can be sorted, and where each stands in a row.
const SORTED: &[(&str, &str)] = &[
    ("template_name", "/meta_info/template_name"),
    ("last_modified_date", "/updated_at"),
    ("last_modified_by", "/updated_by"),
];

fn texts(value: &Value, allowed: &[&str]) -> bool {
    value.as_array().is_some_and(|all| {
        all.iter().all(|item| item.as_str().is_some_and(|item| allowed.is_empty() || allowed.contains(&item)))
    })
}

/// moengage: the request schemas of the OpenAPI files of templates.
fn documented(channel: &Channel, name: &str, value: &Value) -> bool {
    let common =
        ["template_name", "template_source", "template_type", "created_by", "updated_by", "sort_params"];
    if !common.contains(&name) && !channel.filters.contains(&name) {
        return false;
    }
    match name {
        "template_source" => texts(value, &["API", "MOENGAGE"]),
        "template_type" => texts(value, &["CUSTOM", "PRE_BUILT"]),
        "template_style" => texts(value, &["BASIC", "STYLIZED"]),
        "platform" => texts(value, &["ANDROID", "IOS"]),
        "created_by" | "updated_by" => texts(value, &[]),
        "is_grouped_response" | "is_count_required" => value.is_boolean(),
        "template_ids" | "external_template_ids" => Vec::<Versioned>::deserialize(value).is_ok(),
        "sort_params" => value.as_array().is_some_and(|all| all.iter().all(sorts)),
        _ => value.is_string(),
    }
}

fn sorts(params: &Value) -> bool {
    params.as_object().is_some_and(|params| {
        params.iter().all(|(name, order)| {
            SORTED.iter().any(|(known, _)| known == name)
                && matches!(order.as_str(), Some("ASCENDING" | "DESCENDING"))
        })
    })
}

fn at<'a>(row: &'a Value, pointer: &str) -> &'a str {
    row.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

impl Search {
    fn versions(&self) -> Vec<Versioned> {
        let asked = self.filters.get("template_ids").or(self.filters.get("external_template_ids"));
        asked.and_then(|asked| Vec::deserialize(asked).ok()).unwrap_or_default()
    }

    fn keeps(&self, channel: &Channel, row: &Value) -> bool {
        self.filters.iter().all(|(name, wanted)| {
            let among = |own: &str| wanted.as_array().is_some_and(|all| all.iter().any(|item| item == own));
            let is = |own: &str| wanted.as_str() == Some(own);
            match name.as_str() {
                "template_name" if channel.partial => {
                    wanted.as_str().is_some_and(|part| at(row, "/meta_info/template_name").contains(part))
                }
                "template_name" | "template_id" | "template_version" | "group_id" => {
                    is(at(row, &format!("/meta_info/{name}")))
                        || (name == "group_id" && is(at(row, "/external_template_id")))
                }
                "template_source" | "template_type" | "template_style" => {
                    among(at(row, &format!("/meta_info/{name}")))
                }
                "created_by" | "updated_by" => among(at(row, &format!("/{name}"))),
                "platform" => row["meta_info"]["platform"]
                    .as_array()
                    .is_some_and(|own| own.iter().any(|own| own.as_str().is_some_and(among))),
                // Only parents of a group, and templates without one.
                "is_grouped_response" => wanted == false || row["meta_info"]["group_id"].is_null(),
                _ => true,
            }
        })
    }

    fn order(&self, one: &Value, other: &Value) -> Ordering {
        let params = self.filters.get("sort_params").and_then(Value::as_array).into_iter().flatten();
        let each = params.filter_map(Value::as_object).flatten().map(|(name, order)| {
            let pointer = SORTED.iter().find(|(known, _)| known == name).map_or("", |(_, pointer)| pointer);
            let ascending = at(one, pointer).cmp(at(other, pointer));
            if order == "DESCENDING" { ascending.reverse() } else { ascending }
        });
        each.fold(Ordering::Equal, Ordering::then)
    }
}

/// The newest version of each template, in the order of the table.
fn newest(rows: &[Value]) -> Vec<&Value> {
    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    for row in rows {
        let version = newest.entry(at(row, "/external_template_id")).or_default();
        *version = (*version).max(row["version"].as_u64().unwrap_or(0));
    }
    let is = |row: &&Value| {
        newest.get(at(row, "/external_template_id")) == Some(&row["version"].as_u64().unwrap_or(0))
    };
    rows.iter().filter(is).collect()
}

impl Workspace {
    /// `POST /v1.0/custom-templates/{channel}/search` (moengage: OpenAPI files of templates; pages
    /// mandatory since 2025-11-15). Where `is_count_required` puts its count is not documented: it
    /// is accepted, and answered like any other search.
    fn search_templates(&mut self, call: &Call<'_>, channel: &'static Channel) -> Reply {
        let search: Search = match call.body() {
            Ok(search) => search,
            Err(reply) => return reply,
        };
        if search.page == 0 {
            return call.invalid("page", "page counts from 1");
        }
        if !(1..=LARGEST_PAGE).contains(&search.entries) {
            return call.invalid("entries", "entries is 1 to 15");
        }
        for (name, value) in &search.filters {
            if !documented(channel, name, value) {
                return call.invalid(name, "not a documented filter of this channel");
            }
        }
        let (rows, versions) = (self.tables.of(channel.table), search.versions());
        let mut found: Vec<&Value> = if versions.is_empty() {
            newest(rows)
        } else {
            let asked = |row: &&Value| {
                versions.iter().any(|asked| {
                    row["external_template_id"] == asked.external_template_id
                        && row["version"] == asked.version
                })
            };
            rows.iter().filter(asked).collect()
        };
        found.retain(|row| search.keeps(channel, row));
        found.sort_by(|one, other| search.order(one, other));
        let id = |row: &&Value| at(row, "/external_template_id").to_owned();
        let page = self.pages.cut(channel.path, found, Slice::page(search.page, search.entries), id);
        page.reply(&json!({"data": page.rows}))
    }
}
