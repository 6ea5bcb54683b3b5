//! What happens once: events, mails, texts, notes and tasks at Brevo against those that are due.

use std::collections::BTreeMap;

use super::compare::{Class, Comparison, Seen, ext_id};
use super::expected::{Contact, Due, Dues, Never, Presence};

/// What they have of their own.
struct Kind {
    name: &'static str,
    /// They need a contact, and stay with it.
    of_contact: bool,
    dated: bool,
    /// Without an answer nothing may prove whether it was sent; then it waits for an operator.
    unprovable: bool,
    /// To whom they may go, where not to a contact.
    reached: fn(&Contact, &str) -> bool,
}

const NOBODY: fn(&Contact, &str) -> bool = |_, _| false;

const EVENTS: Kind =
    Kind { name: "event", of_contact: true, dated: true, unprovable: false, reached: NOBODY };
const NOTES: Kind = Kind { name: "note", of_contact: true, dated: false, unprovable: true, reached: NOBODY };
const TASKS: Kind = Kind { name: "task", ..NOTES };
const MAILS: Kind = Kind {
    name: "mail",
    of_contact: false,
    dated: false,
    unprovable: true,
    reached: |contact, to| contact.emails.contains(to),
};
const TEXTS: Kind = Kind { name: "text", reached: |contact, to| contact.numbers.contains(to), ..MAILS };

impl Comparison<'_> {
    pub fn effects(&mut self) {
        let (expected, observed) = (self.expected, self.observed);
        self.effects_of(&EVENTS, &expected.events, &observed.events);
        self.effects_of(&MAILS, &expected.mails, &observed.mails);
        self.effects_of(&TEXTS, &expected.texts, &observed.texts);
        let of_people = |seen: &Seen| !seen.key.starts_with("alert-");
        let notes: Vec<Seen> = observed.notes.iter().filter(|seen| of_people(seen)).cloned().collect();
        self.effects_of(&NOTES, &expected.notes, &notes);
        self.effects_of(&TASKS, &expected.tasks, &observed.tasks);
        self.alerts();
    }

    fn effects_of(&mut self, kind: &Kind, dues: &Dues, seen: &[Seen]) {
        let mut found: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
        for one in seen {
            found.entry(&one.key).or_default().push(one);
        }
        for (key, due) in dues {
            let times = found.get(key.as_str()).map_or(&[][..], Vec::as_slice);
            if let Some((class, what)) = self.effect(kind, key, due, times) {
                self.note(class, format!("{} {key} of {}{what}", kind.name, due.person));
            }
        }
        for key in found.keys().filter(|key| !dues.contains_key(**key)) {
            self.note(Class::Unasked, format!("{} {key}", kind.name));
        }
    }

    fn effect(&self, kind: &Kind, key: &str, due: &Due, seen: &[&Seen]) -> Option<(Class, String)> {
        let contact = &self.expected.contacts[due.person];
        let has_contact = !kind.of_contact
            || [Presence::Due, Presence::Perhaps].contains(&contact.presence)
                && !self.stands_back(due.person);
        // Before somebody is erased, what happened to them may have been sent.
        let erased = kind.of_contact && contact.presence == Presence::Erased;
        let [first, others @ ..] = seen else {
            let unproven =
                kind.unprovable && self.history.has_trouble() && self.observed.unproven.contains(key);
            let is_due = due.never.is_none() && has_contact && !due.perhaps && !unproven;
            return is_due.then_some((Class::Lost, String::new()));
        };
        if !others.is_empty() {
            return Some((Class::Doubled, format!(", {} times", seen.len())));
        }
        match due.never {
            Some(Never::Deleted) => return Some((Class::Resurrected, ", who was deleted".to_owned())),
            Some(_) => return Some((Class::Unasked, String::new())),
            None if erased => return None,
            None if !has_contact => return Some((Class::Unasked, String::new())),
            None => {}
        }
        let right = match kind.of_contact {
            true => first.of == Some(ext_id(due.person)),
            false => first.of.as_ref().is_some_and(|to| (kind.reached)(contact, to)),
        };
        if !right {
            return Some((Class::Unasked, format!(" went to {:?}", first.of)));
        }
        let at = self.observed.course.second(due.at);
        (kind.dated && first.at != Some(at)).then(|| (Class::Misordered, " has another date".to_owned()))
    }

    /// Each alert is one note, and nobody's.
    fn alerts(&mut self) {
        let mut times: BTreeMap<String, usize> =
            self.expected.alerts.iter().map(|n| (format!("alert-{n}"), 0)).collect();
        for note in self.observed.notes.iter().filter(|note| note.key.starts_with("alert-")) {
            match times.get_mut(&note.key) {
                Some(times) => *times += 1,
                None => self.note(Class::Unasked, format!("note of {}", note.key)),
            }
        }
        for (key, times) in times {
            let unproven = self.history.has_trouble() && self.observed.unproven.contains(&key);
            match times {
                1 => {}
                0 if unproven => {}
                0 => self.note(Class::Lost, format!("note of {key}")),
                _ => self.note(Class::Doubled, format!("note of {key}, {times} times")),
            }
        }
    }
}
