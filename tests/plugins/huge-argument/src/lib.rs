//! Hands the host more than may cross the boundary, and lengths that are lies; the body says which.

use kit::*;

#[link(wasm_import_module = "tajo:connector/log@0.1.0")]
unsafe extern "C" {
    /// `log.emit` as it is on the wire: level, message, fields; each list as its place and length.
    #[link_name = "emit"]
    fn emit(level: i32, message: usize, bytes: usize, fields: usize, count: usize);
}

struct Huge;

impl Connector for Huge {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        match request.body.as_slice() {
            b"message" => log::emit(log::Level::Info, &"x".repeat(17 << 20), &[]),
            b"value" => drop(storage::set("key", &vec![0; 17 << 20])),
            // Sixteen bytes in here, and three times as many in the host, for each.
            b"fields" => {
                let fields = vec![0_u8; 48 << 20];
                unsafe { emit(1, 0, 0, fields.as_ptr() as usize, (48 << 20) / 16) };
            }
            b"long-lie" => unsafe { emit(1, 16, 1 << 30, 0, 0) },
            b"many-lie" => unsafe { emit(1, 0, 0, 16, 100_000_000) },
            b"wrapping-lie" => unsafe { emit(1, usize::MAX - 8, usize::MAX, 0, 0) },
            _ => {}
        }
        Ok(contacts(&request))
    }
}

guest!(Huge);
