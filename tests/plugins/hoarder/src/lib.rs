//! Takes more of WASI than it needs: handles that it never gives back, random bytes by the MiB.

use kit::*;

struct Hoarder;

impl Connector for Hoarder {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        while request.body == b"hoard" {
            std::mem::forget(wasip2::cli::stderr::get_stderr());
        }
        let some =
            str::from_utf8(&request.body).ok().and_then(|body| body.strip_prefix("hoard-")?.parse().ok());
        for _ in 0..some.unwrap_or(0_u32) {
            std::mem::forget(wasip2::cli::stderr::get_stderr());
        }
        if request.body == b"random" {
            std::hint::black_box(wasip2::random::random::get_random_bytes(1 << 20));
        }
        Ok(contacts(&request))
    }
}

guest!(Hoarder);
