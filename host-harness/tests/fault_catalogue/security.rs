//! Rows of the fault catalogue about attacks (S).

use super::{Guarded, does_not_apply, held};

pub const ROWS: &[Guarded] = &[
    does_not_apply(
        "S09",
        "a record's text that a browser would run",
        "there is no page for browsers; operators read a terminal or JSON",
    ),
    does_not_apply(
        "S11",
        "another site drives the operator's page",
        "there is no page and no listener for operators: commands read the store's file",
    ),
    does_not_apply(
        "S12",
        "an operator of one tenant opens a letter of another by its id",
        "there is one kind of operator: whoever may read the store's file; no listener answers for tenants",
    ),
    held(
        "S17",
        "a crate that is bad, banned or older than its mend",
        "all versions are locked; floors under wasmtime, and features that must stay compiled in, are a test; licences, bans, sources and (from a copy) advisories of every lock file are held by `.ci/supply-chain`",
        "MIT taken off the list of licences (the script does it in every run); an older wasmtime and a banned crate in a lock file",
    ),
    held(
        "S18",
        "a swapped component, or compiled code that was tampered with",
        "the manifest may state the component's digest, which is compared before anything else; compiled code lies in a directory that only the \
         host's user can use, named by component and engine, under a sum of both",
        "the digest is not compared; the sum of compiled code is not checked",
    ),
    does_not_apply(
        "S20",
        "tenants' words as labels of metrics",
        "no metrics are exported; figures are asked for by command",
    ),
];
