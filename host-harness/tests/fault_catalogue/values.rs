//! Rows of the fault catalogue about the rest of the data (D).

use super::{Guarded, does_not_apply, held};

pub const ROWS: &[Guarded] = &[
    held(
        "D11",
        "phone numbers without a country, with other digits, with letters",
        "E.164 or nothing: a country only where the tenant says how, and no digit is guessed",
        "a national number took the country's code without its trunk digit",
    ),
    held(
        "D12",
        "emoji, combining letters, characters that nobody sees",
        "kept to the byte on the way, escaped where an operator looks",
        "characters that nobody sees were taken out of values",
    ),
    does_not_apply(
        "D13",
        "a cell that a spreadsheet runs",
        "nothing is exported as a table: reports are JSON or text for a terminal",
    ),
    held(
        "D15",
        "the type of an attribute changes",
        "converted by the table of the settings or left out and counted; an attribute of another type at Brevo is one letter, and the rest goes on",
        "a value that can't be converted cleared the attribute",
    ),
    held(
        "D17",
        "somebody who unsubscribed at Brevo itself",
        "Brevo is read right before each lift; a block that this host did not set and that is not older than the person's own opt-in stays, and the opt-in is parked for an operator",
        "what was unsubscribed at Brevo in a mailbox of several could be lifted by an opt-in of one of them",
    ),
    held(
        "D18",
        "somebody who was erased comes by again",
        "salted hashes of their names keep them out at every door",
        "the tombstone was not looked at",
    ),
];
