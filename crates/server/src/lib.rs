//! Hub, rings, packed movies and delivery shards, with a source or sink for each protocol.
#![forbid(unsafe_code)]
