//! The rules that are set on one stand-in, and which of them takes a request.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::{Answer, BadRule, Fault, Rule};
use crate::random::Random;

/// A rule that is set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetRule {
    /// Names it.
    pub id: u64,
    /// As given.
    pub rule: Rule,
    /// Requests that matched method, path and body.
    pub matched: u64,
    /// Requests that it broke.
    pub fired: u64,
    #[serde(skip)]
    random: Random,
}

#[derive(Debug, Default)]
pub(crate) struct FaultSet {
    rules: Vec<SetRule>,
    last_id: u64,
    refusals: u64,
}

/// What is known of a request when rules are asked.
pub(crate) struct Seen<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Decoded path and query.
    pub(crate) target: &'a str,
    /// None before the body was read.
    pub(crate) body: Option<&'a [u8]>,
}

impl FaultSet {
    /// The fault of the first rule that takes the request, with the rule's id. Rules that close
    /// before reading are asked before the body is read, all others after.
    pub(crate) fn decide(&mut self, seen: &Seen<'_>) -> Option<(u64, Fault)> {
        let mut decision = None;
        for set in &mut self.rules {
            let before_reading = matches!(set.rule.fault.answer, Answer::CloseBeforeReading {});
            if before_reading != seen.body.is_none() || !set.matches(seen) {
                continue;
            }
            set.matched += 1;
            if decision.is_none() && set.takes() {
                set.fired += 1;
                decision = Some((set.id, set.rule.fault.clone()));
            }
        }
        decision
    }

    /// Whether the connection that was just accepted is to be closed unread.
    pub(crate) fn refuses_connection(&mut self) -> bool {
        let refuses = self.refusals > 0;
        self.refusals = self.refusals.saturating_sub(1);
        refuses
    }
}

impl SetRule {
    fn matches(&self, seen: &Seen<'_>) -> bool {
        let rule = &self.rule;
        rule.method.as_deref().is_none_or(|method| method == seen.method)
            && rule.path.as_deref().is_none_or(|path| path == seen.path)
            && rule.target_contains.as_deref().is_none_or(|marker| seen.target.contains(marker))
            && rule.body_contains.as_deref().is_none_or(|marker| {
                seen.body.is_some_and(|body| {
                    marker.is_empty() || body.windows(marker.len()).any(|part| part == marker.as_bytes())
                })
            })
    }

    /// Whether this one of the matching requests is meant.
    fn takes(&mut self) -> bool {
        self.rule.times.is_none_or(|times| self.fired < times)
            && (self.rule.nth.is_empty() || self.rule.nth.contains(&self.matched))
            && self.rule.probability.is_none_or(|p| self.random.chance(p))
    }
}

/// The rules of one stand-in.
#[derive(Clone, Debug)]
pub struct Faults(pub(crate) Arc<Mutex<FaultSet>>);

impl Faults {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(FaultSet::default())))
    }

    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut FaultSet) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets a rule behind those that are set; gives its id.
    pub fn add(&self, rule: Rule) -> Result<u64, BadRule> {
        rule.check()?;
        Ok(self.with(|set| {
            set.last_id += 1;
            let random = Random::new(rule.seed);
            set.rules.push(SetRule { id: set.last_id, rule, matched: 0, fired: 0, random });
            set.last_id
        }))
    }

    /// Removes a rule; false where there is none of that id.
    pub fn remove(&self, id: u64) -> bool {
        self.with(|set| {
            let before = set.rules.len();
            set.rules.retain(|rule| rule.id != id);
            set.rules.len() < before
        })
    }

    /// Removes all rules and stops refusing connections.
    pub fn clear(&self) {
        self.with(|set| {
            set.rules.clear();
            set.refusals = 0;
        });
    }

    /// Closes the next so many connections without reading a byte.
    pub fn refuse_connections(&self, connections: u64) {
        self.with(|set| set.refusals = connections);
    }

    /// How often a rule broke an exchange; 0 where there is none of that id.
    pub fn fired(&self, id: u64) -> u64 {
        self.with(|set| set.rules.iter().find(|rule| rule.id == id).map_or(0, |rule| rule.fired))
    }

    /// The rules that are set, in order.
    pub fn all(&self) -> Vec<SetRule> {
        self.with(|set| set.rules.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::*;
    use super::*;

    fn seen<'a>(path: &'a str, body: &'a [u8]) -> Seen<'a> {
        Seen { method: "POST", path, target: path, body: Some(body) }
    }

    #[test]
    fn a_rule_counts_its_own_matches() {
        let faults = Faults::new();
        let second = faults.add(Rule::on("POST", "/a", Fault::status(500, "")).nth(2)).unwrap();
        let marked = faults.add(Rule::any(Fault::close()).body_contains("poison").times(1)).unwrap();
        let hit = |path, body| faults.with(|set| set.decide(&seen(path, body))).map(|(id, _)| id);
        assert_eq!(hit("/a", b"x"), None);
        assert_eq!(hit("/b", b"x"), None);
        assert_eq!(hit("/a", b"x"), Some(second));
        assert_eq!(hit("/a", b"a poison event"), Some(marked));
        assert_eq!(hit("/a", b"a poison event"), None, "at most once");
        assert_eq!(faults.fired(second), 1);
    }

    #[test]
    fn a_share_comes_from_the_seed() {
        let run = |seed| {
            let faults = Faults::new();
            faults.add(Rule::any(Fault::close()).probability(0.3, seed)).unwrap();
            (0..200).map(|_| faults.with(|set| set.decide(&seen("/", b"")).is_some())).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let hits = run(1).into_iter().filter(|hit| *hit).count();
        assert!((30..=90).contains(&hits), "{hits} of 200");
    }

    #[test]
    fn impossible_rules_are_refused() {
        let faults = Faults::new();
        let refused = |rule: Rule| faults.add(rule).unwrap_err();
        assert_eq!(refused(Rule::any(Fault::status(101, ""))), BadRule::Status);
        assert_eq!(refused(Rule::any(Fault::close()).probability(1.5, 0)), BadRule::Probability);
        assert_eq!(refused(Rule::any(Fault::close()).nth(0)), BadRule::NthZero);
        let unread = Rule::any(Fault::close_before_reading()).body_contains("x");
        assert_eq!(refused(unread), BadRule::UnreadBody);
    }

    #[test]
    fn rules_are_json() {
        let json = r#"{"method": "POST", "path": "/v3/events", "nth": [3],
            "fault": {"answer": {"kind": "close"}, "effect": "at-once"}}"#;
        let rule: Rule = serde_json::from_str(json).unwrap();
        assert_eq!(rule, Rule::on("POST", "/v3/events", Fault::close_after_effect()).nth(3));
        assert!(
            serde_json::from_str::<Rule>(r#"{"fault": {"answer": {"kind": "close"}}, "nht": [3]}"#).is_err()
        );
    }
}
