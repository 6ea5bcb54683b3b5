//! Rate windows of an account, and their headers.

use std::collections::BTreeMap;

use super::options::{BatchBucket, Plan};
use crate::clock::Millis;
use crate::http::Reply;
use crate::windows::{Standing, Window, Windows};

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bucket {
    Mail,
    MailList,
    OtherMail,
    Sms,
    Contacts,
    Events,
    Products,
    EverythingElse,
}

impl Bucket {
    fn of(method: &str, template: &str, batch: BatchBucket) -> Self {
        match (method, template) {
            ("POST", "/v3/events") => Self::Events,
            ("POST", "/v3/events/batch") if batch == BatchBucket::Events => Self::Events,
            (_, path) if path.starts_with("/v3/contacts") => Self::Contacts,
            ("POST", "/v3/smtp/email") | ("GET", "/v3/smtp/blockedContacts") => Self::Mail,
            ("GET", "/v3/smtp/emails") => Self::MailList,
            (_, path) if path.starts_with("/v3/smtp/") => Self::OtherMail,
            ("POST", "/v3/transactionalSMS/send" | "/v3/transactionalSMS/sms") => Self::Sms,
            // `POST /products/batch` is not in the table: the worst reading.
            ("POST", "/v3/products") => Self::Products,
            _ => Self::EverythingElse,
        }
    }

    /// brevo: developers.brevo.com/docs/api-limits, read November 2026. Requests a second and an
    /// hour; a table without a number for one of them has only the other window.
    fn windows(self, plan: Plan) -> Vec<Window> {
        let second = |limit| Window { limit, period_ms: SECOND };
        let hour = |limit| Window { limit, period_ms: HOUR };
        match (plan, self) {
            (Plan::General, Self::Mail) => vec![second(1_000), hour(3_600_000)],
            (Plan::Advanced, Self::Mail) => vec![second(2_000), hour(7_200_000)],
            (Plan::Extended, Self::Mail) => vec![second(6_000)],
            (Plan::General, Self::MailList) => vec![second(2), hour(7_200)],
            (Plan::Advanced, Self::MailList) => vec![second(3), hour(10_800)],
            (Plan::Extended, Self::MailList) => vec![hour(18_000)],
            (Plan::General, Self::OtherMail) => vec![hour(300)],
            (Plan::Advanced, Self::OtherMail) => vec![hour(600)],
            (Plan::Extended, Self::OtherMail) => vec![hour(1_800)],
            (Plan::General, Self::Sms) => vec![second(150), hour(540_000)],
            (Plan::Advanced, Self::Sms) => vec![second(200), hour(720_000)],
            (Plan::Extended, Self::Sms) => vec![second(250)],
            (Plan::General, Self::Products) => vec![second(2), hour(7_200)],
            (Plan::Advanced, Self::Products) => vec![second(4), hour(14_400)],
            (Plan::Extended, Self::Products) => vec![hour(21_600)],
            (Plan::General, Self::Contacts | Self::Events) => vec![second(10), hour(36_000)],
            (Plan::Advanced, Self::Contacts | Self::Events) => vec![second(20), hour(72_000)],
            (Plan::Extended, Self::Contacts | Self::Events) => vec![second(60)],
            (Plan::General, Self::EverythingElse) => vec![hour(100)],
            (Plan::Advanced, Self::EverythingElse) => vec![hour(200)],
            (Plan::Extended, Self::EverythingElse) => vec![hour(600)],
            (Plan::Unlimited, _) => Vec::new(),
        }
    }
}

pub(super) struct Limits {
    plan: Plan,
    batch: BatchBucket,
    buckets: BTreeMap<Bucket, Windows>,
}

impl Limits {
    pub(super) fn new(plan: Plan, batch: BatchBucket) -> Self {
        Self { plan, batch, buckets: BTreeMap::new() }
    }

    pub(super) fn admit(
        &mut self,
        method: &str,
        template: &str,
        now: Millis,
    ) -> Result<Option<Standing>, Standing> {
        let bucket = Bucket::of(method, template, self.batch);
        let windows = self.buckets.entry(bucket).or_insert_with(|| Windows::new(&bucket.windows(self.plan)));
        windows.admit(now)
    }
}

/// brevo: developers.brevo.com/docs/api-limits; `reset` is in seconds left.
pub(super) fn with_headers(reply: Reply, standing: Standing) -> Reply {
    reply
        .header("x-sib-ratelimit-limit", standing.limit)
        .header("x-sib-ratelimit-remaining", standing.remaining)
        .header("x-sib-ratelimit-reset", standing.reset_s)
}
