//! HTTP Live Streaming (RFC 8216) without input or output.

pub mod read;
