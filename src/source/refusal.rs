//! Why a part of an input became no record.

use super::identity::Unusable;
use super::surfaces::Reject;
use crate::json::Fault;

/// Why a part of an input became no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: &'static str,
    pub message: &'static str,
    pub remedy: &'static str,
}

pub const ASK_MOENGAGE: &str = "Ask MoEngage support about it; the input is kept and can be run again.";

pub const fn refusal(code: &'static str, message: &'static str, remedy: &'static str) -> Refusal {
    Refusal { code, message, remedy }
}

impl Refusal {
    /// As it is shown, with the place in the input.
    pub fn at(self, pointer: String) -> Reject {
        let Self { code, message, remedy } = self;
        Reject { pointer, code: code.to_owned(), message: message.to_owned(), remedy: remedy.to_owned() }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        refusal(fault.code(), fault.message(), ASK_MOENGAGE)
    }
}

impl From<Unusable> for Refusal {
    fn from(why: Unusable) -> Self {
        let message = match why {
            Unusable::Unreadable => "An id holds bytes that are not UTF-8, so it names nobody for sure.",
            Unusable::Float => "An id is a float that no longer tells which number was meant.",
            Unusable::WrongType => "An id is neither a text nor a number.",
            Unusable::ControlCharacter => "An id holds a control character, so it names nobody for sure.",
            Unusable::TooLong => "An id is longer than 512 bytes.",
        };
        refusal(why.code(), message, "Send the id as a text from your systems to MoEngage.")
    }
}
