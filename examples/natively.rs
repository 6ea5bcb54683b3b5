//! The connector's two hottest doors as a native program: what `harness bench map` holds the
//! sandbox against. The same code, built with the same profile, over the same bytes.
//!
//! `natively SETTINGS BATCHES EVENTS`: a file with the settings as JSON; a file of webhook bodies,
//! each after its length (32 bits, little endian); how many events to read in all, at 100 in each
//! body. The file is read again from its beginning where it is shorter. Prints one line of JSON.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::time::Instant;

use moengage_connector::{Log, Mapping, Settings, Storage, WebhookRequest, handle_webhook, map_record};

/// 2025-11-24; any instant does.
const NOW: i64 = 1_764_000_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().expect("natively SETTINGS BATCHES EVENTS");
    let settings = std::fs::read_to_string(argument()).expect("the settings can't be read");
    let settings = Settings::parse(&settings).expect("the settings are wrong");
    let mut batches = BufReader::with_capacity(256 * 1024, File::open(argument()).expect("no batches"));
    let events: usize = argument().parse().expect("EVENTS is no number");

    let started = Instant::now();
    let (mut seen, mut objects, mut actions) = (0, 0, 0);
    while seen < events {
        let mut length = [0; 4];
        if batches.read_exact(&mut length).is_err() {
            batches.rewind().unwrap();
            batches.read_exact(&mut length).expect("the batches are empty");
        }
        let mut body = vec![0; u32::from_le_bytes(length) as usize];
        batches.read_exact(&mut body).unwrap();
        let request =
            WebhookRequest { surface: "streams".to_owned(), body, headers: Vec::new(), received_at: NOW };
        let outcome = handle_webhook(&settings, &request, &mut Nothing).unwrap();
        for record in &outcome.records {
            if let Ok(Mapping::Actions(found)) = map_record(&settings, record, NOW, &mut Nothing) {
                actions += found.len();
            }
        }
        objects += outcome.records.len();
        seen += 100;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{{\"seconds\":{seconds},\"objects\":{objects},\"actions\":{actions}}}");
}

struct Nothing;

impl Storage for Nothing {
    fn get(&mut self, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn set(&mut self, _: &str, _: &[u8]) -> bool {
        true
    }

    fn list(&mut self, _: &str, _: Option<&str>) -> Vec<String> {
        Vec::new()
    }
}

impl Log for Nothing {
    fn warn(&mut self, _: &'static str, _: &[(&'static str, &str)]) {}
}
