//! Connector campaigns: where in a body that the tenant designed each thing stands.

use std::ops::RangeInclusive;

use serde_json::value::RawValue;

use super::events::is_event_name;
use super::options::{DAY, duration};
use super::problem::{Problems, below};
use crate::json::Scalar;

/// A place in a body: the keys on the way to it. Form fields are the keys of one flat object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub keys: Vec<String>,
    /// As a JSON pointer.
    pub pointer: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventName {
    /// Always the same.
    Literal(String),
    /// The body says.
    From(Place),
}

/// How a time is written. MoEngage leaves that to the tenant, so the tenant declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    Seconds,
    Milliseconds,
    Iso,
}

/// The block `connector_campaigns`.
#[derive(Clone, Debug)]
pub struct ConnectorCampaigns {
    pub user_id: Option<Place>,
    pub email: Option<Place>,
    pub phone: Option<Place>,
    pub event: EventName,
    /// Identifies one delivery, through all repetitions.
    pub event_id: Option<Place>,
    pub campaign_id: Option<Place>,
    /// Without it the time of arrival counts.
    pub time: Option<(Place, TimeFormat)>,
    /// Property at Brevo, and where its value stands.
    pub properties: Vec<(String, Place)>,
    /// Without an event id: milliseconds within which the same body is the same event.
    pub repeat_window: i64,
}

/// Three retries after 5 s each are documented, each with a 5 s timeout; when somebody runs a batch again is not
/// (MD:user-guide/campaigns-and-channels/connectors/create/create-a-connector-campaign.mdx). An
/// hour covers both unless somebody comes late.
const REPEAT_WINDOW: i64 = 3_600_000;

const REPEAT_WINDOWS: RangeInclusive<i64> = 60_000..=7 * DAY;

const KNOWN: [&str; 9] =
    ["user_id", "email", "phone", "event", "event_id", "campaign_id", "time", "properties", "repeat_window"];

/// Reads `connector_campaigns`.
pub fn connector_campaigns(
    path: &str,
    raw: &RawValue,
    problems: &mut Problems,
) -> Option<ConnectorCampaigns> {
    let object = problems.object(path, raw)?;
    let (mut user_id, mut email, mut phone, mut event_id, mut campaign_id) = (None, None, None, None, None);
    let (mut event, mut time, mut properties, mut repeat_window) = (None, None, Vec::new(), REPEAT_WINDOW);
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "user_id" => user_id = place(&path, raw, problems),
            "email" => email = place(&path, raw, problems),
            "phone" => phone = place(&path, raw, problems),
            "event_id" => event_id = place(&path, raw, problems),
            "campaign_id" => campaign_id = place(&path, raw, problems),
            "event" => event = event_name(&path, raw, problems),
            "time" => time = self::time(&path, raw, problems),
            "properties" => properties = self::properties(&path, raw, problems),
            "repeat_window" => {
                let bounds = "1 minute to 7 days";
                repeat_window =
                    duration(&path, raw, bounds, REPEAT_WINDOWS, problems).unwrap_or(REPEAT_WINDOW);
            }
            _ => problems.unknown_key(&path, &KNOWN),
        }
    }
    if object.raw("event").is_none() {
        problems.missing(
            &below(path, "event"),
            "Write the event's name, or { from: ... } with the place in the body where it stands.",
        );
    }
    if ["user_id", "email", "phone"].iter().all(|key| object.raw(key).is_none()) {
        problems.missing(
            &below(path, "user_id"),
            "Say where the body names the person: user_id, email or phone.",
        );
    }
    if event_id.is_some() && object.raw("repeat_window").is_some() {
        super::unused(&below(path, "repeat_window"), "event_id", &below(path, "event_id"), problems);
    }
    if campaign_id.is_some() && properties.iter().any(|(name, _)| name == "campaign_id") {
        problems.add(
            "duplicate-property",
            &below(&below(path, "properties"), "campaign_id"),
            "The campaign's id has this name already.",
            "Give the property another name.",
        );
    }
    Some(ConnectorCampaigns {
        user_id,
        email,
        phone,
        event: event?,
        event_id,
        campaign_id,
        time,
        properties,
        repeat_window,
    })
}

/// `/a/b` is a JSON pointer (RFC 6901), everything else the name of a form field or of a key at
/// the top.
fn place(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<Place> {
    let text = problems.text(path, raw)?;
    let mut keys = Vec::new();
    let mut fits = text.len() <= 200 && !text.chars().any(char::is_control);
    match text.strip_prefix('/') {
        Some(rest) => {
            for key in rest.split('/') {
                match unescape(key) {
                    Some(key) => keys.push(key),
                    None => fits = false,
                }
            }
        }
        None => keys.push(text.clone().into_owned()),
    }
    if !fits {
        problems.add(
            "bad-pointer",
            path,
            "It is neither a JSON pointer nor the name of a field.",
            "Write for instance /user/id, or the field's name; a slash within a key is ~1, a tilde ~0.",
        );
        return None;
    }
    let mut pointer = String::new();
    for key in &keys {
        pointer.push('/');
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
    }
    Some(Place { keys, pointer })
}

/// One key of a JSON pointer, or nothing where a tilde stands for nothing.
fn unescape(key: &str) -> Option<String> {
    let mut out = String::with_capacity(key.len());
    let mut rest = key.chars();
    while let Some(c) = rest.next() {
        out.push(match c {
            '~' => match rest.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(out)
}

/// A name, or `{from: place}`.
fn event_name(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<EventName> {
    if Scalar::of(raw) != Scalar::Compound {
        let text = problems.text(path, raw)?;
        if text.trim().is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
            problems.add(
                "bad-event-name",
                path,
                "It is not 1 to 200 characters on one line.",
                "Use a name such as coupon_sent.",
            );
            return None;
        }
        return Some(EventName::Literal(text.into_owned()));
    }
    let object = problems.object(path, raw)?;
    for (key, _) in object.entries().filter(|(key, _)| *key != "from") {
        problems.unknown_key(&below(path, key), &["from"]);
    }
    let Some(raw) = object.raw("from") else {
        problems.missing(&below(path, "from"), "Say where the body has the event's name.");
        return None;
    };
    place(&below(path, "from"), raw, problems).map(EventName::From)
}

fn time(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<(Place, TimeFormat)> {
    let object = problems.object(path, raw)?;
    let (mut from, mut format) = (None, None);
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "from" => from = place(&path, raw, problems),
            "format" => {
                let allowed = ["seconds", "milliseconds", "iso"];
                format = problems.one_of(&path, raw, "unknown-time-format", &allowed).map(|text| match text
                    .as_ref()
                {
                    "seconds" => TimeFormat::Seconds,
                    "milliseconds" => TimeFormat::Milliseconds,
                    _ => TimeFormat::Iso,
                });
            }
            _ => problems.unknown_key(&path, &["from", "format"]),
        }
    }
    for (key, remedy) in [
        ("from", "Say where the body has the time."),
        ("format", "Write seconds or milliseconds (since 1970), or iso."),
    ] {
        if object.raw(key).is_none() {
            problems.missing(&below(path, key), remedy);
        }
    }
    from.zip(format)
}

fn properties(path: &str, raw: &RawValue, problems: &mut Problems) -> Vec<(String, Place)> {
    let mut properties = Vec::new();
    let Some(object) = problems.object(path, raw) else { return properties };
    for (name, raw) in object.entries() {
        let path = below(path, name);
        if !is_event_name(name) {
            problems.add(
                "bad-property-name",
                &path,
                "Brevo takes 1 to 255 letters, digits, underscores or hyphens as a property's name.",
                "Use a name such as coupon_value.",
            );
        } else if let Some(place) = place(&path, raw, problems) {
            properties.push((name.to_owned(), place));
        }
    }
    properties
}
