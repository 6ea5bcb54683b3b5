//! Rows of the fault catalogue about values that nothing else speaks about (D).

use super::Guarded;

pub const ROWS: &[Guarded] = &[];
