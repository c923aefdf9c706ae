//! Sources: what brings live streams.

pub(crate) mod live_file;
pub(crate) mod pattern;
