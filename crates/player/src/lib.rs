//! The measuring player: it takes a stream in, measures what came, and shows no picture.
//!
//! [`rtsp::play`] plays a stream over a host, real or simulated, and writes down what happens as
//! records, and so does [`classroom::play`] in the dialect of course assignments; [`Measure`] is the part that measures, without input or output. A [`Recorder`] takes
//! the records to a file and to the summary, which [`show`] puts into words.
#![forbid(unsafe_code)]

pub mod classroom;
#[doc(hidden)]
pub mod fuzz;
mod measure;
mod movie_file;
mod recorder;
pub mod rtsp;
pub mod show;

pub use measure::{Measure, Progress, Taken};
pub use recorder::{Recorder, header};
