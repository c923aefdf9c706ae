//! Sinks: protocols by which viewers get streams.

pub(crate) mod rtsp;
