//! Why a guest broke, as a stable code and a sentence that holds nothing of its input.

use wasmtime::Trap;

use crate::unit::UnitError;

/// Errors that the host raises inside a call to end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The unit's or record's time is up.
    #[error("out of time")]
    Time,
    /// The call's processor time is used up.
    #[error("out of processor time")]
    Processor,
    /// All memories together would be larger than the limit.
    #[error("out of memory")]
    Memory,
    /// A table would be larger than the limit.
    #[error("table too large")]
    Table,
    /// The guest tried to wait.
    #[error("connectors don't sleep")]
    Sleep,
}

/// The fault of a failed call.
pub fn of(error: &wasmtime::Error) -> UnitError {
    let (code, message) = if let Some(stop) = error.downcast_ref::<Stop>() {
        match stop {
            Stop::Time => TIMEOUT,
            Stop::Processor => ("guest-cpu", "the guest computed longer than a call may"),
            Stop::Memory => ("guest-memory", "the guest needs more memory than a unit has"),
            Stop::Table => ("guest-memory", "the guest needs a larger table than a unit has"),
            Stop::Sleep => {
                ("guest-sleep", "the guest tried to wait; it has to return `later` or `rate-limited`")
            }
        }
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        match trap {
            Trap::Interrupt => TIMEOUT,
            Trap::OutOfFuel => ("guest-fuel", "the guest used up its instructions"),
            Trap::StackOverflow => ("guest-stack", "the guest's recursion is too deep"),
            Trap::UnreachableCodeReached => {
                ("guest-trap", "the guest panicked or reached code that it holds unreachable")
            }
            trap => return fault("guest-trap", trap.to_string()),
        }
    } else if error.downcast_ref::<wasmtime_wasi::I32Exit>().is_some() {
        ("guest-exit", "the guest ended its process")
    } else if error.downcast_ref::<wasmtime_wasi::ResourceTableError>().is_some() {
        ("guest-handles", "the guest holds more handles than a unit has")
    } else {
        return other(error);
    };
    fault(code, message.into())
}

/// wasmtime has no types for these; their texts are its own and hold no data of the guest.
fn other(error: &wasmtime::Error) -> UnitError {
    let text = error.root_cause().to_string();
    let has = |part: &str| text.contains(part);
    let (code, message) = if has("too much data is being copied") {
        ("guest-output-size", "an argument or result of the guest is larger than may cross the boundary")
    } else if has("handle limit exceeded") {
        ("guest-handles", "the guest holds more handles than a unit has")
    } else if has("resource limit exceeded") || has("count too high") {
        ("guest-memory", "the guest needs more instances, memories or tables than a unit has")
    } else {
        ("guest-trap", "the guest broke the rules of the component model")
    };
    fault(code, message.into())
}

const TIMEOUT: (&str, &str) = ("guest-timeout", "the guest took longer than a unit may");

/// A fault.
pub fn fault(code: &str, message: String) -> UnitError {
    UnitError::Fault { code: code.into(), message }
}

/// The unit's time was up before this was begun.
pub fn timeout() -> UnitError {
    fault(TIMEOUT.0, TIMEOUT.1.into())
}
