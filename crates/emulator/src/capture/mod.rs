//! Captures: pcapng files of the packets that cross links, each with its times and its fate.
//!
//! Each direction of a link is two interfaces: packets on their way in, with a comment that says
//! when they come out or why they never do, and packets on their way out. A packet has one id on
//! both. The driver's thread only copies bytes into pages (`feed`); a thread of its own puts them
//! in order (`order`) and writes the file (`writer`). Any capture can be read and summed up
//! ([`read`], [`summary`]).

pub(crate) mod feed;
mod order;
mod page;
mod pcapng;
pub mod read;
pub mod summary;
#[cfg(test)]
mod tests;
pub(crate) mod writer;

pub(crate) use feed::Feeds;
pub use writer::CaptureStatus;
pub(crate) use writer::{Captures, Made};
