//! What a rule sees of a record, and whether its conditions hold.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json::{Object, Scalar, elements, whole_number};
use crate::model::membership::MembershipBody;
use crate::model::{Millis, Person};
use crate::settings::condition::{Comparison, Condition, Test, number};
use crate::settings::field::{Field, ListField};
use crate::source::any_time;

/// What is known when a rule looks.
pub struct Facts<'a> {
    pub person: &'a Person,
    /// Attributes of the event; none where it is about a list.
    pub event: Option<&'a Object<'a>>,
    /// User attributes that came with it.
    pub contact: Option<&'a Object<'a>>,
    pub list: Option<&'a MembershipBody>,
    /// When it happened: ages are counted up to then, so that a later look gives the same.
    pub moment: Millis,
}

/// A value that is there and not null.
#[derive(Clone, Copy)]
pub enum Found<'a> {
    Text(&'a str),
    Raw(&'a RawValue),
}

impl<'a> Facts<'a> {
    /// The value of a field.
    pub fn get(&self, field: &Field) -> Option<Found<'a>> {
        let named = |object: Option<&'a Object<'a>>, name: &str| {
            object?.raw(name).filter(|raw| !Scalar::is_null(raw)).map(Found::Raw)
        };
        let person: &'a Person = self.person;
        let of_person = |text: &'a Option<String>| text.as_deref().map(Found::Text);
        match field {
            Field::Contact(name) if name == "email" => of_person(&person.email),
            Field::Contact(name) if name == "phone" => of_person(&person.phone),
            Field::Contact(name) if name == "external_id" => of_person(&person.external_id),
            Field::Contact(name) => named(self.contact, name),
            Field::Event(name) => named(self.event, name),
            Field::List(ListField::Id) => self.list.map(|list| Found::Text(&list.sync_id)),
            Field::List(ListField::Name) => self.list?.sync_name.as_deref().map(Found::Text),
        }
    }

    /// True where all of the conditions hold.
    pub fn meet(&self, conditions: &[Condition]) -> bool {
        conditions.iter().all(|condition| self.meets(condition))
    }

    fn meets(&self, condition: &Condition) -> bool {
        let Some(found) = self.get(&condition.field) else { return condition.test == Test::Missing };
        match &condition.test {
            Test::Present => !found.is_blank(),
            Test::Missing => found.is_blank(),
            Test::Number(comparison, other) => match found.number() {
                Some(number) => comparison.holds(number, *other),
                // A word is another thing than any number; a list is nothing that can be compared.
                None => *comparison == Comparison::Other && found.word().is_some(),
            },
            Test::Age(order, age) => {
                any_time(found.scalar()).is_some_and(|at| order.holds(self.moment.saturating_sub(at), *age))
            }
            Test::Text { same, text } => found.word().is_some_and(|word| (word == *text) == *same),
        }
    }
}

impl<'a> Found<'a> {
    /// Read as a scalar.
    pub fn scalar(self) -> Scalar<'a> {
        match self {
            Self::Text(text) => Scalar::Text(Cow::Borrowed(text)),
            Self::Raw(raw) => Scalar::of(raw),
        }
    }

    /// True where nothing would be seen of it in a mail.
    pub fn is_blank(self) -> bool {
        match (self.scalar(), self) {
            (Scalar::Text(text), _) => text.trim().is_empty(),
            (Scalar::Compound, Self::Raw(raw)) => {
                elements(raw.get()).is_some_and(|items| items.is_empty())
                    || Object::parse(raw.get()).is_some_and(|object| object.entries().next().is_none())
            }
            _ => false,
        }
    }

    /// As one word; nothing where it is a list or an object. MoEngage writes whole numbers as
    /// floats, and means the number.
    pub fn word(self) -> Option<Cow<'a, str>> {
        match self.scalar() {
            Scalar::Text(text) => Some(text),
            Scalar::Number(number) => Some(whole_number(number).unwrap_or(Cow::Borrowed(number))),
            Scalar::Bool(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
            Scalar::Null | Scalar::Compound => None,
        }
    }

    /// The number that it is, also where it is written as a text.
    pub fn number(self) -> Option<f64> {
        match self.scalar() {
            Scalar::Number(text) => text.parse().ok(),
            Scalar::Text(text) => number(text.trim()),
            _ => None,
        }
    }
}
