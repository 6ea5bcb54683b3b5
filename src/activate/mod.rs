//! Which Brevo actions a record calls for.
//!
//! Works from the record alone, never from the webhook it came in by, so that plan, replay and
//! re-map give the same.

mod attributes;
mod consent;
mod deletes;
mod facts;
mod lists;
mod names;
mod objects;
mod properties;
mod render;
mod rules;
mod subscription;

use std::borrow::Cow;

use serde::Serialize;

use crate::failure::{Failure, FailureKind};
use crate::json::to_json;
use crate::model::contact::ContactBody;
use crate::model::event::EventBody;
use crate::model::membership::MembershipBody;
use crate::model::{
    ALERT, Action, CAMPAIGN, CAMPAIGN_STATS, CONTACT, EVENT, MEMBERSHIP, Mapping, Millis, Person, Provenance,
    REPORT_ROW, Record, SUBSCRIPTION, Subject,
};
use crate::settings::{EventMapping, HistoricalProfiles, Settings};
use crate::source;
use names::{EventName, event_name};
pub use names::{known_event_names, name_clashes};
pub use properties::OWN_PROPERTIES;

/// Lines for the operator. Never personal data.
pub trait Log {
    /// `message` is constant; what varies goes into `fields`.
    fn warn(&mut self, message: &'static str, fields: &[(&'static str, &str)]);
}

/// The actions that one record calls for, in the order in which they must happen: consent and
/// suppression before the contact, so that nobody is created mailable who is not.
///
/// # Errors
/// A record of a kind that this connector doesn't make, a body that isn't its own, or an event
/// that is too large for Brevo.
pub fn map_record(
    settings: &Settings,
    record: &Record,
    now: Millis,
    log: &mut dyn Log,
) -> Result<Mapping, Failure> {
    if record.kind == SUBSCRIPTION {
        return Ok(match settings.sync.consent {
            true => subscription::map(record),
            false => Mapping::Nothing("not-synced".to_owned()),
        });
    }
    let bad_body = || internal("bad-record-body", "The record's body is not one that this connector made.");
    if [ALERT, CAMPAIGN, CAMPAIGN_STATS, REPORT_ROW].contains(&record.kind.as_str())
        || source::is_listed(&record.kind)
    {
        return objects::map(settings, record, now, log).ok_or_else(bad_body);
    }
    let Subject::Person(person) = &record.subject else {
        return Err(internal("not-a-person", "The record is not about a person."));
    };
    let unreadable = |_| bad_body();
    match record.kind.as_str() {
        CONTACT => {
            let body = serde_json::from_str(&record.body).map_err(unreadable)?;
            Ok(map_contact(settings, record, person, &body, log))
        }
        EVENT => {
            let body = serde_json::from_str(&record.body).map_err(unreadable)?;
            map_event(settings, record, person, &body, now, log)
        }
        MEMBERSHIP => {
            let body = MembershipBody::read(&record.body).ok_or_else(bad_body)?;
            let made = rules::of_membership(settings, record, &body, now, log);
            Ok(made.after(lists::of_membership(settings, record, &body)))
        }
        _ => Err(internal("unknown-kind", "The connector makes no records of this kind.")),
    }
}

fn map_contact(
    settings: &Settings,
    record: &Record,
    person: &Person,
    body: &ContactBody<'_>,
    log: &mut dyn Log,
) -> Mapping {
    if let Some(why) = not_for_us(settings, person, body.project.as_deref()) {
        return Mapping::Nothing(why.to_owned());
    }
    let mut actions = Vec::new();
    if settings.sync.consent {
        actions.extend(consent::of_contact(record, body));
    }
    // What a profile was like at an event of long ago is no reason to write it anew.
    let historical = record.provenance == Provenance::Backfill
        && settings.options.historical_profiles == HistoricalProfiles::ConsentOnly;
    if settings.sync.contacts && !historical {
        let payload = attributes::payload(settings, body, log);
        actions.push(action(record, "contact", "brevo/upsert-contact", &payload));
        actions.extend(lists::of_contact(settings, record));
    }
    let why = if settings.sync.contacts && historical { "historical-profile" } else { "not-synced" };
    if actions.is_empty() { Mapping::Nothing(why.to_owned()) } else { Mapping::Actions(actions) }
}

fn map_event(
    settings: &Settings,
    record: &Record,
    person: &Person,
    body: &EventBody<'_>,
    now: Millis,
    log: &mut dyn Log,
) -> Result<Mapping, Failure> {
    if let Some(why) = not_for_us(settings, person, body.project.as_deref()) {
        return Ok(Mapping::Nothing(why.to_owned()));
    }
    let mut actions = Vec::new();
    if settings.sync.consent {
        actions.extend(consent::of_event(record, person, body, log));
    }
    if let Some(delete) = deletes::of_event(settings, record, body, now) {
        // Nothing else that the event could start is for somebody who is to be deleted.
        actions.push(delete);
        return Ok(Mapping::Actions(actions));
    }
    let made = rules::of_event(settings, record, person, body, now, log);
    let name = if settings.sync.events { event_name(settings, &body.code) } else { EventName::NotSynced };
    let machine = body.machine == Some(true) && !settings.options.carry_machine_events;
    let why = match name {
        EventName::Named(_) if machine => "machine-event",
        EventName::Named(_) if is_historical(record, settings.options.max_event_age, now) => {
            "historical-event"
        }
        EventName::Named(name) => match track(settings, record, body, name, now) {
            Ok(track) => {
                actions.push(track);
                ""
            }
            // What a person wants must not be lost with the event that told of it.
            Err(_) if !actions.is_empty() || !made.actions.is_empty() => {
                log.warn("event left out because it is too large for Brevo", &[]);
                ""
            }
            Err(failure) => return Err(failure),
        },
        EventName::Dropped => "event-dropped",
        EventName::Unknown => "unknown-event",
        EventName::NotSynced => "not-synced",
    };
    let mapping =
        if actions.is_empty() { Mapping::Nothing(why.to_owned()) } else { Mapping::Actions(actions) };
    Ok(made.after(mapping))
}

/// True for an event that was read later and is older than `age`, what is still sent. The age decides,
/// as it does for an event that was pushed: that one is handed on with its limit, so that the
/// host can wait for its turn and record it as expired.
fn is_historical(record: &Record, age: Millis, now: Millis) -> bool {
    // The host trusts no clock further than this; a later time is as good as none.
    const AHEAD: Millis = 5 * 60_000;
    let oldest = now.saturating_sub(age);
    let recent = |at: Millis| (oldest..=now.saturating_add(AHEAD)).contains(&at);
    record.provenance != Provenance::Live && !record.occurred.vendor_time().is_some_and(recent)
}

fn track(
    settings: &Settings,
    record: &Record,
    body: &EventBody<'_>,
    name: Cow<'_, str>,
    now: Millis,
) -> Result<Action, Failure> {
    #[derive(Serialize)]
    struct TrackEvent<'a> {
        event: &'a str,
        properties: properties::Properties,
    }
    let choice = match settings.events.get(body.code.as_ref()) {
        Some(EventMapping::Sent { properties, .. }) if !properties.is_everything() => Some(properties),
        _ => None,
    };
    let properties = properties::of_event(body, choice)?;
    let payload = TrackEvent { event: &name, properties };
    let age = settings.options.max_event_age;
    // Without a time only what was pushed comes this far, and that has just happened.
    let not_after = record.occurred.vendor_time().unwrap_or(now).saturating_add(age);
    let mut action = action(record, "event", "brevo/track-event", &payload);
    action.not_after = Some(not_after);
    Ok(action)
}

/// Why a record is not this configuration's business, if it isn't.
fn not_for_us(settings: &Settings, person: &Person, project: Option<&str>) -> Option<&'static str> {
    let other = |(ours, theirs)| ours != theirs;
    if settings.project_code.as_deref().zip(project).is_some_and(other) {
        return Some("other-project");
    }
    person.is_anonymous().then_some("anonymous-person")
}

fn action<T: Serialize>(record: &Record, slot: &str, name: &str, payload: &T) -> Action {
    action_with(record, slot, name, to_json(payload))
}

/// An action whose payload is JSON already.
fn action_with(record: &Record, slot: &str, name: &str, payload: String) -> Action {
    Action {
        slot: slot.to_owned(),
        name: name.to_owned(),
        subject: record.subject.clone(),
        payload,
        not_after: None,
        not_before: None,
        coalesce: None,
    }
}

fn internal(code: &str, message: &str) -> Failure {
    Failure::new(FailureKind::Internal, code, message)
}
