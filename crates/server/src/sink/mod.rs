//! Sinks: protocols by which viewers get streams.

pub(crate) mod classroom;
pub(crate) mod rtsp;
