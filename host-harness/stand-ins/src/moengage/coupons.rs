//! Lists of coupons: what they are and how many are left, never the codes in them.

use serde_json::{Value, json};

use super::envelopes::{Envelope, Refusal};
use super::options::Family;
use super::routes::{Call, Calls, DAY, Key, Limit, Route};
use super::rows::{Held, Table};
use super::workspace::Workspace;
use crate::http::Reply;
use crate::windows::Window;

pub(super) const LISTS: &str = "/v1/coupon-list";
const LIST: &str = "/v1/coupon-list/{coupon_list_id}";

const KEY: Key = Key { family: Family::Campaigns, permission: "" };
const ENVELOPE: Envelope = Envelope::plain(refused);
/// moengage: OpenAPI file of coupons: 10,000 lists a day, said of either call.
const LIMIT: Limit = Limit { name: "coupons", windows: &[Window { limit: 10_000, period_ms: DAY }] };

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::get(LISTS, KEY, ENVELOPE, &LIMIT, Workspace::coupon_lists),
        Route::get(LIST, KEY, ENVELOPE, &LIMIT, Workspace::coupon_list),
    ],
    rows: &[Held { table: Table::CouponLists, id: "_id", samples }],
    controls: &[],
};

fn samples() -> Vec<Value> {
    let named = |(n, status): (usize, &str)| {
        json!({
            "_id": format!("66fbdc2f1c9d440000a1b2c{n}"), "name": format!("Coupons {n}"),
            "label": format!("coupons_{n}"), "status": status, "total_coupons": 100,
            "available_coupons": 40 + n, "expires_at": "2027-10-26T18:29:00.000Z",
            "created_at": "2026-10-01T11:29:00.000Z", "updated_at": "2026-10-01T11:39:00.000Z",
            "email_alert_subscribers": ["john.doe@example.com"],
            "alert_conditions": {
                "success_alert": true, "failure_alert": true,
                "expiry_alert": {"alert": true, "days_before": 100},
                "coupon_shortage_alert": {"alert": true, "threshold_count": 100},
            },
            "personalization_snippet": format!("{{{{Coupons.CouponListName[coupons_{n}]}}}}"),
            "created_by": "test_user",
        })
    };
    ["ACTIVE", "ARCHIVED"].into_iter().enumerate().map(named).collect()
}

/// moengage: `ErrorResponse` of the OpenAPI file of coupons; its 429 has headers only.
fn refused(refusal: Refusal<'_>, _id: &str) -> Value {
    let (code, message) = match refusal {
        Refusal::TooMany => return Value::Null,
        Refusal::Invalid { message, .. } => ("bad-request", message),
        Refusal::NoAppKey | Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => (
            "request-unauthenticated",
            "Your request is unauthorized. Verify your credentials and try again.",
        ),
        Refusal::Suspended | Refusal::Scope(_) | Refusal::Address | Refusal::NotSwitchedOn => {
            ("request-forbidden", "Your account does not have access to the Coupon Management features.")
        }
        Refusal::Named { code, message, .. } => (code, message),
    };
    json!({"error": {"code": code, "message": message}})
}

impl Workspace {
    /// `GET /v1/coupon-list?status=` (moengage: OpenAPI file of coupons). Without a status its text
    /// says both that the active lists come and that all do: all come here. The addresses are one
    /// string in this call, and a list of them in the other.
    fn coupon_lists(&mut self, call: &Call<'_>) -> Reply {
        let status = match call.query(&["status"], &[]) {
            Ok(query) => query.get("status"),
            Err(reply) => return reply,
        };
        if status.is_some_and(|status| !["ACTIVE", "ARCHIVED", "EXPIRED"].contains(&status)) {
            return call.invalid("status", "ACTIVE, ARCHIVED or EXPIRED");
        }
        let all = self.tables.of(Table::CouponLists).iter();
        let kept = all.filter(|row| status.is_none_or(|status| row["status"] == status)).map(|row| {
            let mut row = row.clone();
            if let Some(all) = row["email_alert_subscribers"].as_array() {
                let all: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
                row["email_alert_subscribers"] = json!(all.join(","));
            }
            row
        });
        let id = |row: &Value| row["_id"].as_str().unwrap_or_default().to_owned();
        let page = self.pages.all(LISTS, kept.collect(), id);
        page.reply(&json!({"data": page.rows}))
    }

    /// `GET /v1/coupon-list/{coupon_list_id}`. An unknown one has no code of its own.
    fn coupon_list(&mut self, call: &Call<'_>) -> Reply {
        match self.tables.find(Table::CouponLists, call.variable(0)) {
            Some(row) => Reply::json(200, row),
            None => call.refused(Refusal::Named {
                status: 400,
                code: "bad-request",
                target: "coupon_list_id",
                message: "Possible issues include duplicates, invalid data types, or missing attributes.",
            }),
        }
    }
}
