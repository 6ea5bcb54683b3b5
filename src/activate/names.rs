//! Event codes to Brevo event names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::settings::connector_campaigns::EventName as ConnectorEvent;
use crate::settings::{EventMapping, Settings, without_mark};
use crate::source::codes;

/// Longest event name that Brevo takes (OpenAPI `/events`).
const MAX_NAME: usize = 255;

/// What an event is called at Brevo.
pub enum EventName<'a> {
    Named(Cow<'a, str>),
    /// The mapping drops it.
    Dropped,
    /// Neither published nor mapped, and the tenant wants only what is.
    Unknown,
    /// The tenant wants no events.
    NotSynced,
}

/// The name of an event by the tenant's mapping, else derived from its code.
pub fn event_name<'a>(settings: &'a Settings, code: &str) -> EventName<'a> {
    let prefix = &settings.options.event_prefix;
    match settings.events.get(code) {
        Some(EventMapping::Dropped) => EventName::Dropped,
        Some(EventMapping::Sent { name: Some(name), .. }) => EventName::Named(Cow::Borrowed(name)),
        Some(EventMapping::Sent { name: None, .. }) => EventName::Named(Cow::Owned(derived(prefix, code))),
        None => unmapped(settings, code),
    }
}

fn unmapped<'a>(settings: &Settings, code: &str) -> EventName<'a> {
    let mut name = derived(&settings.options.event_prefix, code);
    let known = codes::published(code).is_some() || declared(settings).as_deref() == Some(code);
    if !known && !settings.options.carry_unknown_events {
        return EventName::Unknown;
    }
    // Only here can a name be taken without anybody knowing it beforehand: `configure` sees the
    // codes that are published and mapped, not those that a tenant's app will track.
    if !known && is_taken(settings, &name) {
        name = told_apart(name, code);
    }
    EventName::Named(Cow::Owned(name))
}

/// True where a name is that of a code which is known beforehand.
fn is_taken(settings: &Settings, name: &str) -> bool {
    let prefix = &settings.options.event_prefix;
    let given = |mapping: &EventMapping| match mapping {
        EventMapping::Sent { name: given, .. } => given.as_deref() == Some(name),
        EventMapping::Dropped => false,
    };
    settings.events.values().any(given)
        || name.strip_prefix(prefix.as_str()).is_some_and(|rest| {
            let same = |code: &str| rest.chars().eq(letters(code));
            codes::CODES.iter().any(|known| !settings.events.contains_key(known.code) && same(known.code))
                || settings.events.iter().any(|(code, mapping)| {
                    matches!(mapping, EventMapping::Sent { name: None, .. }) && same(code)
                })
                || declared(settings).is_some_and(|code| same(&code))
        })
}

/// The code of connector campaigns, where the settings say it and not the body.
fn declared(settings: &Settings) -> Option<String> {
    match &settings.connector_campaigns.as_ref()?.event {
        ConnectorEvent::Literal(name) => Some(format!("{}{name}", codes::CONNECTOR_PREFIX)),
        ConnectorEvent::From(_) => None,
    }
}

/// Every name that is known beforehand: of the published codes, of the mapped ones and of the
/// declared one.
pub fn known_event_names(settings: &Settings) -> impl Iterator<Item = String> {
    let published = codes::CODES.iter().map(|known| known.code.to_owned());
    let mapped = settings.events.keys().cloned();
    published.chain(mapped).chain(declared(settings)).filter_map(|code| match event_name(settings, &code) {
        EventName::Named(name) => Some(name.into_owned()),
        EventName::Dropped | EventName::Unknown | EventName::NotSynced => None,
    })
}

/// Two codes that would have one name.
pub struct Clash {
    /// A mapped code.
    pub code: String,
    /// The code that already has its name.
    pub other: String,
    /// Whether its name is derived.
    pub is_derived: bool,
}

/// Mapped codes whose name another mapped code, or a published code without a mapping, has too.
pub fn name_clashes(mapped: &BTreeMap<String, EventMapping>, prefix: &str) -> Vec<Clash> {
    let unmapped = codes::CODES.iter().filter(|known| !mapped.contains_key(known.code));
    let mut taken = BTreeMap::new();
    taken.extend(unmapped.map(|known| (derived(prefix, known.code), known.code)));
    let mut clashes = Vec::new();
    for (code, mapping) in mapped {
        let (name, is_derived) = match mapping {
            EventMapping::Dropped => continue,
            EventMapping::Sent { name: Some(name), .. } => (name.clone(), false),
            EventMapping::Sent { name: None, .. } => (derived(prefix, code), true),
        };
        match taken.get(&name) {
            Some(other) => clashes.push(Clash { code: code.clone(), other: (*other).to_owned(), is_derived }),
            None => {
                taken.insert(name, code);
            }
        }
    }
    clashes
}

/// `MOE_EMAIL_OPEN` becomes `moengage_email_open` (the rule of `settings/naming.rs`). Where that
/// loses letters that tell codes apart, or the end of a long code, a digest of the code takes their
/// place.
fn derived(prefix: &str, code: &str) -> String {
    let mut name = String::with_capacity(prefix.len() + code.len());
    name.push_str(prefix);
    name.extend(letters(code));
    if !code.is_ascii() || name.len() > MAX_NAME {
        return told_apart(name, code);
    }
    name
}

/// A code as the part of a name.
fn letters(code: &str) -> impl Iterator<Item = char> {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    without_mark(code).chars().map(letter)
}

/// The name with a digest of its code.
fn told_apart(mut name: String, code: &str) -> String {
    const DIGEST: usize = 17; // underscore and 16 hexadecimal digits
    name.truncate(MAX_NAME - DIGEST);
    // Writing to a string can't fail.
    let _ = write!(name, "_{:016x}", fnv1a(code));
    name
}

/// FNV-1a, 64 bits: tells names apart, protects nothing.
fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_derived_from_codes() {
        assert_eq!(derived("moengage_", "MOE_EMAIL_OPEN"), "moengage_email_open");
        assert_eq!(derived("moengage_", "NOTIFICATION_RECEIVED_MOE"), "moengage_notification_received");
        assert_eq!(derived("moengage_", "Device Uninstall"), "moengage_device_uninstall");
        assert_eq!(derived("moengage_", "n_i_s"), "moengage_n_i_s");
    }

    #[test]
    fn codes_in_other_scripts_stay_apart() {
        assert_ne!(derived("m_", "購入"), derived("m_", "登録"));
    }

    #[test]
    fn published_codes_have_names_of_their_own() {
        let names: std::collections::BTreeSet<_> =
            codes::CODES.iter().map(|known| derived("moengage_", known.code)).collect();
        assert_eq!(names.len(), codes::CODES.len());
    }

    proptest! {
        #[test]
        fn every_derived_name_is_one_that_brevo_takes(code in ".{1,400}") {
            let name = derived("moengage_", &code);
            prop_assert!((1..=MAX_NAME).contains(&name.len()));
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        }
    }
}
