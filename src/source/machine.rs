//! Opens and clicks of machines: mail scanners, Apple's privacy proxy, other bots.
//!
//! MoEngage finds them by user agent and address and says so on the event
//! (MD:user-guide/campaigns-and-channels/email/getting-started-with-email/bot-detection-for-email-opens-and-clicks.mdx).
//! The attributes are known by their display names, once as *Is Machine Open* and once as *Is
//! Machine Event*, with *Machine Event Reason*; how the keys are written in an export is not
//! published. So any spelling of these words is taken, with or without MoEngage's mark before
//! them.

use std::borrow::Cow;

use super::flags::{Truth, truth, words};
use super::notes::{Notes, Notice};
use crate::json::{Object, Scalar};

/// Whether the event is a machine's, where it says so, and why. Any attribute that says yes
/// counts.
pub fn read(attributes: &Object<'_>, notes: &mut Notes) -> (Option<bool>, Option<String>) {
    let (mut machine, mut reason) = (None, None);
    for (key, raw) in attributes.entries() {
        // Most events have none, and most keys are short.
        if !key.bytes().any(|b| matches!(b, b'm' | b'M')) || key.len() > 40 {
            continue;
        }
        let words = words(key);
        match words.strip_prefix("moe ").unwrap_or(&words) {
            "is machine open" | "is machine event" | "is machine click" => match truth(Scalar::of(raw)) {
                Truth::Known(value) => machine = Some(value || machine == Some(true)),
                Truth::Nothing => {}
                Truth::Unreadable => notes.add(Notice::UnreadableMachineMark),
            },
            "machine event reason" => {
                reason = Scalar::of(raw).text().filter(|text| !text.is_empty()).map(Cow::into_owned);
            }
            _ => {}
        }
    }
    (machine, reason)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn machine(text: &str) -> (Option<bool>, Option<String>) {
        read(&Object::parse(text).unwrap(), &mut Notes::default())
    }

    #[test]
    fn both_names_in_any_spelling() {
        for key in [
            "Is Machine Open",
            "is_machine_open",
            "moe_is_machine_event",
            "IS_MACHINE_EVENT",
            "Is Machine Event",
        ] {
            assert_eq!(machine(&format!(r#"{{"{key}":true}}"#)).0, Some(true), "{key}");
            assert_eq!(machine(&format!(r#"{{"{key}":"False"}}"#)).0, Some(false), "{key}");
            assert_eq!(machine(&format!(r#"{{"{key}":1.0}}"#)).0, Some(true), "{key}");
        }
        assert_eq!(
            machine(
                r#"{"Is Machine Event":true,"Is Machine Open":false,"Machine Event Reason":"Apple MPP"}"#
            ),
            (Some(true), Some("Apple MPP".to_owned()))
        );
    }

    #[test]
    fn what_says_nothing_marks_nothing() {
        for text in ["{}", r#"{"Is Machine Open":null}"#, r#"{"Is Machine Open":""}"#, r#"{"machine":true}"#]
        {
            assert_eq!(machine(text), (None, None), "{text}");
        }
        let mut notes = Notes::default();
        let spoilt = Object::parse(r#"{"Is Machine Open":"perhaps","Machine Event Reason":7}"#).unwrap();
        assert_eq!(read(&spoilt, &mut notes), (None, None));
        assert_eq!(notes.into_list()[0].name, "unreadable-machine-mark");
    }
}
