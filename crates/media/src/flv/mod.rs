//! Flash Video (Adobe Flash Video File Format Specification 10.1, annex E; Enhanced RTMP for the
//! codecs that are named by four characters): a reader and a writer of files, and readers and
//! writers of what stands in their tags, which is also what stands in RTMP's messages.

mod body;
mod codec;
mod reader;
mod tag;
mod track;
mod writer;

pub use body::{Body, BodyWriter};
pub(crate) use reader::Reader;
pub use track::{Read, TrackReader};
pub use writer::Writer;
