//! What an operator sees and orders: sums, status, dead letters.

pub mod accounting;
pub mod dead_letters;
pub mod status;
