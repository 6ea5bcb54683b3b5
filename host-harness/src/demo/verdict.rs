//! What MoEngage pushed against what Brevo holds.
//!
//! The judge sees only the two vendors' sides: what the sender says it sent, and what the receiver
//! says it got. It knows nothing of the host, except for what the host promises.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// What a sender pushed about a person, and what the promises make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Events by their uuid that have to be at Brevo exactly once.
    pub events: BTreeSet<String>,
    /// Events that must not be there: too old, or about nobody who may be created.
    pub never: BTreeSet<String>,
    /// Contacts by external id or, without one, by address; whether they have to be blocked.
    pub contacts: BTreeMap<String, bool>,
}

/// What Brevo got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// How often each event uuid was applied.
    pub events: BTreeMap<String, u64>,
    /// Contacts by external id or, without one, by address; whether they are blocked.
    pub contacts: BTreeMap<String, bool>,
    /// Contacts that were blocked and no longer are.
    pub resubscribed: u64,
    /// Requests against Brevo's documentation.
    pub violations: u64,
    /// Attributes that Brevo ignored in silence.
    pub ignored: u64,
    /// Batches that the sender gave up.
    pub given_up: u64,
}

/// Everything that is wrong. Empty is the only good answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Events that are not there.
    pub lost: Vec<String>,
    /// Events that are there more than once.
    pub doubled: Vec<String>,
    /// Events that should not be there.
    pub uncalled: Vec<String>,
    /// Contacts that are not there.
    pub missing: Vec<String>,
    /// Contacts that should not be there.
    pub unexpected: Vec<String>,
    /// Contacts that can be written to against their will.
    pub unblocked: Vec<String>,
    /// Contacts that are blocked without a reason.
    pub blocked: Vec<String>,
    /// See [`Observed`].
    pub resubscribed: u64,
    /// See [`Observed`].
    pub violations: u64,
    /// See [`Observed`].
    pub ignored: u64,
    /// See [`Observed`].
    pub given_up: u64,
}

impl Verdict {
    /// Compares the two sides.
    pub fn of(expected: &Expected, observed: &Observed) -> Self {
        let times = |uuid: &String| observed.events.get(uuid).copied().unwrap_or(0);
        let mut verdict = Self {
            resubscribed: observed.resubscribed,
            violations: observed.violations,
            ignored: observed.ignored,
            given_up: observed.given_up,
            ..Self::default()
        };
        for uuid in &expected.events {
            match times(uuid) {
                0 => verdict.lost.push(uuid.clone()),
                1 => {}
                _ => verdict.doubled.push(uuid.clone()),
            }
        }
        for uuid in observed.events.keys() {
            if !expected.events.contains(uuid) {
                verdict.uncalled.push(uuid.clone());
            }
        }
        for (name, blocked) in &expected.contacts {
            match observed.contacts.get(name) {
                None => verdict.missing.push(name.clone()),
                Some(false) if *blocked => verdict.unblocked.push(name.clone()),
                Some(true) if !*blocked => verdict.blocked.push(name.clone()),
                Some(_) => {}
            }
        }
        for name in observed.contacts.keys() {
            if !expected.contacts.contains_key(name) {
                verdict.unexpected.push(name.clone());
            }
        }
        verdict
    }

    /// Nothing is wrong.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl Expected {
    /// What the host promises for what a generator made: events within their time, of people who
    /// can be named and whose consent is known, arrive once; nobody else is created; every
    /// opt-out, bounce and complaint is a block.
    pub fn from_truth(truth: &stand_ins::moengage::generator::Truth) -> Self {
        let mut expected =
            Self { events: BTreeSet::new(), never: BTreeSet::new(), contacts: BTreeMap::new() };
        let raised = |flag: Option<bool>| flag == Some(true);
        for person in &truth.people {
            let blocked =
                raised(person.unsubscribed) || raised(person.hard_bounced) || raised(person.complained);
            let known = person.unsubscribed.is_some() || blocked;
            if person.events > 0 && known && !person.anonymous {
                let named = person.uid.clone().or_else(|| person.email.as_ref().map(|m| m.to_lowercase()));
                expected.contacts.extend(named.map(|name| (name, blocked)));
            }
        }
        for (uuid, event) in &truth.events {
            let person = &truth.people[event.person];
            let name = person.uid.clone().or_else(|| person.email.as_ref().map(|m| m.to_lowercase()));
            let there = name.is_some_and(|name| expected.contacts.contains_key(&name));
            let side = if there && !event.late { &mut expected.events } else { &mut expected.never };
            side.insert(uuid.clone());
        }
        // Malformed in its time only: at the live door it happened when it arrived.
        for (uid, uuid) in truth.poison.iter().filter_map(|poison| poison.named.clone()) {
            let side = match expected.contacts.contains_key(&uid) {
                true => &mut expected.events,
                false => &mut expected.never,
            };
            side.insert(uuid);
        }
        expected
    }
}

impl Observed {
    /// What a stand-in for Brevo holds; `uuid` is the event property that carries the event's uuid.
    pub fn at(brevo: &stand_ins::brevo::Brevo, uuid: &str) -> Self {
        let contacts = brevo
            .contacts()
            .into_iter()
            .filter_map(|contact| {
                let name = contact.ext_id.or(contact.email.map(|email| email.to_lowercase()))?;
                Some((name, contact.email_blacklisted))
            })
            .collect();
        Self {
            events: brevo.events_by_property(uuid),
            contacts,
            resubscribed: brevo.resubscriptions().len() as u64,
            violations: brevo.violations().len() as u64,
            ignored: brevo.ignored_attributes().len() as u64,
            given_up: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides() -> (Expected, Observed) {
        let expected = Expected {
            events: ["e1", "e2"].map(String::from).into(),
            never: ["old"].map(String::from).into(),
            contacts: [("ann".to_owned(), true), ("bob".to_owned(), false)].into(),
        };
        let observed = Observed {
            events: [("e1".to_owned(), 1), ("e2".to_owned(), 1)].into(),
            contacts: expected.contacts.clone(),
            ..Observed::default()
        };
        (expected, observed)
    }

    #[test]
    fn equal_sides_are_clean() {
        let (expected, observed) = sides();
        assert!(Verdict::of(&expected, &observed).is_clean());
    }

    /// The judge is judged: each planted fault is found, under its own name.
    #[test]
    fn every_planted_fault_is_found() {
        type Plant = fn(&mut Observed);
        type Find = fn(&Verdict) -> bool;
        let faults: [(&str, Plant, Find); 9] = [
            (
                "a loss",
                |o| {
                    o.events.remove("e1");
                },
                |v| v.lost == ["e1"],
            ),
            (
                "a double",
                |o| {
                    o.events.insert("e2".into(), 2);
                },
                |v| v.doubled == ["e2"],
            ),
            (
                "old news",
                |o| {
                    o.events.insert("old".into(), 1);
                },
                |v| v.uncalled == ["old"],
            ),
            (
                "a missing contact",
                |o| {
                    o.contacts.remove("bob");
                },
                |v| v.missing == ["bob"],
            ),
            (
                "a stranger",
                |o| {
                    o.contacts.insert("eve".into(), false);
                },
                |v| v.unexpected == ["eve"],
            ),
            (
                "a lost opt-out",
                |o| {
                    o.contacts.insert("ann".into(), false);
                },
                |v| v.unblocked == ["ann"],
            ),
            (
                "a block for nothing",
                |o| {
                    o.contacts.insert("bob".into(), true);
                },
                |v| v.blocked == ["bob"],
            ),
            ("a re-subscription", |o| o.resubscribed = 1, |v| v.resubscribed == 1),
            ("a webhook given up", |o| o.given_up = 1, |v| v.given_up == 1),
        ];
        for (name, plant, find) in faults {
            let (expected, mut observed) = sides();
            plant(&mut observed);
            let verdict = Verdict::of(&expected, &observed);
            assert!(!verdict.is_clean() && find(&verdict), "{name} was not found: {verdict:?}");
        }
    }
}
