//! Downloads that are longer than a unit.

use std::time::Duration;

use host_harness::contract::http::ErrorKind;

use super::server::{Entry, Trouble};
use super::{Bench, content, gzip, noise, path};

/// One second for a download: the rest is left to the guest.
const UNIT: Duration = Duration::from_millis(6_100);

fn entry(body: Vec<u8>, etag: &str) -> Entry {
    Entry { body, etag: Some(etag.into()), ranges: true, ..Entry::default() }
}

/// One unit that only opens the file.
fn code(bench: &Bench) -> String {
    match bench.unit_of(UNIT).object_open("store", &path("f"), None) {
        Ok(_) => "ready".into(),
        Err(error) => error.code,
    }
}

#[test]
fn a_download_goes_on_from_unit_to_unit() {
    let bench = Bench::new();
    let text = noise(1 << 20, 1);
    bench.server.put("/acme/f", entry(gzip(&text), "\"e\""));
    bench.server.trouble([Trouble::Stall(400_000), Trouble::Stall(300_000), Trouble::Stall(200_000)]);
    for unit in 0..3 {
        let started = std::time::Instant::now();
        let error = bench.unit_of(UNIT).object_open("store", &path("f"), None).unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::RateLimited, "object-not-ready"), "{unit}");
        assert_eq!(error.retry_after_ms, Some(1_000));
        assert!(started.elapsed() < Duration::from_secs(3), "the guest has time to end its unit");
        let gone = bench.unit().object_read("store", &path("f"), "\"e\"", 0, 10).unwrap_err();
        assert_eq!(gone.code, "object-gone", "half a file has no name");
    }
    assert_eq!(content(&bench.unit_of(UNIT), "f").unwrap(), text);
    let asked = bench.server.asked();
    let ranges: Vec<_> = asked.iter().map(|asked| asked.header("range").unwrap_or_default()).collect();
    assert_eq!(ranges, ["", "bytes=400000-", "bytes=700000-", "bytes=900000-"]);
    assert!(asked[1..].iter().all(|asked| asked.header("if-match") == Some("\"e\"")));
    assert!(bench.files("draft-").is_empty());
}

#[test]
fn a_file_that_changes_between_two_units_is_begun_anew() {
    for ranges in [true, false] {
        let bench = Bench::new();
        bench.server.put("/acme/f", entry(noise(500_000, 1), "\"old\""));
        bench.server.trouble([Trouble::Stall(200_000)]);
        assert_eq!(code(&bench), "object-not-ready");
        let new = noise(500_000, 2);
        bench.server.put("/acme/f", Entry { ranges, ..entry(new.clone(), "\"new\"") });
        assert_eq!(content(&bench.unit(), "f").unwrap(), new);
        assert!(bench.files("draft-").is_empty());
    }
}

#[test]
fn a_range_of_something_else_is_not_sewn_on() {
    // These servers ignore `if-match`, or lie about the range.
    let other = noise(500_000, 2);
    let range = |value: &str| ("Content-Range".to_owned(), value.to_owned());
    for (etag, header) in [
        ("\"new\"", range("bytes 200000-499999/500000")),
        ("\"old\"", range("bytes 200000-499999/600000")),
        ("\"old\"", range("bytes 100000-499999/500000")),
        ("\"old\"", range("bytes 200000-499999/*")),
        ("\"old\"", range("items 200000-499999/500000")),
        ("\"old\"", ("X-Other".into(), "1".into())),
    ] {
        let bench = Bench::new();
        bench.server.put("/acme/f", entry(noise(500_000, 1), "\"old\""));
        bench.server.trouble([Trouble::Stall(200_000)]);
        assert_eq!(code(&bench), "object-not-ready");
        let lie =
            Entry { status: Some(206), headers: vec![header], ..entry(other[200_000..].to_vec(), etag) };
        bench.server.put("/acme/f", Entry { ranges: false, ..lie });
        assert_eq!(code(&bench), "bad-answer", "it is asked again without a range, and still gives one");
        assert!(bench.files("").is_empty());
        bench.server.put("/acme/f", entry(other.clone(), "\"new\""));
        assert_eq!(content(&bench.unit(), "f").unwrap(), other);
    }
}

#[test]
fn a_server_that_offers_no_way_to_go_on_is_named() {
    let body = noise(500_000, 1);
    let weak = entry(body.clone(), "W/\"e\"");
    let unnamed = Entry { etag: None, ..entry(body.clone(), "") };
    let chunked = Entry { chunked: true, ..entry(body.clone(), "\"e\"") };
    let none =
        Entry { headers: vec![("Accept-Ranges".into(), "none".into())], ..entry(body.clone(), "\"e\"") };
    for entry in [weak, unnamed, chunked, none] {
        let bench = Bench::new();
        bench.server.put("/acme/f", entry);
        bench.server.trouble([Trouble::Stall(300_000)]);
        let error = bench.unit_of(UNIT).object_open("store", &path("f"), None).unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Timeout, "object-too-slow"));
        assert!(bench.files("").is_empty());
        assert_eq!(content(&bench.unit(), "f").unwrap(), body);
    }
    // It ignores the range without having said so before: the second unit knows.
    let bench = Bench::new();
    bench.server.put("/acme/f", Entry { ranges: false, ..entry(body, "\"e\"") });
    bench.server.trouble([Trouble::Stall(300_000), Trouble::Stall(300_000)]);
    assert_eq!([code(&bench), code(&bench)], ["object-not-ready", "object-too-slow"]);
}

#[test]
fn n04_a_file_that_drips_is_a_timeout_and_not_a_download_that_goes_on() {
    let bench = Bench::new();
    let text = noise(500_000, 1);
    bench.server.put("/acme/f", entry(text.clone(), "\"e\""));
    bench.server.trouble([Trouble::Stall(1_000), Trouble::Stall(0), Trouble::Stall(1_000)]);
    for _ in 0..3 {
        let error = bench.unit_of(UNIT).object_open("store", &path("f"), None).unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Timeout, "timeout"));
    }
    assert_eq!(content(&bench.unit(), "f").unwrap(), text, "nothing of it was lost");
    let last = bench.server.asked().pop().unwrap();
    assert_eq!(last.header("range"), Some("bytes=2000-"));
}

#[test]
fn a_unit_with_little_time_begins_no_download() {
    let bench = Bench::new();
    bench.server.put("/acme/f", entry(b"x".to_vec(), "\"e\""));
    let unit = bench.unit_of(Duration::from_secs(5));
    let error = unit.object_open("store", &path("f"), None).unwrap_err();
    assert_eq!((error.code.as_str(), error.request_sent), ("object-not-ready", false));
    assert!(bench.server.asked().is_empty());
    assert_eq!(bench.content("f").unwrap(), b"x");
    // What is there needs no download.
    let unit = bench.unit_of(Duration::from_secs(1));
    assert_eq!(unit.object_open("store", &path("f"), Some("\"e\"")).unwrap().size, 1);
}

#[test]
fn h01_a_killed_host_begins_a_download_anew() {
    let bench = Bench::new();
    let text = noise(500_000, 1);
    bench.server.put("/acme/f", entry(text.clone(), "\"e\""));
    bench.server.trouble([Trouble::Stall(300_000)]);
    assert_eq!(code(&bench), "object-not-ready");
    let bench = bench.restarted();
    assert_eq!(content(&bench.unit(), "f").unwrap(), text);
    assert!(bench.server.asked()[1].header("range").is_none());
    assert!(bench.files("draft-").is_empty());
}
