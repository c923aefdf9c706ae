//! Images made to fit the datagrams that classroom clients take.

use std::sync::atomic::{AtomicU64, Ordering};

use weir_codec::jpeg;
use weir_media::Frame;
use weir_proto::classroom::pack::{RECEIVE_BYTES_USUAL, is_oversize};
use weir_proto::rtp::Header;

/// Counts the images of a movie that were made smaller, and those that could not be.
#[derive(Debug, Default)]
pub(crate) struct Fitting {
    fitted: AtomicU64,
}

impl Fitting {
    /// Encodes each image anew that many clients cannot take whole: with less quality, and if
    /// that is not enough, with fewer pixels. What cannot be decoded stays as it is. Takes some
    /// ten milliseconds for an image.
    pub(super) fn fit<'a>(&self, movie: &str, frames: impl Iterator<Item = &'a mut Frame>) {
        for frame in frames.filter(|frame| is_oversize(frame.payload.len())) {
            let bytes = frame.payload.len();
            let picture = jpeg::decode(&frame.payload);
            let fitted = picture.and_then(|picture| jpeg::encode_within(&picture, BYTES_MAX));
            let Ok(Some(fitted)) = fitted else { continue };
            if self.fitted.fetch_add(1, Ordering::Relaxed) == 0 {
                let size = match fitted.divisor {
                    1 => String::new(),
                    divisor => format!(" and 1/{divisor} of the width and height"),
                };
                tracing::warn!(
                    "{movie:?} has images of {bytes} bytes and perhaps more: classroom clients \
                     get them with quality {}{size}, for many receive no more than \
                     {RECEIVE_BYTES_USUAL} bytes at once",
                    fitted.quality,
                );
            }
            frame.payload = fitted.image.into();
        }
    }

    /// How many images were made to fit; one that is read again counts again.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.fitted.load(Ordering::Relaxed)
    }
}

/// An image that goes into the usual buffer with its header.
const BYTES_MAX: usize = RECEIVE_BYTES_USUAL - Header::BYTES;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use weir_codec::Picture;
    use weir_media::{KeyKind, MediaTime, TrackId};

    use super::*;

    fn frame(payload: Vec<u8>) -> Frame {
        Frame {
            track: TrackId(0),
            pts: MediaTime::ZERO,
            dts: None,
            duration: None,
            key: KeyKind::Key,
            capture: None,
            arrival: weir_time::Instant::ZERO,
            discontinuity: false,
            payload: Bytes::from(payload),
        }
    }

    #[test]
    fn only_what_is_too_large_is_encoded_anew_and_then_fits() {
        let mut picture = Picture::new(640, 360);
        let mut random = weir_time::Random::new(3);
        for y in 0..360 {
            let row = picture.planes_mut()[0].row_mut(y);
            row.iter_mut().for_each(|sample| *sample = random.next_u64() as u8);
        }
        let large = jpeg::encode(&picture, 75).unwrap();
        let small = jpeg::encode(&Picture::new(64, 64), 75).unwrap();
        let mut frames = [frame(large.clone()), frame(small.clone()), frame(vec![9; 30_000])];
        let fitting = Fitting::default();
        fitting.fit("noise", frames.iter_mut());
        assert!(large.len() > BYTES_MAX && frames[0].payload.len() <= BYTES_MAX);
        assert!(jpeg::decode(&frames[0].payload).is_ok());
        assert_eq!(frames[1].payload, small);
        assert_eq!(frames[2].payload.len(), 30_000, "what is no image is left alone");
        assert_eq!(fitting.count(), 1);
    }
}
