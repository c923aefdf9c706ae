//! The measuring player.
#![forbid(unsafe_code)]
