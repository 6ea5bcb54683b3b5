//! What the host knows about people, for each destination account.

pub mod circle;
pub mod consent;
pub mod deletions;
pub mod fields;
pub mod identity;
pub mod memberships;
pub mod merging;
pub mod tombstone;
