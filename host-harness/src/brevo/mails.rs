//! Transactional mails: one, and reading back what was sent to an address.
//!
//! A mail carries this host's key twice: as `idempotencyKey`, by which Brevo takes a repeat for one
//! within its window, and in a tag, by which it is recognised when it is read back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::account::{Call, encode};
use super::contacts::json;
use super::errors::{self, Kind, Problem};
use super::windows::Family;
use crate::registry::SendEmail;
use crate::store::Digest;
use crate::world::{HttpResponse, Millis};

/// How long after the first request a repeat may start. Brevo names 30 minutes for a key's life
/// (developers.brevo.com, docs/heterogenous-versions-batch-emails) and 15 (changelog, 2021-11-10);
/// the shorter one counts, less a third for clocks and slow connections.
pub const KEY_WINDOW: Millis = 600_000;
/// Mails asked for in one read (OpenAPI `GET /smtp/emails`: at most 1,000).
pub const PAGE: usize = 500;

/// The effect's key as Brevo wants one: a UUID, of version 4 by the changelog's advice.
pub fn key(effect: Digest) -> String {
    uuid::Builder::from_random_bytes(effect.0).into_uuid().to_string()
}

/// The tag by which the mail is recognised.
pub fn tag(effect: Digest) -> String {
    format!("tajo-{}", key(effect))
}

/// `POST /smtp/email` to one address, by a template.
pub fn send(mail: &SendEmail, to: &str, effect: Digest) -> Call {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        to: [To<'a>; 1],
        template_id: i64,
        #[serde(skip_serializing_if = "Map::is_empty")]
        params: &'a Map<String, Value>,
        tags: Vec<&'a str>,
        headers: Headers,
    }
    #[derive(Serialize)]
    struct To<'a> {
        email: &'a str,
    }
    /// In the body (OpenAPI `/smtp/email`, example of `headers`), not of the request.
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Headers {
        idempotency_key: String,
    }
    let own = tag(effect);
    let body = Body {
        to: [To { email: to }],
        template_id: mail.template_id,
        params: &mail.params,
        tags: mail.tags.iter().map(String::as_str).chain([own.as_str()]).collect(),
        headers: Headers { idempotency_key: key(effect) },
    };
    Call {
        method: "POST",
        path: "/smtp/email".into(),
        label: "/smtp/email",
        family: Family::Mails,
        body: Some(json(&body)),
    }
}

/// What Brevo said to a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is sent.
    Taken,
    /// The key was used within its window, and nothing was sent now (`duplicate_parameter`).
    KeyUsed,
    /// There is no active template of that number.
    NoTemplate,
    /// The address is none.
    BadAddress,
}

/// What Brevo said to [`send`]. The words of its refusals are not documented; those that are not
/// recognised stay problems.
pub fn read_send(answer: &HttpResponse) -> Result<Answer, Problem> {
    // 202 is for mails that are scheduled (OpenAPI), which none of ours is; taken all the same.
    if matches!(answer.status, 201 | 202) {
        return Ok(Answer::Taken);
    }
    if (200..300).contains(&answer.status) {
        return Err(Problem { status: answer.status, kind: Kind::OutcomeUnknown });
    }
    let problem = errors::classify(answer);
    match problem.kind {
        Kind::Duplicate(_) if errors::code(answer) == "duplicate_parameter" => Ok(Answer::KeyUsed),
        Kind::NotFound => Ok(Answer::NoTemplate),
        Kind::Refused => {
            let message = errors::message(answer);
            if message.contains("template") {
                Ok(Answer::NoTemplate)
            } else if message.contains("valid in to") {
                Ok(Answer::BadAddress) // getbrevo/brevo-node#40: "email is not valid in to"
            } else {
                Err(problem)
            }
        }
        _ => Err(problem),
    }
}

/// A mail as Brevo's log has it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Logged {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Logged {
    /// True where it carries that tag.
    pub fn carries(&self, tag: &str) -> bool {
        self.tags.iter().flatten().any(|known| known == tag)
    }
}

/// One page of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Newest first. New mails push older ones back, so a page may repeat some and skips none.
    pub mails: Vec<Logged>,
    /// How many there are in all.
    pub count: u64,
}

/// `GET /smtp/emails` to one address, of the last 30 days (OpenAPI: the default).
pub fn list(to: &str, offset: usize) -> Call {
    Call {
        method: "GET",
        path: format!("/smtp/emails?email={}&sort=desc&limit={PAGE}&offset={offset}", encode(to)),
        label: "/smtp/emails",
        family: Family::MailList,
        body: None,
    }
}

/// A page of the log. An unreadable answer is a problem, never "none".
pub fn read_list(answer: &HttpResponse) -> Result<Page, Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        #[serde(default)]
        transactional_emails: Vec<Logged>,
        count: u64,
    }
    if answer.status != 200 {
        return Err(errors::classify(answer));
    }
    let unexpected = |_| Problem { status: 200, kind: Kind::Unexpected };
    let body: Body = serde_json::from_slice(&answer.body).map_err(unexpected)?;
    Ok(Page { mails: body.transactional_emails, count: body.count })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn answer(status: u16, body: &str) -> HttpResponse {
        HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_mail_carries_its_key_in_the_bodys_headers_and_in_a_tag() {
        let mail: SendEmail =
            serde_json::from_str(r#"{"template_id":101,"params":{"n":1},"tags":["welcome"]}"#).unwrap();
        let call = send(&mail, "ada@x.org", Digest([7; 16]));
        let body: Value = serde_json::from_slice(&call.body.unwrap()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "to": [{ "email": "ada@x.org" }], "templateId": 101, "params": { "n": 1 },
                "tags": ["welcome", "tajo-07070707-0707-4707-8707-070707070707"],
                "headers": { "idempotencyKey": "07070707-0707-4707-8707-070707070707" },
            })
        );
        assert_eq!(uuid::Uuid::parse_str(&key(Digest([0xff; 16]))).unwrap().get_version_num(), 4);
    }

    #[test]
    fn only_brevos_own_words_are_an_answer() {
        let id = r#"{"messageId":"<2@relay.domain.com>"}"#;
        assert_eq!(read_send(&answer(201, id)), Ok(Answer::Taken));
        let used = r#"{"code":"duplicate_parameter","message":"idempotencyKey is a duplicate"}"#;
        assert_eq!(read_send(&answer(400, used)), Ok(Answer::KeyUsed));
        let template = r#"{"code":"invalid_parameter","message":"Template is not active"}"#;
        assert_eq!(read_send(&answer(400, template)), Ok(Answer::NoTemplate));
        let address = r#"{"code":"invalid_parameter","message":"email is not valid in to"}"#;
        assert_eq!(read_send(&answer(400, address)), Ok(Answer::BadAddress));
        let kind = |status, body| read_send(&answer(status, body)).unwrap_err().kind;
        assert_eq!(kind(400, r#"{"code":"invalid_parameter","message":"params is invalid"}"#), Kind::Refused);
        assert_eq!(kind(200, "<html>login</html>"), Kind::OutcomeUnknown);
        assert_eq!(kind(404, "<html>no such page</html>"), Kind::Unexpected);
        assert_eq!(kind(402, r#"{"code":"not_enough_credits"}"#), Kind::NoCredits);
    }

    #[test]
    fn a_log_that_is_none_is_a_problem() {
        assert_eq!(
            list("a+b@x.org", 500).path,
            "/smtp/emails?email=a%2Bb%40x.org&sort=desc&limit=500&offset=500"
        );
        let page = r#"{"count":2,"transactionalEmails":[
            {"email":"a@x.org","subject":"s","messageId":"<m>","uuid":"u","date":"2019-05-25T11:53:26Z","tags":["t","tajo-1"]},
            {"email":"a@x.org","subject":"s","messageId":"<n>","uuid":"v","date":"2019-05-25T11:53:26Z"}]}"#;
        let page = read_list(&answer(200, page)).unwrap();
        assert_eq!(page.mails.iter().map(|mail| mail.carries("tajo-1")).collect::<Vec<_>>(), [true, false]);
        assert!(read_list(&answer(200, r#"{"count":0}"#)).unwrap().mails.is_empty());
        for (status, body) in [(200, "{}"), (200, "<html>"), (404, "{}"), (500, "")] {
            assert!(read_list(&answer(status, body)).is_err(), "{status} {body}");
        }
    }
}
