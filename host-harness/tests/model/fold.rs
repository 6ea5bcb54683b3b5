//! What Brevo has to hold in the end, thought out from the sources by the design rules 3 to 10 alone.
//! Nothing of the host is called here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::history::{ATTRIBUTES, Code, Event, History, LISTS, Moment, Names, Profile, Step};

/// Whether a person is at Brevo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Due,
    /// Nobody knows whether they may be written to, and Brevo did not have them.
    Unknown,
    Erased,
}

#[derive(Clone, Debug)]
pub struct Contact {
    pub presence: Presence,
    pub email: String,
    pub blocked: bool,
    /// Explicitly opted in at some time: a block may have been lifted on the way.
    pub opted_in: bool,
    /// The address changed: Brevo drops a block for a moment.
    pub moved: bool,
    /// By Brevo's name; none is cleared, or never was told.
    pub attributes: BTreeMap<&'static str, Option<Value>>,
    /// Every value that was ever told.
    pub told: BTreeMap<&'static str, BTreeSet<String>>,
    pub emails: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub struct Due {
    pub person: usize,
    pub at: Moment,
    /// Old news is never sent, nor what a visitor did whom nobody knows.
    pub never: bool,
}

/// A mail that a rule sends.
#[derive(Clone, Debug)]
pub struct Mail {
    pub person: usize,
    pub never: bool,
    /// Whether the person may be written to at all depends on when it was to be sent.
    pub perhaps: bool,
}

#[derive(Clone, Debug)]
pub struct Expected {
    /// By the event's number.
    pub mails: BTreeMap<String, Mail>,
    pub contacts: Vec<Contact>,
    /// By the source's id.
    pub events: BTreeMap<String, Due>,
    /// Members by list, of those who are at Brevo.
    pub lists: BTreeMap<&'static str, BTreeSet<usize>>,
    /// Whoever was ever to be in a list, or to leave it.
    pub words: BTreeMap<&'static str, [BTreeSet<usize>; 2]>,
}

/// Under which id an event is found at Brevo.
pub fn key(n: usize, event: &Event) -> String {
    match event.code {
        Code::Campaign => format!("connector/delivery-{n}"),
        _ => format!("uuid-{n}"),
    }
}

/// Under which id the event or the mail that a rule makes of it is found.
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

pub fn fold(history: &History) -> Expected {
    let stands: Vec<Stand> = (0..history.people).map(|person| stand(history, person)).collect();
    let contacts = (0..history.people)
        .map(|person| {
            let mut contact = contact(history, person, &stands[person]);
            // A mailbox is blocked while the own word of anybody who has it is an opt-out, and one of
            // them may have lifted it on the way.
            for holder in holders(history, person) {
                contact.blocked |= stands[holder].blocked();
                contact.opted_in |= stands[holder].opted_in.is_some();
            }
            contact
        })
        .collect::<Vec<_>>();
    let (mut events, mut mails) = (BTreeMap::new(), BTreeMap::new());
    for (n, event) in history.events.iter().enumerate() {
        let due = Due {
            person: event.person,
            at: event.at,
            never: event.is_old() || event.names == Names::Visitor,
        };
        // Nothing but the deletion comes of the word that a person is gone.
        if event.code != Code::Closed {
            events.insert(key(n, event), due.clone());
        }
        if event.code == Code::View {
            events.insert(echo(n), due.clone());
        }
        if event.code == Code::Order {
            let person = event.person;
            let shares = history.shared.is_some_and(|(one, other)| [one, other].contains(&person));
            let foreign_block = history.existing == Some((person, true));
            let erased = contacts[person].presence == Presence::Erased;
            let perhaps = stands[person].suppressed || shares || foreign_block || erased;
            mails.insert(echo(n), Mail { person, never: due.never, perhaps });
        }
    }
    let (lists, words) = lists(history, &contacts);
    Expected { contacts, events, mails, lists, words }
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
    let mut stand = Stand::default();
    for event in of(history, person) {
        let has_contact = event.code != Code::Campaign;
        if let Some(flag) = event.flag.filter(|_| has_contact) {
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
    if let Some(profile) = profile(history, person) {
        stand.known |= profile.flag.is_some() || profile.bounced || profile.complained;
        stand.suppressed |= profile.bounced || profile.complained;
        stand.out = stand.out.max((profile.flag == Some(true)).then_some(LAST));
    }
    stand
}

fn contact(history: &History, person: usize, stand: &Stand) -> Contact {
    let known_before = history.existing.filter(|(known, _)| *known == person);
    let presence = match (history.erased == Some(person), stand.known || known_before.is_some()) {
        (true, _) => Presence::Erased,
        (false, true) => Presence::Due,
        (false, false) => Presence::Unknown,
    };
    let mut contact = Contact {
        presence,
        email: String::new(),
        // A block that somebody else set, nobody knows when, is nobody's to lift.
        blocked: stand.blocked() || known_before.is_some_and(|(_, blocked)| blocked),
        opted_in: stand.opted_in.is_some(),
        moved: false,
        attributes: ATTRIBUTES.iter().map(|(_, name)| (*name, None)).collect(),
        told: BTreeMap::new(),
        emails: BTreeSet::new(),
    };
    let mut tell = |attributes: &BTreeMap<&'static str, Value>, email: &String| {
        for (name, value) in attributes {
            let (_, at_brevo) = ATTRIBUTES.iter().find(|(ours, _)| ours == name).unwrap();
            contact.told.entry(at_brevo).or_default().insert(value.to_string());
            contact.attributes.insert(at_brevo, (!value.is_null()).then(|| value.clone()));
        }
        contact.emails.insert(email.clone());
        contact.email.clone_from(email);
    };
    // In the order of time, so that the newest of each field stands; what is missing says nothing.
    for event in of(history, person).filter(|event| event.code != Code::Campaign) {
        tell(&event.attributes, &event.email);
    }
    if let Some(profile) = profile(history, person) {
        tell(&profile.attributes, &profile.email);
    }
    contact.moved = contact.emails.len() > 1;
    contact
}

type Members = BTreeMap<&'static str, BTreeSet<usize>>;
type Words = BTreeMap<&'static str, [BTreeSet<usize>; 2]>;

/// Executions count in the order of their first arrival, and of two words the newer holds.
fn lists(history: &History, contacts: &[Contact]) -> (Members, Words) {
    let mut arrived: Vec<(usize, usize)> = Vec::new();
    let mut newest: BTreeMap<(usize, usize), (usize, bool)> = BTreeMap::new();
    let mut words = Words::new();
    for step in history.plan.iter().flatten() {
        let Step::Chunk(chunk) = step else { continue };
        let execution = (chunk.list, chunk.execution);
        if !arrived.contains(&execution) {
            arrived.push(execution);
        }
        let order = arrived.iter().position(|one| *one == execution).unwrap();
        for (person, member, _) in &chunk.rows {
            let said = words.entry(LISTS[chunk.list].1).or_default();
            said[usize::from(*member)].insert(*person);
            let known = newest.entry((chunk.list, *person)).or_insert((order, *member));
            if order >= known.0 {
                *known = (order, *member);
            }
        }
    }
    let mut members: Members = LISTS.iter().map(|(_, name, _)| (*name, BTreeSet::new())).collect();
    for ((list, person), (_, member)) in newest {
        if member && contacts[person].presence == Presence::Due {
            members.entry(LISTS[list].1).or_default().insert(person);
        }
    }
    (members, words)
}
