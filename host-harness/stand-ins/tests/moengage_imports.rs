//! File imports and the files of one, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use client::Client;
use proptest::prelude::*;
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::moengage::{MoEngage, Options, PageQuirks, Table};

const STATUS: &str = "/v1.0/data/fileimports/import/status";
const HISTORY: &str = "/v1.0/data/fileimports/import/run/history";

/// So many imports, of which each has a name and an id of its own.
fn started(imports: usize) -> (MoEngage, Client) {
    let scale = Scale::from_now(100_000.0);
    let moengage = MoEngage::start(Options { scale, ..Options::default() }).unwrap();
    moengage.with_rows(Table::Imports, |rows| {
        let first = rows[0].clone();
        let numbered = |n: usize| {
            let mut row = first.clone();
            row["import_id"] = json!(format!("i{n}"));
            row["import_name"] = json!(format!("Import {n}"));
            row
        };
        *rows = (0..imports).map(numbered).collect();
    });
    let client = Client::moengage(&moengage, "data-key");
    (moengage, client)
}

#[test]
fn imports_come_in_pages_of_fifty_with_an_offset_as_text() {
    let (moengage, client) = started(120);
    let read = |offset: Value| client.post(STATUS, json!({"offset": offset})).json();
    let first = client.post(STATUS, json!({})).json();
    assert_eq!(
        (&first["status"], &first["total_count"], &first["offset"], &first["more_files"]),
        (&json!("success"), &json!(120), &json!(1), &json!(true))
    );
    assert_eq!(first, read(json!("1")));
    let last = read(json!("3"));
    assert_eq!((last["data"].as_array().unwrap().len(), &last["more_files"]), (20, &json!(false)));
    assert_eq!(last, read(json!(3)), "the schema says a number");
    assert_eq!(read(json!("4"))["data"], json!([]));
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for wrong in [json!("0"), json!("x"), json!(-1), json!([1])] {
        let refused = client.post(STATUS, json!({"offset": wrong}));
        assert_eq!(
            (refused.status, &refused.json()["error_type"]),
            (400, &json!("Invalid Offset Value")),
            "{wrong}"
        );
    }
}

#[test]
fn filters_and_dates_are_strict() {
    let (moengage, client) = started(3);
    moengage.with_rows(Table::Imports, |rows| {
        rows[1]["status"] = json!("FAILED");
        rows[2]["last_run_at"] = json!("2026-10-31T23:59:59.000000");
    });
    let found = |body: Value| client.post(STATUS, body).json()["data"].as_array().unwrap().len();
    assert_eq!(found(json!({"schedule_status": ["FAILED", "QUEUED"], "import_type": ["USERS"]})), 1);
    assert_eq!(found(json!({"schedule_status": "FAILED"})), 1, "the schema says one text");
    assert_eq!(found(json!({"import_name": "Import 2"})), 1);
    let dates = |from: &str, to: &str, format: &str| json!({"date": {"start_date": from, "end_date": to, "format": format}});
    assert_eq!(found(dates("02/10/2026", "31/10/2026", "DD/MM/YYYY")), 1);
    assert_eq!(found(dates("2026-09-13", "2026-09-13", "YYYY-MM-DD")), 2);
    assert_eq!(found(dates("2026/10/31 23:59:58", "2026/10/31 23:59:59", "YYYY/MM/DD hh:mm:ss")), 1);
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for (body, kind) in [
        (dates("01/10/2026", "30/11/2026", "DD/MM/YYYY"), "Difference exceeds 30 days"),
        (dates("2026-10-01", "2026-10-02", "DD/MM/YYYY"), "Invalid Date format"),
        (dates("31/02/2026", "01/03/2026", "DD/MM/YYYY"), "Invalid Date format"),
    ] {
        let refused = client.post(STATUS, body.clone());
        assert_eq!((refused.status, &refused.json()["error_type"]), (400, &json!(kind)), "{body}");
    }
    for body in [json!({"import_type": ["users"]}), json!({"name": "x"}), json!({"file_source": ["FTP"]})] {
        let refused = client.post(STATUS, body.clone());
        assert_eq!((refused.status, &refused.json()["success"]), (400, &json!(false)), "{body}");
    }
    let plain = Client::new(
        &moengage.url(),
        &[
            ("authorization", "Basic U1RBTkRJTjpkYXRhLWtleQ=="),
            ("moe-appkey", "STANDIN"),
            ("content-type", "text/plain"),
        ],
    );
    let refused = plain.post(STATUS, json!({}));
    assert_eq!((refused.status, &refused.json()["title"]), (415, &json!("Unsupported media type")));
}

#[test]
fn the_history_of_an_import_is_its_files() {
    let (moengage, client) = started(2);
    moengage.with_rows(Table::ImportFiles, |rows| {
        let first = rows[0].clone();
        let file = |n: usize| {
            let mut row = first.clone();
            row["id"] = json!(format!("f{n}"));
            row["import_id"] = json!(if n < 60 { "i0" } else { "i1" });
            row["file_status"] = json!(if n == 3 { "FAILED" } else { "SUCCESSFUL" });
            row
        };
        *rows = (0..70).map(file).collect();
    });
    let first = client.post(HISTORY, json!({"import_id": "i0"})).json();
    assert_eq!(
        (&first["total_count"], &first["more_files"], &first["offset"]),
        (&json!("60"), &json!("true"), &json!(1))
    );
    assert_eq!(first["data"][0].get("import_id"), None);
    let last = client.post(HISTORY, json!({"import_name": "Import 0", "offset": "2"})).json();
    assert_eq!((last["data"].as_array().unwrap().len(), &last["more_files"]), (10, &json!("false")));
    let both = client.post(HISTORY, json!({"import_id": "i1", "import_name": "Import 0"})).json();
    assert_eq!(both["total_count"], "10", "the id wins");
    let failed = client.post(HISTORY, json!({"import_id": "i0", "file_status": ["FAILED"]})).json();
    assert_eq!(failed["data"].as_array().unwrap().len(), 1);
    let days = json!({"import_id": "i0", "date": {"start_date": "2026-09-14T00:00:00.000000", "end_date": "2026-09-15T00:00:00.000000"}});
    assert_eq!(client.post(HISTORY, days).json()["total_count"], "0");
    let missing = client.post(HISTORY, json!({"import_id": "nobody"}));
    assert_eq!((missing.status, &missing.json()["error_type"]), (400, &json!("Import Doesn't Exist")));
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    assert_eq!(client.post(HISTORY, json!({})).status, 400);
    assert_eq!(client.post(HISTORY, json!({"import_id": "i0", "limit": 5})).status, 400);
    let wrong = client.post(HISTORY, json!({"import_id": "i0", "offset": "0"}));
    assert_eq!(wrong.json()["error_type"], "Import Doesn't Exist");
}

#[test]
fn n22_totals_change_while_somebody_pages() {
    let (moengage, client) = started(60);
    let quirks = PageQuirks { totals: vec![60, 61], ..PageQuirks::default() };
    moengage.set_page_quirks(STATUS, quirks).unwrap();
    let total = |offset: &str| client.post(STATUS, json!({"offset": offset})).json()["total_count"].clone();
    assert_eq!([total("1"), total("2")], [json!(60), json!(61)]);
}

#[test]
fn n33_fifty_a_minute_for_either_call() {
    let moengage = MoEngage::start(Options { scale: Scale::from_now(1e-9), ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "data-key");
    for _ in 0..50 {
        assert_eq!(client.post(STATUS, json!({})).status, 200);
    }
    let refused = client.post(STATUS, json!({}));
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (429, &json!("Rate Limits Exceeded")));
    assert_eq!(client.post(HISTORY, json!({"import_name": "Import 0"})).status, 200);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// A reader that goes on while more is said has each import once.
    #[test]
    fn all_pages_together_are_all_imports(
        imports in 0_usize..180,
        sizes in prop::collection::btree_map(1_u64..5, 0_u64..60, 0..4),
    ) {
        let (moengage, client) = started(imports);
        moengage.set_page_quirks(STATUS, PageQuirks { sizes, ..PageQuirks::default() }).unwrap();
        let (mut found, mut offset) = (Vec::new(), 1);
        loop {
            let body = client.post(STATUS, json!({"offset": offset.to_string()})).json();
            found.extend(body["data"].as_array().unwrap().iter().map(|row| row["import_id"].as_str().unwrap().to_owned()));
            if body["more_files"] == false {
                break;
            }
            offset += 1;
        }
        prop_assert_eq!(found, (0..imports).map(|n| format!("i{n}")).collect::<Vec<_>>());
    }
}
