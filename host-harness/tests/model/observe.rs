//! What Brevo holds in the end.

use std::collections::BTreeSet;

use host_harness::store::StoreError;
use serde_json::Value;

use super::compare::{Observed, Seen, SeenContact, ext_id};
use super::expected::Course;
use super::history::History;
use super::sources::World;

/// Everything that came of a history. No host runs any more.
pub fn observe(world: &World, history: &History, course: Course) -> Observed {
    let brevo = &world.brevo;
    assert_eq!(brevo.violations(), []);
    assert_eq!(world.moengage.violations(), []);
    let all = brevo.contacts();
    let of = |id: i64| all.iter().find(|one| one.id == id).and_then(|one| one.ext_id.clone());
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let event = |event: stand_ins::brevo::Event| Seen {
        key: text(event.properties.get("moengage_event_uuid"))
            .or_else(|| text(event.properties.get("of")))
            .unwrap_or_default(),
        of: event.contact_id.and_then(of),
        at: Some(event.date.div_euclid(1_000)),
    };
    let sent = |key: &str, to: Option<String>| Seen { key: key_in(key), of: to, at: None };
    let contact = |ids: &[i64]| ids.first().copied().and_then(of);
    let records = brevo.object_records().into_iter().filter(|one| one.object_type == "moengage_campaign");
    let members = |list: i64| brevo.list_members(list).into_iter().map(|one| one.ext_id.unwrap_or_default());
    Observed {
        events: brevo.events().into_iter().map(event).collect(),
        mails: brevo
            .mails()
            .into_iter()
            .map(|mail| sent(&text(mail.params.get("of")).unwrap_or_default(), Some(mail.recipient)))
            .collect(),
        texts: brevo
            .texts()
            .into_iter()
            .map(|one| sent(&one.content.unwrap_or_default(), Some(one.recipient)))
            .collect(),
        notes: brevo.notes().iter().map(|note| sent(&note.text, contact(&note.contact_ids))).collect(),
        tasks: brevo.tasks().iter().map(|task| sent(&task.name, contact(&task.contact_ids))).collect(),
        products: brevo.products().into_iter().map(|one| (one.id, one.fields)).collect(),
        objects: records.map(|one| one.attributes).collect(),
        lists: brevo.lists().into_iter().map(|list| (list.name, members(list.id).collect())).collect(),
        resubscriptions: brevo.resubscriptions(),
        made_again: made_again(world, history),
        letters: super::sources::sums(&world.store()).0.dead_letters,
        undelivered: undelivered(world),
        unproven: unproven(world),
        course,
        contacts: all
            .iter()
            .map(|one| SeenContact {
                ext_id: one.ext_id.clone(),
                email: one.email.clone(),
                blocked: one.email_blacklisted,
                sms_blocked: one.sms_blacklisted,
                attributes: one.attributes.clone(),
            })
            .collect(),
    }
}

/// The key of a history that stands in a text.
fn key_in(text: &str) -> String {
    let Some(at) = ["echo-", "alert-"].iter().find_map(|key| text.find(key)) else {
        return format!("no key in {text:?}");
    };
    let number = text[at..].find('-').map_or(at, |dash| at + dash + 1);
    let end = text[number..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |end| number + end);
    text[at..end].to_owned()
}

/// Rows of the outbox by the query.
fn rows(world: &World, sql: &str) -> Vec<String> {
    let read = |tx: &rusqlite::Transaction<'_>| -> Result<Vec<String>, StoreError> {
        let mut statement = tx.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    world.store().read(read).unwrap()
}

/// What did not reach Brevo, by action, state and reason: for whoever looks at a difference.
fn undelivered(world: &World) -> Vec<String> {
    rows(
        world,
        "SELECT count(*) || ' ' || name || ' ' || coalesce(code, 'state ' || state) FROM action
         WHERE state <> 2 GROUP BY name, code, state ORDER BY 1",
    )
}

/// Keys of what waits for an operator because nothing proves whether it was sent.
fn unproven(world: &World) -> BTreeSet<String> {
    let payloads = rows(world, "SELECT payload FROM action WHERE code = 'outcome-unproven'");
    payloads.iter().map(String::as_str).map(key_in).collect()
}

/// Who was made after a deletion of whoever is erased.
fn made_again(world: &World, history: &History) -> Vec<String> {
    let Some(erased) = history.erased.map(ext_id) else { return Vec::new() };
    let journal = world.brevo.journal();
    let deleted = journal
        .of("DELETE", "/v3/contacts/{identifier}")
        .filter(|entry| entry.applied)
        .map(|entry| entry.seq)
        .min();
    let Some(deleted) = deleted else { return Vec::new() };
    journal
        .of("POST", "/v3/contacts")
        .filter(|entry| entry.seq > deleted && entry.applied && entry.body["ext_id"] == erased.as_str())
        .map(|_| erased.clone())
        .collect()
}
