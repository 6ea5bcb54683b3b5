//! What the rows of an import do, once their process has ended.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::account::Account;
use super::attributes::{PHONES, is_email, phone};
use super::contacts::{By, Identifier, Write};
use super::import::{ImportRow, Waiting};
use super::options::ImportRows;
use super::schemas::AttributeValue;
use crate::clock::Millis;

/// Attributes of a row that are taken.
#[derive(Default)]
pub(super) struct Taken {
    ext_id: Option<String>,
    /// None: the row has it without a value.
    values: BTreeMap<String, Option<Value>>,
    /// Why others are not, in words.
    pub(super) ignored: Vec<String>,
}

type Reports = BTreeMap<String, Vec<String>>;

impl Account {
    /// brevo: "Any contact attribute that doesn't exist in your account will be ignored at import
    /// end". That a value of the wrong type and a bad phone only cost the attribute, not the row,
    /// is not said; in silence is worst for the sender.
    pub(super) fn import_attributes(&self, row: &ImportRow) -> Taken {
        let mut taken = Taken::default();
        for (name, value) in &row.attributes {
            let value = match serde_json::from_value(value.clone()) {
                Ok(value) => value,
                Err(_) if value.is_null() => AttributeValue::Text(String::new()),
                Err(_) => {
                    taken.ignored.push(format!("{name}: the value is no attribute's"));
                    continue;
                }
            };
            match (name.as_str(), value) {
                ("EMAIL", _) => taken.ignored.push("EMAIL: a row has its address in email".to_owned()),
                ("EXT_ID", AttributeValue::Text(text)) => {
                    taken.ext_id = Some(text).filter(|text| !text.is_empty())
                }
                (name, AttributeValue::Text(text)) if PHONES.contains(&name) => match phone(&text) {
                    Some(digits) => drop(taken.values.insert(name.to_owned(), Some(Value::String(digits)))),
                    None if text.is_empty() => drop(taken.values.insert(name.to_owned(), None)),
                    None => taken.ignored.push(format!("{name}: no phone number")),
                },
                (name, _) if PHONES.contains(&name) => taken.ignored.push(format!("{name}: no phone number")),
                (name, value) => match self.attributes.take(name, &value) {
                    Ok(kept) => drop(taken.values.insert(name.to_owned(), kept)),
                    Err(detail) => taken.ignored.push(detail),
                },
            }
        }
        taken
    }

    /// Ends an import.
    pub(super) fn apply_import(&mut self, process: i64, waiting: Waiting, at: Millis) {
        let by = By { at, seq: waiting.seq };
        let mut reports = Reports::new();
        let mut seen = BTreeSet::new();
        let rows = waiting.fails_after.unwrap_or(waiting.rows.len());
        let mut applied = 0;
        for row in waiting.rows.iter().take(rows) {
            applied += usize::from(self.import_row(&waiting, row, &mut seen, &mut reports, by));
        }
        if let Some(process) = self.processes.get_mut(process) {
            process.reports = reports;
        }
        if let Some(import) = self.imports.accepted.iter_mut().find(|import| import.process_id == process) {
            import.applied = applied;
            import.applied_at = Some(at);
        }
    }

    fn import_row(
        &mut self,
        waiting: &Waiting,
        row: &ImportRow,
        seen: &mut BTreeSet<String>,
        reports: &mut Reports,
        by: By,
    ) -> bool {
        let mut report = |kind: &str, value: &str| {
            reports.entry(kind.to_owned()).or_default().push(value.to_owned());
        };
        let Taken { ext_id, values, .. } = self.import_attributes(row);
        let email = row.email.clone().filter(|email| !email.is_empty());
        let named = ext_id.is_some() || PHONES.iter().any(|name| matches!(values.get(*name), Some(Some(_))));
        match &email {
            Some(email) if is_email(email) => {
                // Which of two rows with one address counts is not documented; here the first.
                if !seen.insert(email.to_lowercase()) {
                    report("duplicate_email_id", email);
                    return false;
                }
            }
            None if named && self.options.import_rows == ImportRows::AnyIdentifier => (),
            _ => {
                report("invalid_emails", email.as_deref().unwrap_or_default());
                return false;
            }
        }
        let mut write = Write {
            email,
            ext_id,
            attributes: values,
            email_blocked: waiting.email_blacklist,
            sms_blocked: waiting.sms_blacklist,
            join: waiting.list_ids.clone(),
            ..Write::default()
        };
        if !waiting.empty_erases {
            write.attributes.retain(|_, value| value.is_some());
        }
        let claims = self.contacts.claims(&write);
        let Some((_, winner)) = claims.first().cloned() else {
            write.attributes.retain(|_, value| value.is_some());
            return self.contacts.create(write, by).is_ok();
        };
        if !waiting.update_existing {
            for list in &waiting.list_ids {
                self.contacts.join(*list, winner, by);
            }
            return true;
        }
        for (identifier, loser) in claims.into_iter().filter(|(_, owner)| *owner != winner) {
            let (kind, value) = match &identifier {
                Identifier::ExtId(value) => ("duplicate_ext_id", value),
                Identifier::Email(value) => ("duplicate_email_id", value),
                Identifier::Sms(value) => ("duplicate_phone_id", value),
                Identifier::Whatsapp(value) => ("duplicate_whatsapp_id", value),
                Identifier::Landline(value) => ("duplicate_landline_number_id", value),
            };
            report(kind, value);
            self.contacts.displace(winner, loser, by);
        }
        self.contacts.update(winner, write, by).is_ok()
    }
}
