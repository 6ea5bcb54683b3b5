//! What Brevo holds against what it has to hold; every difference has a class.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::expected::{Contact as Wanted, Course, Expected, Presence};
use super::history::History;
use stand_ins::brevo::{Cause, Channel, Resubscription};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Something due is not there.
    Lost,
    /// Something that is to be once is there more often.
    Doubled,
    /// Somebody who wants nothing can be written to.
    Resubscribed,
    /// Somebody who was erased is there again.
    Resurrected,
    /// Something older stands in the place of something newer.
    Misordered,
    /// A value is gone that nobody cleared.
    Cleared,
    /// Somebody is blocked without a reason.
    Silenced,
    /// Old news was sent, or something that nobody asked for.
    Unasked,
    /// Something that must not stop here did.
    Stuck,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Resubscribed => "re-subscribed",
            Self::Resurrected => "resurrected",
            Self::Misordered => "misordered",
            Self::Cleared => "cleared by absence",
            Self::Silenced => "silenced",
            Self::Unasked => "unasked",
            Self::Stuck => "stuck",
        })
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    pub class: Class,
    pub what: String,
}

impl fmt::Debug for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.what)
    }
}

/// An event, a mail, a text, a note or a task at Brevo.
#[derive(Clone, Debug)]
pub struct Seen {
    pub key: String,
    /// External id of the contact, or the address or number that it went to.
    pub of: Option<String>,
    /// Host time in seconds, where it has a date.
    pub at: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct SeenContact {
    pub ext_id: Option<String>,
    pub email: Option<String>,
    pub blocked: bool,
    pub sms_blocked: bool,
    pub attributes: BTreeMap<String, Value>,
}

/// Brevo in the end, and what happened there on the way.
#[derive(Debug)]
pub struct Observed {
    pub course: Course,
    pub contacts: Vec<SeenContact>,
    pub events: Vec<Seen>,
    pub mails: Vec<Seen>,
    pub texts: Vec<Seen>,
    /// Those about people, and those about alerts.
    pub notes: Vec<Seen>,
    pub tasks: Vec<Seen>,
    /// What Brevo was given of products and objects, by id.
    pub products: BTreeMap<String, serde_json::Map<String, Value>>,
    pub objects: Vec<serde_json::Map<String, Value>>,
    /// Keys of what may be at Brevo or not, and waits for an operator.
    pub unproven: BTreeSet<String>,
    /// External ids of the members.
    pub lists: BTreeMap<String, BTreeSet<String>>,
    pub resubscriptions: Vec<Resubscription>,
    /// External ids of contacts that were made again after their deletion.
    pub made_again: Vec<String>,
    /// Open dead letters by code.
    pub letters: BTreeMap<String, i64>,
    /// What did not reach Brevo, and why.
    pub undelivered: Vec<String>,
}

pub fn ext_id(person: usize) -> String {
    format!("cust-{person}")
}

pub fn person_of(ext_id: &str) -> Option<usize> {
    ext_id.strip_prefix("cust-")?.parse().ok()
}

/// An attribute that somebody else filled before; nothing here maps to it.
pub const FOREIGN: (&str, &str) = ("LASTNAME", "Known Before");

pub fn compare(history: &History, expected: &Expected, observed: &Observed) -> Vec<Difference> {
    let mut found = Comparison { history, expected, observed, differences: Vec::new(), excused: 0 };
    found.excused = match history.has_trouble() {
        // After a lost answer nobody knows any more who set a block: then it stays, and a letter says so.
        true => observed.letters.get("block-not-ours").copied().unwrap_or(0),
        false => 0,
    };
    found.contacts();
    found.effects();
    found.lists();
    found.things();
    found.on_the_way();
    found.letters();
    found.differences.sort();
    found.differences
}

pub struct Comparison<'a> {
    pub history: &'a History,
    pub expected: &'a Expected,
    pub observed: &'a Observed,
    differences: Vec<Difference>,
    excused: i64,
}

impl Comparison<'_> {
    pub fn note(&mut self, class: Class, what: String) {
        self.differences.push(Difference { class, what });
    }

    fn seen(&self, person: usize) -> Option<&SeenContact> {
        let ext_id = ext_id(person);
        self.observed.contacts.iter().find(|one| one.ext_id.as_ref() == Some(&ext_id))
    }

    /// The one of two with one mailbox who is not at Brevo: which of them came first is nobody's rule.
    pub fn stands_back(&self, person: usize) -> bool {
        self.history.shared.is_some_and(|(one, other)| {
            [one, other].contains(&person)
                && self.seen(person).is_none()
                && self.seen(one + other - person).is_some()
        })
    }

    fn contacts(&mut self) {
        for (person, wanted) in self.expected.contacts.iter().enumerate() {
            let seen = self.seen(person).cloned();
            match (wanted.presence, seen) {
                (Presence::Due, None) if self.stands_back(person) => {}
                (Presence::Due, None) => self.note(Class::Lost, format!("contact of {person}")),
                (Presence::Erased, Some(_)) => self.note(Class::Resurrected, format!("contact of {person}")),
                (Presence::Unknown, Some(_)) => {
                    self.note(
                        Class::Resubscribed,
                        format!("{person} was created, and nobody knows their consent"),
                    );
                }
                (Presence::Due | Presence::Perhaps, Some(seen)) => self.contact(person, wanted, &seen),
                (_, None) => {}
            }
        }
        for seen in self.observed.contacts.clone() {
            if seen.ext_id.as_deref().and_then(person_of).is_some() {
                continue;
            }
            let erased = self.expected.contacts.iter().any(|wanted| {
                wanted.presence == Presence::Erased
                    && seen.email.as_ref().is_some_and(|at| wanted.emails.contains(at))
            });
            let class = if erased { Class::Resurrected } else { Class::Unasked };
            self.note(class, format!("a contact of nobody: {:?}", seen.email));
        }
    }

    fn contact(&mut self, person: usize, wanted: &Wanted, seen: &SeenContact) {
        let older = |at: &String| wanted.emails.contains(at);
        if wanted.loose_email && seen.email.as_ref().is_some_and(older) {
            // Delivered before the deletion or not.
        } else if seen.email.as_ref() != Some(&wanted.email) {
            let older = seen.email.as_ref().is_some_and(older);
            let class = if older { Class::Misordered } else { Class::Lost };
            self.note(class, format!("address of {person}: {:?} for {:?}", seen.email, wanted.email));
        }
        match (wanted.blocked, seen.blocked) {
            (true, false) => self.note(Class::Resubscribed, format!("{person} wants nothing")),
            (false, true) if self.excused > 0 => self.excused -= 1,
            (false, true) => self.note(Class::Silenced, format!("{person} may be written to")),
            _ => {}
        }
        match (wanted.sms_blocked, seen.sms_blocked) {
            (true, false) => self.note(Class::Resubscribed, format!("{person} wants no texts")),
            (false, true) => self.note(Class::Silenced, format!("{person} may get texts")),
            _ => {}
        }
        self.phone(person, wanted, seen);
        self.mark(person, wanted, seen);
        for (name, value) in &wanted.attributes {
            // How a cleared attribute is shown is not documented.
            let stands = seen.attributes.get(*name).filter(|value| !value.is_null() && **value != "");
            if stands == value.as_ref() {
                continue;
            }
            let told = wanted.told.get(name);
            let told = |value: &Value| told.is_some_and(|told| told.contains(&value.to_string()));
            if wanted.loose.contains(name) && stands.is_none_or(told) {
                continue; // delivered before the deletion or not
            }
            let class = match stands {
                None if told(&Value::Null) => Class::Misordered,
                None => Class::Cleared,
                Some(value) if told(value) => Class::Misordered,
                Some(_) => Class::Unasked,
            };
            self.note(class, format!("{name} of {person}: {stands:?} for {value:?}"));
        }
        if self.history.existing.is_some_and(|(known, _)| known == person)
            && seen.attributes.get(FOREIGN.0) != Some(&FOREIGN.1.into())
        {
            self.note(Class::Cleared, format!("{} of {person}, which is somebody else's", FOREIGN.0));
        }
    }

    fn phone(&mut self, person: usize, wanted: &Wanted, seen: &SeenContact) {
        let stands = seen.attributes.get("SMS").and_then(Value::as_str).map(str::to_owned);
        if wanted.phones.contains(&stands) {
            return;
        }
        let class = match &stands {
            None => Class::Lost,
            // Nobody knows whether they want texts.
            Some(_) if wanted.phones == [None].into() => Class::Resubscribed,
            Some(number) if wanted.numbers.contains(number) => Class::Misordered,
            Some(_) => Class::Unasked,
        };
        self.note(class, format!("number of {person}: {stands:?} for {:?}", wanted.phones));
    }

    fn mark(&mut self, person: usize, wanted: &Wanted, seen: &SeenContact) {
        let mark = seen.attributes.get("MOENGAGE_DELETED_AT").and_then(Value::as_str);
        match mark.map(|mark| wanted.marks.contains(mark)) {
            Some(false) => self.note(Class::Unasked, format!("{person} is marked as deleted on {mark:?}")),
            None if wanted.marked => self.note(Class::Lost, format!("{person} is not marked as deleted")),
            _ => {}
        }
    }

    fn lists(&mut self) {
        for (list, wanted) in &self.expected.lists {
            let nobody = BTreeSet::new();
            let seen = self.observed.lists.get(*list).unwrap_or(&nobody);
            let said = self.expected.words.get(list).cloned().unwrap_or_default();
            for person in wanted {
                let perhaps = self.expected.contacts[*person].presence == Presence::Perhaps;
                if !seen.contains(&ext_id(*person)) && !self.stands_back(*person) && !perhaps {
                    let class = if said[0].contains(person) { Class::Misordered } else { Class::Lost };
                    self.note(class, format!("{person} is not in the list {list}"));
                }
            }
            for member in seen {
                let person = person_of(member).filter(|person| wanted.contains(person));
                if person.is_none() {
                    let person = person_of(member);
                    let joined = person.is_some_and(|person| said[1].contains(&person));
                    let deleted = person.is_some_and(|person| self.expected.contacts[person].deleted);
                    let class = match (deleted, joined) {
                        (true, _) => Class::Resurrected,
                        (false, true) => Class::Misordered,
                        (false, false) => Class::Unasked,
                    };
                    self.note(class, format!("{member} is in the list {list}"));
                }
            }
        }
    }

    /// A block may fall for a moment when the address changes, and by an explicit opt-in.
    fn on_the_way(&mut self) {
        for one in &self.observed.resubscriptions {
            let person = one.ext_id.as_deref().and_then(person_of);
            let wanted = person.and_then(|person| self.expected.contacts.get(person));
            let allowed = wanted.is_some_and(|wanted| match one.cause {
                // Nobody says by a signal that they want texts.
                Cause::ExplicitFalse if one.channel == Channel::Sms => false,
                Cause::ExplicitFalse => wanted.opted_in && wanted.clicked.is_none_or(|seq| one.seq <= seq),
                Cause::AddressChange => wanted.moved,
                Cause::Recreated | Cause::Merged => false,
            });
            if !allowed {
                self.note(Class::Resubscribed, format!("{:?} of {:?}", one.cause, one.ext_id));
            }
        }
        for ext_id in &self.observed.made_again {
            self.note(Class::Resurrected, format!("{ext_id} was made again after the deletion"));
        }
    }

    fn letters(&mut self) {
        for (code, count) in &self.observed.letters {
            let expected = match code.as_str() {
                "address-shared" => self.history.shared.is_some(),
                "suppressed" | "block-not-ours" => true,
                "outcome-unproven" => self.history.has_trouble(),
                // A block that nothing explains is shown where a mail was to go out all the same.
                "blocked-at-brevo" => self.history.existing.is_some_and(|(_, blocked)| blocked),
                _ => false,
            };
            if !expected {
                self.note(Class::Stuck, format!("{count} dead letters {code}"));
            }
        }
    }
}
