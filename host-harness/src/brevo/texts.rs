//! Text messages: one, and reading back what became of those to a number.
//!
//! Brevo has no idempotency key for texts. Each carries a tag by which it is recognised.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::Call;
use super::contacts::{address_key, json};
use super::errors::{self, Kind, Problem};
use super::windows::Family;
use crate::registry::{Channel, SendSms, SmsKind};
use crate::store::Digest;
use crate::world::HttpResponse;

/// Events asked for in one read (OpenAPI `GET /transactionalSMS/statistics/events`: at most 100).
pub const PAGE: usize = 100;

/// Characters of the GSM alphabet beside letters, digits and ASCII's punctuation (3GPP TS 23.038,
/// 6.2.1 and 6.2.1.1).
const GSM: &str = "\n\r ¡£¤¥§¿ÄÅÆÇÉÑÖØÜßàäåæèéìñòöøùüΓΔΘΛΞΠΣΦΨΩ€";

/// The tag by which a text is recognised. Ten characters: enough for one number's texts, and short
/// where Brevo's limit is not documented.
pub fn tag(effect: Digest) -> String {
    effect.hex().chars().take(10).collect()
}

/// `POST /transactionalSMS/send` to one number.
pub fn send(text: &SendSms, to: &str, effect: Digest) -> Call {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        recipient: String,
        sender: &'a str,
        content: &'a str,
        #[serde(rename = "type")]
        kind: SmsKind,
        tag: Tag<'a>,
        unicode_enabled: bool,
    }
    /// One tag, or up to 10 in a list (`brevo-python` 5.1.0, `send_transac_sms`).
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Tag<'a> {
        One(String),
        Two([&'a str; 2]),
    }
    let own = tag(effect);
    let body = Body {
        // Digits with the country code, without the plus sign (OpenAPI example).
        recipient: address_key(Channel::Sms, to),
        sender: &text.sender,
        content: &text.content,
        kind: text.kind,
        // This host's comes first: a report shows one tag of a text, and doesn't say which.
        tag: match &text.tag {
            Some(theirs) => Tag::Two([&own, theirs]),
            None => Tag::One(own.clone()),
        },
        unicode_enabled: !is_gsm(&text.content),
    };
    Call {
        method: "POST",
        path: "/transactionalSMS/send".into(),
        label: "/transactionalSMS/send",
        family: Family::Texts,
        body: Some(json(&body)),
    }
}

/// Whether a telephone shows it without Unicode, which halves what fits into a message and more.
fn is_gsm(content: &str) -> bool {
    content.chars().all(|c| (c.is_ascii_graphic() && c != '`') || GSM.contains(c))
}

/// Whether Brevo took the text.
pub fn read_send(answer: &HttpResponse) -> Result<(), Problem> {
    match answer.status {
        201 => Ok(()),
        200..=299 => Err(Problem { status: answer.status, kind: Kind::OutcomeUnknown }),
        _ => {
            let problem = errors::classify(answer);
            // The words are not documented.
            let about_number =
                ["phone", "recipient"].iter().any(|word| errors::message(answer).contains(word));
            let kind = match problem.kind {
                Kind::Refused if about_number => Kind::InvalidPhone,
                kind => kind,
            };
            Err(Problem { kind, ..problem })
        }
    }
}

/// Something that happened to a text.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Event {
    #[serde(default)]
    tag: Option<String>,
    /// A number in the example, sometimes a text.
    #[serde(default, rename = "phoneNumber")]
    phone: Value,
}

impl Event {
    /// True where it is about the text to that number with that tag.
    pub fn is_of(&self, phone: &str, tag: &str) -> bool {
        let digits = match &self.phone {
            Value::String(text) => address_key(Channel::Sms, text),
            Value::Number(number) => number.to_string(),
            _ => return false,
        };
        // More than one tag may be shown in one text.
        digits == address_key(Channel::Sms, phone)
            && self.tag.as_ref().is_some_and(|shown| shown.contains(tag))
    }
}

/// `GET /transactionalSMS/statistics/events` of one number: the last `days`, today included, newest
/// first.
pub fn list(phone: &str, days: i64, offset: usize) -> Call {
    let phone = address_key(Channel::Sms, phone);
    Call {
        method: "GET",
        path: format!(
            "/transactionalSMS/statistics/events?phoneNumber={phone}&days={days}&sort=desc&limit={PAGE}&offset={offset}"
        ),
        label: "/transactionalSMS/statistics/events",
        family: Family::TextReport,
        body: None,
    }
}

/// A page of events. It says nothing of how many there are: a page that is not full is the last.
pub fn read_list(answer: &HttpResponse) -> Result<Vec<Event>, Problem> {
    #[derive(Deserialize)]
    struct Body {
        events: Vec<Event>,
    }
    if answer.status != 200 {
        return Err(errors::classify(answer));
    }
    let unexpected = |_| Problem { status: 200, kind: Kind::Unexpected };
    serde_json::from_slice::<Body>(&answer.body).map(|body| body.events).map_err(unexpected)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn answer(status: u16, body: &str) -> HttpResponse {
        HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    fn body(text: &str) -> Value {
        let text: SendSms = serde_json::from_str(text).unwrap();
        serde_json::from_slice(&send(&text, "+49 151 1234567", Digest([0xab; 16])).body.unwrap()).unwrap()
    }

    #[test]
    fn a_text_carries_its_own_tag_beside_the_tenants() {
        assert_eq!(
            body(r#"{"content":"Grüße [1]","sender":"ACME"}"#),
            serde_json::json!({
                "recipient": "491511234567", "sender": "ACME", "content": "Grüße [1]",
                "type": "transactional", "tag": "ababababab", "unicodeEnabled": false,
            })
        );
        let other = body(r#"{"content":"Привет","sender":"ACME","kind":"marketing","tag":"hello"}"#);
        assert_eq!(other["tag"], serde_json::json!(["ababababab", "hello"]));
        assert_eq!((&other["type"], &other["unicodeEnabled"]), (&"marketing".into(), &true.into()));
    }

    #[test]
    fn an_event_is_recognised_by_number_and_tag() {
        let page = r#"{"events":[
            {"date":"2015-05-20T12:30:00Z","event":"sent","messageId":"1","phoneNumber":491511234567,"tag":"ababababab"},
            {"event":"sent","phoneNumber":"+491511234567","tag":"[\"ababababab\",\"hello\"]"},
            {"event":"sent","phoneNumber":491519999999,"tag":"ababababab"},
            {"event":"replies","phoneNumber":491511234567}]}"#;
        let events = read_list(&answer(200, page)).unwrap();
        let ours: Vec<bool> = events.iter().map(|event| event.is_of("+491511234567", "ababababab")).collect();
        assert_eq!(ours, [true, true, false, false]);
        for (status, body) in [(200, "{}"), (200, "<html>"), (404, ""), (502, "")] {
            assert!(read_list(&answer(status, body)).is_err());
        }
    }

    #[test]
    fn only_201_is_brevos_word_that_a_text_is_sent() {
        assert_eq!(read_send(&answer(201, r#"{"messageId":1511882900176220}"#)), Ok(()));
        assert_eq!(read_send(&answer(200, "<html>")).unwrap_err().kind, Kind::OutcomeUnknown);
        let phone = r#"{"code":"invalid_parameter","message":"Invalid phone number"}"#;
        assert_eq!(read_send(&answer(400, phone)).unwrap_err().kind, Kind::InvalidPhone);
        let recipient = r#"{"code":"invalid_parameter","message":"Recipient is not valid"}"#;
        assert_eq!(read_send(&answer(400, recipient)).unwrap_err().kind, Kind::InvalidPhone);
        let sender = r#"{"code":"invalid_parameter","message":"Sender is not valid"}"#;
        assert_eq!(read_send(&answer(400, sender)).unwrap_err().kind, Kind::Refused);
    }
}
