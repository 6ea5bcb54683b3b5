//! Rows of the fault catalogue about the host and its store (H).

use super::{Guarded, does_not_apply};

pub const ROWS: &[Guarded] = &[
    does_not_apply(
        "H11",
        "two hosts on one Postgres, one of them paused or failing over",
        "the store is one SQLite file of one host; there is no Postgres",
    ),
    does_not_apply("H12", "Postgres ends a transaction for its own reasons", "there is no Postgres"),
    does_not_apply(
        "H13",
        "a queue table of Postgres bloats behind a long transaction",
        "there is no Postgres",
    ),
    does_not_apply(
        "H22",
        "two hosts whose clocks differ hold leases in one database",
        "one host owns the file, so no lease is compared between two clocks",
    ),
];
