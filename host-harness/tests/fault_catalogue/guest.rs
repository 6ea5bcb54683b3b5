//! Rows of the fault catalogue about the component that runs in the host (G).

use super::Guarded;

pub const ROWS: &[Guarded] = &[];
