//! Single contacts: create, read, update. Never `forceMerge`, never `updateEnabled`: nothing is
//! merged or overwritten on a guess.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::account::{Call, encode};
use super::errors::{self, Kind, Problem};
use super::windows::Family;
use crate::registry::Channel;
use crate::world::{HttpResponse, Millis};

/// How a contact is named (OpenAPI `identifierType`).
#[derive(Clone, Copy, Debug)]
pub enum Name<'a> {
    /// Brevo's numeric id.
    Id(i64),
    /// The customer's own id.
    ExtId(&'a str),
    /// E-mail address.
    Email(&'a str),
    /// Phone number.
    Phone(&'a str),
}

impl Name<'_> {
    fn path(self) -> String {
        let (value, kind) = match self {
            Self::Id(id) => (id.to_string(), "contact_id"),
            Self::ExtId(ext_id) => (encode(ext_id), "ext_id"),
            Self::Email(email) => (encode(email), "email_id"),
            Self::Phone(phone) => (encode(phone), "phone_id"),
        };
        format!("/contacts/{value}?identifierType={kind}")
    }
}

/// A contact as Brevo has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// Numeric id.
    pub id: i64,
    /// Lower case.
    pub email: Option<String>,
    /// Digits only.
    pub phone: Option<String>,
    /// The customer's own id.
    pub ext_id: Option<String>,
    /// Blocked for e-mail campaigns.
    pub email_blocked: bool,
    /// Blocked for SMS campaigns.
    pub sms_blocked: bool,
    /// When the person last unsubscribed by a link in a mail, as far as Brevo says.
    pub user_unsubscribed_at: Option<Millis>,
    /// When somebody or something last unsubscribed them at Brevo, as far as Brevo says. This
    /// host's own block may appear here.
    pub admin_unsubscribed_at: Option<Millis>,
    /// Lists that the contact is in; none where the answer doesn't say.
    pub lists: Option<Vec<i64>>,
    /// Values by attribute name.
    pub attributes: Map<String, Value>,
}

impl Contact {
    /// Whether the channel is blocked.
    pub fn blocked(&self, channel: Channel) -> bool {
        match channel {
            Channel::Email => self.email_blocked,
            Channel::Sms => self.sms_blocked,
        }
    }

    /// The address of the channel, in the form that [`address_key`] gives.
    pub fn address(&self, channel: Channel) -> Option<&str> {
        match channel {
            Channel::Email => self.email.as_deref(),
            Channel::Sms => self.phone.as_deref(),
        }
    }
}

/// The form in which two addresses are compared: e-mail in lower case, phones by their digits
/// (Brevo returns them without the plus sign; OpenAPI example of `GET /contacts/{identifier}`).
pub fn address_key(channel: Channel, address: &str) -> String {
    match channel {
        Channel::Email => address.trim().to_lowercase(),
        Channel::Sms => {
            let digits: String = address.chars().filter(char::is_ascii_digit).collect();
            digits.strip_prefix("00").map(str::to_owned).unwrap_or(digits)
        }
    }
}

/// The attribute that holds the channel's address.
pub fn address_attribute(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "EMAIL",
        Channel::Sms => "SMS",
    }
}

/// A new contact.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewContact {
    #[allow(missing_docs)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The customer's own id.
    #[serde(rename = "ext_id", skip_serializing_if = "Option::is_none")]
    pub ext_id: Option<String>,
    /// With `SMS` where there is a phone.
    pub attributes: BTreeMap<String, Value>,
    /// True blocks; false is never sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub email_blacklisted: bool,
    /// True blocks; false is never sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sms_blacklisted: bool,
    /// Always false: an existing contact is an error, never overwritten.
    pub update_enabled: Never,
}

/// Serialises as `false`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Never;

impl Serialize for Never {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(false)
    }
}

/// A change of a contact. It can set a block and never lift one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Only what changes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
    /// The customer's own id.
    #[serde(rename = "ext_id", skip_serializing_if = "Option::is_none")]
    pub ext_id: Option<String>,
    /// True blocks; false is never sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub email_blacklisted: bool,
    /// True blocks; false is never sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sms_blacklisted: bool,
    /// Lists that the contact leaves (OpenAPI `unlinkListIds` of `PUT /contacts/{identifier}`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unlink_list_ids: Vec<i64>,
}

impl Change {
    /// True where it would change nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sets the block of a channel.
    pub fn block(&mut self, channel: Channel) {
        match channel {
            Channel::Email => self.email_blacklisted = true,
            Channel::Sms => self.sms_blacklisted = true,
        }
    }
}

/// `GET /contacts/{identifier}`
pub fn get(name: Name<'_>) -> Call {
    Call { method: "GET", path: name.path(), label: "/contacts/{id}", family: Family::Contacts, body: None }
}

/// The contact, or none where Brevo says that there is none. An unreadable answer is a problem,
/// never "none".
pub fn read_get(answer: &HttpResponse) -> Result<Option<Contact>, Problem> {
    if answer.status == 200 {
        let parsed: Wire = serde_json::from_slice(&answer.body)
            .map_err(|_| Problem { status: 200, kind: Kind::Unexpected })?;
        return Ok(Some(parsed.into()));
    }
    let problem = errors::classify(answer);
    if problem.kind == Kind::NotFound { Ok(None) } else { Err(problem) }
}

/// `POST /contacts` with `updateEnabled: false`: an existing contact is an error, never overwritten.
pub fn create(contact: &NewContact) -> Call {
    Call {
        method: "POST",
        path: "/contacts".into(),
        label: "/contacts",
        family: Family::Contacts,
        body: Some(json(contact)),
    }
}

/// The new contact's id.
pub fn read_create(answer: &HttpResponse) -> Result<i64, Problem> {
    #[derive(Deserialize)]
    struct Created {
        id: i64,
    }
    if answer.status != 201 {
        return Err(match answer.status {
            // It was done, but not as asked: read back what is there.
            200..=299 => Problem { status: answer.status, kind: Kind::OutcomeUnknown },
            _ => errors::classify(answer),
        });
    }
    serde_json::from_slice::<Created>(&answer.body)
        .map(|created| created.id)
        .map_err(|_| Problem { status: 201, kind: Kind::OutcomeUnknown })
}

/// `PUT /contacts/{id}`; by numeric id, so that nobody else's contact is ever meant.
pub fn update(id: i64, change: &Change) -> Call {
    put(id, json(change))
}

/// `PUT /contacts/{id}` that lifts the block of one channel. Only after everything in design
/// rule 8 was checked.
pub fn lift_block(id: i64, channel: Channel) -> Call {
    let field = match channel {
        Channel::Email => "emailBlacklisted",
        Channel::Sms => "smsBlacklisted",
    };
    put(id, json(&serde_json::json!({ field: false })))
}

fn put(id: i64, body: Vec<u8>) -> Call {
    Call {
        method: "PUT",
        path: Name::Id(id).path(),
        label: "/contacts/{id}",
        family: Family::Contacts,
        body: Some(body),
    }
}

/// Whether an update was done; false where the contact does not exist.
pub fn read_update(answer: &HttpResponse) -> Result<bool, Problem> {
    if (200..300).contains(&answer.status) {
        return Ok(true);
    }
    let problem = errors::classify(answer);
    if problem.kind == Kind::NotFound { Ok(false) } else { Err(problem) }
}

/// `DELETE /contacts/{id}`, for good, with its history; by numeric id, so that nobody else's contact is
/// ever meant and a repeat is safe.
pub fn delete(id: i64) -> Call {
    Call {
        method: "DELETE",
        path: Name::Id(id).path(),
        label: "/contacts/{id}",
        family: Family::Contacts,
        body: None,
    }
}

/// Whether a deletion was done; false where there was no such contact.
pub fn read_delete(answer: &HttpResponse) -> Result<bool, Problem> {
    read_update(answer)
}

/// Maps with string keys always serialise.
pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wire {
    id: i64,
    #[serde(default)]
    email: Option<String>,
    #[serde(default, rename = "ext_id")]
    ext_id: Option<Value>,
    email_blacklisted: bool,
    sms_blacklisted: bool,
    attributes: Map<String, Value>,
    #[serde(default)]
    list_ids: Option<Vec<i64>>,
    #[serde(default)]
    statistics: Option<Value>,
}

impl From<Wire> for Contact {
    fn from(wire: Wire) -> Self {
        let text = |value: &Value| match value {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        // ext_id is shown as the attribute EXT_ID (changelog 2023-03-10).
        let ext_id = wire.ext_id.as_ref().or_else(|| wire.attributes.get("EXT_ID")).and_then(text);
        let email = wire.email.filter(|email| !email.is_empty());
        let phone = wire.attributes.get("SMS").and_then(text);
        let unsubscribed = |who: &str| {
            let list = wire.statistics.as_ref()?.get("unsubscriptions")?.get(who)?.as_array()?;
            list.iter().filter_map(|event| time(event.get("eventTime")?.as_str()?)).max()
        };
        Self {
            id: wire.id,
            email: email.map(|email| address_key(Channel::Email, &email)),
            phone: phone.map(|phone| address_key(Channel::Sms, &phone)),
            ext_id,
            email_blocked: wire.email_blacklisted,
            sms_blocked: wire.sms_blacklisted,
            user_unsubscribed_at: unsubscribed("userUnsubscription"),
            admin_unsubscribed_at: unsubscribed("adminUnsubscription"),
            lists: wire.list_ids,
            attributes: wire.attributes,
        }
    }
}

fn time(text: &str) -> Option<Millis> {
    text.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn answer(status: u16, body: &str) -> HttpResponse {
        HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn names_are_escaped_and_typed() {
        assert_eq!(get(Name::Email("a+b@x.org")).path, "/contacts/a%2Bb%40x.org?identifierType=email_id");
        assert_eq!(get(Name::ExtId("a/../b?c")).path, "/contacts/a%2F..%2Fb%3Fc?identifierType=ext_id");
        assert_eq!(get(Name::Id(7)).path, "/contacts/7?identifierType=contact_id");
    }

    #[test]
    fn only_brevos_own_not_found_means_that_there_is_no_contact() {
        let gone = r#"{"code":"document_not_found","message":"Contact does not exist"}"#;
        assert_eq!(read_get(&answer(404, gone)), Ok(None));
        assert_eq!(read_get(&answer(400, gone)), Ok(None));
        for (status, body) in [(404, "<html>no such page</html>"), (200, "{}"), (200, "<html>login</html>")] {
            assert_eq!(read_get(&answer(status, body)).unwrap_err().kind, Kind::Unexpected, "{body}");
        }
        assert_eq!(read_update(&answer(404, gone)), Ok(false));
        assert_eq!(read_update(&answer(404, "")).unwrap_err().kind, Kind::Unexpected);
    }

    #[test]
    fn a_contact_is_read_with_its_blocks_and_their_dates() {
        let body = r#"{"id":42,"email":"Peggy@Example.com","emailBlacklisted":true,"smsBlacklisted":false,
            "createdAt":"2017-05-02T16:40:31Z","modifiedAt":"2017-05-02T16:40:31Z","listIds":[40],
            "attributes":{"SMS":"3087433387669","EXT_ID":"u1","FIRSTNAME":"Peggy"},
            "statistics":{"unsubscriptions":{"userUnsubscription":[{"campaignId":3,"eventTime":"2017-03-12T20:15:13Z"},
              {"campaignId":4,"eventTime":"2018-03-12T20:15:13.000+00:00"}],"adminUnsubscription":[]}}}"#;
        let contact = read_get(&answer(200, body)).unwrap().unwrap();
        assert_eq!((contact.id, contact.email.as_deref()), (42, Some("peggy@example.com")));
        assert_eq!(
            (contact.ext_id.as_deref(), contact.phone.as_deref()),
            (Some("u1"), Some("3087433387669"))
        );
        assert!(contact.email_blocked && !contact.sms_blocked);
        assert_eq!(contact.lists, Some(vec![40]));
        assert_eq!(contact.user_unsubscribed_at, time("2018-03-12T20:15:13Z"));
        assert_eq!(contact.admin_unsubscribed_at, None);
    }

    #[test]
    fn a_change_never_says_false() {
        let text = |change: &Change| String::from_utf8(json(change)).unwrap();
        assert_eq!(text(&Change::default()), "{}");
        let mut change = Change::default();
        change.block(Channel::Email);
        assert_eq!(text(&change), r#"{"emailBlacklisted":true}"#);
        let new = NewContact { ext_id: Some("u1".into()), sms_blacklisted: true, ..NewContact::default() };
        assert_eq!(
            String::from_utf8(json(&new)).unwrap(),
            r#"{"ext_id":"u1","attributes":{},"smsBlacklisted":true,"updateEnabled":false}"#
        );
    }

    #[test]
    fn phones_are_one_in_every_spelling() {
        for spelling in ["+49 151 2345", "00491512345", "491512345"] {
            assert_eq!(address_key(Channel::Sms, spelling), "491512345");
        }
    }
}
