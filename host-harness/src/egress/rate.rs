//! Rate windows, kept ahead of time.
//!
//! A window allows so many calls in any stretch of so many seconds. Calls are counted before they
//! are made, so that the vendor's limit is not met but kept. The state is a small value that the
//! caller stores; it holds a few dozen numbers a window, whatever the limit.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::rate_headers::RateHeaders;
use crate::contract::{RateWindow, ResourceSpec};
use crate::world::Millis;

/// Calls closer together than a window divided by this are counted as one slot, which leaves the
/// window with its latest call: never too many calls, at most that much waiting too long.
const SLOTS: i64 = 32;

/// First and longest wait after a 429 that doesn't say how long.
const BACKOFF: (Millis, Millis) = (1_000, 60_000);

/// The windows under which each resource calls, and the name of what counts them: resources of one
/// endpoint share them, because a vendor counts calls and not what they are for. Where they state
/// different limits for the same time, the lowest holds.
pub fn shared(resources: &[ResourceSpec]) -> BTreeMap<String, (String, Vec<RateWindow>)> {
    let mut limits: BTreeMap<&str, BTreeMap<u32, u32>> = BTreeMap::new();
    for resource in resources {
        let windows = limits.entry(&resource.endpoint).or_default();
        for window in &resource.rate_windows {
            let calls = windows.entry(window.seconds).or_insert(window.calls);
            *calls = (*calls).min(window.calls);
        }
    }
    let of = |resource: &ResourceSpec| {
        let windows = limits.get(resource.endpoint.as_str()).into_iter().flatten();
        let windows = windows.map(|(&seconds, &calls)| RateWindow { calls, seconds }).collect();
        (resource.name.clone(), (resource.endpoint.clone(), windows))
    };
    resources.iter().map(of).collect()
}

/// May a call be made now?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Yes.
    Now,
    /// Not before this instant.
    At(Millis),
}

/// Several windows that hold together, and what the vendor's answers said on top.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    windows: Vec<Window>,
    /// Closed by an answer until then.
    closed_until: Millis,
    /// Answers 429 in a row that didn't say how long to wait.
    mute_refusals: u32,
    /// Latest instant that was seen.
    latest: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    calls: u32,
    seconds: u32,
    slots: VecDeque<Slot>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    first: Millis,
    last: Millis,
    count: u32,
}

impl Windows {
    /// Empty windows.
    pub fn new(limits: &[RateWindow]) -> Self {
        let window = |limit: &RateWindow| Window {
            calls: limit.calls,
            seconds: limit.seconds,
            slots: VecDeque::new(),
        };
        Self { windows: limits.iter().map(window).collect(), ..Self::default() }
    }

    /// Windows with what a stored state (JSON) counted. Limits are those given; a state that
    /// can't be read counts as none.
    pub fn resume(limits: &[RateWindow], stored: Option<&str>) -> Self {
        let mut windows = Self::new(limits);
        let Some(stored) = stored.and_then(|text| serde_json::from_str::<Self>(text).ok()) else {
            return windows;
        };
        windows.closed_until = stored.closed_until;
        windows.mute_refusals = stored.mute_refusals;
        windows.latest = stored.latest;
        for window in &mut windows.windows {
            if let Some(known) = stored.windows.iter().find(|known| known.seconds == window.seconds) {
                window.slots.clone_from(&known.slots);
            }
        }
        windows
    }

    /// Whether a call may be made now.
    pub fn check(&mut self, now: Millis) -> Ready {
        self.see(now);
        let full = self.windows.iter().filter_map(|window| window.full_until(now));
        match full.chain([self.closed_until]).max() {
            Some(at) if at > now => Ready::At(at),
            _ => Ready::Now,
        }
    }

    /// Counts a call that is made now.
    pub fn note(&mut self, now: Millis) {
        self.see(now);
        for window in &mut self.windows {
            window.note(now);
        }
    }

    /// Where the clock was set back, everything that was noted is set back with it: what counts
    /// is how long ago it was.
    fn see(&mut self, now: Millis) {
        let back = self.latest.saturating_sub(now);
        if back > 0 {
            self.closed_until -= back;
            for slot in self.windows.iter_mut().flat_map(|window| &mut window.slots) {
                slot.first -= back;
                slot.last -= back;
            }
        }
        self.latest = now;
    }

    /// Obeys an answer.
    pub fn feedback(&mut self, now: Millis, status: u16, headers: &RateHeaders) {
        self.see(now);
        let wait = headers.wait(status);
        if let Some(wait) = wait {
            self.closed_until = self.closed_until.max(now.saturating_add(wait));
        }
        if status == 429 && wait.is_none() {
            let backoff = (BACKOFF.0 << self.mute_refusals.min(6)).min(BACKOFF.1);
            self.closed_until = self.closed_until.max(now.saturating_add(backoff));
            self.mute_refusals = self.mute_refusals.saturating_add(1);
        } else if status != 429 {
            self.mute_refusals = 0;
        }
    }
}

impl Window {
    fn length(&self) -> Millis {
        i64::from(self.seconds) * 1_000
    }

    /// When a slot is out of the window.
    fn leaves(&self, slot: &Slot) -> Millis {
        slot.last.saturating_add(self.length())
    }

    /// Until when there is no room for one more call.
    fn full_until(&self, now: Millis) -> Option<Millis> {
        let inside = || self.slots.iter().filter(|slot| self.leaves(slot) > now);
        let mut calls: u64 = inside().map(|slot| u64::from(slot.count)).sum();
        let limit = u64::from(self.calls.max(1));
        for slot in inside() {
            if calls < limit {
                return None;
            }
            calls -= u64::from(slot.count);
            if calls < limit {
                return Some(self.leaves(slot));
            }
        }
        None
    }

    fn note(&mut self, now: Millis) {
        while self.slots.front().is_some_and(|slot| self.leaves(slot) <= now) {
            self.slots.pop_front();
        }
        let width = self.length() / SLOTS;
        match self.slots.back_mut() {
            Some(slot) if now.saturating_sub(slot.first) < width => {
                slot.last = slot.last.max(now);
                slot.count = slot.count.saturating_add(1);
            }
            _ => self.slots.push_back(Slot { first: now, last: now, count: 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    const NOW: Millis = 1_795_435_200_000;

    fn windows(limits: &[(u32, u32)]) -> Windows {
        let limits: Vec<_> = limits.iter().map(|&(calls, seconds)| RateWindow { calls, seconds }).collect();
        Windows::new(&limits)
    }

    #[test]
    fn a_full_window_opens_when_its_first_call_leaves() {
        let mut windows = windows(&[(2, 10)]);
        assert_eq!(windows.check(NOW), Ready::Now);
        windows.note(NOW);
        windows.note(NOW + 4_000);
        assert_eq!(windows.check(NOW + 4_000), Ready::At(NOW + 10_000));
        assert_eq!(windows.check(NOW + 9_999), Ready::At(NOW + 10_000));
        assert_eq!(windows.check(NOW + 10_000), Ready::Now);
    }

    #[test]
    fn resources_of_one_endpoint_share_the_lowest_of_their_limits() {
        let resource = |name: &str, endpoint: &str, limits: &[(u32, u32)]| ResourceSpec {
            name: name.into(),
            kind: "thing".into(),
            primary_key: Vec::new(),
            nature: crate::contract::Nature::State,
            mode: crate::contract::SyncMode::Full,
            cursor_strategy: String::new(),
            page_limit: 1,
            replay_policy: String::new(),
            cadence: 0,
            rate_windows: limits.iter().map(|&(calls, seconds)| RateWindow { calls, seconds }).collect(),
            schema: "{}".into(),
            endpoint: endpoint.into(),
            slot: None,
        };
        let all = shared(&[
            resource("a", "one", &[(10, 1), (100, 60)]),
            resource("b", "one", &[(50, 60), (1_000, 3_600)]),
            resource("c", "two", &[(7, 60)]),
        ]);
        let of = |name: &str| {
            let (counted_as, windows) = &all[name];
            (counted_as.as_str(), windows.iter().map(|w| (w.calls, w.seconds)).collect::<Vec<_>>())
        };
        assert_eq!(of("a"), ("one", vec![(10, 1), (50, 60), (1_000, 3_600)]));
        assert_eq!(of("a"), of("b"));
        assert_eq!(of("c"), ("two", vec![(7, 60)]));
    }

    #[test]
    fn the_tightest_window_decides() {
        let mut windows = windows(&[(5, 1), (8, 60)]);
        for n in 0..8 {
            windows.note(NOW + n * 500);
        }
        assert_eq!(windows.check(NOW + 30_000), Ready::At(NOW + 60_000 + 1_500), "slots are 1.875 s wide");
    }

    #[test]
    fn n13_an_answer_closes_the_windows() {
        let mut windows = windows(&[(100, 1)]);
        windows.feedback(NOW, 429, &RateHeaders { retry_after: Some(7_000), ..Default::default() });
        assert_eq!(windows.check(NOW), Ready::At(NOW + 7_000));
        windows.feedback(NOW, 200, &RateHeaders { retry_after: Some(3_000), ..Default::default() });
        assert_eq!(windows.check(NOW), Ready::At(NOW + 7_000), "never for less than before");
        assert_eq!(windows.check(NOW + 7_000), Ready::Now);
    }

    #[test]
    fn n13_refusals_without_a_reason_back_off() {
        let mut windows = windows(&[]);
        let mut now = NOW;
        let mut waits = Vec::new();
        for _ in 0..9 {
            windows.feedback(now, 429, &RateHeaders::default());
            let Ready::At(at) = windows.check(now) else { panic!() };
            waits.push((at - now) / 1_000);
            now = at;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        windows.feedback(now, 200, &RateHeaders::default());
        windows.feedback(now, 429, &RateHeaders::default());
        assert_eq!(windows.check(now), Ready::At(now + 1_000));
    }

    #[test]
    fn a_restart_forgets_nothing_and_new_limits_hold_at_once() {
        let limits = [RateWindow { calls: 2, seconds: 10 }];
        let mut windows = Windows::new(&limits);
        windows.note(NOW);
        windows.note(NOW);
        let stored = serde_json::to_string(&windows).unwrap();
        assert_eq!(Windows::resume(&limits, Some(&stored)).check(NOW + 1), Ready::At(NOW + 10_000));
        let more = [RateWindow { calls: 3, seconds: 10 }];
        assert_eq!(Windows::resume(&more, Some(&stored)).check(NOW + 1), Ready::Now);
        assert_eq!(Windows::resume(&limits, Some("{")).check(NOW), Ready::Now);
    }

    #[test]
    fn n27_a_clock_that_is_set_back_closes_for_no_longer_than_a_window() {
        let mut windows = windows(&[(1, 10)]);
        windows.note(NOW);
        let yesterday = NOW - 86_400_000;
        assert_eq!(windows.check(yesterday), Ready::At(yesterday + 10_000));
        assert_eq!(windows.check(yesterday + 10_000), Ready::Now);
        windows.feedback(NOW, 429, &RateHeaders { retry_after: Some(60_000), ..Default::default() });
        assert_eq!(windows.check(yesterday), Ready::At(yesterday + 60_000));
        assert_eq!(windows.check(yesterday + 60_000), Ready::Now);
    }

    proptest! {
        #[test]
        fn no_sliding_window_ever_holds_too_many(
            limits in proptest::collection::vec((1_u32..60, 1_u32..90), 1..4),
            gaps in proptest::collection::vec(0_i64..3_000, 1..300),
        ) {
            let mut windows = windows(&limits);
            let (mut now, mut made) = (NOW, Vec::new());
            for gap in gaps {
                now += gap;
                if let Ready::At(at) = windows.check(now) {
                    prop_assert!(at > now);
                    now = at;
                    prop_assert_eq!(windows.check(now), Ready::Now, "a promise is kept");
                }
                windows.note(now);
                made.push(now);
            }
            for (calls, seconds) in limits {
                let length = i64::from(seconds) * 1_000;
                for (i, start) in made.iter().enumerate() {
                    let inside = made[i..].iter().take_while(|at| **at < start + length).count();
                    prop_assert!(inside <= calls as usize);
                }
            }
            for window in &windows.windows {
                prop_assert!(window.slots.len() <= SLOTS as usize + 2);
            }
        }
    }
}
