//! Rows of the fault catalogue about the network between the host and a vendor (N).

use super::{Guarded, does_not_apply, held};

pub const ROWS: &[Guarded] = &[
    held(
        "N27",
        "the local clock is set back or forward",
        "within a run the host's clock is read once and counts on by itself; between two runs, whatever is due is moved back as far as the clock was (`clock-set-back`), and what a jump forward left out is done once; rate windows close for no longer than a window",
        "what was due left where it stood",
    ),
    does_not_apply(
        "N31",
        "HTTP/2 closes a connection or refuses a stream",
        "only HTTP/1.1 is spoken, to vendors and at intake",
    ),
];
