//! Behaviour that a tenant can change and that has a default.

use std::ops::RangeInclusive;

use serde_json::value::RawValue;

use super::events::is_event_name;
use super::mapping::is_attribute_name;
use super::phones::{PhoneCountry, phone_country};
use super::problem::{Problems, below};
use crate::json::Scalar;

/// Behaviour with defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Milliseconds after which an event is not sent any more.
    pub max_event_age: i64,
    /// Whether codes that MoEngage does not publish and the mapping does not name are sent.
    pub carry_unknown_events: bool,
    /// Prefix of the Brevo names that are derived from codes.
    pub event_prefix: String,
    /// Prefix of the Brevo attributes that are derived from MoEngage's names.
    pub attribute_prefix: String,
    /// The user attribute that holds the e-mail address.
    pub email_attribute: String,
    /// Whether a number without plus sign is international.
    pub bare_phones_are_international: bool,
    /// The country of numbers that are written without one; none: nobody's.
    pub phone_country: Option<PhoneCountry>,
    /// A uid that contains this is an anonymous visitor's; none switches the rule off.
    pub anonymous_uid: Option<String>,
    /// Milliseconds between two reads of every known profile; none reads no profiles.
    pub profile_refresh: Option<i64>,
    /// What contact records of a backfill may change.
    pub historical_profiles: HistoricalProfiles,
    /// Whether opens and clicks of machines are sent.
    pub carry_machine_events: bool,
}

/// What contact records of a backfill may change at Brevo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoricalProfiles {
    /// Everything, in the order of time: what is newer there already stays.
    Upsert,
    /// Consent and suppression only.
    ConsentOnly,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_event_age: 24 * 3_600_000,
            carry_unknown_events: true,
            event_prefix: "moengage_".to_owned(),
            attribute_prefix: "MOENGAGE_".to_owned(),
            // The recipient's address is a configurable attribute in MoEngage, `u_em` by default
            // (MD:user-guide/campaigns-and-channels/email/getting-started-with-email/suppression-updates.mdx).
            email_attribute: "u_em".to_owned(),
            bare_phones_are_international: false,
            phone_country: None,
            // JULO's receiver (juloserver, app `moengage`) takes such ids for anonymous visitors.
            anonymous_uid: Some("anon".to_owned()),
            // Get User has to be switched on by MoEngage support.
            profile_refresh: None,
            historical_profiles: HistoricalProfiles::Upsert,
            carry_machine_events: true,
        }
    }
}

/// Reads `options`.
pub fn options(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<Options> {
    const KNOWN: [&str; 11] = [
        "max_event_age",
        "unknown_events",
        "event_prefix",
        "attribute_prefix",
        "email_attribute",
        "phones",
        "phone_country",
        "anonymous_uid",
        "profile_refresh",
        "historical_profiles",
        "machine_events",
    ];
    let object = problems.object(path, raw)?;
    let mut options = Options::default();
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "max_event_age" => {
                if let Some(age) = duration(&path, raw, "1 second to 365 days", 1000..=365 * DAY, problems) {
                    options.max_event_age = age;
                }
            }
            // More often than every 15 minutes would only repeat itself: the rate of Get User
            // reads 15,000 profiles in that time. After a month a profile is no longer fresh.
            "profile_refresh" => {
                options.profile_refresh =
                    duration(&path, raw, "15 minutes to 30 days", 15 * 60_000..=30 * DAY, problems);
            }
            "historical_profiles" => {
                let allowed = ["upsert", "consent-only"];
                if let Some(text) = problems.one_of(&path, raw, "unknown-choice", &allowed) {
                    options.historical_profiles = match text.as_ref() {
                        "consent-only" => HistoricalProfiles::ConsentOnly,
                        _ => HistoricalProfiles::Upsert,
                    };
                }
            }
            "unknown_events" | "machine_events" => {
                let place = match key {
                    "unknown_events" => &mut options.carry_unknown_events,
                    _ => &mut options.carry_machine_events,
                };
                if let Some(text) = problems.one_of(&path, raw, "unknown-choice", &["carry", "drop"]) {
                    *place = text == "carry";
                }
            }
            "event_prefix" => {
                if let Some(text) = problems.text(&path, raw) {
                    if text.len() > 100 || !is_event_name(&text) {
                        problems.add(
                            "bad-event-prefix",
                            &path,
                            "The prefix is not 1 to 100 letters, digits, underscores or hyphens.",
                            "Use a prefix such as \"moengage_\".",
                        );
                    } else {
                        options.event_prefix = text.into_owned();
                    }
                }
            }
            "attribute_prefix" => {
                if let Some(text) = problems.text(&path, raw) {
                    if text.len() > 20 || !is_attribute_name(&text) {
                        problems.add(
                            "bad-attribute-prefix",
                            &path,
                            "The prefix is not an upper-case letter and up to 19 upper-case letters, digits or underscores.",
                            "Use a prefix such as \"MOENGAGE_\".",
                        );
                    } else {
                        options.attribute_prefix = text.into_owned();
                    }
                }
            }
            "email_attribute" => {
                if let Some(text) = problems.text(&path, raw) {
                    options.email_attribute = text.into_owned();
                }
            }
            "phones" => {
                let allowed = ["e164", "bare-is-international"];
                if let Some(text) = problems.one_of(&path, raw, "unknown-choice", &allowed) {
                    options.bare_phones_are_international = text == "bare-is-international";
                }
            }
            "phone_country" => options.phone_country = phone_country(&path, raw, problems),
            "anonymous_uid" => match Scalar::of(raw) {
                Scalar::Text(text) => {
                    options.anonymous_uid = Some(text.into_owned()).filter(|text| !text.is_empty());
                }
                _ => {
                    problems.text(&path, raw);
                }
            },
            _ => problems.unknown_key(&path, &KNOWN),
        }
    }
    let ambiguous = options.phone_country.as_ref().is_some_and(PhoneCountry::is_ambiguous);
    if ambiguous && options.bare_phones_are_international {
        problems.add(
            "ambiguous-phones",
            &below(path, "phone_country"),
            "A number without country could be a national one and, by options.phones, an international one.",
            "Remove one of the two; both go together only where national numbers begin with 0.",
        );
    }
    Some(options)
}

/// Milliseconds.
pub(super) const DAY: i64 = 86_400_000;

/// A duration such as `30m`, `24h` or `7d`: milliseconds within the bounds, which are named in words.
pub(super) fn duration(
    path: &str,
    raw: &RawValue,
    bounds: &str,
    allowed: RangeInclusive<i64>,
    problems: &mut Problems,
) -> Option<i64> {
    let text = problems.text(path, raw)?;
    let duration = milliseconds(&text).filter(|duration| allowed.contains(duration));
    if duration.is_none() {
        problems.add(
            "bad-duration",
            path,
            &format!("It is not a duration from {bounds}."),
            "Write a number and s, m, h or d, for instance \"24h\".",
        );
    }
    duration
}

/// Milliseconds of a duration.
pub(super) fn milliseconds(text: &str) -> Option<i64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let unit = match unit {
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => DAY,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(unit)
}
