//! Stands between the host and Brevo and does what a broken host would do.

use std::sync::Mutex;

use serde_json::{Value, json};
use stand_ins::brevo::Brevo;

use super::compare::ext_id;
use super::relay::{self, Message};

/// What is done wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    Nothing,
    /// One POST whose body has a word is acknowledged and not passed on.
    Lose(&'static str, &'static str),
    /// One POST is passed on twice.
    Double(&'static str),
    /// A block is lifted after it was set.
    Resubscribe,
    /// A block that somebody set at Brevo itself is lifted by the next write.
    Unblock,
    /// The block of texts is acknowledged and not passed on.
    LoseSmsOptOut,
    /// A contact is made again after it was deleted.
    Resurrect,
    /// An event is sent for a contact after it was deleted softly.
    WriteDeleted,
    /// A contact joins the list again that a soft deletion took it out of.
    JoinDeleted,
    /// Two writes of an attribute arrive in the other order.
    Misorder,
    /// A write clears the attribute that it doesn't mention.
    Clear,
    /// A row of an import is taken for one that came.
    LoseRow,
}

/// Ends with the test's process.
pub struct Proxy {
    /// `http://127.0.0.1:port`
    pub url: String,
}

struct Plan {
    tamper: Tamper,
    /// `127.0.0.1:port`
    brevo: String,
    key: String,
    done: bool,
    held: Option<Message>,
}

/// Of the call that acknowledges what is lost.
const NO_PROCESS: u64 = 999_999;

impl Proxy {
    pub fn before(brevo: &Brevo, tamper: Tamper) -> Self {
        let address = brevo.url().trim_start_matches("http://").to_owned();
        let plan = Plan { tamper, brevo: address, key: brevo.api_key().to_owned(), done: false, held: None };
        let plan = Mutex::new(plan);
        Self { url: relay::serve(move |asked| plan.lock().unwrap().answer(asked)) }
    }
}

impl Plan {
    fn answer(&mut self, asked: &Message) -> Option<Message> {
        if self.done {
            return self.pass_on(asked);
        }
        let is = |method: &str, path: &str| asked.first.starts_with(&format!("{method} {path}"));
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let updates = is("PUT", "/v3/contacts/");
        let retires = updates && body["attributes"]["MOENGAGE_DELETED_AT"].is_string();
        match self.tamper {
            Tamper::Lose(path, word) if is("POST", path) && body.to_string().contains(word) => {
                self.done = true;
                Some(match path {
                    "/v3/objects/" => {
                        answer("202 Accepted", &json!({ "processId": NO_PROCESS, "message": "accepted" }))
                    }
                    "/v3/transactionalSMS/send" => {
                        answer("201 Created", &json!({ "messageId": NO_PROCESS, "reference": "none" }))
                    }
                    "/v3/crm/tasks" => answer("201 Created", &json!({ "id": "61a5cd07ca1347c82306ad09" })),
                    _ => taken(),
                })
            }
            Tamper::Double(path) if is("POST", path) => {
                self.done = true;
                self.pass_on(asked)?;
                self.pass_on(asked)
            }
            Tamper::Resubscribe if updates && body["emailBlacklisted"] == true => {
                self.done = true;
                let answer = self.pass_on(asked)?;
                self.pass_on(&with_body(asked, &json!({ "emailBlacklisted": false })))?;
                Some(answer)
            }
            Tamper::Unblock if updates => {
                let mut look = asked.clone();
                look.first = asked.first.replacen("PUT", "GET", 1);
                look.body.clear();
                look.headers.retain(|(name, _)| !name.starts_with("content-"));
                let known: Value = serde_json::from_slice(&self.pass_on(&look)?.body).ok()?;
                let answer = self.pass_on(asked)?;
                if known["emailBlacklisted"] == true {
                    self.done = true;
                    self.pass_on(&with_body(asked, &json!({ "emailBlacklisted": false })))?;
                }
                Some(answer)
            }
            Tamper::LoseSmsOptOut if updates && body["smsBlacklisted"] == true => {
                self.done = true;
                Some(taken())
            }
            Tamper::Resurrect if is("DELETE", "/v3/contacts/") => {
                self.done = true;
                let answer = self.pass_on(asked)?;
                let again = json!({
                    "ext_id": ext_id(1), "email": "p1.0@example.com", "attributes": {}, "updateEnabled": false
                });
                self.pass_on(&post(asked, "/v3/contacts", &again))?;
                Some(answer)
            }
            Tamper::WriteDeleted if is("POST", "/v3/events") => {
                self.held = Some(asked.clone());
                self.pass_on(asked)
            }
            Tamper::WriteDeleted if retires => {
                self.done = true;
                let answer = self.pass_on(asked)?;
                let mut event: Value = serde_json::from_slice(&self.held.take()?.body).ok()?;
                event["event_properties"]["moengage_event_uuid"] = "uuid-1".into();
                self.pass_on(&post(asked, "/v3/events", &event))?;
                Some(answer)
            }
            Tamper::JoinDeleted if retires => {
                let contact = asked.first.trim_start_matches("PUT /v3/contacts/");
                let id: i64 = contact.split(['?', ' ']).next()?.parse().ok()?;
                let list = body["unlinkListIds"][0].as_i64()?;
                let join = json!({ "ids": [id] });
                self.held = Some(post(asked, &format!("/v3/contacts/lists/{list}/contacts/add"), &join));
                self.pass_on(asked)
            }
            // The host looks whether the contact left its lists.
            Tamper::JoinDeleted if self.held.is_some() && is("GET", "/v3/contacts/") => {
                self.done = true;
                let answer = self.pass_on(asked)?;
                let join = self.held.take()?;
                self.pass_on(&join)?;
                Some(answer)
            }
            Tamper::Misorder if updates && body["attributes"]["PLAN"].is_string() => match self.held.take() {
                None => {
                    self.held = Some(asked.clone());
                    Some(taken())
                }
                Some(held) => {
                    self.done = true;
                    let answer = self.pass_on(asked)?;
                    self.pass_on(&held)?;
                    Some(answer)
                }
            },
            Tamper::Clear
                if updates && body["attributes"].is_object() && body["attributes"]["CITY"].is_null() =>
            {
                self.done = true;
                let mut cleared = body.clone();
                cleared["attributes"]["CITY"] = "".into();
                self.pass_on(&with_body(asked, &cleared))
            }
            Tamper::LoseRow if is("POST", "/v3/contacts/import") => {
                let mut short = body.clone();
                let lost = short["jsonBody"].as_array_mut()?.pop()?;
                self.held = Some(with_body(asked, &lost));
                self.pass_on(&with_body(asked, &short))
            }
            Tamper::LoseRow if self.held.is_some() && asked.first.contains("listIds=") => {
                self.done = true;
                let row: Value = serde_json::from_slice(&self.held.take()?.body).ok()?;
                let mut page: Value = serde_json::from_slice(&self.pass_on(asked)?.body).ok()?;
                let seen = json!({
                    "id": NO_PROCESS, "email": row["email"], "emailBlacklisted": false,
                    "smsBlacklisted": false, "listIds": [], "attributes": row["attributes"]
                });
                page["contacts"].as_array_mut()?.push(seen);
                page["count"] = (page["count"].as_u64()? + 1).into();
                Some(answer("200 OK", &page))
            }
            _ => self.pass_on(asked),
        }
    }

    fn pass_on(&self, asked: &Message) -> Option<Message> {
        let mut asked = asked.clone();
        asked.headers.retain(|(name, _)| name != "host" && name != "api-key");
        asked.headers.push(("host".to_owned(), self.brevo.clone()));
        asked.headers.push(("api-key".to_owned(), self.key.clone()));
        relay::pass_on(&self.brevo, &asked)
    }
}

fn taken() -> Message {
    Message { first: "HTTP/1.1 204 No Content".to_owned(), headers: Vec::new(), body: Vec::new() }
}

fn answer(status: &str, body: &Value) -> Message {
    let empty = Message { first: format!("HTTP/1.1 {status}"), headers: Vec::new(), body: Vec::new() };
    with_body(&empty, body)
}

fn post(asked: &Message, path: &str, body: &Value) -> Message {
    let mut made = with_body(asked, body);
    made.first = format!("POST {path} HTTP/1.1");
    made
}

fn with_body(asked: &Message, body: &Value) -> Message {
    let body = body.to_string().into_bytes();
    let mut headers = asked.headers.clone();
    headers.retain(|(name, _)| name != "content-length" && name != "content-type");
    headers.push(("content-length".to_owned(), body.len().to_string()));
    headers.push(("content-type".to_owned(), "application/json".to_owned()));
    Message { first: asked.first.clone(), headers, body }
}
