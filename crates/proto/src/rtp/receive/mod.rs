//! What a receiver of RTP counts, and how it puts packets back in order.

mod reorder;
mod statistics;

pub use reorder::{Placed, Reorder, ReorderConfig};
pub use statistics::{Arrival, ArrivalKind, Counts, Statistics, WINDOW_PACKETS};
