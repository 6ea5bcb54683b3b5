//! The users of a workspace, and Get User: known ids only, twenty at a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::envelopes::{DATA, Refusal, data_failure};
use super::options::{Family, FieldNames};
use super::routes::{Call, Calls, Control, Key, Limit, MINUTE, Route};
use super::workspace::{Workspace, read};
use crate::http::{Reply, Request};
use crate::windows::Window;

/// moengage: OpenAPI file of Data, Get User: "max limit allowed is 20".
const LARGEST_LOOK_UP: usize = 20;
/// moengage: OpenAPI file of Data: "Payload size exceeds 128 KB".
const LARGEST_BODY: usize = 128 << 10;

const KEY: Key = Key { family: Family::Data, permission: "" };

/// moengage: MD:api/rate-limits.mdx: of users, not of requests.
const LOOK_UPS: Limit = Limit { name: "users", windows: &[Window { limit: 1_000, period_ms: MINUTE }] };

pub(super) const CALLS: Calls = Calls {
    routes: &[Route::post("/v1/customers/export", KEY, DATA, &LOOK_UPS, Workspace::get_users)
        .weighing(Workspace::asked_users)],
    rows: &[],
    controls: &[Control {
        name: "users",
        act: |workspace, body| read::<Vec<User>>(body).map(|users| workspace.users.set(users)),
    }],
};

/// One user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// MoEngage's own id.
    pub id: String,
    /// The customer's id; none for a user that never logged in.
    #[serde(default)]
    pub customer_id: Option<String>,
    /// By key (`u_em`, `moe_unsubscribe`) or by the customer's own name.
    #[serde(default)]
    pub attributes: Map<String, Value>,
}

/// Standard attributes that Get User never answers (moengage: MD:api/data/data-overview.mdx, the
/// table of attributes: those that are not marked as exportable).
const NOT_EXPORTED: &[&str] = &[
    "moe_it",
    "moe_email_optin_status",
    "moe_email_open_tracking_consent",
    "moe_sms_subscription",
    "moe_wa_subscription",
    "moe_sub_w",
    "push_preference",
    "PUSH_PREFERENCE",
    "moe_w_ds",
    "moe_mweb",
];

/// Key and readable name. The sample answer shows `last_name`, `customer_id`, `name` and `id`;
/// the others are the names that requests of the same API use.
const READABLE: &[(&str, &str)] = &[
    ("uid", "customer_id"),
    ("u_em", "email"),
    ("u_mb", "mobile"),
    ("u_n", "name"),
    ("u_fn", "first_name"),
    ("u_ln", "last_name"),
    ("u_gd", "gender"),
    ("u_bd", "birthday"),
    ("cr_t", "created_time"),
    ("u_l_a", "last_seen"),
    ("t_trans", "transactions"),
    ("t_rev", "revenue"),
];

/// The users of a workspace.
#[derive(Default)]
pub(super) struct Users {
    by_id: BTreeMap<String, User>,
    /// MoEngage's id by the customer's; where two users share one, the one that was set last.
    ids: BTreeMap<String, String>,
}

impl Users {
    pub(super) fn all(&self) -> Vec<&User> {
        self.by_id.values().collect()
    }

    pub(super) fn set(&mut self, users: impl IntoIterator<Item = User>) {
        for user in users {
            self.remove(&user.id);
            if let Some(customer_id) = &user.customer_id {
                self.ids.insert(customer_id.clone(), user.id.clone());
            }
            self.by_id.insert(user.id.clone(), user);
        }
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        let removed = self.by_id.remove(id);
        let customer_id = removed.as_ref().and_then(|user| user.customer_id.as_ref());
        if let Some(customer_id) =
            customer_id.filter(|known| self.ids.get(*known).is_some_and(|own| own == id))
        {
            self.ids.remove(customer_id);
        }
        removed.is_some()
    }

    pub(super) fn has_customer(&self, customer_id: &str) -> bool {
        self.ids.contains_key(customer_id)
    }

    fn find(&self, identifier: &Identifier) -> Option<&User> {
        let id = match identifier.identifier_type {
            Kind::CustomerId => self.ids.get(&identifier.identifier)?,
            Kind::MoengageId | Kind::Id => &identifier.identifier,
        };
        self.by_id.get(id)
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Identifier {
    identifier_type: Kind,
    identifier: String,
}

/// The schema says `moengage_id`, every example `id`.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    CustomerId,
    MoengageId,
    Id,
}

struct LookUp {
    identifiers: Vec<Identifier>,
    fields: Option<Vec<String>>,
}

impl LookUp {
    fn read(request: &Request, id: &str) -> Result<Self, Reply> {
        let failure = |kind: &str, attribute: Option<&str>, message: &str| {
            Err(data_failure(400, kind, attribute, message, id))
        };
        if request.body.len() > LARGEST_BODY {
            return Err(data_failure(413, "PayloadTooLarge", None, "Payload size exceeds 128 KB", id));
        }
        let content_type = request.header("content-type").unwrap_or_default();
        if content_type.split(';').next().map(str::trim) != Some("application/json") {
            return Err(data_failure(
                415,
                "Unsupported media type",
                None,
                "Content type is not supported",
                id,
            ));
        }
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            let message =
                "Could not decode the request body. The JSON was incorrect or not encoded as UTF-8.";
            return failure("Malformed JSON", None, message);
        };
        let missing = |name: &str| {
            failure("MissingAttributeError", Some(name), &format!("{name} is not found in the payload"))
        };
        let Some(data) = body.get("data").and_then(Value::as_object) else { return missing("data") };
        let Some(identifiers) = data.get("identifiers") else { return missing("identifiers") };
        let Some(identifiers) = identifiers.as_array() else {
            return failure("ArrayFieldError", Some("identifiers"), "identifiers is not an array");
        };
        if identifiers.is_empty() {
            return missing("identifiers");
        }
        if identifiers.len() > LARGEST_LOOK_UP {
            return failure("LimitBreached", Some("users"), "max limit allowed is 20");
        }
        let read: Result<Vec<Identifier>, _> = identifiers.iter().map(Identifier::deserialize).collect();
        let Ok(identifiers) = read else {
            return failure("InvalidParams", Some("identifiers"), "an identifier is not valid");
        };
        let fields = match data.get("user_fields_to_export") {
            None => None,
            Some(fields) => match Vec::<String>::deserialize(fields) {
                Ok(fields) => Some(fields),
                Err(_) => {
                    return failure(
                        "ArrayFieldError",
                        Some("user_fields_to_export"),
                        "not an array of names",
                    );
                }
            },
        };
        if body.as_object().is_some_and(|body| body.len() > 1)
            || data.keys().any(|key| key != "identifiers" && key != "user_fields_to_export")
        {
            return failure("InvalidParams", None, "a member of the payload is not documented");
        }
        Ok(Self { identifiers, fields })
    }
}

impl Workspace {
    /// How many users a look-up asks for, or why it is refused before any is looked up.
    fn asked_users(&self, call: &Call<'_>) -> Result<u64, Reply> {
        let (request, id) = (call.request, call.id);
        if !self.options.get_user.switched_on {
            return Err(call.refused(Refusal::NotSwitchedOn));
        }
        let mut app_ids = request.query.iter().filter(|(name, _)| name == "app_id");
        match (app_ids.next(), app_ids.next()) {
            (Some((_, app_id)), None) if *app_id == self.options.workspace_id => (),
            (Some(_), None) => return Err(call.refused(Refusal::UnknownWorkspace)),
            _ => return Err(data_failure(400, "ParamsRequired", Some("app_id"), "app_id is required", id)),
        }
        LookUp::read(request, id).map(|asked| asked.identifiers.len() as u64)
    }

    /// `POST /v1/customers/export?app_id=` (moengage: OpenAPI file of Data, Get User).
    fn get_users(&mut self, call: &Call<'_>) -> Reply {
        let asked = match LookUp::read(call.request, call.id) {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        let (mut users, mut not_found) = (Vec::new(), Vec::new());
        for identifier in &asked.identifiers {
            match self.users.find(identifier) {
                Some(user) => users.push(json!({
                    "user_attributes": answered(user, self.options.get_user.names, asked.fields.as_deref()),
                })),
                None => not_found.push(identifier),
            }
        }
        let data = json!({"users_not_found": not_found, "users": users});
        Reply::json(200, &json!({"status": "success", "type": "export_users", "data": data}))
    }
}

/// A user's attributes under their answered names. The sample answers `id` without being asked.
fn answered(user: &User, names: FieldNames, fields: Option<&[String]>) -> Value {
    let readable = |key: &str| READABLE.iter().find(|(known, _)| *known == key).map(|(_, name)| *name);
    let uid = user.customer_id.as_ref().map(|uid| ("uid".to_owned(), json!(uid)));
    let mut answer = Map::new();
    for (key, value) in uid.iter().map(|(k, v)| (k, v)).chain(&user.attributes) {
        let asked = fields.is_none_or(|fields| {
            fields.iter().any(|field| field == key || Some(field.as_str()) == readable(key))
        });
        if asked && !NOT_EXPORTED.contains(&key.as_str()) {
            let name = match names {
                FieldNames::Keys => key,
                FieldNames::Readable => readable(key).unwrap_or(key),
            };
            answer.insert(name.to_owned(), value.clone());
        }
    }
    answer.insert("id".to_owned(), json!(user.id));
    Value::Object(answer)
}
