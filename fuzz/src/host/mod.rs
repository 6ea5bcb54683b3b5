//! The host, and the connector as it runs it.

mod brevo;
mod component;
mod config;
mod egress;
mod inbound;
mod intake;
mod sealed;
mod spool;

use crate::corpora::Target;
pub use brevo::brevo_answers;
pub use component::component;
pub use config::{configuration, json, manifest};
pub use egress::{addresses, egress_policy, rate_headers};
pub use inbound::inbound;
pub use intake::intake;
pub use sealed::sealed;
pub use spool::spool;

/// All of them.
pub const TARGETS: &[Target] = &[
    ("component", component),
    ("intake", intake),
    ("inbound", inbound),
    ("configuration", configuration),
    ("manifest", manifest),
    ("json", json),
    ("brevo_answers", brevo_answers),
    ("rate_headers", rate_headers),
    ("egress_policy", egress_policy),
    ("addresses", addresses),
    ("spool", spool),
    ("sealed", sealed),
];

/// 2026-11-23T12:00:00Z
const NOW: i64 = 1_795_435_200_000;

/// The first line, and what follows it.
fn first_line(data: &[u8]) -> (String, &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (String::from_utf8_lossy(&data[..end]).into_owned(), data.get(end + 1..).unwrap_or_default())
}

/// Lines of `name: value`, up to an empty one, and what follows it.
fn headers(data: &[u8]) -> (Vec<(String, String)>, &[u8]) {
    let mut headers = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let (line, after) = first_line(rest);
        rest = after;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    (headers, rest)
}
