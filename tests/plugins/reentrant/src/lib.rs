//! Does something else while the host asks it for room for a value; the body says what.

use std::alloc::Layout;
use std::sync::atomic::{AtomicU8, Ordering};

use kit::*;

const CALL: u8 = 1;
const LOOP: u8 = 2;
const LIE: u8 = 3;

static SIN: AtomicU8 = AtomicU8::new(0);

/// What the host calls for room, in place of the one that comes with the bindings.
///
/// # Safety
/// As the contract between components and hosts has it; what was armed ends in a trap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cabi_realloc(old: *mut u8, old_len: usize, align: usize, new_len: usize) -> *mut u8 {
    match SIN.swap(0, Ordering::Relaxed) {
        CALL => log::emit(log::Level::Info, "from inside a call of the host", &[]),
        LOOP => loop {
            std::hint::black_box(0);
        },
        LIE => return 0xffff_ff00 as *mut u8,
        _ => {}
    }
    unsafe {
        match (old_len, new_len) {
            (_, 0) => align as *mut u8,
            (0, _) => std::alloc::alloc(Layout::from_size_align_unchecked(new_len, align)),
            _ => std::alloc::realloc(old, Layout::from_size_align_unchecked(old_len, align), new_len),
        }
    }
}

struct Reentrant;

impl Connector for Reentrant {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        let sin = match request.body.as_slice() {
            b"call" => CALL,
            b"loop" => LOOP,
            b"lie" => LIE,
            _ => return Ok(contacts(&request)),
        };
        let call = http::Request {
            endpoint: String::new(),
            method: http::Method::Get,
            path: vec![],
            query: vec![],
            headers: vec![],
            body: None,
            timeout_ms: None,
        };
        SIN.store(sin, Ordering::Relaxed);
        // Denied, in words for which the host asks for room.
        let answer = http::send(&call);
        Err(internal(if answer.is_err() { "came-back" } else { "granted" }))
    }
}

guest!(Reentrant);
