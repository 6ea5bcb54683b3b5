//! Histories by seed: what happened at the sources and when, and in which order the doors tell of it.
//!
//! A history is consistent as MoEngage's own would be: attributes and flags that ride on an event are
//! those of that time, and Get User answers with everything up to the phase.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use stand_ins::faults::{Fault, Rule};

/// SplitMix64: one seed, one history.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_F491_4F6C_DD1D).wrapping_add(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below a number that is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// True so often in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for n in (1..all.len()).rev() {
            all.swap(n, self.below(n + 1));
        }
    }
}

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
    Changed,
    /// An explicit opt-out.
    OptOut,
    /// An explicit opt-in.
    OptIn,
    Spam,
    Bounce,
    /// A bounce of an address that the person no longer has.
    OldBounce,
    /// The settings' signal that the person is to be erased.
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
    pub live: bool,
    pub filed: bool,
}

impl Event {
    pub fn is_old(&self) -> bool {
        self.at.phase == 0 && self.at.second < -MAX_AGE_S
    }
}

/// What Get User answers of a person.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    pub email: String,
    pub attributes: BTreeMap<&'static str, Value>,
    pub flag: Option<bool>,
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
    Campaign(usize),
    Chunk(Chunk),
    /// How often, and among which method's calls.
    Trouble(Trouble, u64, Option<&'static str>, u64),
    Restart,
    Rest,
    /// An operator's order.
    Erase(usize),
}

#[derive(Clone, Debug)]
pub struct History {
    pub people: usize,
    /// Two who share one mailbox.
    pub shared: Option<(usize, usize)>,
    /// Somebody whom Brevo knew before, by address only, and whether blocked.
    pub existing: Option<(usize, bool)>,
    /// Who is erased in the end.
    pub erased: Option<usize>,
    /// In the order of time.
    pub events: Vec<Event>,
    /// What Get User answers in each phase.
    pub profiles: Vec<Vec<Profile>>,
    /// Whether profiles are read at all; then they are read last.
    pub polls: bool,
    /// What arrives, in order, by phase.
    pub plan: Vec<Vec<Step>>,
}

impl History {
    pub fn email(&self, person: usize, number: usize) -> String {
        email(self.shared, person, number)
    }

    pub fn has_trouble(&self) -> bool {
        self.plan.iter().flatten().any(|step| matches!(step, Step::Trouble(..)))
    }
}

fn email(shared: Option<(usize, usize)>, person: usize, number: usize) -> String {
    match shared {
        Some((one, other)) if [one, other].contains(&person) => "both@example.com".to_owned(),
        _ => format!("p{person}.{number}@example.com"),
    }
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

/// The history of a seed.
pub fn history(seed: u64) -> History {
    let mut random = Random::new(seed);
    let people = 3 + random.below(3);
    let shared = random.chance(40).then_some((0, 1));
    let erased = random.chance(50).then_some(people - 1);
    let existing = (people > 3 && random.chance(50)).then_some((2, random.chance(30)));
    let polls = random.chance(50);
    let maker = Maker {
        by_signal: random.chance(50),
        unknown: random.chance(40).then_some(people - 2).filter(|one| *one > 1),
        history: History {
            people,
            shared,
            existing,
            erased,
            events: Vec::new(),
            profiles: Vec::new(),
            polls,
            plan: Vec::new(),
        },
        now: Vec::new(),
        addresses: vec![0; people],
        visitors: BTreeSet::new(),
        logged_in: BTreeSet::new(),
        segments: [BTreeSet::new(), BTreeSet::new()],
        executions: [0, 0],
        random,
    };
    maker.make()
}

struct Maker {
    random: Random,
    history: History,
    by_signal: bool,
    /// Of whom no flag is known.
    unknown: Option<usize>,
    /// Profiles as they are now.
    now: Vec<Profile>,
    addresses: Vec<usize>,
    /// Whose visitor's id was not told yet.
    visitors: BTreeSet<usize>,
    /// Who logged in.
    logged_in: BTreeSet<usize>,
    segments: [BTreeSet<usize>; 2],
    executions: [usize; 2],
}

impl Maker {
    fn make(mut self) -> History {
        for person in 0..self.history.people {
            let flag = (self.unknown != Some(person)).then_some(false);
            self.now.push(Profile { email: self.history.email(person, 0), flag, ..Profile::default() });
        }
        let phases = 1 + self.random.below(2);
        for phase in 0..phases {
            let from = self.history.events.len();
            self.happen(phase, phase + 1 == phases);
            self.history.profiles.push(self.now.clone());
            let plan = self.plan(from, phase + 1 == phases);
            self.history.plan.push(plan);
        }
        self.history
    }

    fn happen(&mut self, phase: usize, last: bool) {
        let count = self.history.people + 6 + self.random.below(12);
        let mut seconds: BTreeSet<i64> = BTreeSet::new();
        while seconds.len() < count {
            let old = phase == 0 && self.random.chance(12);
            seconds.insert(match phase {
                0 if old => -MAX_AGE_S - 86_400 - self.random.below(3_600) as i64,
                0 => -60 - self.random.below(6 * 3_600) as i64,
                _ => 1 + self.random.below(60) as i64,
            });
        }
        for (n, second) in seconds.into_iter().enumerate() {
            let at = Moment { phase, second };
            // Everybody is seen once as whom they are.
            if phase == 0 && n < self.history.people {
                self.event(n, at, Code::View, Names::Whole);
            } else {
                let person = self.random.below(self.history.people);
                self.one(person, at);
            }
        }
        let mut second = if phase == 0 { -30 } else { 70 };
        for person in std::mem::take(&mut self.visitors) {
            self.event(person, Moment { phase, second }, Code::Open, Names::Login);
            second += 1;
            self.logged_in.insert(person);
        }
        if let (Some(person), true, true) = (self.history.erased, last, self.by_signal) {
            self.event(person, Moment { phase, second }, Code::Closed, Names::Whole);
            self.now[person].gone = true;
        }
    }

    fn one(&mut self, person: usize, at: Moment) {
        match self.random.below(100) {
            0..=14 => self.event(person, at, Code::View, Names::Whole),
            15..=18 => self.event(person, at, Code::Open, Names::Whole),
            19..=27 => self.event(person, at, Code::Order, Names::Whole),
            28..=46 => {
                self.change(person);
                self.event(person, at, Code::Changed, Names::Whole);
            }
            // Nobody tells of it but the profile itself.
            47..=54 if self.history.polls => {
                self.change(person);
                if self.random.chance(30) && self.unknown != Some(person) {
                    self.now[person].flag = Some(true);
                }
            }
            47..=60 if self.has_own_address(person) && !self.was_known_before(person) => {
                self.addresses[person] += 1;
                self.now[person].email = self.history.email(person, self.addresses[person]);
                self.event(person, at, Code::Changed, Names::Whole);
            }
            61..=69 => {
                self.now[person].flag = Some(true);
                self.event(person, at, Code::OptOut, Names::Whole);
            }
            70..=78 => {
                self.now[person].flag = Some(false);
                self.event(person, at, Code::OptIn, Names::Whole);
            }
            79..=80 => {
                self.now[person].complained = true;
                self.event(person, at, Code::Spam, Names::Whole);
            }
            81 => {
                self.now[person].bounced = true;
                self.event(person, at, Code::Bounce, Names::Whole);
            }
            82..=83 => self.event(person, at, Code::OldBounce, Names::Whole),
            84..=91 => {
                self.visitors.insert(person);
                self.event(person, at, Code::View, Names::Visitor);
            }
            // An address that two have says of neither that it was them.
            92..=95 if self.has_own_address(person) => self.event(person, at, Code::Campaign, Names::Address),
            _ => self.event(person, at, Code::Campaign, Names::Whole),
        }
    }

    /// The address is the person's alone.
    fn has_own_address(&self, person: usize) -> bool {
        !self.shares(person)
    }

    /// Brevo has the first address of theirs.
    fn was_known_before(&self, person: usize) -> bool {
        self.history.existing.is_some_and(|(known, _)| known == person)
    }

    fn shares(&self, person: usize) -> bool {
        self.history.shared.is_some_and(|(one, other)| [one, other].contains(&person))
    }

    fn change(&mut self, person: usize) {
        for _ in 0..=self.random.below(2) {
            let (name, _) = self.random.pick(&ATTRIBUTES);
            let known = self.now[person].attributes.contains_key(name);
            let value = match known && self.random.chance(20) {
                true => Value::Null,
                false => json!(format!("{name}-{}", self.random.below(1_000))),
            };
            self.now[person].attributes.insert(name, value);
        }
    }

    fn event(&mut self, person: usize, at: Moment, code: Code, names: Names) {
        let profile = &self.now[person];
        // What an event tells is a part of what is known; what just changed is told for certain.
        let whole = code == Code::Changed;
        let attributes = profile
            .attributes
            .iter()
            .filter(|_| whole || self.random.chance(50))
            .map(|(name, value)| (*name, value.clone()))
            .collect();
        let flag = profile.flag.filter(|_| self.random.chance(60));
        let (live, filed) = match self.random.below(100) {
            0..=39 => (true, false),
            40..=59 if code != Code::Closed => (false, true),
            _ => (true, true),
        };
        let email = profile.email.clone();
        self.history.events.push(Event { person, at, code, names, email, attributes, flag, live, filed });
    }

    /// How a phase arrives.
    fn plan(&mut self, from: usize, last: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut live = Vec::new();
        let mut filed = false;
        for (n, event) in self.history.events.iter().enumerate().skip(from) {
            if event.code == Code::Campaign {
                steps.push(Step::Campaign(n));
                continue;
            }
            filed |= event.filed;
            live.extend(event.live.then_some(n));
        }
        self.random.shuffle(&mut live);
        // Some are told again, also of the phase before.
        for _ in 0..self.random.below(4) {
            let n = self.random.below(self.history.events.len());
            let event = &self.history.events[n];
            match event.code {
                Code::Campaign => steps.push(Step::Campaign(n)),
                _ if event.live => live.push(n),
                _ => {}
            }
        }
        while !live.is_empty() {
            let size = (1 + self.random.below(4)).min(live.len());
            steps.push(Step::Push(live.drain(..size).collect()));
        }
        steps.extend(filed.then_some(Step::Files));
        steps.extend((filed && self.random.chance(30)).then_some(Step::Files));
        steps.extend((self.history.polls && self.random.chance(50)).then_some(Step::Poll));
        for list in 0..LISTS.len() {
            for _ in 0..self.random.below(3) {
                let chunks = self.execution(list);
                steps.extend(chunks.into_iter().map(Step::Chunk));
            }
        }
        steps.extend((0..self.random.below(3)).map(|_| self.trouble()).collect::<Vec<_>>());
        steps.extend(self.random.chance(40).then_some(Step::Restart));
        steps.extend((0..self.random.below(3)).map(|_| Step::Rest));
        if let (Some(person), true, false) = (self.history.erased, last, self.by_signal) {
            steps.push(Step::Erase(person));
        }
        self.random.shuffle(&mut steps);
        steps.push(Step::Rest);
        if self.history.polls && last {
            steps.extend([Step::Poll, Step::Rest]);
        }
        steps
    }

    fn trouble(&mut self) -> Step {
        let kind = self.random.pick(&[
            Trouble::RateLimited(true),
            Trouble::RateLimited(false),
            Trouble::Broken(500),
            Trouble::Broken(503),
            Trouble::RequestLost,
            Trouble::AnswerLost,
            Trouble::AnswerLost,
            Trouble::Unread,
        ]);
        let method = self.random.pick(&[None, Some("POST"), Some("PUT"), Some("DELETE")]);
        Step::Trouble(kind, 1 + self.random.below(3) as u64, method, self.random.next())
    }

    /// The next execution of a sync: everybody, or the difference.
    fn execution(&mut self, list: usize) -> Vec<Chunk> {
        let execution = self.executions[list];
        self.executions[list] += 1;
        let mut chunks: Vec<Chunk> =
            (0..2).map(|part| Chunk { list, execution, part, rows: Vec::new() }).collect();
        for person in 0..self.history.people {
            if !self.random.chance(50) {
                continue;
            }
            let member = self.segments[list].insert(person);
            if !member {
                self.segments[list].remove(&person);
            }
            let part = self.random.below(2);
            let row = match self.random.below(100) {
                0..=69 => Row::Both,
                70..=84 if self.logged_in.contains(&person) => Row::VisitorId,
                _ => Row::Id,
            };
            chunks[part].rows.push((person, member, row));
        }
        chunks.retain(|chunk| !chunk.rows.is_empty());
        if let Some(chunk) = chunks.first().filter(|_| self.random.chance(20)).cloned() {
            chunks.push(chunk);
        }
        chunks
    }
}
