//! A point on which a vendor's description is not what is sent and answered, with the reason.

use std::collections::BTreeSet;

use serde_json::Value;

/// One point, or the same point of many calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deviation {
    /// Beginning of the call; empty for every call.
    pub call: &'static str,
    /// What is found there: the rule of a violation, or what differs; the beginning of it.
    pub what: &'static str,
    /// Where; `%` stands for any text.
    pub at: &'static str,
    /// The sentence that explains it.
    pub reason: &'static str,
}

impl Deviation {
    pub fn excuses(&self, found: &Value) -> bool {
        let text = |key: &str| found[key].as_str().unwrap_or_default();
        fits(self.at, text("at"))
            && text("call").starts_with(self.call)
            && (text("rule").starts_with(self.what) || text("what").starts_with(self.what))
    }
}

fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('%') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| fits(rest, &text[at..]))
        }),
    }
}

/// What a list of deviations leaves over, and entries of the list that were not met.
pub fn left(found: Vec<Value>, allowed: &[Deviation]) -> (Vec<Value>, BTreeSet<&Deviation>) {
    let mut unmet: BTreeSet<&Deviation> = allowed.iter().collect();
    let rest = found.into_iter().filter(|one| {
        let excuse = allowed.iter().filter(|deviation| deviation.excuses(one)).collect::<Vec<_>>();
        for deviation in &excuse {
            unmet.remove(*deviation);
        }
        excuse.is_empty()
    });
    (rest.collect(), unmet)
}

macro_rules! deviations {
    ($($call:literal, $what:literal, $at:literal => $reason:literal;)*) => {
        &[$(Deviation { call: $call, what: $what, at: $at, reason: $reason }),*]
    };
}
pub(crate) use deviations;
