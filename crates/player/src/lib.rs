//! The measuring player: it takes a stream in, measures what came, and shows no picture.
//!
//! [`rtsp::play`] plays a stream over a host, real or simulated, and writes down what happens as
//! records, and so does [`classroom::play`] in the dialect of course assignments; [`Measure`] is the
//! part that measures, without input or output. A [`Recorder`] takes the records to a file and to
//! the summary, which [`show`] puts into words. A player is told what to do by [`Actions`], which
//! [`keys`] reads out of what is typed; [`packets`] lists what came, and [`probe`] says what a
//! stream or a file is made of.
#![forbid(unsafe_code)]

mod action;
pub mod classroom;
mod file_queue;
#[doc(hidden)]
pub mod fuzz;
pub mod http;
pub mod keys;
mod measure;
mod movie_file;
pub mod packets;
pub mod probe;
mod recorder;
pub mod rtsp;
mod ruler;
pub mod show;

pub use action::{ACTIONS_MAX, Action, Actions};
pub use measure::{Measure, Progress, Taken};
pub use recorder::{Recorder, header};
