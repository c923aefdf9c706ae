//! Flash Video (Adobe Flash Video File Format Specification 10.1, annex E; Enhanced RTMP for the
//! codecs that are named by four characters): a reader and a writer.

mod codec;
mod reader;
mod tag;
mod writer;

pub(crate) use reader::Reader;
pub use writer::Writer;
