//! Looks through all of its memory for what the settings name: bytes in hexadecimal, each of them
//! flipped by 0x5a, so that looking puts nothing there. Keeps what a webhook brought, for the next call.

use kit::*;

struct Rummage;

impl Connector for Rummage {
    fn fetch_page(request: PageRequest) -> Result<Page, Failure> {
        let answer = http::send(&http::Request {
            endpoint: "api".into(),
            method: http::Method::Get,
            path: vec!["v1".into()],
            query: vec![],
            headers: vec![],
            body: None,
            timeout_ms: None,
        });
        let said = match &answer {
            Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
            Err(error) => error.code.clone(),
        };
        let mut notes = found(&request.settings);
        notes.push(Note { name: "answer".into(), count: 1, message: said });
        // Neither is dropped before the memory was looked through.
        drop(answer);
        Ok(Page { notes, ..empty_page() })
    }

    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        let before = found(&request.settings);
        std::mem::forget(std::hint::black_box(request.body.clone()));
        Ok(WebhookOutcome { records: vec![], rejects: vec![], notes: before })
    }
}

/// How often each of the texts stands in memory.
fn found(settings: &str) -> Vec<Note> {
    let texts = settings.trim_matches('"').split(',').map(|hex| {
        let digits: Vec<u8> =
            hex.bytes().filter_map(|digit| char::from(digit).to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect::<Vec<u8>>()
    });
    texts
        .enumerate()
        .map(|(n, flipped)| Note {
            name: format!("found-{n}"),
            count: count(&flipped),
            message: String::new(),
        })
        .collect()
}

fn count(flipped: &[u8]) -> u32 {
    let end = core::arch::wasm32::memory_size(0) * 65_536;
    let at = |address: usize| {
        // SAFETY: every address below the size of the memory may be read.
        unsafe { core::ptr::read_volatile(address as *const u8) }
    };
    let mut count = 0;
    for start in 16..end.saturating_sub(flipped.len()) {
        if flipped.iter().enumerate().all(|(n, byte)| at(start + n) ^ 0x5a == *byte) {
            count += 1;
        }
    }
    count
}

guest!(Rummage);
