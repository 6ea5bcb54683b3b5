//! The states of rate windows, for a test that has no store.

use std::collections::BTreeMap;
use std::sync::Mutex;

use host_harness::egress::RateStore;

#[derive(Default)]
pub struct Rates(pub Mutex<BTreeMap<String, String>>);

impl RateStore for Rates {
    fn update(&self, bucket: &str, change: &mut dyn FnMut(Option<&str>) -> String) {
        let mut states = self.0.lock().unwrap();
        let state = change(states.get(bucket).map(String::as_str));
        states.insert(bucket.to_owned(), state);
    }
}
