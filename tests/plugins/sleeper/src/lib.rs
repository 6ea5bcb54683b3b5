//! Tries to wait inside a call.

use kit::*;

struct Sleeper;

impl Connector for Sleeper {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        if request.body == b"sleep" {
            std::thread::sleep(std::time::Duration::from_secs(3_600));
        }
        Ok(contacts(&request))
    }
}

guest!(Sleeper);
