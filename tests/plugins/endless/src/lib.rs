//! Never comes back from a call.

use kit::*;

struct Endless;

impl Connector for Endless {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        while request.body == b"loop" {
            std::hint::black_box(&request);
        }
        // The longest single instruction that there is, again and again.
        if request.body == b"copy" {
            let (from, mut to) = (vec![1_u8; 30 << 20], vec![0_u8; 30 << 20]);
            loop {
                std::hint::black_box(&mut to).copy_from_slice(std::hint::black_box(&from));
            }
        }
        Ok(contacts(&request))
    }
}

guest!(Endless);
