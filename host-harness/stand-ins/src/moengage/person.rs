//! The people of generated events.

use serde_json::{Map, Value, json};

use super::codes::FLAGGING;
use super::generator::Generator;
use super::truth::PersonTruth;
use super::users::User;
use crate::random::Random;

pub(super) struct Person {
    pub(super) truth: PersonTruth,
    moengage_id: String,
    first_name: &'static str,
    last_name: &'static str,
    /// Whether events carry the flags before they are raised.
    flags: bool,
    /// When each flag of [`FLAGGING`] is raised.
    pub(super) raised: [Option<i64>; 3],
}

/// Names with letters beyond ASCII, so that encodings are met.
const FIRST_NAMES: &[&str] = &["Anna", "Björn", "Chloé", "Deniz", "Elif", "Farid", "Grace", "Hans"];
const LAST_NAMES: &[&str] = &["Adler", "Brøndby", "Çelik", "Dubois", "Eriksen", "Fischer", "García"];
impl Person {
    /// The person of this index.
    pub(super) fn draw(asked: &Generator, index: usize, random: &mut Random) -> Self {
        let number = 4_000_052_000_u64 + index as u64;
        let (uid, reachable) = if random.chance(asked.anonymous) {
            (Some(format!("anon_{}", random.hex(12))), false)
        } else if random.chance(asked.without_uid) {
            (None, random.chance(0.5))
        } else {
            (Some(number.to_string()), true)
        };
        let mut raised = [None; 3];
        if reachable {
            let when = |random: &mut Random| asked.now_s - random.below(asked.spread_s.max(1) as u64) as i64;
            for (flag, share) in
                [asked.unsubscribing, asked.suppressed, asked.suppressed].into_iter().enumerate()
            {
                raised[flag] = random.chance(share).then(|| when(random));
            }
        }
        Self {
            truth: PersonTruth {
                anonymous: !reachable,
                uid,
                email: reachable.then(|| format!("person{index}@example.com")),
                mobile: (reachable && random.chance(0.7)).then(|| format!("49151{:08}", 10_000_000 + index)),
                unsubscribed: None,
                hard_bounced: None,
                complained: None,
                events: 0,
            },
            moengage_id: random.hex(24),
            first_name: random.pick(FIRST_NAMES).copied().unwrap_or_default(),
            last_name: random.pick(LAST_NAMES).copied().unwrap_or_default(),
            flags: reachable && !random.chance(asked.without_flags),
            raised,
        }
    }

    /// `user_attributes` of an event at this time.
    pub(super) fn attributes(&self, at: i64) -> Value {
        let mut attributes = json!({"moengage_user_id": self.moengage_id});
        if self.truth.anonymous {
            return attributes;
        }
        attributes["u_fn"] = json!(self.first_name);
        attributes["u_ln"] = json!(self.last_name);
        attributes["u_em"] = json!(self.truth.email);
        if let Some(mobile) = &self.truth.mobile {
            attributes["u_mb"] = json!(mobile);
        }
        // Numbers come as floats (JULO's fixtures: `4000052183.0`), ids among them.
        attributes["crm_id"] = json!(self.truth.uid.as_deref().and_then(|uid| uid.parse::<f64>().ok()));
        attributes["loyalty_points"] = json!((self.moengage_id.len() * self.first_name.len()) as f64);
        for (flag, (_, _, key)) in FLAGGING.iter().enumerate() {
            match self.raised[flag] {
                Some(raised) if raised <= at => attributes[*key] = json!(true),
                _ if self.flags => attributes[*key] = json!(false),
                _ => (),
            }
        }
        if attributes["crm_id"].is_null() {
            attributes.as_object_mut().map(|attributes| attributes.remove("crm_id"));
        }
        attributes
    }

    /// What the newest event says: a flag that is raised is never taken back here.
    pub(super) fn settled(&self) -> PersonTruth {
        let says = |flag: usize| match self.raised[flag] {
            Some(_) => Some(true),
            None => (self.flags && self.truth.events > 0).then_some(false),
        };
        PersonTruth {
            unsubscribed: says(0),
            hard_bounced: says(1),
            complained: says(2),
            ..self.truth.clone()
        }
    }

    /// As Get User knows the person at this time.
    pub(super) fn user(&self, at: i64) -> User {
        let mut attributes = match self.attributes(at) {
            Value::Object(attributes) => attributes,
            _ => Map::new(),
        };
        attributes.remove("moengage_user_id");
        User { id: self.moengage_id.clone(), customer_id: self.truth.uid.clone(), attributes }
    }
}
