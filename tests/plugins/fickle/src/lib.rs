//! Names its records by whatever differs from one time to the next: random numbers, clocks, places
//! in memory, the order of a hash table.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Instant, SystemTime};

use kit::*;

struct Fickle;

impl Connector for Fickle {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        let begun = Instant::now();
        let random = RandomState::new().hash_one(0);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let place = Box::new(0_u8);
        let table: HashMap<u32, ()> = (0..100).map(|n| (n, ())).collect();
        let order: Vec<String> = table.keys().map(u32::to_string).collect();
        let key = format!(
            "{random}-{}-{}-{:p}-{}",
            since.as_nanos(),
            begun.elapsed().as_nanos(),
            &raw const *place,
            order.concat()
        );
        Ok(WebhookOutcome { records: vec![contact(&key)], ..contacts(&request) })
    }
}

guest!(Fickle);
