//! Answers that end too early, at every byte.

use proptest::prelude::*;

use super::server::{Entry, Trouble, answer_of};
use super::{Bench, gzip, lines, listing, noise, path};

/// `tail`: bytes at the end of the answer that come after a mark that it is whole.
fn cut_at_every_byte(entry: &Entry, content: &[u8], tail: usize) {
    let bench = Bench::new();
    let length = answer_of(entry).len();
    assert!((600..2_000).contains(&length), "{length}");
    for cut in 0..length - tail {
        // Each cut has a file of its own, so that none is known from the one before.
        let name = format!("{cut}");
        bench.server.put(&format!("/acme/{name}"), entry.clone());
        bench.server.trouble([Trouble::Cut(cut)]);
        let opened = bench.unit().object_open("store", &path(&name), None);
        let error = opened.map(|_| format!("cut at {cut} of {length}")).unwrap_err();
        assert!(["bad-answer", "unreachable"].contains(&error.code.as_str()), "{cut}: {error:?}");
        let etag = entry.etag.as_deref().unwrap_or("sha256:");
        let gone = bench.unit().object_read("store", &path(&name), etag, 0, 100).unwrap_err();
        assert_eq!(gone.code, "object-gone", "{cut}");
        assert_eq!(bench.files("").len(), cut, "the files before, and no half one");
        assert_eq!(bench.content(&name).unwrap(), content, "{cut}");
        let asked = bench.server.asked();
        assert!(asked.last().unwrap().header("range").is_none(), "so little is fetched anew");
    }
    assert_eq!(bench.server.asked().len(), 2 * (length - tail));
}

#[test]
fn n06_a_file_cut_at_every_byte_is_never_taken_and_then_fetched_anew() {
    let (one, two) = (noise(500, 1), lines(40));
    // Two members: a cut between them leaves whole gzip, and is no whole answer.
    let body = [gzip(&one), gzip(&two)].concat();
    let entry = Entry { body, etag: Some("\"e1\"".into()), ranges: true, ..Entry::default() };
    cut_at_every_byte(&entry, &[one, two].concat(), 0);
}

#[test]
fn n06_a_chunked_file_cut_at_every_byte_is_never_taken() {
    let text = noise(500, 2);
    let entry = Entry { body: gzip(&text), chunked: true, ..Entry::default() };
    // After the last chunk's size, the line that ends the trailers.
    cut_at_every_byte(&entry, &text, 2);
}

#[test]
fn n06_a_listing_cut_at_every_byte_is_an_error() {
    let bench = Bench::new();
    let body = [b"<ListBucketResult>".to_vec(), noise(300, 3), b"</ListBucketResult>".to_vec()].concat();
    for encoded in [false, true] {
        let headers = match encoded {
            true => vec![("Content-Encoding".into(), "gzip".into())],
            false => vec![],
        };
        let sent = if encoded { gzip(&body) } else { body.clone() };
        let entry = Entry { body: sent, headers, ..Entry::default() };
        bench.server.put("/acme", entry.clone());
        for cut in 0..answer_of(&entry).len() {
            bench.server.trouble([Trouble::Cut(cut)]);
            let error = bench.unit().http(listing(&[("list-type", "2")])).unwrap_err();
            assert_eq!((error.code.as_str(), error.request_sent), ("bad-answer", true), "{cut}");
            assert_eq!(bench.unit().http(listing(&[("list-type", "2")])).unwrap().body, body);
        }
    }
}

#[test]
fn n06_a_file_whose_end_was_lost_before_it_was_stored_is_broken() {
    let bench = Bench::new();
    let whole = gzip(&lines(40));
    for cut in 2..whole.len() {
        let entry = Entry { body: whole[..cut].to_vec(), etag: Some("\"1\"".into()), ..Entry::default() };
        bench.server.put("/acme/f", entry);
        assert_eq!(bench.content("f").unwrap_err().code, "object-broken", "{cut}");
    }
    assert!(bench.files("").is_empty());
    bench.server.put("/acme/f", Entry { body: whole, ..Entry::default() });
    assert_eq!(bench.content("f").unwrap(), lines(40));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn n06_a_large_file_over_a_bad_line_arrives_whole_or_not_at_all(
        cuts in proptest::collection::vec(0..3_200_000_usize, 0..6),
        gzipped: bool,
        ranges: bool,
    ) {
        let bench = Bench::new();
        let text = noise(3 << 20, 4);
        let body = if gzipped { gzip(&text) } else { text.clone() };
        let entry = Entry { body: body.clone(), etag: Some("\"e\"".into()), ranges, ..Entry::default() };
        bench.server.put("/acme/f", entry);
        bench.server.trouble(cuts.iter().map(|cut| Trouble::Cut(*cut)));
        let mut attempts = 0;
        let content = loop {
            attempts += 1;
            match bench.content("f") {
                Ok(content) => break content,
                Err(error) => prop_assert!(["bad-answer", "unreachable"].contains(&error.code.as_str()), "{error:?}"),
            }
            prop_assert!(bench.files("").iter().all(|file| file.to_string_lossy().contains("draft-")));
            prop_assert!(attempts <= cuts.len() + 1);
        };
        prop_assert!(content == text);
        prop_assert_eq!(bench.files("draft-").len(), 0);
        let Some(continued) = bench.server.asked().into_iter().find(|asked| asked.header("range").is_some()) else {
            return Ok(());
        };
        prop_assert_eq!(continued.header("if-match"), Some("\"e\""));
    }
}

#[test]
fn n06_a_large_file_goes_on_where_its_connection_broke() {
    let bench = Bench::new();
    let text = noise(3 << 20, 5);
    let entry = Entry { body: gzip(&text), etag: Some("\"e\"".into()), ranges: true, ..Entry::default() };
    bench.server.put("/acme/f", entry);
    bench.server.trouble([Trouble::Cut(2 << 20)]);
    assert_eq!(bench.content("f").unwrap_err().code, "bad-answer");
    assert_eq!(bench.files("draft-").len(), 1);
    assert_eq!(bench.content("f").unwrap(), text);
    let range = bench.server.asked()[1].header("range").unwrap().to_owned();
    let from: usize = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
    assert!((1 << 20..2 << 20).contains(&from), "{from}");
}
