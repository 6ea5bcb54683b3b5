//! The history of a seed.

use std::collections::BTreeSet;

use host_harness::crash;
use serde_json::{Value, json};

use super::history::*;
use super::random::Random;

pub fn history(seed: u64) -> History {
    let mut random = Random::new(seed);
    let people = 3 + random.below(3);
    let shared = random.chance(40).then_some((0, 1));
    let erased = random.chance(50).then_some(people - 1);
    let existing = (people > 3 && random.chance(50)).then_some((2, random.chance(30)));
    let polls = random.chance(50);
    let soft = random.chance(50);
    let by_signal = !soft && random.chance(50);
    let unknown = random.chance(40).then_some(people - 2).filter(|one| *one > 1);
    let things = random.chance(50).then(Vec::new);
    let history = History {
        people,
        shared,
        existing,
        erased,
        soft,
        imports: random.chance(50),
        killed: random.chance(25),
        polls,
        things,
        ..History::default()
    };
    Maker::new(random, history, by_signal, unknown).make()
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
    phones: Vec<usize>,
    alerts: usize,
    /// Whose visitor's id was not told yet.
    visitors: BTreeSet<usize>,
    /// Who logged in.
    logged_in: BTreeSet<usize>,
    segments: [BTreeSet<usize>; 2],
    executions: [usize; 2],
}

impl Maker {
    fn new(random: Random, history: History, by_signal: bool, unknown: Option<usize>) -> Self {
        let people = history.people;
        Self {
            random,
            history,
            by_signal,
            unknown,
            now: Vec::new(),
            addresses: vec![0; people],
            phones: vec![0; people],
            alerts: 0,
            visitors: BTreeSet::new(),
            logged_in: BTreeSet::new(),
            segments: [BTreeSet::new(), BTreeSet::new()],
            executions: [0, 0],
        }
    }

    fn make(mut self) -> History {
        for person in 0..self.history.people {
            let flag = (self.unknown != Some(person)).then_some(false);
            let has_phone = self.random.chance(75);
            self.now.push(Profile {
                email: self.history.email(person, 0),
                flag,
                phone: has_phone.then(|| phone(person, 0)),
                sms: self.random.pick(&[None, None, Some(Sms::In), Some(Sms::Pending), Some(Sms::Empty)]),
                ..Profile::default()
            });
        }
        let phases = 1 + self.random.below(2);
        for phase in 0..phases {
            let from = self.history.events.len();
            self.happen(phase, phase + 1 == phases);
            self.history.profiles.push(self.now.clone());
            self.things(phase);
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
        match self.random.below(136) {
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
            47..=60 if self.history.has_own_address(person) && !self.history.was_known_before(person) => {
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
            92..=95 if self.history.has_own_address(person) => {
                self.event(person, at, Code::Campaign, Names::Address);
            }
            92..=99 => self.event(person, at, Code::Campaign, Names::Whole),
            100..=105 => self.event(person, at, Code::Parcel, Names::Whole),
            106..=111 => self.event(person, at, Code::Call, Names::Whole),
            112..=114 => {
                self.phones[person] += 1;
                self.now[person].phone = Some(phone(person, self.phones[person]));
                self.event(person, at, Code::Changed, Names::Whole);
            }
            115..=122 => {
                self.now[person].sms =
                    self.random.pick(&[Sms::In, Sms::Out, Sms::Out, Sms::Pending, Sms::Empty].map(Some));
                self.event(person, at, Code::Changed, Names::Whole);
            }
            // One that is old is told of when the person may have come back since.
            123..=132 if self.may_close(person) && at.second > -MAX_AGE_S => {
                self.event(person, at, Code::Closed, Names::Whole);
            }
            _ => self.event(person, at, Code::View, Names::Whole),
        }
    }

    fn may_close(&self, person: usize) -> bool {
        self.history.soft && self.history.has_own_address(person) && self.history.erased != Some(person)
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
        // Whoever is to get a text is told of with their number.
        let whole = whole || code == Code::Parcel;
        let phone = profile.phone.clone().filter(|_| whole || self.random.chance(50));
        let sms = profile.sms.filter(|_| whole || self.random.chance(50));
        let (live, filed) = match self.random.below(100) {
            0..=39 => (true, false),
            40..=59 if code != Code::Closed => (false, true),
            _ => (true, true),
        };
        let email = profile.email.clone();
        self.history.events.push(Event {
            person,
            at,
            code,
            names,
            email,
            attributes,
            flag,
            phone,
            sms,
            live,
            filed,
        });
    }

    /// What the catalog and the campaigns are like in a phase.
    fn things(&mut self, phase: usize) {
        let Some(all) = &mut self.history.things else { return };
        let mut things = Things::default();
        for n in 1..=3 {
            if phase == 0 || self.random.chance(80) {
                let title = format!("mug-{}", self.random.below(5));
                let price = self.random.chance(70).then(|| 1 + self.random.below(50) as u64);
                things.products.insert(format!("P00{n}"), (title, price));
            }
        }
        for n in 0..2 {
            let status = self.random.pick(&["ACTIVE", "PAUSED", "STOPPED"]);
            things.campaigns.insert(n, (format!("campaign-{n}.{}", self.random.below(3)), status));
        }
        all.push(things);
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
        for person in 0..self.history.people {
            let may = !self.history.shares(person) && self.random.chance(20);
            steps.extend(may.then_some(Step::Unsubscribe(person)));
        }
        if self.history.things.is_some() {
            steps.extend(RESOURCES.into_iter().filter(|_| self.random.chance(40)).map(Step::Read));
            for _ in 0..self.random.below(2) {
                steps.extend(vec![Step::Alert(self.alerts); 1 + self.random.below(2)]);
                self.alerts += 1;
            }
        }
        if self.history.killed {
            steps.extend((0..1 + self.random.below(2)).map(|_| self.kill()).collect::<Vec<_>>());
        } else {
            steps.extend(self.random.chance(40).then_some(Step::Restart));
        }
        steps.extend((0..self.random.below(3)).map(|_| Step::Rest));
        if let (Some(person), true, false) = (self.history.erased, last, self.by_signal) {
            steps.push(Step::Erase(person));
        }
        self.random.shuffle(&mut steps);
        if self.history.things.is_some() {
            steps.push(Step::Rest);
            steps.extend(RESOURCES.map(Step::Read));
        }
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

    fn kill(&mut self) -> Step {
        let point = self.random.pick(crash::POINTS);
        let nth = 1 + self.random.below(3) as u64;
        Step::Kill(self.random.chance(70).then_some((point, nth)))
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
