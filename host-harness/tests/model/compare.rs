//! What Brevo holds against what it has to hold; every difference has a class.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::fold::{Contact as Wanted, Due, Expected, Presence};
use super::history::History;
use stand_ins::brevo::{Cause, Resubscription};

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

/// An event at Brevo.
#[derive(Clone, Debug)]
pub struct SeenEvent {
    pub key: String,
    /// External id of the contact that it was sent for.
    pub of: Option<String>,
    /// Host time, in seconds.
    pub at: i64,
}

/// A mail that Brevo sent.
#[derive(Clone, Debug)]
pub struct SeenMail {
    pub key: String,
    pub to: String,
}

#[derive(Clone, Debug)]
pub struct SeenContact {
    pub ext_id: Option<String>,
    pub email: Option<String>,
    pub blocked: bool,
    pub attributes: BTreeMap<String, Value>,
}

/// Brevo in the end, and what happened there on the way.
#[derive(Debug)]
pub struct Observed {
    pub contacts: Vec<SeenContact>,
    pub events: Vec<SeenEvent>,
    pub mails: Vec<SeenMail>,
    /// External ids of the members.
    pub lists: BTreeMap<String, BTreeSet<String>>,
    pub resubscriptions: Vec<Resubscription>,
    /// External ids of contacts that were made again after their deletion.
    pub made_again: Vec<String>,
    /// Open dead letters by code.
    pub letters: BTreeMap<String, i64>,
    /// What did not reach Brevo, and why.
    pub undelivered: Vec<String>,
    /// Host time at which each phase begins, in seconds.
    pub begins: Vec<i64>,
}

pub fn ext_id(person: usize) -> String {
    format!("cust-{person}")
}

fn person_of(ext_id: &str) -> Option<usize> {
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
    found.events();
    found.mails();
    found.lists();
    found.on_the_way();
    found.letters();
    found.differences.sort();
    found.differences
}

struct Comparison<'a> {
    history: &'a History,
    expected: &'a Expected,
    observed: &'a Observed,
    differences: Vec<Difference>,
    excused: i64,
}

impl Comparison<'_> {
    fn note(&mut self, class: Class, what: String) {
        self.differences.push(Difference { class, what });
    }

    fn seen(&self, person: usize) -> Option<&SeenContact> {
        let ext_id = ext_id(person);
        self.observed.contacts.iter().find(|one| one.ext_id.as_ref() == Some(&ext_id))
    }

    /// The one of two with one mailbox who is not at Brevo: which of them came first is nobody's rule.
    fn stands_back(&self, person: usize) -> bool {
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
                (Presence::Due, Some(seen)) => self.contact(person, wanted, &seen),
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
        if seen.email.as_ref() != Some(&wanted.email) {
            let older = seen.email.as_ref().is_some_and(|at| wanted.emails.contains(at));
            let class = if older { Class::Misordered } else { Class::Lost };
            self.note(class, format!("address of {person}: {:?} for {:?}", seen.email, wanted.email));
        }
        match (wanted.blocked, seen.blocked) {
            (true, false) => self.note(Class::Resubscribed, format!("{person} wants nothing")),
            (false, true) if self.excused > 0 => self.excused -= 1,
            (false, true) => self.note(Class::Silenced, format!("{person} may be written to")),
            _ => {}
        }
        for (name, value) in &wanted.attributes {
            // How a cleared attribute is shown is not documented.
            let stands = seen.attributes.get(*name).filter(|value| !value.is_null() && **value != "");
            if stands == value.as_ref() {
                continue;
            }
            let told = wanted.told.get(name);
            let told = |value: &Value| told.is_some_and(|told| told.contains(&value.to_string()));
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

    fn events(&mut self) {
        let mut seen: BTreeMap<&str, Vec<&SeenEvent>> = BTreeMap::new();
        for event in &self.observed.events {
            seen.entry(&event.key).or_default().push(event);
        }
        let mut notes = Vec::new();
        for (key, due) in &self.expected.events {
            let times = seen.get(key.as_str()).map_or(&[][..], Vec::as_slice);
            notes.extend(self.event(key, due, times));
        }
        let unknown = seen.keys().filter(|key| !self.expected.events.contains_key(**key));
        notes.extend(unknown.map(|key| (Class::Unasked, format!("event {key}"))));
        for (class, what) in notes {
            self.note(class, what);
        }
    }

    fn event(&self, key: &str, due: &Due, seen: &[&SeenEvent]) -> Option<(Class, String)> {
        let presence = self.expected.contacts[due.person].presence;
        let is_due = !due.never && presence == Presence::Due && !self.stands_back(due.person);
        let [first, others @ ..] = seen else {
            return is_due.then(|| (Class::Lost, format!("event {key} of {}", due.person)));
        };
        if !others.is_empty() {
            return Some((Class::Doubled, format!("event {key}, {} times", seen.len())));
        }
        // Before somebody is erased, what happened to them may have been sent.
        if presence == Presence::Erased && !due.never {
            return None;
        }
        let at = self.observed.begins[due.at.phase] + due.at.second;
        if !is_due {
            return Some((Class::Unasked, format!("event {key} of {}", due.person)));
        }
        if first.of != Some(ext_id(due.person)) {
            return Some((
                Class::Unasked,
                format!("event {key} of {} was sent for {:?}", due.person, first.of),
            ));
        }
        (first.at != at).then(|| (Class::Misordered, format!("event {key} has another date")))
    }

    fn mails(&mut self) {
        // A mail whose outcome can't be proven waits for an operator.
        let mut unproven = match self.history.has_trouble() {
            true => self.observed.letters.get("outcome-unproven").copied().unwrap_or(0),
            false => 0,
        };
        let mut notes = Vec::new();
        for (key, wanted) in &self.expected.mails {
            let seen: Vec<&SeenMail> = self.observed.mails.iter().filter(|mail| mail.key == *key).collect();
            let what = format!("mail {key} of {}", wanted.person);
            match seen.as_slice() {
                [] if wanted.never || wanted.perhaps => {}
                [] if unproven > 0 => unproven -= 1,
                [] => notes.push((Class::Lost, what)),
                [_] if wanted.never => notes.push((Class::Unasked, what)),
                [one] if !self.expected.contacts[wanted.person].emails.contains(&one.to) => {
                    notes.push((Class::Unasked, format!("{what} went to somebody else")));
                }
                [_] => {}
                all => notes.push((Class::Doubled, format!("{what}, {} times", all.len()))),
            }
        }
        let known = |mail: &&SeenMail| !self.expected.mails.contains_key(&mail.key);
        notes.extend(
            self.observed
                .mails
                .iter()
                .filter(known)
                .map(|mail| (Class::Unasked, format!("mail {}", mail.key))),
        );
        for (class, what) in notes {
            self.note(class, what);
        }
    }

    fn lists(&mut self) {
        for (list, wanted) in &self.expected.lists {
            let nobody = BTreeSet::new();
            let seen = self.observed.lists.get(*list).unwrap_or(&nobody);
            let said = self.expected.words.get(list).cloned().unwrap_or_default();
            for person in wanted {
                if !seen.contains(&ext_id(*person)) && !self.stands_back(*person) {
                    let class = if said[0].contains(person) { Class::Misordered } else { Class::Lost };
                    self.note(class, format!("{person} is not in the list {list}"));
                }
            }
            for member in seen {
                let person = person_of(member).filter(|person| wanted.contains(person));
                if person.is_none() {
                    let joined = person_of(member).is_some_and(|person| said[1].contains(&person));
                    let class = if joined { Class::Misordered } else { Class::Unasked };
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
                Cause::ExplicitFalse => wanted.opted_in,
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
                "outcome-unproven" => self.history.has_trouble() && !self.expected.mails.is_empty(),
                _ => false,
            };
            if !expected {
                self.note(Class::Stuck, format!("{count} dead letters {code}"));
            }
        }
    }
}
