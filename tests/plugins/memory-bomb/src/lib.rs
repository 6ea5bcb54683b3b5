//! Takes memory until there is none.

use kit::*;

struct Bomb;

impl Connector for Bomb {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        let mut hoard = Vec::new();
        while request.body == b"bomb" {
            hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
        }
        Ok(contacts(&request))
    }
}

guest!(Bomb);
