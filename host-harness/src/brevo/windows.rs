//! Rate windows, kept ahead of time for each family of calls, and what Brevo's headers say on top.
//!
//! A window counts calls in twentieths of its period and forgets a twentieth only when its end has
//! left the period, so that no sliding period ever holds more than is allowed.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::config::Plan;
use crate::egress::rate_headers::RateHeaders;
use crate::world::{HttpResponse, Millis};

/// Calls that are counted together, and that stop together where Brevo refuses them: a key may have
/// access to some and not to others. What shares a window and not its fate is a family of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Everything under `/contacts`.
    Contacts,
    /// `POST /events`.
    Events,
    /// `POST /events/batch`: undocumented, and counted with everything else.
    EventsBatch,
    /// `POST /smtp/email`, and the list of blocked addresses.
    Mails,
    /// `GET /smtp/emails`.
    MailList,
    /// Everything else under `/smtp`.
    MailOther,
    /// `POST /transactionalSMS/send`.
    Texts,
    /// `POST /products`.
    Products,
    /// `POST /objects/{type}/batch/upsert`, counted with everything else.
    Objects,
    /// `POST /crm/notes` and `POST /crm/tasks`, counted with everything else.
    Crm,
    /// `GET /transactionalSMS/statistics/events`, counted with everything else.
    TextReport,
    /// Everything under `/emailCampaigns`, counted with everything else.
    Campaigns,
    /// Everything under `/processes`, counted with everything else.
    Processes,
    /// `GET /events`, counted with everything else.
    ReadBack,
    /// Everything else.
    Other,
}

/// What a family may use of the calls that Brevo counts together.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Whose part it is.
    pub family: Family,
    /// At most so many tenths. The parts overlap: each is a limit, and all of them together are held
    /// to the whole.
    pub tenths: u32,
    /// And at most one call in so many seconds.
    pub every: Option<u32>,
    /// Which calls these are.
    pub calls: &'static str,
    /// Why so much.
    pub why: &'static str,
}

/// How the calls are divided that Brevo allows for everything that has no limit of its own, a hundred
/// an hour (developers.brevo.com, docs/api-limits).
pub const EVERYTHING_ELSE: [Part; 8] = [
    Part {
        family: Family::EventsBatch,
        tenths: 7,
        every: None,
        calls: "many events at once",
        why: "what they leave is for reading back, which events of unknown outcome wait for",
    },
    Part {
        family: Family::Crm,
        tenths: 5,
        every: None,
        calls: "notes, tasks, and reading them back",
        why: "one call each: a flood of them leaves half to everything else",
    },
    Part {
        family: Family::Objects,
        tenths: 2,
        every: Some(60),
        calls: "many records of an object at once",
        why: "records that trickle in ride together",
    },
    Part {
        family: Family::ReadBack,
        tenths: 10,
        every: None,
        calls: "looking for events of unknown outcome",
        why: "nothing else proves them",
    },
    Part {
        family: Family::TextReport,
        tenths: 10,
        every: None,
        calls: "looking for texts of unknown outcome",
        why: "nothing else proves them",
    },
    Part {
        family: Family::Campaigns,
        tenths: 10,
        every: None,
        calls: "looking at campaigns and sending them",
        why: "rare",
    },
    Part {
        family: Family::Processes,
        tenths: 10,
        every: None,
        calls: "how far Brevo is with imports and objects",
        why: "asked ever more seldom",
    },
    Part { family: Family::Other, tenths: 10, every: None, calls: "checks of a key", why: "rare" },
];

impl Family {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Contacts,
        Self::Events,
        Self::EventsBatch,
        Self::Mails,
        Self::MailList,
        Self::MailOther,
        Self::Texts,
        Self::Products,
        Self::Objects,
        Self::Crm,
        Self::TextReport,
        Self::Campaigns,
        Self::Processes,
        Self::ReadBack,
        Self::Other,
    ];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Events => "events",
            Self::EventsBatch => "events-batch",
            Self::Mails => "mails",
            Self::MailList => "mail-list",
            Self::MailOther => "mail-other",
            Self::Texts => "texts",
            Self::Products => "products",
            Self::Objects => "objects",
            Self::Crm => "crm",
            Self::TextReport => "text-report",
            Self::Campaigns => "campaigns",
            Self::Processes => "processes",
            Self::ReadBack => "read-back",
            Self::Other => "other",
        }
    }

    /// Its part of the calls that are counted together, where they are.
    fn part(self) -> Option<&'static Part> {
        EVERYTHING_ELSE.iter().find(|part| part.family == self)
    }

    /// (calls, seconds) of each window; developers.brevo.com, docs/api-limits.
    pub fn limits(self, plan: Plan) -> Vec<(u32, u32)> {
        match (self, plan) {
            (Self::Contacts | Self::Events, Plan::General) => vec![(10, 1), (36_000, 3_600)],
            (Self::Contacts | Self::Events, Plan::Advanced) => vec![(20, 1), (72_000, 3_600)],
            (Self::Contacts | Self::Events, Plan::Extended) => vec![(60, 1)],
            (Self::Mails, Plan::General) => vec![(1_000, 1), (3_600_000, 3_600)],
            (Self::Mails, Plan::Advanced) => vec![(2_000, 1), (7_200_000, 3_600)],
            (Self::Mails, Plan::Extended) => vec![(6_000, 1)],
            (Self::MailList, Plan::General) => vec![(2, 1), (7_200, 3_600)],
            (Self::MailList, Plan::Advanced) => vec![(3, 1), (10_800, 3_600)],
            (Self::MailList, Plan::Extended) => vec![(18_000, 3_600)],
            (Self::MailOther, Plan::General) => vec![(300, 3_600)],
            (Self::MailOther, Plan::Advanced) => vec![(600, 3_600)],
            (Self::MailOther, Plan::Extended) => vec![(1_800, 3_600)],
            (Self::Texts, Plan::General) => vec![(150, 1), (540_000, 3_600)],
            (Self::Texts, Plan::Advanced) => vec![(200, 1), (720_000, 3_600)],
            (Self::Texts, Plan::Extended) => vec![(250, 1)],
            (Self::Products, Plan::General) => vec![(2, 1), (7_200, 3_600)],
            (Self::Products, Plan::Advanced) => vec![(4, 1), (14_400, 3_600)],
            (Self::Products, Plan::Extended) => vec![(21_600, 3_600)],
            (_, plan) => {
                let whole = match plan {
                    Plan::General => 100,
                    Plan::Advanced => 200,
                    Plan::Extended => 600,
                };
                let part = self.part();
                let tenths = part.map_or(10, |part| part.tenths);
                let often = part.and_then(|part| part.every).map(|seconds| (1, seconds));
                often.into_iter().chain([(whole * tenths / 10, 3_600)]).collect()
            }
        }
    }

    /// The families whose windows a call of this one counts in.
    pub fn counted_in(self) -> impl Iterator<Item = Self> {
        let whole = self.part().map(|_| Self::Other).filter(|whole| *whole != self);
        std::iter::once(self).chain(whole)
    }
}

const SECOND: Millis = 1_000;
/// One call in so many of each window is never made by work in bulk (none where a window has fewer).
pub const RESERVE: u32 = 5;
/// 429 without a usable header: 1 s, doubled each time, at most this.
const LONGEST_BACKOFF: Millis = 60 * SECOND;
/// Failures in a row after which calls stop for a while.
const BREAKER_AFTER: u32 = 3;
/// First and longest time that the breaker stays open.
const BREAKER: (Millis, Millis) = (5 * SECOND, 300 * SECOND);
/// Calls that may fail, in tenths: 20 at once, and beyond that one in ten. A failed call is made again,
/// so this is also how many repetitions a vendor in trouble gets on top.
const BUDGET: u32 = 200;
/// What one failure takes of it.
const FAILURE: u32 = 10;
/// While the one call that finds out has no answer, nothing else is called; after this long it counts as
/// lost. Longer than any call takes.
const PROBE: Millis = 60 * SECOND;
/// Code of a family that is closed because its calls fail.
const UNAVAILABLE: &str = "brevo-unavailable";

/// The windows of one family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Windows {
    windows: Vec<Window>,
    closed: Option<Closed>,
    /// 429 answers in a row.
    limited: u32,
    /// Failures without an answer, or 5xx, in a row.
    failures: u32,
    /// It was closed because Brevo refuses its calls, and none went through since.
    #[serde(default)]
    refused: bool,
    /// What is left of [`BUDGET`].
    #[serde(default = "whole_budget")]
    budget: u32,
    /// The one call that finds out is under way, until then at most.
    #[serde(default)]
    probe: Option<Closed>,
}

fn whole_budget() -> u32 {
    BUDGET
}

/// Why a family is closed although its windows have room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// When it opens.
    pub until: Millis,
    /// Stable code.
    pub code: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Window {
    calls: u32,
    period: Millis,
    /// Start of a slot and calls in it, oldest first.
    slots: VecDeque<(Millis, u32)>,
}

impl Windows {
    /// Empty windows of (calls, seconds).
    pub fn new(limits: &[(u32, u32)]) -> Self {
        let window = |&(calls, seconds): &(u32, u32)| Window {
            calls,
            period: Millis::from(seconds) * SECOND,
            slots: VecDeque::new(),
        };
        Self {
            windows: limits.iter().map(window).collect(),
            closed: None,
            limited: 0,
            failures: 0,
            refused: false,
            budget: BUDGET,
            probe: None,
        }
    }

    /// Takes over what a stored state has counted; limits stay as they are.
    pub fn resume(&mut self, stored: Self) {
        for window in &mut self.windows {
            if let Some(known) = stored.windows.iter().find(|w| w.period == window.period) {
                window.slots.clone_from(&known.slots);
            }
        }
        (self.closed, self.limited, self.failures) = (stored.closed, stored.limited, stored.failures);
        self.refused = stored.refused;
        (self.budget, self.probe) = (stored.budget.min(BUDGET), stored.probe);
    }

    /// Counts what somebody else counted in windows of the same account, and is closed as they are.
    pub fn absorb(&mut self, other: &Self) {
        if let Some(closed) = &other.closed {
            self.close(closed.until, &closed.code);
        }
        for window in &mut self.windows {
            for (start, calls) in
                other.windows.iter().filter(|w| w.period == window.period).flat_map(|w| &w.slots)
            {
                let place = window.slots.partition_point(|(known, _)| known < start);
                match window.slots.get_mut(place) {
                    Some((known, count)) if known == start => *count = count.saturating_add(*calls),
                    _ => window.slots.insert(place, (*start, *calls)),
                }
            }
        }
    }

    /// None where a call may be made now, otherwise when to ask again.
    pub fn opens_at(&self, now: Millis) -> Option<Millis> {
        self.opens_within(now, |calls| calls)
    }

    /// The same for work in bulk, which leaves a part of every window to what is live.
    pub fn opens_for_bulk_at(&self, now: Millis) -> Option<Millis> {
        self.opens_within(now, |calls| calls - calls / RESERVE)
    }

    fn opens_within(&self, now: Millis, share: fn(u32) -> u32) -> Option<Millis> {
        let closed = [&self.closed, &self.probe].into_iter().flatten().map(|closed| closed.until);
        let full = self.windows.iter().filter_map(|window| window.opens_at(now, share(window.calls)));
        full.chain(closed).filter(|at| *at > now).max()
    }

    /// Why it is closed, where it is by an answer and not by a full window.
    pub fn closed(&self, now: Millis) -> Option<&Closed> {
        [&self.closed, &self.probe].into_iter().flatten().find(|closed| closed.until > now)
    }

    /// Counts one call. Where calls have failed it is the only one until its answer comes.
    pub fn count(&mut self, now: Millis) {
        for window in &mut self.windows {
            window.count(now);
        }
        if self.is_failing() {
            self.probe = Some(Closed { until: now + PROBE, code: UNAVAILABLE.to_owned() });
        }
    }

    /// A call that was counted was not made.
    pub fn not_made(&mut self) {
        self.probe = None;
    }

    fn is_failing(&self) -> bool {
        self.failures >= BREAKER_AFTER || self.budget < FAILURE
    }

    /// Closes the family, never for less than it is closed already.
    pub fn close(&mut self, until: Millis, code: &str) {
        if self.closed.as_ref().is_none_or(|closed| closed.until < until) {
            self.closed = Some(Closed { until, code: code.to_owned() });
        }
    }

    /// Closes the family because Brevo refuses its calls.
    pub fn refuse(&mut self, until: Millis, code: &str) {
        self.close(until, code);
        self.refused = true;
    }

    /// A call went through: true where that is news after a refusal.
    pub fn went_through(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }

    /// Obeys an answer: its rate headers, and for 429 and 5xx the wait that it asks for.
    pub fn heed(&mut self, answer: &HttpResponse, now: Millis) {
        self.probe = None;
        let said = RateHeaders::read(&answer.headers, now);
        if answer.status == 429 {
            self.limited += 1;
            let backoff = LONGEST_BACKOFF.min(SECOND << (self.limited - 1).min(6));
            let wait = said.reset.or(said.retry_after).unwrap_or(backoff);
            self.close(now + wait, "rate-limited");
            return;
        }
        self.limited = 0;
        if answer.status >= 500 {
            self.fail(now);
            if let Some(wait) = said.retry_after {
                self.close(now + wait, UNAVAILABLE);
            }
            return;
        }
        self.failures = 0;
        self.budget = BUDGET.min(self.budget + 1);
        // docs/api-limits: `x-sib-ratelimit-remaining`, and `-reset` in seconds left.
        if said.remaining == Some(0)
            && let Some(wait) = said.reset
        {
            self.close(now + wait, "rate-limited");
        }
    }

    /// Counts a call without an answer. After a few in a row, or where more than a tenth fail, calls
    /// stop for a while and then go on one by one, so that an outage does not use up every action's
    /// attempts and whoever is in trouble isn't held there by repetitions.
    pub fn fail(&mut self, now: Millis) {
        self.probe = None;
        self.failures = self.failures.saturating_add(1);
        self.budget = self.budget.saturating_sub(FAILURE);
        if self.is_failing() {
            let longer = self.failures.saturating_sub(BREAKER_AFTER).min(10);
            self.close(now + BREAKER.1.min(BREAKER.0 << longer), UNAVAILABLE);
        }
    }
}

impl Window {
    fn slot(&self) -> Millis {
        (self.period / 20).max(1)
    }

    fn opens_at(&self, now: Millis, calls: u32) -> Option<Millis> {
        let leaves = |start: Millis| start.min(now) + self.slot() + self.period;
        let used = self.slots.iter().filter(|(start, _)| leaves(*start) > now).map(|(_, n)| n).sum::<u32>();
        let mut excess = (used + 1).checked_sub(calls).filter(|excess| *excess > 0)?;
        for (start, count) in self.slots.iter().filter(|(start, _)| leaves(*start) > now) {
            excess = excess.saturating_sub(*count);
            if excess == 0 {
                return Some(leaves(*start));
            }
        }
        Some(now + self.period) // a window of no calls at all
    }

    fn count(&mut self, now: Millis) {
        let (slot, period) = (self.slot(), self.period);
        for (start, _) in &mut self.slots {
            *start = (*start).min(now); // the clock went back
        }
        while self.slots.front().is_some_and(|(start, _)| start + slot + period <= now) {
            self.slots.pop_front();
        }
        let start = now - now.rem_euclid(slot);
        match self.slots.back_mut() {
            Some((last, count)) if *last >= start => *count += 1,
            _ => self.slots.push_back((start, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> HttpResponse {
        let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        HttpResponse { status, headers, body: Vec::new() }
    }

    proptest! {
        #[test]
        fn no_sliding_period_holds_more_than_allowed(
            gaps in prop::collection::vec(0..400i64, 1..200),
            calls in 1..12u32,
        ) {
            let mut windows = Windows::new(&[(calls, 1)]);
            let mut now = 1_000_000;
            let mut made: Vec<Millis> = Vec::new();
            for gap in gaps {
                now += gap;
                match windows.opens_at(now) {
                    Some(at) => prop_assert!(at > now),
                    None => {
                        windows.count(now);
                        made.push(now);
                    }
                }
            }
            for (first, at) in made.iter().enumerate() {
                let within = made[first..].iter().filter(|t| **t < at + 1_000).count();
                prop_assert!(within <= calls as usize);
            }
        }

        #[test]
        fn waiting_until_it_opens_is_enough(calls in 1..12u32, made in 1..60usize) {
            let mut windows = Windows::new(&[(calls, 1), (calls * 3, 10)]);
            let mut now = 77;
            for _ in 0..made {
                while let Some(at) = windows.opens_at(now) {
                    prop_assert!(at > now && at <= now + 11_000);
                    now = at;
                }
                windows.count(now);
            }
        }
    }

    #[test]
    fn n13_a_429_waits_as_it_says_or_backs_off() {
        let limits = Family::Contacts.limits(Plan::General);
        let wait = |headers: &[(&str, &str)]| {
            let mut windows = Windows::new(&limits);
            windows.heed(&answer(429, headers), 0);
            windows.opens_at(0).unwrap()
        };
        assert_eq!(wait(&[("x-sib-ratelimit-reset", "7"), ("retry-after", "9")]), 7_000);
        assert_eq!(wait(&[("retry-after", "9")]), 9_000);
        assert_eq!(wait(&[("x-sib-ratelimit-reset", "0")]), 1_000);
        assert_eq!(wait(&[("x-sib-ratelimit-reset", "99999999999")]), 3_600_000);
        assert_eq!(wait(&[("retry-after", "Thu, 01 Jan 1970 00:00:20 GMT")]), 20_000);
        for bad in ["-1", "+7", " 7", "7.5", "1e3", "NaN", "inf", "", "Wed, 31 Dec 1969 23:59:59 GMT"] {
            assert_eq!(wait(&[("retry-after", bad)]), 1_000, "{bad:?}");
            assert_eq!(wait(&[("x-sib-ratelimit-reset", bad), ("retry-after", "9")]), 9_000, "{bad:?}");
        }
    }

    #[test]
    fn n15_a_vendor_that_goes_down_says_for_how_long_and_is_obeyed() {
        let mut windows = Windows::new(&[(1_000, 1)]);
        windows.heed(&answer(503, &[("retry-after", "90")]), 0);
        assert_eq!(windows.opens_at(0), Some(90_000), "the first one is enough");
        assert_eq!(windows.closed(0).unwrap().code, "brevo-unavailable");
        windows.heed(&answer(503, &[("retry-after", "99999")]), 90_000);
        assert_eq!(
            windows.opens_at(90_000),
            Some(90_000 + 3_600_000),
            "an hour at most, then one call finds out"
        );
        let mut windows = Windows::new(&[(1_000, 1)]);
        windows.heed(&answer(503, &[("retry-after", "soon")]), 0);
        assert_eq!(windows.opens_at(0), None, "what says nothing is one failure");
    }

    #[test]
    fn a_429_without_headers_backs_off_up_to_a_minute() {
        let mut windows = Windows::new(&[(1_000, 1)]);
        let mut waits = Vec::new();
        let mut now = 0;
        for _ in 0..8 {
            windows.heed(&answer(429, &[]), now);
            let opens = windows.opens_at(now).unwrap();
            waits.push((opens - now) / 1_000);
            now = opens;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn nothing_left_closes_until_the_reset() {
        let mut windows = Windows::new(&[(1_000, 1)]);
        let used_up = [("x-sib-ratelimit-remaining", "0"), ("x-sib-ratelimit-reset", "12")];
        windows.heed(&answer(204, &used_up), 0);
        assert_eq!(windows.opens_at(0), Some(12_000));
        assert_eq!(windows.opens_at(12_000), None);
    }

    #[test]
    fn n14_failures_in_a_row_stop_the_calls_for_a_while() {
        let mut windows = Windows::new(&[(1_000, 1)]);
        windows.fail(0);
        windows.heed(&answer(502, &[]), 0);
        assert_eq!(windows.opens_at(0), None);
        windows.fail(0);
        assert_eq!(windows.opens_at(0), Some(5_000));
        windows.fail(5_000);
        assert_eq!(windows.opens_at(5_000), Some(15_000));
        windows.heed(&answer(204, &[]), 15_000);
        windows.fail(15_000);
        assert_eq!(windows.opens_at(15_000), None, "one success starts the count anew");
    }

    #[test]
    fn n14_one_call_finds_out_whether_it_is_over() {
        let mut windows = Windows::new(&[(1_000, 1)]);
        (0..3).for_each(|_| windows.fail(0));
        assert_eq!(windows.opens_at(5_000), None);
        windows.count(5_000);
        assert!(windows.opens_at(5_001).is_some(), "the others wait for its answer");
        windows.fail(6_000);
        assert_eq!(windows.opens_at(6_000), Some(16_000), "longer than before");
        windows.count(16_000);
        windows.heed(&answer(200, &[]), 17_000);
        for _ in 0..50 {
            assert_eq!(windows.opens_at(17_000), None, "everybody goes on");
            windows.count(17_000);
        }
        // An answer that never came, because the process died, doesn't keep it closed.
        let mut windows = Windows::new(&[(1_000, 1)]);
        (0..3).for_each(|_| windows.fail(0));
        windows.count(5_000);
        let mut again = Windows::new(&[(1_000, 1)]);
        again.resume(serde_json::from_str(&serde_json::to_string(&windows).unwrap()).unwrap());
        assert_eq!(again.opens_at(6_000), Some(65_000));
        assert_eq!(again.opens_at(65_000), None);
        windows.not_made();
        assert_eq!(windows.opens_at(6_000), None);
    }

    /// Calls made and failed within an hour where so many of a hundred fail; ten workers call at once.
    fn an_hour(failing: u32) -> (u32, u32) {
        let (mut windows, mut now) = (Windows::new(&[(600, 60)]), 0);
        let (mut made, mut failed, mut dice) = (0_u32, 0, 12_345_u32);
        while now < 3_600_000 {
            if let Some(at) = windows.opens_at(now) {
                now = at;
                continue;
            }
            let mut under_way = 0;
            while under_way < 10 && windows.opens_at(now).is_none() {
                windows.count(now);
                under_way += 1;
            }
            now += 100;
            for _ in 0..under_way {
                made += 1;
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if (dice >> 16) % 100 < failing {
                    failed += 1;
                    windows.fail(now);
                } else {
                    windows.heed(&answer(200, &[]), now);
                }
            }
        }
        (made, failed)
    }

    #[test]
    fn n14_whoever_is_in_trouble_gets_few_repetitions() {
        let (healthy, none) = an_hour(0);
        assert_eq!(none, 0);
        let (few, failed) = an_hour(3);
        assert!(few > healthy * 9 / 10 && failed > 0, "{few} of {healthy} calls where few fail");
        for failing in [30, 50, 90, 100] {
            let (made, failed) = an_hour(failing);
            let every_five_seconds = 3_600 / 5;
            assert!(failed <= 20 + made / 10 + every_five_seconds, "{failing} %: {failed} of {made} failed");
            assert!(made < healthy / 10, "{failing} %: {made} calls where {healthy} are made in health");
            assert!(made > 10, "{failing} %: somebody goes on finding out");
        }
    }

    #[test]
    fn counts_survive_storage_and_a_clock_that_goes_back() {
        let mut windows = Windows::new(&[(2, 10)]);
        windows.count(50_000);
        windows.count(50_000);
        let stored = serde_json::from_str(&serde_json::to_string(&windows).unwrap()).unwrap();
        let mut again = Windows::new(&[(2, 10)]);
        again.resume(stored);
        assert!(again.opens_at(50_001).is_some());
        let back = 20_000;
        assert!(again.opens_at(back).unwrap() <= back + 10_500);
    }
}
