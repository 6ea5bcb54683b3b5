//! Files that come as an archive of one: campaign reports.

use std::time::Duration;

use stand_ins::moengage::zip;

use super::server::{Entry, Trouble};
use super::{Bench, gzip, lines, noise, path};

fn entry(body: impl Into<Vec<u8>>) -> Entry {
    Entry { body: body.into(), etag: Some("\"1\"".into()), ranges: true, ..Entry::default() }
}

fn of(bytes: &[u8]) -> Vec<u8> {
    zip([("report.csv", bytes)])
}

#[test]
fn an_archive_of_one_file_is_that_file() {
    let bench = Bench::new();
    let text = lines(3_000);
    // What it is called and said to be does not matter.
    let said = vec![("content-type".to_owned(), "application/gzip".to_owned())];
    bench.server.put("/acme/report.gz", Entry { headers: said, ..entry(of(&text)) });
    assert_eq!(bench.content("report.gz").unwrap(), text);
    let encoding = vec![("content-encoding".to_owned(), "gzip".to_owned())];
    bench.server.put("/acme/encoded", Entry { headers: encoding, ..entry(gzip(&of(&text))) });
    assert_eq!(bench.content("encoded").unwrap(), text);
    // One layer, whichever it is.
    for (name, inner) in [("zip-in-zip", of(&text)), ("gzip-in-zip", gzip(&text))] {
        bench.server.put(&format!("/acme/{name}"), entry(of(&inner)));
        assert_eq!(bench.content(name).unwrap(), inner, "{name}");
    }
    bench.server.put("/acme/zip-in-gzip", entry(gzip(&of(&text))));
    assert_eq!(bench.content("zip-in-gzip").unwrap(), of(&text));
    assert!(bench.files("draft-").is_empty());
}

#[test]
fn what_only_begins_like_an_archive_passes_as_it_is() {
    let bench = Bench::new();
    for (name, body) in
        [("pk", &b"PK"[..]), ("pkk", b"PK\x03"), ("csv", b"PK,name\n1,x\n"), ("inside", b"xPK\x03\x04")]
    {
        bench.server.put(&format!("/acme/{name}"), entry(body));
        assert_eq!(bench.content(name).unwrap(), body, "{name}");
    }
}

#[test]
fn s14_archives_that_are_more_than_one_plain_file_are_refused() {
    let bench = Bench::new();
    let mut encrypted = of(b"1");
    encrypted[6] = 1;
    let list = encrypted.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    encrypted[list + 8] = 1;
    for (name, body) in [
        ("two", zip([("a.csv", &b"1"[..]), ("b.csv", b"2")])),
        ("none", zip([])),
        ("path", zip([("../a.csv", &b"1"[..])])),
        ("folder", zip([("a/", &b""[..])])),
        ("encrypted", encrypted),
    ] {
        bench.server.put(&format!("/acme/{name}"), entry(body));
        let refused = bench.content(name).unwrap_err();
        assert_eq!(refused.code, "object-broken", "{name}: {}", refused.message);
        assert!(refused.message.contains("not of one plain file"), "{name}: {}", refused.message);
        assert!(!refused.message.contains("csv"), "no name out of the file: {}", refused.message);
    }
    assert!(bench.files("").is_empty(), "nothing is kept of them");
}

#[test]
fn s14_a_bomb_is_stopped_and_leaves_nothing() {
    let bench = Bench::with_quota(4 << 20);
    bench.server.put("/acme/ratio", entry(of(&vec![0; 3 << 20])));
    assert_eq!(bench.content("ratio").unwrap_err().code, "object-too-large");
    // Twice, so that it isn't the ratio.
    let piece = [noise(200 << 10, 1), vec![0; 2 << 20]].concat();
    bench.server.put("/acme/quota", entry(of(&piece.repeat(2))));
    assert_eq!(bench.content("quota").unwrap_err().code, "object-too-large");
    bench.server.put("/acme/fits", entry(of(&piece)));
    assert_eq!(bench.content("fits").unwrap(), piece);
    assert!(bench.files("draft-").is_empty());
}

#[test]
fn n06_a_cut_archive_is_no_file() {
    let bench = Bench::new();
    let whole = of(&lines(50));
    for cut in [4, 30, whole.len() / 2, whole.len() - 22, whole.len() - 1] {
        bench.server.put("/acme/f", entry(&whole[..cut]));
        assert_eq!(bench.content("f").unwrap_err().code, "object-broken", "{cut}");
    }
    bench.server.put("/acme/f", entry(whole));
    assert_eq!(bench.content("f").unwrap(), lines(50));
}

#[test]
fn an_archive_goes_on_in_the_next_unit() {
    let bench = Bench::new();
    let text = noise(3 << 20, 7);
    bench.server.put("/acme/f", entry(of(&text)));
    bench.server.trouble([Trouble::Cut(2 << 20)]);
    assert!(bench.unit().object_open("store", &path("f"), None).is_err());
    assert_eq!(bench.content("f").unwrap(), text);
    let asked = bench.server.asked();
    assert!(asked.last().unwrap().header("range").is_some(), "only the rest was asked for");
}

#[test]
fn an_archive_without_an_etag_is_named_by_its_content() {
    let bench = Bench::new();
    bench.server.put("/acme/f", Entry { etag: None, ..entry(of(b"a,b\n1,2\n")) });
    let unit = bench.unit_of(Duration::from_secs(30));
    let first = unit.object_open("store", &path("f"), None).unwrap();
    // Packed anew, the same content.
    bench.server.put("/acme/f", Entry { etag: None, ..entry(zip([("other.csv", &b"a,b\n1,2\n"[..])])) });
    let second = unit.object_open("store", &path("f"), None).unwrap();
    assert_eq!((first.size, &first.etag), (8, &second.etag));
    assert!(first.etag.starts_with("sha256:"));
}
