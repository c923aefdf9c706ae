//! Figures that are computed from records alone.

mod play;
mod serve;

pub use play::{Basis, LatencySummary, PlaySummary, PlaySummaryBuilder, TrackSummary};
pub use serve::{ServeSummary, ServeSummaryBuilder, ViewerSummary};
