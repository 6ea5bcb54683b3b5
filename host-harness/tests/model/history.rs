//! Histories: what happened at the sources and when, and in which order the doors tell of it.
//!
//! A history is consistent as MoEngage's own would be: attributes and flags that ride on an event are
//! those of that time, and Get User answers with everything up to the phase.

use std::collections::BTreeMap;

use serde_json::Value;
use stand_ins::faults::{Fault, Rule};

/// The attributes at MoEngage and at Brevo.
pub const ATTRIBUTES: [(&str, &str); 3] = [("plan", "PLAN"), ("city", "CITY"), ("tier", "TIER")];

/// When something happened: seconds from the begin of a phase, negative in the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub phase: usize,
    pub second: i64,
}

/// An event that is older than this many seconds has no effect any more.
pub const MAX_AGE_S: i64 = 10 * 86_400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A rule makes another event of it.
    View,
    Open,
    /// A rule sends a mail for it.
    Order,
    /// A rule sends a text for it.
    Parcel,
    /// A rule makes a note and a task of it.
    Call,
    Changed,
    /// An explicit opt-out.
    OptOut,
    /// An explicit opt-in.
    OptIn,
    Spam,
    Bounce,
    /// A bounce of an address that the person no longer has.
    OldBounce,
    /// The settings' signal that the person is to be deleted.
    Closed,
    /// Came through the marketer's own webhook.
    Campaign,
}

/// Who an event names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The customer's id, the address and MoEngage's id.
    Whole,
    /// MoEngage's id of a visitor who had not logged in yet, and nothing else: nobody's.
    Visitor,
    /// The address, as a marketer's webhook may.
    Address,
    /// The event by which the visitor's id comes to be the customer's.
    Login,
}

/// What MoEngage says of texts (`moe_sms_subscription`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sms {
    In,
    Out,
    /// Signed up, and consent is not given yet.
    Pending,
    /// Never asked.
    Empty,
}

impl Sms {
    pub fn word(self) -> &'static str {
        match self {
            Self::In => "OPTIN",
            Self::Out => "OPTOUT",
            Self::Pending => "OPT-IN PENDING",
            Self::Empty => "EMPTY",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Event {
    pub person: usize,
    pub at: Moment,
    pub code: Code,
    pub names: Names,
    pub email: String,
    /// By MoEngage's name; null clears, and what is missing says nothing.
    pub attributes: BTreeMap<&'static str, Value>,
    /// The flag *unsubscribed*.
    pub flag: Option<bool>,
    /// With a country, and nobody else's.
    pub phone: Option<String>,
    pub sms: Option<Sms>,
    pub live: bool,
    pub filed: bool,
}

impl Event {
    pub fn is_old(&self) -> bool {
        self.at.phase == 0 && self.at.second < -MAX_AGE_S
    }

    /// Whether it says what its person is like; a marketer's webhook doesn't.
    pub fn has_profile(&self) -> bool {
        self.code != Code::Campaign && self.names != Names::Visitor
    }
}

/// What Get User answers of a person.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    pub email: String,
    pub attributes: BTreeMap<&'static str, Value>,
    pub flag: Option<bool>,
    pub phone: Option<String>,
    pub sms: Option<Sms>,
    pub bounced: bool,
    pub complained: bool,
    pub gone: bool,
}

/// A chunk of an execution of a segment's sync.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Place in [`LISTS`].
    pub list: usize,
    pub execution: usize,
    pub part: usize,
    /// The person, member or not, and what the row calls them.
    pub rows: Vec<(usize, bool, Row)>,
}

/// What a row of a segment calls a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// The customer's id and MoEngage's.
    Both,
    /// MoEngage's id.
    Id,
    /// The id that was the visitor's before they logged in.
    VisitorId,
}

/// Sync, list, and whether a join starts nothing.
pub const LISTS: [(&str, &str, bool); 2] = [("sync-quiet", "Quiet", true), ("sync-loud", "Loud", false)];

/// What MoEngage has beside people, in one phase.
#[derive(Clone, Debug, Default)]
pub struct Things {
    /// Items of the catalog that it shows, by id; no price says nothing of the price.
    pub products: BTreeMap<String, (String, Option<u64>)>,
    /// Name and status of its campaigns, by number.
    pub campaigns: BTreeMap<usize, (String, &'static str)>,
}

/// What the test has read beside profiles.
pub const RESOURCES: [&str; 2] = ["catalog-items", "campaigns"];

/// Kinds of trouble at Brevo.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    RateLimited(bool),
    Broken(u16),
    RequestLost,
    AnswerLost,
    Unread,
}

#[derive(Clone, Debug)]
pub enum Step {
    /// One request of Streams.
    Push(Vec<usize>),
    Files,
    Poll,
    /// One of [`RESOURCES`].
    Read(&'static str),
    Campaign(usize),
    Chunk(Chunk),
    /// An alert by its number.
    Alert(usize),
    /// How often, and among which method's calls.
    Trouble(Trouble, u64, Option<&'static str>, u64),
    Restart,
    /// kill -9; the next one dies when it passes this point for the n-th time.
    Kill(Option<(&'static str, u64)>),
    Rest,
    /// An operator's order.
    Erase(usize),
    /// Between two writes the person clicks the link at the end of a mail that Brevo sent.
    Unsubscribe(usize),
}

#[derive(Clone, Debug, Default)]
pub struct History {
    pub people: usize,
    /// Two who share one mailbox.
    pub shared: Option<(usize, usize)>,
    /// Somebody whom Brevo knew before, by address only, and whether blocked.
    pub existing: Option<(usize, bool)>,
    /// Who is erased in the end.
    pub erased: Option<usize>,
    /// What the signal of a deletion means: a soft one, or an erasure.
    pub soft: bool,
    /// Whether few contacts are enough for an import.
    pub imports: bool,
    /// Whether the host is killed, and so runs in a process of its own.
    pub killed: bool,
    /// In the order of time.
    pub events: Vec<Event>,
    /// What Get User answers in each phase.
    pub profiles: Vec<Vec<Profile>>,
    /// Whether profiles are read at all; then they are read last.
    pub polls: bool,
    /// What else there is in each phase, and is read last in it.
    pub things: Option<Vec<Things>>,
    /// What arrives, in order, by phase.
    pub plan: Vec<Vec<Step>>,
}

impl History {
    pub fn email(&self, person: usize, number: usize) -> String {
        email(self.shared, person, number)
    }

    /// A line for each event and step.
    pub fn shown(&self) -> String {
        let events = self.events.iter().enumerate().map(|(n, event)| format!("{n}: {event:?}\n"));
        let steps = self.plan.iter().flatten().map(|step| format!("{step:?}\n"));
        let last = self.profiles.last().map(|last| format!("{last:?}\n"));
        events.chain(steps).chain(last).collect()
    }

    /// Whether answers may be lost on the way to the host.
    pub fn has_trouble(&self) -> bool {
        let lossy = |step: &Step| matches!(step, Step::Trouble(..) | Step::Kill(_));
        self.plan.iter().flatten().any(lossy)
    }

    /// The address is the person's alone.
    pub fn has_own_address(&self, person: usize) -> bool {
        !self.shares(person)
    }

    /// Brevo has the first address of theirs.
    pub fn was_known_before(&self, person: usize) -> bool {
        self.existing.is_some_and(|(known, _)| known == person)
    }

    pub fn shares(&self, person: usize) -> bool {
        self.shared.is_some_and(|(one, other)| [one, other].contains(&person))
    }

    /// Whether the news can only come after the host had settled the newest word that the person was
    /// deleted, or after that word itself.
    pub fn comes_after(&self, event: usize, word: usize) -> bool {
        let steps: Vec<&Step> = self.plan.iter().flatten().collect();
        let tells = |step: &Step, n: usize| match step {
            Step::Push(events) => events.contains(&n),
            Step::Campaign(one) => *one == n,
            // Files are put there at the begin of a phase, and read at any time up to the next rest.
            Step::Files => self.events[n].filed && self.events[n].code != Code::Campaign,
            _ => false,
        };
        let pushed = |step: &Step| matches!(step, Step::Push(events) if events.contains(&word));
        let Some(told) = steps.iter().position(|step| pushed(step)) else { return false };
        let rests = |step: &&Step| matches!(step, Step::Rest);
        let Some(settled) = steps[told..].iter().position(rests) else { return false };
        steps.iter().position(|step| tells(step, event)).is_none_or(|at| at > told + settled)
    }
}

fn email(shared: Option<(usize, usize)>, person: usize, number: usize) -> String {
    match shared {
        Some((one, other)) if [one, other].contains(&person) => "both@example.com".to_owned(),
        _ => format!("p{person}.{number}@example.com"),
    }
}

pub fn phone(person: usize, number: usize) -> String {
    format!("+4915112{person:02}{number:04}")
}

pub fn rule(trouble: Trouble, times: u64, method: Option<&str>, seed: u64) -> Rule {
    let fault = match trouble {
        Trouble::RateLimited(headers) => Fault::rate_limited(headers),
        Trouble::Broken(status) => Fault::status(status, ""),
        Trouble::RequestLost => Fault::close(),
        Trouble::AnswerLost => Fault::close_after_effect(),
        Trouble::Unread => Fault::close_before_reading(),
    };
    let mut rule = Rule::any(fault).times(times).probability(0.4, seed);
    rule.method = method.map(str::to_owned);
    rule
}
