//! How a Brevo stand-in is set up.

use std::time::Duration;

use super::campaigns::Campaign;
use super::mail::Template;
use super::objects::ObjectType;
use crate::clock::Scale;

/// One Brevo account. `Default` is a fresh account on the General plan in real time.
#[derive(Clone, Debug)]
pub struct Options {
    /// On loopback; 0 takes a free one.
    pub port: u16,
    /// For rate windows, the processing delay and all dates.
    pub scale: Scale,
    /// Values of `api-key` that are accepted.
    pub api_keys: Vec<String>,
    /// Documented rate table that holds.
    pub plan: Plan,
    /// Where `POST /events/batch` counts.
    pub batch_bucket: BatchBucket,
    /// How a batch with valid and invalid events is answered.
    pub batch_partial: BatchPartial,
    /// Code of a duplicate's 400.
    pub duplicate_code: DuplicateCode,
    /// Envelope of what became of the rows of a list's add or remove.
    pub list_envelope: ListEnvelope,
    /// Host time until an accepted event can be read back by `GET /events`.
    pub processing_delay: Duration,
    /// Attributes of the account beside EMAIL, SMS, WHATSAPP, LANDLINE_NUMBER and EXT_ID:
    /// name and type (`text`, `date`, `float`, `boolean`). FIRSTNAME and LASTNAME are ordinary ones:
    /// accounts in other languages have others.
    pub attributes: Vec<(String, String)>,
    /// E-mail templates of the account.
    pub templates: Vec<Template>,
    /// Mails that can still be sent; no end where missing. A campaign takes one for each person.
    pub email_credits: Option<u64>,
    /// Host time in which `idempotencyKey` of a mail is not taken again. Brevo documents 15 minutes
    /// (changelog of 2021-11-10) and 30 (guide): the shorter is the worst for a sender that repeats.
    pub mail_key_window: Duration,
    /// Host time until a mail is in `GET /smtp/emails` and its events are in the report.
    pub mail_log_delay: Duration,
    /// SMS templates of the account.
    pub sms_templates: Vec<i64>,
    /// Text messages that can still be sent; no end where missing.
    pub sms_credits: Option<u64>,
    /// Host time until the events of a text message are in the report.
    pub sms_log_delay: Duration,
    /// E-mail campaigns of the account.
    pub campaigns: Vec<Campaign>,
    /// Host time from `sendNow` until a campaign is sent; the first half of it is queued.
    pub campaign_delay: Duration,
    /// What a row of an import must have.
    pub import_rows: ImportRows,
    /// Host time for which an import is queued.
    pub import_queue_delay: Duration,
    /// Host time for which it is in process then; at its end it takes effect.
    pub import_delay: Duration,
    /// Custom objects of the account; missing where they are not on its plan: then 403.
    pub objects: Option<Vec<ObjectType>>,
    /// Host time until a batch of object records takes effect; the first half of it is queued.
    pub object_delay: Duration,
    /// Titles of the task types.
    pub task_types: Vec<String>,
    /// Host time until a note or a task is listed. None is documented.
    pub crm_delay: Duration,
    /// Requests that the journal keeps.
    pub journal_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            scale: Scale::REAL,
            api_keys: vec!["xkeysib-stand-in".to_owned()],
            plan: Plan::General,
            batch_bucket: BatchBucket::EverythingElse,
            batch_partial: BatchPartial::MultiStatus,
            duplicate_code: DuplicateCode::DuplicateParameter,
            list_envelope: ListEnvelope::Wrapped,
            processing_delay: Duration::from_secs(2),
            attributes: ["FIRSTNAME", "LASTNAME"].map(|name| (name.to_owned(), "text".to_owned())).to_vec(),
            templates: vec![Template::active(101)],
            email_credits: None,
            mail_key_window: Duration::from_secs(15 * 60),
            mail_log_delay: Duration::from_secs(10),
            sms_templates: Vec::new(),
            sms_credits: None,
            sms_log_delay: Duration::from_secs(10),
            campaigns: Vec::new(),
            campaign_delay: Duration::from_secs(60),
            import_rows: ImportRows::EmailOnly,
            import_queue_delay: Duration::from_secs(5),
            import_delay: Duration::from_secs(10),
            objects: None,
            object_delay: Duration::from_secs(10),
            // brevo: the default set, `get_all_task_types` of brevo-python 5.1.0.
            task_types: ["Email", "Call", "Meeting", "Todo", "Lunch", "Deadline", "LinkedIn"]
                .map(str::to_owned)
                .to_vec(),
            crm_delay: Duration::ZERO,
            journal_limit: 200_000,
        }
    }
}

/// Brevo's rate tables (developers.brevo.com/docs/api-limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Free, Starter, Standard.
    General,
    /// Professional and Enterprise.
    Advanced,
    /// Enterprise with the add-on.
    Extended,
    /// No limits and no rate headers: for tests of something else.
    Unlimited,
}

/// Brevo documents no rate for `POST /events/batch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchBucket {
    /// As "all other endpoints": the worst reading.
    EverythingElse,
    /// Shares the windows of `POST /events`.
    Events,
}

/// Brevo's sources differ on a batch of which only some events are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchPartial {
    /// 207 with the report of the 400 (changelog of 2026-03-03).
    MultiStatus,
    /// 202 with a `count` below the number sent (reading of the reference's words).
    CountOnly,
    /// 400 with the report; the valid events are queued all the same (shape of the reference).
    BadRequest,
}

/// The code of a duplicate drifted in 2026; the message stayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuplicateCode {
    /// As documented.
    DuplicateParameter,
    /// As seen in May 2026.
    InvalidParameter,
}

/// The schema and the examples of the OpenAPI file differ on the 201 of a list's add and remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListEnvelope {
    /// `{"contacts": {"success": [], "failure": []}}`: the schema.
    Wrapped,
    /// `{"success": [], "failure": []}`: the examples.
    Bare,
}

/// The help text for files lets a row go by any identifier; the schema of `jsonBody` knows `email`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportRows {
    /// A row without an address is refused, as one with a bad address: the worst reading.
    EmailOnly,
    /// `EXT_ID`, `SMS`, `WHATSAPP` or `LANDLINE_NUMBER` among the attributes will do.
    AnyIdentifier,
}
