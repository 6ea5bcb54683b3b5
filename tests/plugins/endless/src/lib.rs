//! Never comes back from a call.

use kit::*;

struct Endless;

impl Connector for Endless {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        while request.body == b"loop" {
            std::hint::black_box(&request);
        }
        Ok(contacts(&request))
    }
}

guest!(Endless);
