//! Breaks in a webhook, in the way that the body names.

use kit::*;

struct Trap;

impl Connector for Trap {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        match request.body.as_slice() {
            b"panic" => panic!("a secret that must not show: {:?}", request.body),
            b"unreachable" => core::arch::wasm32::unreachable(),
            // Outside of whatever Rust owns, and outside of the memory.
            b"out-of-bounds" => {
                let beyond = unsafe { core::ptr::read_volatile(0xffff_fff0 as *const u32) };
                Err(internal(&beyond.to_string()))
            }
            b"exit" => std::process::exit(3),
            b"deep" => Err(internal(&recurse(1).to_string())),
            body => {
                let calls =
                    str::from_utf8(body).ok().and_then(|body| body.strip_prefix("deep-")?.parse().ok());
                if let Some(calls) = calls {
                    std::hint::black_box(descend(calls));
                }
                Ok(contacts(&request))
            }
        }
    }
}

#[allow(unconditional_recursion)]
fn recurse(n: u64) -> u64 {
    std::hint::black_box(recurse(std::hint::black_box(n + 1)) + n)
}

#[inline(never)]
fn descend(calls: u64) -> u64 {
    if calls == 0 { 0 } else { std::hint::black_box(descend(std::hint::black_box(calls - 1))) + calls }
}

guest!(Trap);
