//! Cards: what one person's app shows, by the person's id.

use serde::Deserialize;
use serde_json::{Value, json};

use super::envelopes::{Envelope, Refusal, letters};
use super::options::Family;
use super::pages::Slice;
use super::routes::{Call, Calls, Key, Limit, MINUTE, Route};
use super::rows::{Held, Table};
use super::workspace::Workspace;
use crate::http::Reply;
use crate::windows::Window;

pub(super) const FETCH: &str = "/v1/cards/fetch";

const KEY: Key = Key { family: Family::Campaigns, permission: "" };
const ENVELOPE: Envelope = Envelope::plain(refused);
/// moengage: OpenAPI file of cards.
const LIMIT: Limit = Limit { name: "cards", windows: &[Window { limit: 50_000, period_ms: MINUTE }] };

pub(super) const CALLS: Calls = Calls {
    routes: &[Route::post(FETCH, KEY, ENVELOPE, &LIMIT, Workspace::cards)],
    rows: &[Held { table: Table::Cards, id: "id", samples }],
    controls: &[],
};

fn samples() -> Vec<Value> {
    let numbered = |(n, platform): (usize, &str)| {
        let cid = format!("6516b30d2712560fdfae50c{n}_F_T_CA_AB_0_P_0_L_0");
        json!({
            "uid": "user-000001", "unique_id": "device-000001",
            "id": format!("{cid}_{platform}"), "platform": platform, "category": "Announcements",
            "created_at": 1_780_000_000, "updated_at": 1_780_000_100 + n as i64,
            "meta_data": {
                "cid": cid, "moe_card_id": format!("{cid}_{platform}"), "moe_campaign_name": format!("Card {n}"),
                "moe_delivery_type": "One Time", "moe_campaign_id": format!("6516b30d2712560fdfae50c{n}"),
            },
            "template_data": {"type": "basic", "containers": [{
                "id": 0, "type": "basic", "style": {"bgColor": "#4e3db0"},
                "widgets": [{"id": 0, "type": "text", "content": "Hello"}],
                "actions": [{"type": "deepLink", "name": "navigate", "value": "https://example.com", "kvPairs": {}}],
            }]},
            "user_activity": {
                "is_clicked": false, "first_seen": 1_780_000_200, "first_delivered": 1_780_000_150,
                "show_count": {"device-000001": 1},
            },
            "display_controls": {
                "max_times_to_show": null, "expire_at": null, "expire_after_delivered": null, "is_pin": false,
            },
        })
    };
    ["android", "web"].into_iter().enumerate().map(numbered).collect()
}

/// moengage: `ErrorResponse` of the OpenAPI file of cards: two shapes in one.
fn refused(refusal: Refusal<'_>, id: &str) -> Value {
    let (title, description) = match refusal {
        Refusal::Invalid { message, .. } | Refusal::Named { message, .. } => {
            return json!({"status": false, "error": message, "request_id": id});
        }
        Refusal::NoAppKey | Refusal::UnknownWorkspace => {
            ("Authentication Failure", "Invalid APP_ID is provided")
        }
        Refusal::WrongKey | Refusal::NoSecretSet => {
            ("Authentication Failure", "Invalid APP_SECRET_KEY is provided")
        }
        Refusal::Suspended | Refusal::Scope(_) | Refusal::Address | Refusal::NotSwitchedOn => {
            ("Forbidden", "The key is not allowed to make this call")
        }
        Refusal::TooMany => ("Request limit reached", "This API call has exceeded the rate limit"),
    };
    json!({"title": title, "description": description, "code": letters(id)})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fetch {
    uid: Option<String>,
    unique_id: Option<String>,
    platforms: Option<Vec<Platform>>,
    card_category: Option<String>,
    prev_sync_card_ids: Option<Vec<String>>,
    last_updated_time: Option<i64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Platform {
    Android,
    Ios,
    Web,
}

impl Platform {
    fn name(self) -> &'static str {
        match self {
            Self::Android => "android",
            Self::Ios => "ios",
            Self::Web => "web",
        }
    }
}

impl Fetch {
    fn owns(&self, row: &Value) -> bool {
        let is = |own: &Option<String>, member: &str| {
            own.as_ref().is_some_and(|own| row[member].as_str() == Some(own))
        };
        is(&self.uid, "uid") || is(&self.unique_id, "unique_id")
    }

    fn keeps(&self, row: &Value) -> bool {
        let platform = row["platform"].as_str().unwrap_or_default();
        let among = |all: &Vec<Platform>| all.is_empty() || all.iter().any(|one| one.name() == platform);
        let fetched_before =
            self.prev_sync_card_ids.iter().flatten().any(|id| row["id"].as_str() == Some(id));
        let since = self.last_updated_time.unwrap_or(i64::MIN);
        let changed = row["updated_at"].as_i64().is_none_or(|at| at > since);
        self.platforms.as_ref().is_none_or(among)
            && self.card_category.as_ref().is_none_or(|own| row["category"].as_str() == Some(own))
            && (!fetched_before || changed)
    }
}

impl Workspace {
    /// `POST /v1/cards/fetch?page=&limit=` (moengage: OpenAPI file of cards). Without a limit, all
    /// of them. A person is known who has a card or is among the users.
    fn cards(&mut self, call: &Call<'_>) -> Reply {
        let query = match call.query(&["page", "limit"], &[]) {
            Ok(query) => query,
            Err(reply) => return reply,
        };
        let counts = |text: Option<&str>, default| {
            text.map_or(Some(default), |text| text.parse::<u64>().ok()).filter(|number| *number > 0)
        };
        let (Some(page), Some(limit)) = (counts(query.get("page"), 1), counts(query.get("limit"), u64::MAX))
        else {
            return call.invalid("page", "page and limit are numbers greater than zero");
        };
        let fetch: Fetch = match call.body() {
            Ok(fetch) => fetch,
            Err(reply) => return reply,
        };
        if fetch.uid.is_none() && fetch.unique_id.is_none() {
            return call.invalid("uid", "uid or unique_id is required");
        }
        let all = self.tables.of(Table::Cards);
        let own: Vec<&Value> = all.iter().filter(|row| fetch.owns(row)).collect();
        if own.is_empty() && !fetch.uid.as_ref().is_some_and(|uid| self.users.has_customer(uid)) {
            return call.refused(Refusal::Named {
                status: 400,
                code: "",
                target: "uid",
                message: "User not found for this uid/ unique_id",
            });
        }
        let gone = |id: &&String| !own.iter().any(|row| row["id"].as_str() == Some(id));
        let deleted: Vec<&String> = fetch.prev_sync_card_ids.iter().flatten().filter(gone).collect();
        let kept = own.iter().filter(|row| fetch.keeps(row)).map(|row| {
            let mut row = (*row).clone();
            if let Some(row) = row.as_object_mut() {
                row.remove("uid");
                row.remove("unique_id");
            }
            row
        });
        let id = |row: &Value| row["id"].as_str().unwrap_or_default().to_owned();
        let page = self.pages.cut(FETCH, kept.collect(), Slice::page(page, limit), id);
        page.reply(&json!({
            "status": true, "request_id": call.id,
            "data": {"cards": page.rows, "deleted_card_ids": deleted},
        }))
    }
}
