//! User attributes to Brevo attributes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Log;
use crate::convert::{self, Converted, Value};
use crate::model::contact::ContactBody;
use crate::settings::Settings;

/// Payload of `brevo/upsert-contact`. The addresses come from the subject.
#[derive(Serialize)]
pub struct UpsertContact<'a> {
    attributes: BTreeMap<&'a str, Value<'a>>,
}

/// The mapped attributes of a contact. What is not in it is left alone at Brevo.
pub fn payload<'a>(settings: &'a Settings, body: &ContactBody<'a>, log: &mut dyn Log) -> UpsertContact<'a> {
    let mut attributes = BTreeMap::new();
    for mapping in &settings.attributes {
        match convert::attribute(mapping, &body.attributes) {
            Converted::Value(value) => {
                attributes.insert(mapping.to.as_str(), value);
            }
            Converted::Nothing => {}
            Converted::Unusable => log.warn(
                "attribute left out: its value is not what field_mapping says",
                &[("attribute", &mapping.to)],
            ),
        }
    }
    UpsertContact { attributes }
}
