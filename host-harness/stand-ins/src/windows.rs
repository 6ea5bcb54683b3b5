//! Rate windows: so many requests in any stretch of that length.

use std::collections::VecDeque;

use crate::clock::Millis;

/// At most `limit` requests in any `period_ms` milliseconds of host time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) limit: u64,
    pub(crate) period_ms: i64,
}

/// How a window stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Until the next place becomes free; rounded up.
    pub(crate) reset_s: u64,
}

/// Several windows that must all admit a request.
#[derive(Clone, Debug)]
pub(crate) struct Windows(Vec<(Window, VecDeque<Millis>)>);

impl Windows {
    pub(crate) fn new(windows: &[Window]) -> Self {
        Self(windows.iter().map(|window| (*window, VecDeque::new())).collect())
    }

    /// Counts the request where every window admits it. The standing is that of the window which
    /// refuses, else of the one with the fewest places left; none where there is no window.
    pub(crate) fn admit(&mut self, now: Millis) -> Result<Option<Standing>, Standing> {
        self.admit_many(now, 1)
    }

    /// As `admit`, for a request that counts as so many; it is admitted whole or not at all.
    pub(crate) fn admit_many(&mut self, now: Millis, weight: u64) -> Result<Option<Standing>, Standing> {
        for (window, seen) in &mut self.0 {
            while seen.front().is_some_and(|at| at + window.period_ms <= now) {
                seen.pop_front();
            }
        }
        let refusing = self.0.iter().filter(|(window, seen)| seen.len() as u64 + weight > window.limit);
        if let Some(standing) = refusing.map(|(w, seen)| standing(w, seen, now)).max_by_key(|s| s.reset_s) {
            return Err(standing);
        }
        for (_, seen) in &mut self.0 {
            seen.extend((0..weight).map(|_| now));
        }
        Ok(self.0.iter().map(|(w, seen)| standing(w, seen, now)).min_by_key(|s| s.remaining))
    }
}

fn standing(window: &Window, seen: &VecDeque<Millis>, now: Millis) -> Standing {
    let free_at = seen.front().map_or(now, |at| at + window.period_ms);
    Standing {
        limit: window.limit,
        remaining: window.limit.saturating_sub(seen.len() as u64),
        reset_s: (free_at - now).max(0).unsigned_abs().div_ceil(1_000),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn says_when_the_next_place_is_free() {
        let mut windows = Windows::new(&[Window { limit: 2, period_ms: 1_000 }]);
        assert_eq!(windows.admit(0), Ok(Some(Standing { limit: 2, remaining: 1, reset_s: 1 })));
        assert_eq!(windows.admit(900).unwrap().unwrap().remaining, 0);
        assert_eq!(windows.admit(999), Err(Standing { limit: 2, remaining: 0, reset_s: 1 }));
        assert!(windows.admit(1_000).is_ok());
        assert!(windows.admit(1_001).is_err());
    }

    proptest! {
        #[test]
        fn no_stretch_ever_holds_more_than_its_limit(
            gaps in prop::collection::vec(0_i64..400, 1..300),
        ) {
            let table = [Window { limit: 10, period_ms: 1_000 }, Window { limit: 60, period_ms: 10_000 }];
            let mut windows = Windows::new(&table);
            let mut now = 0;
            let mut admitted = Vec::new();
            for gap in gaps {
                now += gap;
                if windows.admit(now).is_ok() {
                    admitted.push(now);
                }
            }
            for window in table {
                for start in &admitted {
                    let held = admitted.iter().filter(|at| (*start..start + window.period_ms).contains(at));
                    prop_assert!(held.count() as u64 <= window.limit);
                }
            }
        }
    }
}
