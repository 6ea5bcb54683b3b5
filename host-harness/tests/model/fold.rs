//! What Brevo has to hold in the end, thought out from the sources by the design rules 3 to 10 alone.
//! Nothing of the host is called here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::expected::{Click, Contact, Course, Due, Expected, Never, Presence};
use super::history::{ATTRIBUTES, Code, Event, History, LISTS, Moment, Names, Profile, Sms, Step};

/// Under which id an event is found at Brevo.
pub fn key(n: usize, event: &Event) -> String {
    match event.code {
        Code::Campaign => format!("connector/delivery-{n}"),
        _ => format!("uuid-{n}"),
    }
}

/// Under which id what a rule makes of an event is found.
pub fn echo(n: usize) -> String {
    format!("echo-{n}")
}

/// What is known of a person's consent: the newest of each kind.
#[derive(Clone, Copy, Debug, Default)]
struct Stand {
    out: Option<Moment>,
    opted_in: Option<Moment>,
    suppressed: bool,
    known: bool,
}

impl Stand {
    /// A tie is an opt-out.
    fn blocked(&self) -> bool {
        self.suppressed || self.out.is_some() && self.opted_in <= self.out
    }
}

/// The person, and whoever shares their mailbox.
fn holders(history: &History, person: usize) -> Vec<usize> {
    match history.shared {
        Some((one, other)) if [one, other].contains(&person) => vec![one, other],
        _ => vec![person],
    }
}

pub fn fold(history: &History, course: &Course) -> Expected {
    let stands: Vec<Stand> = (0..history.people).map(|person| stand(history, person)).collect();
    let contacts = (0..history.people)
        .map(|person| {
            let mut contact = contact(history, course, person, &stands[person]);
            // A mailbox is blocked while the own word of anybody who has it is an opt-out, and one of
            // them may have lifted it on the way.
            for holder in holders(history, person) {
                contact.blocked |= stands[holder].blocked();
                contact.opted_in |= stands[holder].opted_in.is_some();
            }
            contact
        })
        .collect::<Vec<_>>();
    let mut expected = Expected { alerts: alerts(history), ..Expected::default() };
    for (n, event) in history.events.iter().enumerate() {
        let person = event.person;
        let due = due(history, n, contacts[person].presence == Presence::Perhaps);
        // Nothing but the deletion comes of the word that a person is gone.
        if event.code != Code::Closed {
            expected.events.insert(key(n, event), due.clone());
        }
        let unsure = history.shares(person) || contacts[person].presence == Presence::Erased;
        match event.code {
            Code::View => _ = expected.events.insert(echo(n), due),
            Code::Order => {
                let foreign_block = history.existing == Some((person, true));
                let perhaps = due.perhaps || unsure || stands[person].suppressed || foreign_block;
                expected.mails.insert(echo(n), Due { perhaps, ..due });
            }
            Code::Parcel => {
                let perhaps = due.perhaps || unsure || event.phone.is_none();
                expected.texts.insert(echo(n), Due { perhaps, ..due });
            }
            Code::Call => {
                expected.notes.insert(echo(n), due.clone());
                expected.tasks.insert(echo(n), due);
            }
            _ => {}
        }
    }
    (expected.lists, expected.words) = lists(history, &contacts);
    for things in history.things.iter().flatten() {
        for (id, (title, price)) in &things.products {
            let known = expected.products.get(id).and_then(|(_, price)| *price);
            expected.products.insert(id.clone(), (title.clone(), price.or(known)));
        }
        expected.campaigns.extend(things.campaigns.clone());
    }
    Expected { contacts, ..expected }
}

fn due(history: &History, n: usize, perhaps: bool) -> Due {
    let event = &history.events[n];
    let before = closed(history, event.person).filter(|word| event.at < history.events[*word].at);
    let never = match before {
        _ if event.is_old() => Some(Never::Old),
        _ if event.names == Names::Visitor => Some(Never::Nobodys),
        Some(word) if history.comes_after(n, word) => Some(Never::Deleted),
        _ => None,
    };
    Due { person: event.person, at: event.at, never, perhaps: perhaps || before.is_some() }
}

/// The newest word that a person is deleted softly.
fn closed(history: &History, person: usize) -> Option<usize> {
    let is_word = |event: &Event| history.soft && event.person == person && event.code == Code::Closed;
    history.events.iter().rposition(is_word)
}

/// What is told of a person. Of a visitor nothing is known but an id that every visitor has.
fn of(history: &History, person: usize) -> impl Iterator<Item = &Event> {
    history.events.iter().filter(move |event| event.person == person && event.names != Names::Visitor)
}

/// What the profiles say when they are read last.
fn profile(history: &History, person: usize) -> Option<&Profile> {
    history.profiles.last().map(|all| &all[person]).filter(|one| history.polls && !one.gone)
}

const LAST: Moment = Moment { phase: usize::MAX, second: 0 };

fn stand(history: &History, person: usize) -> Stand {
    let mut stand = told_by(of(history, person));
    if let Some(profile) = profile(history, person) {
        stand.known |= profile.flag.is_some() || profile.bounced || profile.complained;
        stand.suppressed |= profile.bounced || profile.complained;
        stand.out = stand.out.max((profile.flag == Some(true)).then_some(LAST));
    }
    stand
}

fn told_by<'a>(events: impl Iterator<Item = &'a Event>) -> Stand {
    let mut stand = Stand::default();
    for event in events {
        if let Some(flag) = event.flag.filter(|_| event.has_profile()) {
            stand.known = true;
            stand.out = stand.out.max(flag.then_some(event.at));
        }
        match event.code {
            Code::OptOut => stand.out = stand.out.max(Some(event.at)),
            Code::OptIn => stand.opted_in = stand.opted_in.max(Some(event.at)),
            Code::Spam | Code::Bounce => stand.suppressed = true,
            _ => continue,
        }
        stand.known = true;
    }
    stand
}

fn contact(history: &History, course: &Course, person: usize, stand: &Stand) -> Contact {
    let known_before = history.existing.filter(|(known, _)| *known == person);
    let word = closed(history, person).map(|word| history.events[word].at);
    // What rides on the word itself is not newer than it.
    let counts = |event: &Event| word.is_none_or(|word| event.at > word);
    let read = profile(history, person);
    let returned = read.is_some() || of(history, person).any(|event| event.has_profile() && counts(event));
    // Delivered in an earlier phase, so the deletion found somebody.
    let was_there = word.is_some_and(|word| {
        let earlier = of(history, person).filter(|event| event.at.phase < word.phase);
        told_by(earlier).known
    });
    let presence = match (history.erased == Some(person), stand.known || known_before.is_some()) {
        (true, _) => Presence::Erased,
        (false, true) if word.is_none() || returned || was_there => Presence::Due,
        (false, true) => Presence::Perhaps,
        (false, false) => Presence::Unknown,
    };
    let opted_in = stand.opted_in.map(|at| course.second(at) * 1_000);
    let clicks: Vec<&Click> = course.clicks.iter().filter(|click| click.person == person).collect();
    let clicked = clicks.iter().find(|click| opted_in.is_none_or(|at| at <= click.at)).map(|click| click.seq);
    // A block that somebody else set, nobody knows when, is nobody's to lift; Brevo gives a date to
    // what a person does.
    let foreign =
        known_before.is_some_and(|(_, blocked)| blocked) && (clicks.is_empty() || clicked.is_some());
    let mut contact = Contact {
        presence,
        email: String::new(),
        blocked: stand.blocked() || foreign || clicked.is_some(),
        sms_blocked: false,
        opted_in: stand.opted_in.is_some(),
        clicked,
        moved: false,
        deleted: word.is_some(),
        marks: of(history, person)
            .filter(|event| history.soft && event.code == Code::Closed)
            .map(|event| day(course.second(event.at)))
            .collect(),
        marked: was_there,
        attributes: ATTRIBUTES.iter().map(|(_, name)| (*name, None)).collect(),
        loose_email: word.is_some() && !returned,
        loose: BTreeSet::new(),
        phones: BTreeSet::new(),
        told: BTreeMap::new(),
        emails: BTreeSet::new(),
        numbers: BTreeSet::new(),
    };
    let mut phone = (None, true);
    // In the order of time, so that the newest of each field stands; what is missing says nothing.
    for event in of(history, person).filter(|event| event.has_profile()) {
        contact.tell(&event.attributes, &event.email, counts(event));
        if let Some(told) = &event.phone {
            phone = (Some(told.trim_start_matches('+').to_owned()), counts(event));
            contact.numbers.extend(phone.0.clone());
        }
    }
    if let Some(profile) = read {
        contact.tell(&profile.attributes, &profile.email, true);
        if let Some(told) = &profile.phone {
            phone = (Some(told.trim_start_matches('+').to_owned()), true);
            contact.numbers.extend(phone.0.clone());
        }
    }
    contact.moved = contact.emails.len() > 1;
    let said: Vec<Sms> =
        of(history, person).filter(|event| event.has_profile()).filter_map(|event| event.sms).collect();
    contact.sms_blocked = said.contains(&Sms::Out);
    contact.phones = match phone {
        // A number waits for its own consent.
        _ if !said.contains(&Sms::In) && !contact.sms_blocked => [None].into(),
        (phone, true) => [phone].into(),
        (_, false) => contact.numbers.iter().cloned().map(Some).chain([None]).collect(),
    };
    contact
}

impl Contact {
    fn tell(&mut self, attributes: &BTreeMap<&'static str, Value>, email: &String, counts: bool) {
        for (name, value) in attributes {
            let (_, at_brevo) = ATTRIBUTES.iter().find(|(ours, _)| ours == name).unwrap();
            self.told.entry(at_brevo).or_default().insert(value.to_string());
            self.attributes.insert(at_brevo, (!value.is_null()).then(|| value.clone()));
            match counts {
                true => self.loose.remove(at_brevo),
                false => self.loose.insert(at_brevo),
            };
        }
        self.emails.insert(email.clone());
        self.email.clone_from(email);
    }
}

/// The day of a second, in UTC.
fn day(second: i64) -> String {
    jiff::Timestamp::from_second(second).unwrap().to_string()[..10].to_owned()
}

type Members = BTreeMap<&'static str, BTreeSet<usize>>;
type Words = BTreeMap<&'static str, [BTreeSet<usize>; 2]>;

/// Executions count in the order of their first arrival, and of two words the newer holds. They arrive
/// after everything of their phase has happened.
fn lists(history: &History, contacts: &[Contact]) -> (Members, Words) {
    let mut arrived: Vec<(usize, usize)> = Vec::new();
    let mut newest: BTreeMap<(usize, usize), (usize, bool)> = BTreeMap::new();
    let mut words = Words::new();
    let steps =
        history.plan.iter().enumerate().flat_map(|(phase, steps)| steps.iter().map(move |s| (phase, s)));
    for (phase, step) in steps {
        let Step::Chunk(chunk) = step else { continue };
        let execution = (chunk.list, chunk.execution);
        if !arrived.contains(&execution) {
            arrived.push(execution);
        }
        let order = arrived.iter().position(|one| *one == execution).unwrap();
        for (person, member, _) in &chunk.rows {
            let said = words.entry(LISTS[chunk.list].1).or_default();
            said[usize::from(*member)].insert(*person);
            // Who is deleted is in no list by what was said before.
            let word = closed(history, *person).map(|word| history.events[word].at.phase);
            let member = *member && word.is_none_or(|word| word <= phase);
            let known = newest.entry((chunk.list, *person)).or_insert((order, member));
            if order >= known.0 {
                *known = (order, member);
            }
        }
    }
    let mut members: Members = LISTS.iter().map(|(_, name, _)| (*name, BTreeSet::new())).collect();
    for ((list, person), (_, member)) in newest {
        if member && [Presence::Due, Presence::Perhaps].contains(&contacts[person].presence) {
            members.entry(LISTS[list].1).or_default().insert(person);
        }
    }
    (members, words)
}

fn alerts(history: &History) -> BTreeSet<usize> {
    let alert = |step: &Step| if let Step::Alert(n) = step { Some(*n) } else { None };
    history.plan.iter().flatten().filter_map(alert).collect()
}
