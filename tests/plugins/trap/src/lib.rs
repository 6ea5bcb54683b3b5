//! Panics on a body that says so.

use kit::*;

struct Trap;

impl Connector for Trap {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        assert!(request.body != b"panic", "a secret that must not show: {:?}", request.body);
        Ok(contacts(&request))
    }
}

guest!(Trap);
