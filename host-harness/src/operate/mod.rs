//! What an operator sees and orders.

pub mod accounting;
