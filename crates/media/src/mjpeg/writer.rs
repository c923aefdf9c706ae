//! Writes the classroom's file.

use bytes::{BufMut, Bytes, BytesMut};

use super::classroom::DIGITS;
use crate::{Codec, Error, Frame, Track, TrackId};

/// Makes a classroom MJPEG file of the frames of a JPEG track: five decimal digits with the length
/// before each image. The file has no times: whoever shows it takes 50 ms for each.
#[derive(Debug)]
pub struct Writer {
    track: TrackId,
}

impl Writer {
    /// A writer of the images of this track. An error if it is not JPEG.
    pub fn new(track: &Track) -> Result<Self, Error> {
        match &track.codec {
            Codec::Jpeg(_) => Ok(Writer { track: track.id }),
            codec => Err(Error::unsupported(codec.name(), "written into classroom MJPEG")),
        }
    }

    /// The bytes of a frame. An error for a frame of another track, and for an image of more
    /// bytes than five digits count; the writer can go on after it.
    pub fn push(&mut self, frame: &Frame) -> Result<Bytes, Error> {
        if frame.track != self.track {
            return Err(Error::UnknownTrack(frame.track));
        }
        let bytes = frame.payload.len();
        if bytes > IMAGE_BYTES_MAX {
            let reason = format!("{bytes} bytes, five digits count to {IMAGE_BYTES_MAX}");
            return Err(Error::unsupported("image in classroom MJPEG", reason));
        }
        let mut out = BytesMut::with_capacity(DIGITS + bytes);
        out.put_slice(format!("{bytes:05}").as_bytes());
        out.put_slice(&frame.payload);
        Ok(out.freeze())
    }
}

const IMAGE_BYTES_MAX: usize = 99_999;
