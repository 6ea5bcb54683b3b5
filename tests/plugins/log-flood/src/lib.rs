//! Logs far more than it may, with bytes that would forge lines and move a terminal's cursor.

use kit::*;

struct Flood;

impl Connector for Flood {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        if request.body == b"long" {
            for _ in 0..500 {
                log::emit(log::Level::Info, &"long ".repeat(2_000), &[]);
            }
            return Ok(contacts(&request));
        }
        // Not a log: WASI's own output, which nobody reads.
        if request.body == b"print" {
            for _ in 0..2_000 {
                println!("{}", "printed ".repeat(500));
                eprintln!("{}", "printed ".repeat(500));
            }
            return Ok(contacts(&request));
        }
        log::emit(
            log::Level::Info,
            "first\n2026-01-01 ERROR forged\u{1b}[2J",
            &[("field\r".into(), "v".repeat(10_000))],
        );
        for n in 0..50_000 {
            log::emit(log::Level::Debug, "flood", &[("n".into(), n.to_string())]);
        }
        Ok(contacts(&request))
    }
}

guest!(Flood);
