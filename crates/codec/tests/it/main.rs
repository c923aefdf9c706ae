//! Whole ways through the codecs: what is drawn and sounded, coded and decoded, measured.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod sound;
mod strip;
mod video;
