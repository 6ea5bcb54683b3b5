//! What an operator sees and orders.

pub mod accounting;
pub mod actions;
pub mod backlog;
pub mod check;
pub mod dead_letters;
pub mod describe;
pub mod doctor;
pub mod erase;
pub mod lists;
pub mod plan;
pub mod status;
