//! Processor time, which goes on only while a thread computes.

use std::time::Duration;

/// Processor time that this thread has used.
pub fn of_this_thread() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec of this frame. The clock is one that Linux always
    // has; where the call failed the time would stay zero, and the wall clock alone would limit.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
