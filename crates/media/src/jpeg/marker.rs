//! Markers and the segments behind them (ITU-T T.81 section B.1.1).

use core::ops::Range;

use super::IMAGE;
use crate::Error;

pub(super) const SOF0: u8 = 0xc0;
pub(super) const SOF1: u8 = 0xc1;
pub(super) const DHT: u8 = 0xc4;
pub(super) const JPG: u8 = 0xc8;
pub(super) const DAC: u8 = 0xcc;
pub(super) const SOF15: u8 = 0xcf;
pub(super) const RST0: u8 = 0xd0;
pub(super) const RST7: u8 = 0xd7;
pub(super) const SOI: u8 = 0xd8;
pub(super) const EOI: u8 = 0xd9;
pub(super) const SOS: u8 = 0xda;
pub(super) const DQT: u8 = 0xdb;
pub(super) const DRI: u8 = 0xdd;
pub(super) const APP0: u8 = 0xe0;
pub(super) const APP14: u8 = 0xee;
const TEM: u8 = 0x01;

/// How many bytes the image has that `data` starts with, from SOI to EOI; `None` if it goes on
/// behind `data`.
///
/// Segments are passed over by their lengths, so that an image within an image (a thumbnail in
/// APP1) does not end it. An image without EOI ends where the SOI of the next one stands.
///
/// # Errors
/// When `data` does not start with SOI, or where a marker ought to stand something else does; the
/// offset in the error counts from the start of `data`.
pub fn image_bytes(data: &[u8]) -> Result<Option<usize>, Error> {
    let mut segments = Segments::new(data);
    let mut in_scans = false;
    loop {
        let Some(segment) = segments.next_segment()? else {
            return Ok(None);
        };
        match segment.marker {
            EOI => return Ok(Some(segments.at)),
            SOI if in_scans => return Ok(Some(segment.at)),
            SOI if segment.at > 0 => {
                let reason = "a second SOI before any scan";
                return Err(Error::syntax(IMAGE, segment.at, reason));
            }
            SOS => {
                in_scans = true;
                let bytes = entropy_bytes(data.get(segments.at..).unwrap_or(&[]));
                segments.at += bytes;
            }
            _ => {}
        }
    }
}

/// How many bytes of entropy-coded data `data` starts with, restart markers included: up to the
/// next other marker, or all.
pub fn entropy_bytes(data: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = data.get(at..).and_then(|rest| rest.iter().position(|&b| b == 0xff)) {
        let marker_at = at + found;
        match data.get(marker_at + 1) {
            // Bytes to fill up may precede a marker (section B.1.1.2).
            Some(0xff) => at = marker_at + 1,
            Some(0 | RST0..=RST7) => at = marker_at + 2,
            Some(_) => return marker_at,
            // What it is shows once the next byte is there.
            None => return data.len(),
        }
    }
    data.len()
}

/// A marker and its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    /// Where the marker stands.
    pub(super) at: usize,
    /// Behind the length; empty for markers that stand alone.
    pub(super) parameters: &'a [u8],
}

impl Segment<'_> {
    /// Where its parameters are in the image.
    pub(super) fn parameters_at(&self) -> usize {
        self.at + 4
    }

    pub(super) fn error(&self, offset: usize, reason: impl Into<String>) -> Error {
        Error::syntax(IMAGE, self.parameters_at() + offset, reason)
    }
}

/// Walks over the segments of an image. Who meets SOS moves `at` behind the entropy-coded data.
#[derive(Clone, Debug)]
pub(super) struct Segments<'a> {
    data: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Segments<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Segments { data, at: 0 }
    }

    /// The next segment; `None` where the data end before it does.
    pub(super) fn next_segment(&mut self) -> Result<Option<Segment<'a>>, Error> {
        let Some(marker_range) = self.marker()? else {
            return Ok(None);
        };
        let Some(&marker) = self.data.get(marker_range.end - 1) else {
            return Ok(None);
        };
        let at = marker_range.end - 2;
        if at == 0 && marker != SOI {
            return Err(Error::syntax(
                IMAGE,
                0,
                format!("SOI expected, marker {marker:#04x} came"),
            ));
        }
        if matches!(marker, TEM | RST0..=EOI) {
            self.at = marker_range.end;
            return Ok(Some(Segment { marker, at, parameters: &[] }));
        }
        let rest = self.data.get(marker_range.end..).unwrap_or(&[]);
        let Some(&[high, low]) = rest.first_chunk::<2>() else {
            return Ok(None);
        };
        let bytes = usize::from(u16::from_be_bytes([high, low]));
        if bytes < 2 {
            let reason = format!("a segment of {bytes} bytes is shorter than its length field");
            return Err(Error::syntax(IMAGE, marker_range.end, reason));
        }
        let Some(parameters) = rest.get(2..bytes) else {
            return Ok(None);
        };
        self.at = marker_range.end + bytes;
        Ok(Some(Segment { marker, at, parameters }))
    }

    /// The bytes of the next marker, those that fill up before it included.
    fn marker(&self) -> Result<Option<Range<usize>>, Error> {
        let mut end = self.at;
        loop {
            match self.data.get(end) {
                None => return Ok(None),
                Some(0xff) => end += 1,
                Some(&byte) if end == self.at || byte == 0 => {
                    let reason = format!("a marker expected, {byte:#04x} came");
                    return Err(Error::syntax(IMAGE, end, reason));
                }
                Some(_) => return Ok(Some(self.at..end + 1)),
            }
        }
    }
}
