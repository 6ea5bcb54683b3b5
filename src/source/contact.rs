//! What MoEngage knows about a person, as a record: the same at every door, whether the
//! attributes rode on an event or were asked for.

use std::borrow::Cow;

use super::flags;
use super::identity::{self, Phone, Unusable};
use super::notes::{Notes, Notice};
use super::refusal::{Refusal, refusal};
use crate::convert::{self, Converted};
use crate::json::{Object, Scalar, to_json};
use crate::model::contact::ContactBody;
use crate::model::ids::{contact_key, record_id};
use crate::model::{
    Alias, CONTACT, MAX_BODY_BYTES, Nature, Observation, Occurrence, Person, Provenance, Record, Subject,
};
use crate::settings::Settings;

/// Name of the alias that holds MoEngage's own id.
const MOENGAGE_USER_ID: &str = "moengage-user-id";

/// Everything by which a person is named.
pub struct Names {
    pub uid: Option<String>,
    pub moengage_user_id: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
}

/// Addresses that count where the attributes have none.
#[derive(Default)]
pub struct Addresses<'a> {
    pub email: Option<String>,
    pub phone: Option<Scalar<'a>>,
}

impl Names {
    /// Reads the names from a customer id and from attributes under their keys.
    pub fn read(
        settings: &Settings,
        uid: Option<Scalar<'_>>,
        attributes: &Object<'_>,
        otherwise: Addresses<'_>,
        notes: &mut Notes,
    ) -> Result<Self, Unusable> {
        let options = &settings.options;
        let uid = customer_id(settings, uid, notes)?;
        let moengage_user_id = match identity::id(attributes.get("moengage_user_id")) {
            Ok(id) => id.map(Cow::into_owned),
            Err(_) => {
                notes.add(Notice::AliasDropped);
                None
            }
        };
        let email = email(attributes.get(&options.email_attribute), notes)?.or(otherwise.email);
        let phone = match &settings.phone_attribute {
            Some(attribute) => match phone(attributes.get(attribute), settings, notes)? {
                None => phone(otherwise.phone, settings, notes)?,
                known => known,
            },
            None => None,
        };
        Ok(Self { uid, moengage_user_id, email, phone })
    }

    /// The subject of a record about this person.
    pub fn person(&self) -> Person {
        Person {
            external_id: self.uid.clone(),
            email: self.email.clone(),
            phone: self.phone.clone(),
            aliases: self.moengage_user_id.iter().cloned().map(alias).collect(),
        }
    }
}

/// MoEngage's own id as another name of a person.
pub fn alias(moengage_id: String) -> Alias {
    Alias { kind: MOENGAGE_USER_ID.to_owned(), value: moengage_id }
}

/// How a person's attributes became known.
pub struct Sighting<'a> {
    pub observation: Observation,
    pub occurred: Occurrence,
    pub provenance: Provenance,
    /// Project of a Portfolio workspace.
    pub project: Option<String>,
    /// Stands for the person where nothing names them.
    pub otherwise: &'a str,
}

/// The contact record.
pub fn record(
    settings: &Settings,
    names: &Names,
    attributes: &Object<'_>,
    sighting: Sighting<'_>,
    notes: &mut Notes,
) -> Result<Record, Refusal> {
    let (consent, suppression) = flags::read(attributes, notes);
    if settings.sync.contacts {
        for mapping in &settings.attributes {
            if convert::attribute(mapping, attributes) == Converted::Unusable {
                notes.add(Notice::UnusableValue);
            }
        }
    }
    let body = to_json(&ContactBody {
        uid: names.uid.clone(),
        moengage_user_id: names.moengage_user_id.clone(),
        email: names.email.clone(),
        phone: names.phone.clone(),
        project: sighting.project,
        attributes: attributes.clone(),
        consent,
        suppression,
    });
    if body.len() > MAX_BODY_BYTES {
        return Err(too_large());
    }
    let key = contact_key(names.uid.as_deref(), names.moengage_user_id.as_deref(), sighting.otherwise);
    Ok(Record {
        id: record_id(&settings.workspace(), CONTACT, &key).ok_or(Unusable::TooLong)?,
        kind: CONTACT.to_owned(),
        nature: Nature::State,
        subject: Subject::Person(names.person()),
        observation: sighting.observation,
        occurred: sighting.occurred,
        body,
        provenance: sighting.provenance,
    })
}

/// Why a record of that size is none.
pub const fn too_large() -> Refusal {
    refusal(
        "event-too-large",
        "The event or its user has more than 256 KiB of attributes.",
        "Export fewer attributes: the list is part of the stream's set-up with MoEngage.",
    )
}

/// The customer's own id, or nothing where there is none or it names nobody in particular.
pub fn customer_id(
    settings: &Settings,
    value: Option<Scalar<'_>>,
    notes: &mut Notes,
) -> Result<Option<String>, Unusable> {
    let Some(uid) = identity::id(value)? else { return Ok(None) };
    let mark = settings.options.anonymous_uid.as_deref();
    if identity::is_refused_customer_id(&uid) {
        notes.add(Notice::RefusedUid);
    } else if mark.is_some_and(|mark| uid.to_lowercase().contains(&mark.to_lowercase())) {
        notes.add(Notice::AnonymousUid);
    } else {
        return Ok(Some(uid.into_owned()));
    }
    Ok(None)
}

/// An e-mail address, or nothing where there is none that could be one.
pub fn email(value: Option<Scalar<'_>>, notes: &mut Notes) -> Result<Option<String>, Unusable> {
    let text = match value {
        None | Some(Scalar::Null) => return Ok(None),
        Some(Scalar::Text(text)) if text.trim().is_empty() => return Ok(None),
        Some(Scalar::Text(text)) => text,
        Some(_) => {
            notes.add(Notice::UnusableEmail);
            return Ok(None);
        }
    };
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Unusable::Unreadable);
    }
    let text = text.trim();
    if !identity::is_email(text) {
        notes.add(Notice::UnusableEmail);
        return Ok(None);
    }
    Ok(Some(text.to_owned()))
}

/// A phone number with its country, or nothing where there is none that could be one.
pub fn phone(
    value: Option<Scalar<'_>>,
    settings: &Settings,
    notes: &mut Notes,
) -> Result<Option<String>, Unusable> {
    let text = match identity::id(value) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(None),
        Err(Unusable::Unreadable) => return Err(Unusable::Unreadable),
        Err(_) => {
            notes.add(Notice::UnusablePhone);
            return Ok(None);
        }
    };
    let options = &settings.options;
    match identity::phone(&text, options.phone_country.as_ref(), options.bare_phones_are_international) {
        Phone::Known(phone) => return Ok(Some(phone)),
        Phone::WithoutCountry => notes.add(Notice::PhoneWithoutCountry),
        Phone::Unusable => notes.add(Notice::UnusablePhone),
    }
    Ok(None)
}
