//! E-mail campaigns: where one stands, and sending it now.

use serde::Deserialize;

use super::account::Call;
use super::errors::{self, Kind, Problem};
use super::windows::Family;
use crate::world::HttpResponse;

/// Where a campaign stands (OpenAPI and `brevo-python` 5.1.0, `get_email_campaign`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It can be sent.
    Draft,
    /// It is sent, or on its way: `sent`, `queued`, `in_process`, `in_review`.
    Sent,
    /// Somebody put it aside: `archive`, `suspended`, `cancelling`, `cancelled`, or newer words.
    Other,
}

/// `GET /emailCampaigns/{id}`
pub fn get(id: i64) -> Call {
    Call {
        method: "GET",
        path: format!("/emailCampaigns/{id}"),
        label: "/emailCampaigns/{id}",
        family: Family::Campaigns,
        body: None,
    }
}

/// Where the campaign stands; none where there is none.
pub fn read_get(answer: &HttpResponse) -> Result<Option<Status>, Problem> {
    #[derive(Deserialize)]
    struct Body {
        status: String,
    }
    if answer.status != 200 {
        let problem = errors::classify(answer);
        return if problem.kind == Kind::NotFound { Ok(None) } else { Err(problem) };
    }
    let unexpected = |_| Problem { status: 200, kind: Kind::Unexpected };
    let body: Body = serde_json::from_slice(&answer.body).map_err(unexpected)?;
    Ok(Some(match body.status.as_str() {
        "draft" => Status::Draft,
        // The list of campaigns spells the last two in the other way.
        "sent" | "queued" | "in_process" | "inProcess" | "in_review" | "inReview" => Status::Sent,
        _ => Status::Other,
    }))
}

/// `POST /emailCampaigns/{id}/sendNow`
pub fn send_now(id: i64) -> Call {
    Call {
        method: "POST",
        path: format!("/emailCampaigns/{id}/sendNow"),
        label: "/emailCampaigns/{id}/sendNow",
        family: Family::Campaigns,
        body: None,
    }
}

/// What Brevo said to [`send_now`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It goes out now.
    Taken,
    /// It went out before, or is going out (`campaign_sent`, `campaign_processing`).
    SentBefore,
    /// There is no such campaign.
    Unknown,
}

/// What Brevo said to [`send_now`].
pub fn read_send_now(answer: &HttpResponse) -> Result<Answer, Problem> {
    match answer.status {
        204 => return Ok(Answer::Taken),
        200..=299 => return Err(Problem { status: answer.status, kind: Kind::OutcomeUnknown }),
        _ => {}
    }
    if answer.status == 400
        && matches!(errors::code(answer).as_str(), "campaign_sent" | "campaign_processing")
    {
        return Ok(Answer::SentBefore);
    }
    let problem = errors::classify(answer);
    if problem.kind == Kind::NotFound { Ok(Answer::Unknown) } else { Err(problem) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn answer(status: u16, body: &str) -> HttpResponse {
        HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn only_a_draft_can_be_sent() {
        let status =
            |word: &str| read_get(&answer(200, &format!(r#"{{"id":7,"status":"{word}"}}"#))).unwrap();
        assert_eq!(status("draft"), Some(Status::Draft));
        for word in ["sent", "queued", "in_process", "inProcess", "in_review", "inReview"] {
            assert_eq!(status(word), Some(Status::Sent), "{word}");
        }
        for word in ["archive", "suspended", "cancelled", "a word of next year"] {
            assert_eq!(status(word), Some(Status::Other), "{word}");
        }
        assert_eq!(read_get(&answer(404, r#"{"code":"document_not_found"}"#)), Ok(None));
        for (status, body) in [(200, "{}"), (200, "<html>"), (404, "<html>"), (500, "")] {
            assert!(read_get(&answer(status, body)).is_err(), "{status} {body}");
        }
    }

    #[test]
    fn a_campaign_that_went_out_is_told_apart() {
        assert_eq!(read_send_now(&answer(204, "")), Ok(Answer::Taken));
        for code in ["campaign_sent", "campaign_processing"] {
            let body = format!(r#"{{"code":"{code}","message":"no"}}"#);
            assert_eq!(read_send_now(&answer(400, &body)), Ok(Answer::SentBefore));
        }
        assert_eq!(read_send_now(&answer(404, r#"{"code":"document_not_found"}"#)), Ok(Answer::Unknown));
        let kind = |status, body| read_send_now(&answer(status, body)).unwrap_err().kind;
        assert_eq!(kind(200, "<html>"), Kind::OutcomeUnknown);
        assert_eq!(kind(400, r#"{"code":"missing_parameter","message":"subject"}"#), Kind::Refused);
        assert_eq!(kind(402, r#"{"code":"not_enough_credits"}"#), Kind::NoCredits);
        assert_eq!(kind(502, ""), Kind::OutcomeUnknown);
    }
}
