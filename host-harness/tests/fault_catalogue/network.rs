//! Rows of the fault catalogue about the network between the host and a vendor (N).

use super::{Guarded, does_not_apply};

pub const ROWS: &[Guarded] = &[does_not_apply(
    "N31",
    "HTTP/2 closes a connection or refuses a stream",
    "only HTTP/1.1 is spoken, to vendors and at intake",
)];
