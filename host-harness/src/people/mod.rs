//! What the host knows about people, for each destination account.

pub mod consent;
