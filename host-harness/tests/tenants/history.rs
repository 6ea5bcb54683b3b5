//! The whole history of a tenant, as rows, requests and answers: with numbers that are only counters taken
//! for their place in it.

use std::collections::{BTreeMap, BTreeSet};

use host_harness::operate::dead_letters::{self, Selection};
use host_harness::operate::status::Status;
use host_harness::store::{StoreError, usage};
use rusqlite::Transaction;
use rusqlite::types::ValueRef;
use serde_json::Value;

use crate::scripted::ManualClock;
use crate::two::{Side, Two};

/// By the name of a part, its lines.
pub type History = BTreeMap<String, Vec<String>>;

/// Tables that belong to the host as a whole, and those whose keys are digests of whose they are.
const SHARED: [&str; 4] = ["host", "accepted", "state", "effect"];
/// Columns that hold the number of a row, and of which table.
const NUMBERS: [(&str, &str); 9] = [
    ("installation", "installation"),
    ("destination", "destination"),
    ("person", "person"),
    ("journal", "journal"),
    ("batch", "batch"),
    ("action", "action"),
    ("list", "list"),
    ("letter", "dead_letter"),
    ("probe", "job"),
];

/// Everything that is one side's.
pub fn of(two: &Two, side: &Side) -> History {
    let mut history = two.store.read::<_, StoreError>(|tx| Ok(rows(tx, side))).unwrap();
    let sql =
        "SELECT count(*) FROM effect JOIN action ON action.id = effect.action AND action.effect = effect.key
               WHERE installation = ?1";
    let effects = |tx: &Transaction<'_>| Ok(tx.query_row(sql, [side.row.id.0], |row| row.get::<_, i64>(0))?);
    let effects = two.store.read::<_, StoreError>(effects).unwrap();
    history.insert("effects in the ledger".into(), vec![effects.to_string()]);
    let journal = side.brevo.journal();
    let exchanges = journal.exchanges().map(|exchange| {
        format!("{} {} {:?} {}", exchange.method, exchange.path, exchange.query, exchange.body)
    });
    history.insert("requests to Brevo".into(), exchanges.collect());
    let contacts = side.brevo.contacts().into_iter().map(|contact| {
        let flags = (contact.email_blacklisted, contact.sms_blacklisted);
        format!("{:?} {:?} {:?} {:?}", contact.email, contact.ext_id, flags, contact.attributes)
    });
    history.insert("contacts at Brevo".into(), contacts.collect());
    history.insert("calls of the guest".into(), side.vendor.lock().unwrap().clone());
    history.insert("what the guest saw".into(), side.seen.lock().unwrap().clone());
    history.insert("status and letters".into(), shown(two, side));
    history
}

/// What an operator is shown of the tenant.
fn shown(two: &Two, side: &Side) -> Vec<String> {
    let read = |tx: &Transaction<'_>| {
        let status = serde_json::to_value(Status::of(tx, ManualClock::now_is(&two.clock))?).unwrap();
        let own = |part: &str, name: &str, value: &str| {
            let all = status[part].as_array().cloned().unwrap_or_default();
            all.into_iter().filter(|one| one[name] == value).collect::<Vec<_>>()
        };
        let mut shown = own("installations", "tenant", side.tenant);
        shown.extend(own("destinations", "name", side.account));
        let selection = Selection { tenant: Some(side.tenant), closed: true, ..Selection::default() };
        for letter in dead_letters::list(tx, selection, 10_000)? {
            let payload = dead_letters::show(tx, letter.id)?;
            shown.push(serde_json::to_value((letter, payload)).unwrap());
        }
        Ok::<_, StoreError>(shown)
    };
    let mut shown = two.store.read(read).unwrap();
    shown.iter_mut().for_each(forget_numbers);
    shown.iter().map(Value::to_string).collect()
}

fn forget_numbers(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| {
                !(value.is_number() && ["id", "installation", "probe", "letter"].contains(&&**key))
            });
            map.values_mut().for_each(forget_numbers);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_numbers),
        _ => {}
    }
}

fn rows(tx: &Transaction<'_>, side: &Side) -> History {
    let numbers: BTreeMap<&str, BTreeMap<i64, usize>> = NUMBERS
        .iter()
        .map(|(_, table)| {
            let sql =
                format!("SELECT id FROM \"{table}\" WHERE {} ORDER BY id", owned(tx, table, side).unwrap());
            let mut statement = tx.prepare(&sql).unwrap();
            let ids = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap);
            (*table, ids.enumerate().map(|(place, id)| (id, place)).collect())
        })
        .collect();
    tables(tx)
        .into_iter()
        .filter_map(|table| Some((owned(tx, &table, side)?, table)))
        .map(|(whose, table)| {
            let columns = columns(tx, &table);
            let mut statement = tx.prepare(&format!("SELECT * FROM \"{table}\" WHERE {whose}")).unwrap();
            let mut found = statement.query([]).unwrap();
            let mut lines = Vec::new();
            while let Some(row) = found.next().unwrap() {
                let cell = |(place, column): (usize, &String)| {
                    let kind = match column.as_str() {
                        "id" => numbers.get(table.as_str()),
                        // Keys of effects hold the number of a person who shares an address.
                        "intake_token" | "bucket" | "effect" => return String::new(),
                        name => NUMBERS
                            .iter()
                            .find(|(column, _)| *column == name)
                            .and_then(|(_, table)| numbers.get(table)),
                    };
                    match (row.get_ref(place).unwrap(), kind) {
                        (ValueRef::Integer(id), Some(kind)) => kind
                            .get(&id)
                            .map_or_else(|| "somebody else's".to_owned(), |place| format!("#{place}")),
                        (ValueRef::Integer(_), None) if column == "id" => String::new(),
                        (ValueRef::Blob(blob), _) => host_harness::hex::encode(blob),
                        (ValueRef::Text(text), _) => String::from_utf8_lossy(text).into_owned(),
                        (other, _) => format!("{other:?}"),
                    }
                };
                lines.push(columns.iter().enumerate().map(cell).collect::<Vec<_>>().join(" | "));
            }
            lines.sort();
            (format!("table {table}"), lines)
        })
        .collect()
}

fn tables(tx: &Transaction<'_>) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name";
    let mut statement = tx.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn columns(tx: &Transaction<'_>, table: &str) -> Vec<String> {
    let mut statement = tx.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid").unwrap();
    statement.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// SQL for the rows of a table that are one side's; none for what is shared.
fn owned(tx: &Transaction<'_>, table: &str, side: &Side) -> Option<String> {
    let (installation, destination) = (side.row.id.0, side.row.destination.0);
    let has = |name: &str| columns(tx, table).iter().any(|column| column == name);
    Some(match table {
        _ if SHARED.contains(&table) => return None,
        "installation" => format!("id = {installation}"),
        "destination" => format!("id = {destination}"),
        "rate" => format!("bucket LIKE 'brevo:{destination}:%'"),
        _ if has("installation") => format!("installation = {installation}"),
        _ if has("destination") => format!("destination = {destination}"),
        _ if has("person") => format!("person IN (SELECT id FROM person WHERE destination = {destination})"),
        _ => panic!("nobody knows whose the rows of {table} are"),
    })
}

/// The keys in the tables that all share.
pub fn shared_keys(two: &Two) -> BTreeSet<String> {
    let read = |tx: &Transaction<'_>| {
        let sql = "SELECT 'accepted ' || hex(key) || at FROM accepted
                   UNION ALL SELECT 'state ' || hex(key) || revision || hex(content) || at FROM state";
        let mut statement = tx.prepare(sql)?;
        let keys = statement.query_map([], |row| row.get(0))?;
        Ok::<_, StoreError>(keys.map(Result::unwrap).collect())
    };
    two.store.read(read).unwrap()
}

/// What triggers count of a side's rows, and what is there.
pub fn usage_counted(two: &Two, side: &Side) -> (usage::Usage, usage::Usage) {
    let read = |tx: &Transaction<'_>| {
        let count = |sql: &str| -> u64 {
            tx.query_row(&format!("{sql} AND installation = ?1"), [side.row.id.0], |row| row.get::<_, i64>(0))
                .unwrap() as u64
        };
        let found = usage::Usage {
            webhooks: count("SELECT count(*) FROM journal WHERE state = 0"),
            webhook_bytes: count("SELECT coalesce(sum(length(body)), 0) FROM journal WHERE state = 0"),
            letters: count("SELECT count(*) FROM dead_letter WHERE state = 'open'"),
            waiting: count("SELECT count(*) FROM action WHERE state IN (0, 1)"),
            open: count("SELECT count(*) FROM action WHERE state IN (0, 1, 8, 9)"),
            keys: count("SELECT count(*) FROM kv WHERE true"),
        };
        Ok::<_, StoreError>((usage::of(tx, side.row.id)?, found))
    };
    two.store.read(read).unwrap()
}
