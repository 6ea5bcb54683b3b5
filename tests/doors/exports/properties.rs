//! What holds for any files, any sizes of pages, and any windows.

use std::cell::RefCell;
use std::collections::BTreeMap;

use moengage_connector::Record;
use proptest::prelude::*;
use serde_json::json;

use super::store::{
    DAY, LATER, Run, S3, Store, TODAY, WEB, folder, folder_day_first, line, numbered, run, settings,
};
use crate::event;

/// A file: its day, spelling, hour, and for each of its lines whether it is good, and when.
#[derive(Clone, Debug)]
struct Plan {
    day: i64,
    day_first: bool,
    hour: Option<u8>,
    lines: Vec<(u8, i64)>,
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let lines = proptest::collection::vec((0_u8..8, 0_i64..5 * DAY), 0..12);
    (0_i64..3, any::<bool>(), proptest::option::of(0_u8..3), lines)
        .prop_map(|(day, day_first, hour, lines)| Plan { day, day_first, hour, lines })
}

fn store(storage: &'static str, plans: &[Plan]) -> Store {
    let mut store = Store::new(storage);
    store.clock = LATER - DAY;
    for (number, plan) in plans.iter().enumerate() {
        let folder = if plan.day_first { folder_day_first(plan.day) } else { folder(plan.day) };
        let hour = plan.hour.map_or_else(String::new, |hour| format!("export_hour={hour:02}/"));
        let text: String = plan
            .lines
            .iter()
            .enumerate()
            .map(|(index, (kind, at))| {
                let id = (number * 100 + index) as u32;
                match kind {
                    0 => "not json\n".to_owned(),
                    1 => "\r\n".to_owned(),
                    2 => line(&numbered(id, TODAY + at)).replace("Acme", "Test") + "\n",
                    // Two people who are seen again and again.
                    3 | 4 => {
                        let known = json!({
                            "event_uuid": format!("uuid-{id}"), "event_time": (TODAY + at) / 1000,
                            "uid": format!("cust-{kind}"), "user_attributes": {"u_fn": at % 2}
                        });
                        line(&event(known)) + "\r\n"
                    }
                    _ => line(&numbered(id, TODAY + at)) + "\n",
                }
            })
            .collect();
        store.put(&format!("{folder}/{hour}event_exports_{number}.json.gz"), text);
    }
    store.clock = LATER;
    store
}

/// When and by what event a person was last seen like this, by id and body.
type Newest = BTreeMap<(String, String), (Option<i64>, String)>;

/// Events as they are; of contact records that say the same, the newest observation, however the
/// pages were cut.
fn outcome(run: &Run) -> (Vec<String>, Newest, Vec<(String, String)>) {
    let (mut events, mut contacts) = (Vec::new(), BTreeMap::new());
    for record in &run.records {
        let Record { id, body, .. } = record;
        if record.kind == "event" {
            events.push(format!("{record:?}"));
        } else {
            let seen = (record.occurred.at, record.observation.id.clone());
            let newest = contacts.entry((id.clone(), body.clone())).or_insert_with(|| seen.clone());
            *newest = newest.clone().max(seen);
        }
    }
    events.sort();
    let mut rejects: Vec<_> =
        run.rejects.iter().map(|reject| (reject.pointer.clone(), reject.code.clone())).collect();
    rejects.sort();
    (events, contacts, rejects)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sizes_of_pages_pieces_and_listings_give_the_same(
        plans in proptest::collection::vec(any_plan(), 0..14),
        window in (0_i64..5 * DAY, 1_i64..5 * DAY),
        budget in 1_u32..40, piece in 1_usize..3_000, max_keys in 1_usize..6, forgets: bool
    ) {
        let window = (TODAY + window.0, TODAY + window.0 + window.1);
        let whole = run(&settings(S3), &RefCell::new(store(S3, &plans)), window, 10_000);
        let mut cut = store(S3, &plans);
        (cut.max_keys, cut.piece, cut.spool_forgets) = (max_keys, piece.max(60), forgets);
        let cut = run(&settings(S3), &RefCell::new(cut), window, budget);
        prop_assert_eq!(outcome(&whole), outcome(&cut));
        prop_assert_eq!(&whole.truncated, &cut.truncated);
        prop_assert!(cut.progress.is_sorted());

        let web = run(&settings(WEB), &RefCell::new(store(WEB, &plans)), window, budget);
        prop_assert_eq!(outcome(&whole), outcome(&web));
    }

    #[test]
    fn every_event_of_the_window_in_its_own_folder_is_read_and_no_other(
        events in proptest::collection::vec(0_i64..20 * DAY, 0..40),
        window in (0_i64..20 * DAY, 1_i64..20 * DAY), budget in 1_u32..50, day_first: bool
    ) {
        let mut store = Store::new(S3);
        store.put(&format!("{}/event_exports_x.json.gz", folder(0)), "");
        for (number, at) in events.iter().enumerate() {
            let folder = if day_first { folder_day_first(at / DAY) } else { folder(at / DAY) };
            let text = line(&numbered(number as u32, TODAY + at));
            store.put(&format!("{folder}/event_exports_{number}.json.gz"), text);
        }
        let (from, to) = (TODAY + window.0, TODAY + window.0 + window.1);
        let run = run(&settings(S3), &RefCell::new(store), (from, to), budget);
        let second = |at: &i64| (TODAY + at) / 1000 * 1000;
        let mut expected: Vec<_> = events
            .iter()
            .enumerate()
            .filter(|(_, at)| (from..to).contains(&second(at)))
            .map(|(number, _)| format!("uuid-{number}"))
            .collect();
        expected.sort();
        prop_assert_eq!(run.events(), expected);
    }

    #[test]
    fn any_bytes_in_a_file_give_a_typed_result(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'{'), any::<u8>()], 0..400), budget in 1_u32..5
    ) {
        let mut store = Store::new(S3);
        store.put(&format!("{}/event_exports_1.json.gz", folder(0)), bytes);
        let run = run(&settings(S3), &RefCell::new(store), (TODAY, TODAY + DAY), budget);
        prop_assert!(run.records.is_empty());
        for reject in run.rejects {
            prop_assert!(reject.pointer.starts_with("event_exports_1.json.gz"));
        }
    }

    #[test]
    fn a_line_cut_or_flipped_anywhere_gives_a_typed_result(at: prop::sample::Index, flip: u8, cut: bool) {
        let mut bytes = line(&numbered(1, TODAY)).into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = flip }
        bytes.push(b'\n');
        bytes.extend(line(&numbered(2, TODAY)).into_bytes());
        let mut store = Store::new(S3);
        store.put(&format!("{}/event_exports_1.json.gz", folder(0)), bytes);
        let run = run(&settings(S3), &RefCell::new(store), (TODAY, TODAY + DAY), 100);
        prop_assert!(run.events().contains(&"uuid-2"));
    }
}
