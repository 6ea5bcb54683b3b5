//! Named points at which a test can kill the process.
//!
//! `HARNESS_CRASH_AT=name` or `name:n` kills the process with SIGKILL when the point is reached
//! for the n-th time. Only builds with debug assertions look at it.

/// Every named point, in the order in which the data passes them.
pub const POINTS: &[&str] = &[
    "intake-before-append",
    "intake-after-append",
    "unit-after-claim",
    "unit-after-guest",
    "unit-before-commit",
    "unit-after-commit",
    "delivery-before-in-flight",
    "delivery-after-in-flight",
    "delivery-after-answer",
    "delivery-after-done",
];

/// Dies here if the environment says so.
pub fn point(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::check(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static HITS: AtomicU64 = AtomicU64::new(0);

    pub fn check(name: &'static str) {
        debug_assert!(super::POINTS.contains(&name), "{name} is not a listed crash point");
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var("HARNESS_CRASH_AT").ok()?;
            Some(match text.split_once(':') {
                Some((name, n)) => (name.to_owned(), n.parse().unwrap_or(1)),
                None => (text, 1),
            })
        });
        if let Some((at, n)) = armed
            && at == name
            && HITS.fetch_add(1, Ordering::SeqCst) + 1 == *n
        {
            // SAFETY: kill and getpid have no preconditions; the process ends here.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            loop {
                std::thread::park();
            }
        }
    }
}
