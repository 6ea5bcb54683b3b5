//! The account's attributes: what may be sent under which name.
//!
//! Brevo drops unknown attributes and wrong types in silence, so a value is only sent where the
//! attribute was seen with the right type. What can't be sent is one dead letter for each
//! attribute, and the rest of the contact goes on.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use super::outcome::{Letter, write_thing};
use super::wire::Stop;
use super::{Delivery, millis};
use crate::brevo::attributes::{self, Attribute};
use crate::brevo::errors::{Kind, Remedy};
use crate::brevo::windows::Family;
use crate::contract::AttributeTarget;
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::world::Millis;

/// What is known about the account's attributes.
#[derive(Default)]
pub(super) struct Schema {
    loaded_at: Option<Millis>,
    /// Not to be tried before.
    retry_at: Millis,
    loading: bool,
    /// Declared name to the name at Brevo.
    usable: BTreeMap<String, String>,
}

/// Whether upserts may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    MustLook,
    NotBefore(Millis),
}

/// How long a failed look at the attributes is not repeated.
const RETRY: Millis = 5_000;
/// Another thread is looking.
const LOOKING: Millis = 50;

impl Delivery {
    /// Whether upserts may go now.
    pub(super) fn schema_readiness(&self, now: Millis) -> Readiness {
        let schema = self.schema();
        let oldest = now - millis(self.options.policy.schema_age);
        let busy = schema.loading || schema.retry_at > now;
        match schema.loaded_at {
            Some(at) if at > oldest || busy => Readiness::Ready,
            None if schema.loading => Readiness::NotBefore(now + LOOKING),
            None if busy => Readiness::NotBefore(schema.retry_at),
            _ => Readiness::MustLook,
        }
    }

    /// This thread looks; the others wait or go on with what is known.
    pub(super) fn begin_schema(&self) {
        self.schema().loading = true;
    }

    /// Brevo complained: look again before the next upsert.
    pub(super) fn distrust_schema(&self) {
        self.schema().loaded_at = None;
    }

    /// The name to send an attribute under; none where it must not be sent.
    pub(super) fn usable(&self, declared: &str) -> Option<String> {
        self.schema().usable.get(declared).cloned()
    }

    /// Looks at the account's attributes and creates what is missing, where that is allowed.
    pub(super) fn ensure_schema(&self, now: Millis) -> Result<(), StoreError> {
        let result = self.read_schema();
        let now = self.world.now().max(now);
        let found = match result {
            Ok(found) => found,
            Err(stop) => {
                {
                    let mut schema = self.schema();
                    (schema.loading, schema.retry_at) = (false, now + RETRY);
                }
                return self.schema_failed(stop, now);
            }
        };
        let mut usable = BTreeMap::new();
        let mut unusable: BTreeMap<String, (i64, Letter)> = BTreeMap::new();
        for (installation, target) in self.declared() {
            match actual_name(&found, target) {
                Ok(name) => {
                    usable.insert(target.name.clone(), name);
                }
                Err(letter) => {
                    unusable.insert(target.name.clone(), (installation, letter));
                }
            }
        }
        usable.retain(|name, _| !unusable.contains_key(name));
        self.store.write(|tx| {
            self.resolve_about(tx, ATTRIBUTES_CALLS, now)?;
            for name in usable.keys() {
                self.resolve_about(tx, &about(name), now)?;
            }
            for (installation, letter) in unusable.values() {
                write_thing(tx, *installation, letter, now)?;
            }
            self.save_rates(tx)
        })?;
        let mut schema = self.schema();
        *schema = Schema { loaded_at: Some(now), retry_at: now, loading: false, usable };
        Ok(())
    }

    fn read_schema(&self) -> Result<Vec<Attribute>, Stop> {
        let list = || -> Result<Vec<Attribute>, Stop> {
            Ok(attributes::read_list(&self.call(&attributes::list())?)?)
        };
        let found = list()?;
        let mut created = false;
        for (_, target) in self.declared() {
            let exists = found.iter().any(|a| {
                a.name == target.name || attributes::names_of(&target.name).contains(&a.name.as_str())
            });
            let may = self.options.create_attributes && target.create;
            if exists || !may || !attributes::is_creatable_name(&target.name) {
                continue;
            }
            let answer = self.call(&attributes::create(&target.name, target.kind))?;
            match attributes::read_create(&answer) {
                Ok(()) => created = true,
                Err(problem) => match problem.kind {
                    Kind::Duplicate(_) => created = true,
                    // A limit or a rule of Brevo: the attribute stays missing and is shown as such.
                    Kind::Refused => {}
                    _ => return Err(problem.into()),
                },
            }
        }
        if created { list() } else { Ok(found) }
    }

    fn schema_failed(&self, stop: Stop, now: Millis) -> Result<(), StoreError> {
        let installation = self.options.targets.first().map(|(id, _)| id.0);
        match stop {
            Stop::Store(error) => return Err(error),
            Stop::Closed(at) => self.schema().retry_at = at,
            Stop::Problem(problem, _) => {
                let rule = problem.kind.rule();
                match rule.remedy {
                    Remedy::PauseAccount => self.pause(installation, &Letter::of(rule), now)?,
                    Remedy::PauseFamily => {
                        self.pause_family(installation, Family::Contacts, rule, now)?;
                    }
                    Remedy::Wait => {}
                    // Nothing is delivered until it answers, so that somebody has to see it.
                    Remedy::Retry | Remedy::ReadBack | Remedy::GiveUp => {
                        let letter = Letter { about: Some(ATTRIBUTES_CALLS.into()), ..Letter::of(rule) };
                        if let Some(installation) = installation {
                            self.store.write(|tx| write_thing(tx, installation, &letter, now))?;
                        }
                    }
                }
            }
            Stop::NoKey => self.pause(installation, &super::outcome::no_key(), now)?,
            Stop::Denied => self.pause(installation, &super::outcome::address_denied(), now)?,
            Stop::NotSent | Stop::NoAnswer | Stop::End(_) => {}
        }
        self.store.write(|tx| self.save_rates(tx))
    }

    fn declared(&self) -> impl Iterator<Item = (i64, &AttributeTarget)> {
        self.options
            .targets
            .iter()
            .flat_map(|(installation, targets)| targets.attributes.iter().map(|t| (installation.0, t)))
    }

    fn schema(&self) -> MutexGuard<'_, Schema> {
        self.schema.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn actual_name(found: &[Attribute], target: &AttributeTarget) -> Result<String, Letter> {
    let by_name = |name: &str| found.iter().find(|attribute| attribute.name == name);
    let attribute = by_name(&target.name)
        .or_else(|| attributes::names_of(&target.name).iter().find_map(|name| by_name(name)));
    let letter = |code, message, remedy| Letter {
        code,
        actor: Actor::Operator,
        message,
        remedy,
        about: Some(about(&target.name)),
    };
    match attribute {
        Some(attribute) if attribute.takes(target.kind) => Ok(attribute.name.clone()),
        Some(_) => Err(letter(
            "attribute-type",
            "A declared attribute has another type at Brevo, so its values are not sent.",
            "Map it to another attribute, or delete and create it at Brevo with the declared type; values go along with each contact's next change.",
        )),
        None => Err(letter(
            "attribute-missing",
            "A declared attribute does not exist at Brevo, so its values are not sent.",
            "Create it at Brevo, or allow the host to create attributes; values go along with each contact's next change.",
        )),
    }
}

/// What a letter is about whose cause keeps the attributes from being looked at.
const ATTRIBUTES_CALLS: &str = "calls:attributes";

fn about(attribute: &str) -> String {
    format!("attribute:{attribute}")
}
