//! Rules of the settings: what else happens because something happened.

use super::facts::Facts;
use super::names::{EventName, event_name};
use super::render::{self, Unmade};
use super::{Log, action_with, is_historical, lists};
use crate::json::to_json;
use crate::model::event::EventBody;
use crate::model::membership::MembershipBody;
use crate::model::{Action, Mapping, Millis, Person, Record, Subject, TimeTrust};
use crate::settings::Settings;
use crate::settings::rule_actions::{RuleAction, Sms, What};
use crate::settings::rules::{On, Rule, Trigger};

/// Largest JSON of the parameters of one mail (OpenAPI `/smtp/email`: 100 KB).
const MAX_PARAMS: usize = 100_000;

/// Largest JSON of the properties of one event: Brevo's 50 KB (OpenAPI `/events`).
const MAX_PROPERTIES: usize = 50_000;

/// Longest text message, in characters.
const MAX_SMS: usize = 1_000;

/// Kind and key by which a campaign at Brevo is a subject.
const CAMPAIGN: &str = "brevo-campaign";

/// What the rules make of a record.
#[derive(Default)]
pub struct Made {
    pub actions: Vec<Action>,
    /// Why one of their actions is not made, if one isn't.
    pub unmade: Option<&'static str>,
}

impl Made {
    /// Adds to what the record calls for anyway. Where it called for nothing, why a rule made
    /// nothing either is what the operator has to know.
    pub fn after(self, mapping: Mapping) -> Mapping {
        match (mapping, self.unmade) {
            (Mapping::Actions(mut actions), _) => {
                actions.extend(self.actions);
                Mapping::Actions(actions)
            }
            (Mapping::Nothing(_), _) if !self.actions.is_empty() => Mapping::Actions(self.actions),
            (Mapping::Nothing(_), Some(why)) => Mapping::Nothing(why.to_owned()),
            (nothing, None) => nothing,
        }
    }
}

/// What the rules make of an event.
pub fn of_event(
    settings: &Settings,
    record: &Record,
    person: &Person,
    body: &EventBody<'_>,
    now: Millis,
    log: &mut dyn Log,
) -> Made {
    // A machine that opens a mail sets nothing off, whether or not such events are carried.
    if settings.rules.is_empty() || body.machine == Some(true) {
        return Made::default();
    }
    let EventName::Named(name) = event_name(settings, &body.code) else { return Made::default() };
    let facts = Facts {
        person,
        event: Some(&body.attributes),
        contact: body.contact.as_ref(),
        list: None,
        moment: moment(record, now),
    };
    made(settings, record, &facts, now, log, |on| matches!(on, On::Event(event) if *event == name))
}

/// What the rules make of a membership.
pub fn of_membership(
    settings: &Settings,
    record: &Record,
    body: &MembershipBody,
    now: Millis,
    log: &mut dyn Log,
) -> Made {
    let Subject::Person(person) = &record.subject else { return Made::default() };
    let facts = Facts { person, event: None, contact: None, list: Some(body), moment: moment(record, now) };
    let is = |on: &On| matches!(on, On::List { sync_id, joined } if *sync_id == body.sync_id && *joined == body.member);
    made(settings, record, &facts, now, log, is)
}

/// When it happened. A time that lies ahead is none; old news has ended before it comes here.
fn moment(record: &Record, now: Millis) -> Millis {
    match (record.occurred.at, record.occurred.trust) {
        (Some(at), TimeTrust::Vendor | TimeTrust::Arrival) => at.min(now),
        _ => now,
    }
}

fn made(
    settings: &Settings,
    record: &Record,
    facts: &Facts<'_>,
    now: Millis,
    log: &mut dyn Log,
    is_set_off: impl Fn(&On) -> bool,
) -> Made {
    let mut made = Made::default();
    for rule in &settings.rules {
        let mut triggers = rule.triggers.iter().filter(|trigger| is_set_off(&trigger.on));
        let Some(trigger) = triggers.find(|trigger| facts.meet(&trigger.conditions)) else { continue };
        if !facts.meet(&rule.conditions) {
            continue;
        }
        for wanted in &rule.actions {
            let age = wanted.not_after.unwrap_or(settings.options.max_event_age);
            // It was read later, and by then it was old.
            if is_historical(record, age, now) {
                continue;
            }
            match action(record, rule, trigger, wanted, facts, age) {
                Ok(action) => made.actions.push(action),
                Err(unmade) => {
                    let mut fields = vec![("rule", rule.name.as_str()), ("why", unmade.code())];
                    if let Unmade::FieldMissing(field) = &unmade {
                        fields.push(("field", field));
                    }
                    log.warn("an action of a rule is left out", &fields);
                    made.unmade = Some(unmade.code());
                }
            }
        }
    }
    made
}

fn action(
    record: &Record,
    rule: &Rule,
    trigger: &Trigger,
    wanted: &RuleAction,
    facts: &Facts<'_>,
    age: i64,
) -> Result<Action, Unmade> {
    let slot = format!("rule:{}:{}", rule.name, wanted.key);
    let (name, payload) = payload(&wanted.what, facts)?;
    let mut action = action_with(record, &slot, name, payload);
    if let What::TriggerCampaign { campaign_id } = wanted.what {
        action.subject = Subject::Object(CAMPAIGN.to_owned(), campaign_id.to_string());
    }
    if !matches!(wanted.what, What::LeaveList(_)) {
        action.not_after = Some(facts.moment.saturating_add(age));
    }
    if let Some(wait) = trigger.debounce.or(rule.debounce) {
        action.not_before = Some(facts.moment.saturating_add(wait));
        action.coalesce = Some(slot);
    }
    Ok(action)
}

/// The name and the payload of an action.
fn payload(what: &What, facts: &Facts<'_>) -> Result<(&'static str, String), Unmade> {
    Ok(match what {
        What::SendEmail { template_id, params, tags, even_if_opted_out } => {
            let params = render::object(params, facts, MAX_PARAMS)?;
            let tags = if tags.is_empty() { String::new() } else { format!(r#""tags":{},"#, to_json(tags)) };
            let payload = format!(
                r#"{{"template_id":{template_id},"params":{params},{tags}"even_if_opted_out":{even_if_opted_out}}}"#
            );
            ("brevo/send-email", payload)
        }
        What::SendSms(Sms { content, sender, marketing, tag, even_if_opted_out }) => {
            let content = render::text(content, facts, render::plain)?;
            if content.chars().count() > MAX_SMS {
                return Err(Unmade::TooLarge);
            }
            let kind = if *marketing { "marketing" } else { "transactional" };
            let tag = tag.as_ref().map_or_else(String::new, |tag| format!(r#""tag":{},"#, to_json(tag)));
            let payload = format!(
                r#"{{"content":{},"sender":{},"kind":"{kind}",{tag}"even_if_opted_out":{even_if_opted_out}}}"#,
                to_json(&content),
                to_json(sender),
            );
            ("brevo/send-sms", payload)
        }
        What::TriggerCampaign { campaign_id } => {
            ("brevo/trigger-campaign", format!(r#"{{"campaign_id":{campaign_id}}}"#))
        }
        What::TrackEvent { event, properties } => {
            let properties = render::object(properties, facts, MAX_PROPERTIES)?;
            let payload = format!(r#"{{"event":{},"properties":{properties}}}"#, to_json(event));
            ("brevo/track-event", payload)
        }
        What::JoinList(target) => (lists::JOIN, lists::payload(target)),
        What::LeaveList(target) => (lists::LEAVE, lists::payload(target)),
        What::AddNote { text } => {
            let text = render::text(text, facts, render::html)?;
            ("brevo/add-note", format!(r#"{{"text":{}}}"#, to_json(&text)))
        }
        What::CreateTask { name, kind, due_in, notes } => {
            let name = render::text(name, facts, render::plain)?;
            let notes = notes.as_ref().map(|notes| render::text(notes, facts, render::plain)).transpose()?;
            ("brevo/create-task", task(&name, kind, *due_in, notes.as_deref()))
        }
    })
}

/// Payload of `brevo/create-task`.
pub fn task(name: &str, kind: &str, due_in: i64, notes: Option<&str>) -> String {
    let notes = notes.map_or_else(String::new, |notes| format!(r#","notes":{}"#, to_json(&notes)));
    format!(r#"{{"name":{},"type":{},"due_in":{due_in}{notes}}}"#, to_json(&name), to_json(&kind))
}
