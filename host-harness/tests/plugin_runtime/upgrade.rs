//! Another version of a connector over the same store, forward and back, as a host is started with it.

use std::collections::BTreeMap;

use host_harness::config::{self, Environment};
use host_harness::connectors::Connector;
use host_harness::contract::Cursor;
use host_harness::host::Units;
use host_harness::operate::accounting::Sums;
use host_harness::pipeline::Step;
use host_harness::store::installations::{self, Installation};
use host_harness::store::runs::{self, Run};
use host_harness::store::{StoreError, jobs};

use crate::guests;
use crate::stage::*;

/// A host's data directory, which outlives the versions of the connector.
struct House(tempfile::TempDir);

/// A host that runs one version.
struct Running {
    units: Units,
    row: Installation,
}

impl House {
    /// Starts with this version; what is due by itself is done.
    fn start(&self, guest: &str, settings: &str) -> Running {
        let text = format!(
            "host:\n  data_dir: ./data\n  intake: 127.0.0.1:0\ntenants:\n  - name: shop\n    \
             brevo: {{ account: shop, api_key: \"${{BREVO}}\" }}\n    \
             connectors:\n      example:\n        enabled: true\n        key: \"${{KEY}}\"\n{settings}"
        );
        let secret = |name: &str| (name.to_owned(), "a-secret-of-the-test".to_owned().into());
        let environment = Environment::Given(BTreeMap::from([secret("BREVO"), secret("KEY")]));
        let config = config::parse(&text, self.0.path(), &environment, &["example"])
            .unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
        let connector = Connector { component: guests::component(guest), manifest: manifest() };
        let units = Units::open(&config, &[connector]).unwrap();
        let row = units.store().read(installations::all).unwrap().remove(0);
        let running = Running { units, row };
        running.rest();
        running
    }
}

impl Running {
    fn rest(&self) {
        while self.units.step().unwrap() == Step::Worked {}
    }

    /// Asks for a page, as `harness sync` does.
    fn sync(&self) -> Run {
        let now = self.units.now();
        self.units
            .store()
            .write::<_, StoreError>(|tx| runs::sync_now(tx, self.row.id, "pages", now))
            .unwrap();
        self.rest();
        self.run()
    }

    fn sync_anew(&self) -> Run {
        let now = self.units.now();
        let asked = self
            .units
            .store()
            .write::<_, StoreError>(|tx| runs::sync_anew(tx, self.row.id, "pages", now))
            .unwrap();
        asked.unwrap();
        self.rest();
        self.run()
    }

    fn run(&self) -> Run {
        let key = runs::resource_key("pages");
        self.units.store().read(|tx| runs::get(tx, self.row.id, &key)).unwrap().unwrap()
    }

    fn cursor(&self) -> Option<Cursor> {
        self.units.store().read(|tx| jobs::cursor(tx, self.row.id, self.row.source, "pages")).unwrap()
    }

    /// Records that were read, and actions that came of them.
    fn counts(&self) -> (i64, i64) {
        let sums = self.units.store().read::<_, StoreError>(|tx| Sums::of(tx, self.row.id)).unwrap();
        (sums.read, sums.actions)
    }
}

fn first(at: u32) -> Option<Cursor> {
    Some(Cursor { version: 1, bytes: at.to_string().into_bytes() })
}

fn second(at: u32) -> Option<Cursor> {
    Some(Cursor { version: 2, bytes: at.to_be_bytes().to_vec() })
}

#[test]
fn g16_up_and_back_again_nothing_is_read_twice_or_lost() {
    let house = House(tempfile::tempdir().unwrap());
    let one = house.start("counter-1", "");
    one.sync();
    assert_eq!((one.cursor(), one.counts()), (first(2), (2, 2)));
    drop(one);

    let two = house.start("counter-2", "");
    assert_eq!(two.cursor(), first(2), "nothing moves before a page is committed");
    assert_eq!(two.sync().result.as_deref(), Some("complete"));
    assert_eq!((two.cursor(), two.counts()), (second(3), (3, 3)), "it goes on where the first one stood");
    drop(two);

    let back = house.start("counter-1", "");
    for _ in 0..2 {
        let run = back.sync();
        assert_eq!((run.result.as_deref(), run.code.as_deref()), (Some("failed"), Some("cursor-version")));
        assert_eq!((back.cursor(), back.counts()), (second(3), (3, 3)), "refused by name, and kept");
    }
    drop(back);

    // The newer one takes up by itself what the older one could not read.
    let two = house.start("counter-2", "");
    assert_eq!((two.cursor(), two.counts()), (second(4), (4, 4)));
    drop(two);

    // Who stays with the older one begins anew, and what was accepted before is not accepted again.
    let back = house.start("counter-1", "");
    assert_eq!(back.sync().code.as_deref(), Some("cursor-version"));
    for at in 1..=5 {
        let run = if at == 1 { back.sync_anew() } else { back.sync() };
        assert_eq!(run.result.as_deref(), Some("complete"));
        assert_eq!(back.cursor(), first(at));
    }
    let (read, actions) = back.counts();
    assert_eq!((read, actions), (9, 5), "four were known; the fifth is news");
}

#[test]
fn g16_a_newer_version_that_can_not_read_the_older_cursor_refuses_it_by_name() {
    let house = House(tempfile::tempdir().unwrap());
    let one = house.start("counter-1", "");
    assert_eq!(one.cursor(), first(1));
    drop(one);
    let two = house.start("counter-2", "        forgetful: true\n");
    let run = two.sync();
    assert_eq!((run.result.as_deref(), run.code.as_deref()), (Some("failed"), Some("cursor-version")));
    assert_eq!((two.cursor(), two.counts()), (first(1), (1, 1)));
    drop(two);
    let one = house.start("counter-1", "");
    assert_eq!((one.cursor(), one.counts()), (first(2), (2, 2)), "going back loses nothing");
}
