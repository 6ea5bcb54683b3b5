//! Asks WASI for everything that it could know of the machine, and writes down what it got.

use std::time::SystemTime;

use kit::*;

struct Nosy;

impl Connector for Nosy {
    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map(|t| t.as_millis());
        let before = std::time::Instant::now();
        for _ in 0..1_000_000 {
            std::hint::black_box(before);
        }
        let mut input = String::new();
        let read = std::io::Read::read_to_string(&mut std::io::stdin(), &mut input).unwrap_or(0);
        println!("nobody reads this");
        eprintln!("nor this");
        let random = wasi::random::random::get_random_bytes(8);
        let found = format!(
            "env={} args={} preopens={} files={} stdin={read} wall={:?} monotonic={} random={random:?}",
            std::env::vars().count(),
            std::env::args().count(),
            wasi::filesystem::preopens::get_directories().len(),
            ["/", ".", "/etc/passwd", "/proc/self/environ"]
                .iter()
                .filter(|path| std::fs::metadata(path).is_ok() || std::fs::read_dir(path).is_ok())
                .count(),
            since(SystemTime::now()),
            before.elapsed().as_nanos(),
        );
        let note = Note { name: "found".into(), count: 1, message: found };
        Ok(WebhookOutcome { notes: vec![note], ..contacts(&request) })
    }
}

guest!(Nosy);
