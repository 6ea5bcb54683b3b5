//! What becomes of a file.

use std::time::Duration;

use super::server::Entry;
use super::{Bench, gzip, lines, listing, noise, path};

fn entry(body: impl Into<Vec<u8>>, etag: &str) -> Entry {
    Entry { body: body.into(), etag: Some(etag.into()), ranges: true, ..Entry::default() }
}

#[test]
fn listings_and_files_are_read_by_signed_requests() {
    let bench = Bench::new();
    let text = lines(1_000);
    bench.server.put("/acme", entry("<ListBucketResult/>", "l"));
    let query = [("list-type", "2"), ("prefix", "events_ä/export_day=2026-11-01/ +~"), ("start-after", "")];
    let answer = bench.unit().http(listing(&query)).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"<ListBucketResult/>"[..]));
    bench.server.put("/acme/events_%C3%A4/export_day%3D1/a%20%2B~.json.gz", entry(gzip(&text), "\"e1\""));
    assert_eq!(bench.content("events_ä/export_day=1/a +~.json.gz").unwrap(), text);
    let asked = bench.server.asked();
    assert_eq!(asked.len(), 2);
    for request in asked {
        assert_eq!(request.header("host"), Some(bench.server.address.to_string().as_str()));
        assert!(!format!("{:?}", request.headers).contains(super::SECRET));
    }
}

#[test]
fn all_members_of_a_gzip_file_are_one_content() {
    let bench = Bench::new();
    let (one, two) = (lines(500), lines(300));
    let members = [gzip(&one), gzip(b""), gzip(&two)].concat();
    bench.server.put("/acme/f", entry(members, "\"1\""));
    assert_eq!(bench.content("f").unwrap(), [one, two].concat());
}

#[test]
fn what_is_not_gzip_passes_as_it_is() {
    let bench = Bench::new();
    // An OpenPGP message begins with a packet tag of its own (RFC 9580, 4.2).
    let encrypted = [&[0x85, 0x02, 0x0c][..], &noise(5_000, 1)].concat();
    let inside = gzip(b"not looked at: the outside is not gzip");
    for (name, body) in [
        ("gpg", encrypted),
        ("empty", vec![]),
        ("one", vec![0x1f]),
        ("two", vec![0x1f, 0x8c]),
        ("inside", [b"x".to_vec(), inside].concat()),
    ] {
        bench.server.put(&format!("/acme/{name}"), entry(body.clone(), "\"1\""));
        assert_eq!(bench.content(name).unwrap(), body, "{name}");
    }
}

#[test]
fn a_content_encoding_comes_off_and_then_gzip_once() {
    let bench = Bench::new();
    let text = lines(200);
    let encoded = |body: Vec<u8>| Entry {
        headers: vec![("Content-Encoding".into(), "gzip".into())],
        ..entry(body, "\"1\"")
    };
    // Stored with that header, as S3 hands it out; and encoded on the way over a file of gzip.
    bench.server.put("/acme/once", encoded(gzip(&text)));
    bench.server.put("/acme/twice", encoded(gzip(&gzip(&text))));
    assert_eq!(bench.content("once").unwrap(), text);
    assert_eq!(bench.content("twice").unwrap(), text);
    bench.server.put("/acme/nested", entry(gzip(&gzip(&text)), "\"1\""));
    assert_eq!(bench.content("nested").unwrap(), gzip(&text), "one layer of its own");
    let brotli = Entry { headers: vec![("Content-Encoding".into(), "br".into())], ..entry("x", "\"1\"") };
    bench.server.put("/acme/br", brotli);
    assert_eq!(bench.content("br").unwrap_err().code, "bad-answer");
}

#[test]
fn an_etag_that_cant_be_sent_back_is_an_identity_all_the_same() {
    let bench = Bench::new();
    bench.server.put("/acme/f", entry("x", "\"ä\""));
    assert_eq!(bench.content("f").unwrap(), b"x");
    assert_eq!(bench.content("f").unwrap(), b"x", "downloaded again, and not stuck");
    assert!(bench.server.asked().iter().all(|asked| asked.header("if-none-match").is_none()));
}

#[test]
fn two_units_that_want_one_file_get_one_download() {
    let bench = Bench::new();
    let text = noise(3 << 20, 2);
    bench.server.put("/acme/f", entry(text.clone(), "\"1\""));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let unit = bench.unit();
                let object = unit.object_open("store", &path("f"), Some("\"1\"")).unwrap();
                assert_eq!(object.size, text.len() as u64);
                let piece = unit.object_read("store", &path("f"), "\"1\"", 1 << 20, 100).unwrap();
                assert_eq!(piece, text[1 << 20..][..100]);
            });
        }
    });
    assert_eq!(bench.server.asked().len(), 1);
}

#[test]
fn a_file_that_a_power_cut_shortened_is_no_file() {
    let bench = Bench::new();
    let text = lines(2_000);
    bench.server.put("/acme/f", entry(gzip(&text), "\"1\""));
    bench.content("f").unwrap();
    let file = bench.files("").remove(0);
    let whole = std::fs::read(&file).unwrap();
    for length in [0, 1, 19, 20, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let gone = bench.unit().object_read("store", &path("f"), "\"1\"", 0, 10).unwrap_err();
        assert_eq!(gone.code, "object-gone", "{length}");
        assert_eq!(bench.content("f").unwrap(), text, "{length}");
    }
    // Zeroes where the end should be.
    let zeroed = [&whole[..whole.len() - 30], &[0; 30][..]].concat();
    std::fs::write(&file, zeroed).unwrap();
    assert_eq!(bench.content("f").unwrap(), text);
    assert_eq!(bench.server.asked().len(), 8, "fetched anew each time");
}

#[test]
fn h01_what_a_killed_host_left_unfinished_is_swept_and_in_nobodys_way() {
    let bench = Bench::new();
    bench.server.put("/acme/a", entry("a", "\"1\""));
    bench.content("a").unwrap();
    let home = bench.files("")[0].parent().unwrap().to_owned();
    let bench = bench.restarted();
    // In a container the next process has the same id.
    for n in 0..2_000 {
        std::fs::write(home.join(format!("draft-{}-{n}", std::process::id())), b"half").unwrap();
    }
    bench.server.put("/acme/b", entry("b", "\"1\""));
    assert_eq!(bench.content("b").unwrap(), b"b");
    assert!(bench.files("draft-").is_empty());
    let known = bench.unit().object_open("store", &path("a"), Some("\"1\"")).unwrap();
    assert_eq!(known.size, 1, "what was whole is still there");
}

#[test]
fn the_quota_holds_while_a_file_grows() {
    let bench = Bench::with_quota(100 << 20);
    let old = noise(20 << 20, 3);
    for name in ["a", "b", "c"] {
        bench.server.put(&format!("/acme/{name}"), entry(old.clone(), "\"1\""));
        bench.unit().object_open("store", &path(name), None).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    // 90 MiB of content in 9 MiB: with the 60 that are there, more than the quota.
    let piece = [noise(1 << 20, 4), vec![b'x'; 9 << 20]].concat();
    let large = gzip(&piece.repeat(9));
    bench.server.put("/acme/large", entry(large, "\"1\""));
    assert_eq!(bench.unit().object_open("store", &path("large"), None).unwrap().size, 90 << 20);
    let total: u64 = bench.files("").iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(total <= 100 << 20, "{total}");
    assert_eq!(bench.files("").len(), 1, "all three gave way");
    let gone = bench.unit().object_read("store", &path("c"), "\"1\"", 0, 1).unwrap_err();
    assert_eq!(gone.code, "object-gone");
}
