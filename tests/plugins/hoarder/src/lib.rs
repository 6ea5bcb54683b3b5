//! Takes handles of WASI and never gives one back.

use kit::*;

struct Hoarder;

impl Connector for Hoarder {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        while request.body == b"hoard" {
            std::mem::forget(wasip2::cli::stderr::get_stderr());
        }
        Ok(contacts(&request))
    }
}

guest!(Hoarder);
