//! The files of one folder, in the order of their names' bytes, however the store lists them.
//!
//! The order is what makes a name a position: everything up to it was dealt with. Buckets list in
//! that order (ListObjectsV2, continued by `start-after`); the listings of a web server are
//! sorted here, directory by directory, so that a walk through them has the same order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec::IntoIter;

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;

use super::folders::Folder;
use super::remote::{Halt, Remote};
use crate::failure::Failure;
use crate::json::{self, Object, Scalar};
use crate::model::Millis;
use crate::source::client::HttpResponse;
use crate::source::time;

/// Names of one listing call. Far fewer than the 1,000 that a store would give: a page reads at
/// most some thirty files, and the rest would be listed again for the next page.
const BATCH: usize = 100;

/// Directories below the folder of a day that are walked into. MoEngage makes one level.
const DEEPEST: usize = 4;

/// A file as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Below the folder.
    pub name: String,
    /// When it was last written, where the listing says so in a form that can be read.
    pub modified: Option<Millis>,
}

impl Entry {
    /// Tells two versions of two files apart, always in the same way. Sums of it tell two folders
    /// apart, whatever the order.
    pub fn digest(&self) -> u64 {
        // FNV-1a, and the finaliser of SplitMix64 so that sums don't cancel out.
        let modified = self.modified.unwrap_or_default().to_le_bytes();
        let bytes = self.name.bytes().chain(modified);
        let hash = bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        let hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        hash ^ (hash >> 31)
    }
}

/// What a folder holds after a name.
pub struct Listing<'f> {
    folder: &'f Folder<'f>,
    after: Option<String>,
    listed_at: Option<Millis>,
    source: Source,
}

enum Source {
    Bucket {
        batch: IntoIter<Entry>,
        more: bool,
    },
    /// Directories that are being walked, the innermost last; none before the first call.
    Web(Option<Vec<Nodes>>),
}

impl<'f> Listing<'f> {
    /// Of everything after this name; nothing is called yet.
    pub fn new(folder: &'f Folder<'f>, after: Option<String>) -> Self {
        let source = match folder.exports.store.bucket() {
            Some(_) => Source::Bucket { batch: Vec::new().into_iter(), more: true },
            None => Source::Web(None),
        };
        Self { folder, after, listed_at: None, source }
    }

    /// When the store gave the first listing, by its own clock.
    pub fn listed_at(&self) -> Option<Millis> {
        self.listed_at
    }

    /// How many more are known.
    pub fn known(&self) -> u32 {
        let known = match &self.source {
            Source::Bucket { batch, .. } => batch.len(),
            Source::Web(levels) => levels.iter().flatten().map(BinaryHeap::len).sum(),
        };
        u32::try_from(known).unwrap_or(u32::MAX)
    }

    /// The next file.
    pub fn next(&mut self, remote: &mut Remote<'_, '_>) -> Result<Option<Entry>, Halt> {
        let entry = match &self.source {
            Source::Bucket { .. } => self.next_in_bucket(remote)?,
            Source::Web(_) => self.next_in_web(remote)?,
        };
        if let Some(entry) = &entry {
            self.after = Some(entry.name.clone());
        }
        Ok(entry)
    }

    fn next_in_bucket(&mut self, remote: &mut Remote<'_, '_>) -> Result<Option<Entry>, Halt> {
        loop {
            if let Source::Bucket { batch, more } = &mut self.source {
                match batch.next() {
                    // The folder's own placeholder, and those of folders below it.
                    Some(entry) if entry.name.is_empty() || entry.name.ends_with('/') => {
                        self.after = Some(entry.name);
                        continue;
                    }
                    Some(entry) => return Ok(Some(entry)),
                    None if !*more => return Ok(None),
                    None => {}
                }
            }
            let prefix = self.folder.prefix();
            let mut query = vec![
                ("list-type".to_owned(), "2".to_owned()),
                ("prefix".to_owned(), prefix.clone()),
                ("max-keys".to_owned(), BATCH.to_string()),
            ];
            if let Some(after) = &self.after {
                query.push(("start-after".to_owned(), format!("{prefix}{after}")));
            }
            let bucket = self.folder.exports.store.bucket().into_iter().map(str::to_owned).collect();
            let Some(response) = remote.listing(bucket, query)? else { return Ok(None) };
            self.stamp(&response);
            let (entries, more) = in_order(&response.body, &prefix, self.after.as_deref())?;
            self.source = Source::Bucket { batch: entries.into_iter(), more };
        }
    }

    fn next_in_web(&mut self, remote: &mut Remote<'_, '_>) -> Result<Option<Entry>, Halt> {
        let mut directory = String::new();
        loop {
            let Source::Web(levels) = &mut self.source else { return Ok(None) };
            let levels = match levels {
                Some(levels) => loop {
                    let Some(level) = levels.last_mut() else { return Ok(None) };
                    let Some(Reverse(node)) = level.pop() else {
                        levels.pop();
                        continue;
                    };
                    let after = self.after.as_deref().unwrap_or_default();
                    if !node.is_directory {
                        if node.path.as_str() > after {
                            return Ok(Some(Entry { name: node.path, modified: node.modified }));
                        }
                    } else if (node.path.as_str() > after || after.starts_with(&node.path))
                        && levels.len() < DEEPEST
                    {
                        directory = node.path;
                        break levels;
                    }
                },
                None => levels.insert(Vec::new()),
            };
            // Web servers tell a directory from a file by the slash at its end.
            let mut path = self.folder.path(&directory);
            path.push(String::new());
            let Some(response) = remote.listing(path, Vec::new())? else {
                levels.push(Nodes::new());
                continue;
            };
            let Some(nodes) = nodes(&response.body, &directory) else {
                return Err(unreadable(&response.body).into());
            };
            levels.push(nodes);
            self.stamp(&response);
        }
    }

    fn stamp(&mut self, response: &HttpResponse) {
        let date = || response.headers.iter().find(|(name, _)| name == "date");
        self.listed_at = self.listed_at.or_else(|| time::instant(&date()?.1));
    }
}

fn unreadable(body: &[u8]) -> Failure {
    Failure::vendor_contract(
        body,
        "listing-unreadable",
        "The store of exports answered with a success that is no whole listing.",
    )
}

/// Names of a page of ListObjectsV2 after the one that was asked for, and whether there are more.
fn in_order(body: &[u8], prefix: &str, after: Option<&str>) -> Result<(Vec<Entry>, bool), Failure> {
    let fail = |code, message: &str| Err(Failure::vendor_contract(body, code, message));
    let parsed = std::str::from_utf8(body).ok().and_then(list_objects);
    let Some((keys, more)) = parsed else { return Err(unreadable(body)) };
    let mut entries: Vec<Entry> = Vec::with_capacity(keys.len());
    let mut last: Option<String> = None;
    for (key, modified) in keys {
        let Some(name) = key.strip_prefix(prefix) else {
            return fail("listing-of-another-folder", "The listing holds keys of another folder.");
        };
        if last.as_deref().is_some_and(|last| name <= last) {
            return fail("listing-out-of-order", "The listing is not in the order of its keys.");
        }
        // Some stores ignore `start-after`.
        if after.is_none_or(|after| name > after) {
            entries.push(Entry { name: name.to_owned(), modified });
        }
        last = Some(name.to_owned());
    }
    if more && entries.is_empty() {
        return fail("listing-loop", "The listing says that there is more, but doesn't go on.");
    }
    Ok((entries, more))
}

/// Keys with their times.
type Keys = Vec<(String, Option<Millis>)>;

/// Keys with their times, and whether there are more: `ListBucketResult` of ListObjectsV2 (Amazon
/// S3 API; Google's XML API has the same). None where it isn't one, or not whole.
fn list_objects(text: &str) -> Option<(Keys, bool)> {
    let mut reader = Reader::from_str(text.strip_prefix('\u{FEFF}').unwrap_or(text));
    let mut path: Vec<String> = Vec::new();
    let (mut keys, mut more) = (Vec::new(), None);
    let (mut content, mut key, mut modified) = (String::new(), None, None);
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                path.push(start.local_name().as_ref().to_owned());
                content.clear();
                if path.first().is_some_and(|root| root != "ListBucketResult") {
                    return None;
                }
            }
            Event::Text(text) => content.push_str(&text.xml10_content()),
            Event::CData(data) => content.push_str(&data.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(c) => content.push(c),
                None => content.push_str(resolve_xml_entity(&reference)?),
            },
            Event::End(_) => {
                let at: Vec<_> = path.iter().skip(1).map(String::as_str).collect();
                match *at {
                    ["IsTruncated"] => {
                        more = Some(match content.trim() {
                            "true" => true,
                            "false" => false,
                            _ => return None,
                        });
                    }
                    ["Contents", "Key"] => key = Some(std::mem::take(&mut content)),
                    ["Contents", "LastModified"] => modified = time::instant(&content),
                    ["Contents"] => keys.push((key.take()?, modified.take())),
                    _ => {}
                }
                path.pop();
                content.clear();
            }
            Event::Eof if path.is_empty() => return Some((keys, more?)),
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// An entry of a web server's listing. The path of a directory ends in a slash, so that paths
/// sort like the names of the files below them.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    path: String,
    is_directory: bool,
    modified: Option<Millis>,
}

/// Entries of a directory, the one with the smallest path first. A heap is a tenth of the code of
/// a sort.
type Nodes = BinaryHeap<Reverse<Node>>;

/// The entries of a directory. None where the body is no listing of nginx
/// (`ngx_http_autoindex_module`, `autoindex_format json`).
fn nodes(body: &[u8], directory: &str) -> Option<Nodes> {
    let mut nodes = Nodes::new();
    for listed in json::elements(std::str::from_utf8(body).ok()?)? {
        let listed = Object::parse(listed.get())?;
        let text = |key| listed.get(key).and_then(Scalar::text);
        let name = text("name").filter(|name| !name.is_empty() && !name.contains('/'))?;
        let (is_directory, slash) = match &*text("type")? {
            "file" => (false, ""),
            "directory" => (true, "/"),
            _ => continue, // devices and the like
        };
        let modified = text("mtime").and_then(|stamp| time::instant(&stamp));
        nodes.push(Reverse(Node { path: format!("{directory}{name}{slash}"), is_directory, modified }));
    }
    Some(nodes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>acme</Name><Prefix>e/</Prefix>
<KeyCount>2</KeyCount><MaxKeys>100</MaxKeys><IsTruncated>true</IsTruncated>
<Contents><Key>e/a&amp;b&#x20;c.json</Key><LastModified>2022-05-20T04:51:50.000Z</LastModified>
<ETag>&quot;1&quot;</ETag><Size>10</Size><Owner><ID>Key</ID></Owner></Contents>
<Contents><Key>e/b.json</Key><LastModified>soon</LastModified></Contents></ListBucketResult>"#;

    #[test]
    fn a_documented_listing_is_read() {
        let (entries, more) = in_order(PAGE.as_bytes(), "e/", None).unwrap();
        let entry = |name: &str, modified| Entry { name: name.to_owned(), modified };
        assert_eq!(entries, [entry("a&b c.json", Some(1_653_022_310_000)), entry("b.json", None)]);
        assert!(more);
        assert_eq!(in_order(PAGE.as_bytes(), "e/", Some("a&b c.json")).unwrap().0.len(), 1);
    }

    #[test]
    fn n21_a_listing_that_does_not_go_on_is_named() {
        let code = |text: &str, prefix, after| in_order(text.as_bytes(), prefix, after).unwrap_err().code;
        assert_eq!(code(PAGE, "e/", Some("b.json")), "listing-loop");
        assert_eq!(code(PAGE, "f/", None), "listing-of-another-folder");
        assert_eq!(code(&PAGE.replace("e/b.json", "e/a"), "e/", None), "listing-out-of-order");
        // N24: an empty page that says there is more.
        let empty = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
        assert_eq!(code(empty, "e/", None), "listing-loop");
        assert_eq!(code("<html></html>", "e/", None), "listing-unreadable");
        assert_eq!(code(&PAGE.replace("true", "perhaps"), "e/", None), "listing-unreadable");
    }

    #[test]
    fn n06_a_listing_cut_anywhere_is_no_listing() {
        for at in 0..PAGE.len() {
            assert!(list_objects(&PAGE[..at]).is_none(), "{at}");
        }
        let listing = br#"[{"name":"a","type":"file","mtime":"Fri, 20 May 2022 04:51:50 GMT","size":1}]"#;
        for at in 0..listing.len() {
            assert!(nodes(&listing[..at], "").is_none(), "{at}");
        }
        assert_eq!(nodes(listing, "d/").unwrap().pop().unwrap().0.modified, Some(1_653_022_310_000));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, flip: u8) {
            let _ = (in_order(&bytes, "e/", None), nodes(&bytes, ""));
            let mut page = PAGE.as_bytes().to_vec();
            let at = at.index(page.len());
            page[at] = flip;
            let _ = in_order(&page, "e/", None);
        }
    }
}
