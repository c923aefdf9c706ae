//! The decoder: one picture at a time, on the caller's thread.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rust_h264::nal::{NalUnit, NalUnitType, parse_sps_info};
use weir_media::Frame;
use weir_media::h264::Config;
use weir_media::nal::LengthPrefixed;

use super::NAME;
use crate::{Decoded, Error, Picture, Plane, Range, VideoDecoder};

/// A decoder of H.264: 8 bits, 4:2:0 and monochrome; 4:2:2 loses every other row of chroma.
pub struct Decoder {
    decoder: rust_h264::decoder::Decoder,
    config: Config,
    started: bool,
    reorder_depth: usize,
    /// In order of presentation.
    waiting: VecDeque<Decoded>,
}

impl Decoder {
    /// A decoder of a stream with these parameter sets; a stream may bring others with its frames.
    pub fn new(config: &Config) -> Self {
        let depth = config.picture().map_or(0, |picture| usize::from(picture.reorder_depth));
        Decoder {
            decoder: open(config),
            config: config.clone(),
            started: false,
            reorder_depth: depth.min(DEPTH_MAX),
            waiting: VecDeque::new(),
        }
    }

    /// Puts a picture in its place, and gives back those whose turn it is.
    fn push(&mut self, decoded: Decoded, out: &mut Vec<Decoded>) {
        let place = self.waiting.iter().rposition(|waiting| waiting.pts <= decoded.pts);
        self.waiting.insert(place.map_or(0, |place| place + 1), decoded);
        while self.waiting.len() > self.reorder_depth {
            out.extend(self.waiting.pop_front());
        }
    }
}

impl VideoDecoder for Decoder {
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Decoded>) -> Result<(), Error> {
        if !self.started && !frame.key.starts() {
            return Ok(());
        }
        if frame.discontinuity {
            self.finish(out);
        }
        self.started = true;
        let failed = |reason: String| Error::decode(NAME, frame.payload.len(), reason);
        let decoder = &mut self.decoder;
        let Ok((pictures, mut outcome)) =
            catch_unwind(AssertUnwindSafe(|| decode_unit(decoder, &frame.payload)))
        else {
            // What it holds is of no use any more; the next key frame finds it as new.
            self.decoder = open(&self.config);
            self.started = false;
            return Err(failed("it makes the decoder panic".to_owned()));
        };
        for picture in pictures {
            match plain(picture) {
                Ok(picture) => self.push(Decoded { pts: frame.pts, picture }, out),
                Err(reason) => outcome = outcome.and(Err(reason)),
            }
        }
        outcome.map_err(failed)
    }

    fn finish(&mut self, out: &mut Vec<Decoded>) {
        out.extend(self.waiting.drain(..));
    }
}

fn open(config: &Config) -> rust_h264::decoder::Decoder {
    let mut decoder = rust_h264::decoder::Decoder::new();
    for set in config.sps.iter().chain(&config.pps) {
        // What is wrong with one shows at the first picture that needs it.
        let _ = catch_unwind(AssertUnwindSafe(|| decode_nal(&mut decoder, set)));
    }
    decoder
}

/// Decodes an access unit; the pictures that it gives, and what was wrong first.
fn decode_unit(
    decoder: &mut rust_h264::decoder::Decoder,
    payload: &[u8],
) -> (Vec<rust_h264::decoder::Frame>, Result<(), String>) {
    let (mut pictures, mut outcome) = (Vec::new(), Ok(()));
    for nal in LengthPrefixed::new(payload, 4) {
        match nal.map_err(|error| error.to_string()).and_then(|nal| decode_nal(decoder, nal)) {
            Ok(picture) => pictures.extend(picture),
            Err(reason) => outcome = outcome.and(Err(reason)),
        }
    }
    // An access unit is one picture, or the two fields of one: nothing more comes to it.
    pictures.extend(decoder.flush());
    (pictures, outcome)
}

fn decode_nal(
    decoder: &mut rust_h264::decoder::Decoder,
    nal: &[u8],
) -> Result<Option<rust_h264::decoder::Frame>, String> {
    let Some(nal) = unit(nal) else { return Ok(None) };
    if nal.nal_unit_type == NalUnitType::Sps {
        let sps = parse_sps_info(&nal).map_err(|error| error.to_string())?;
        let pixels = u64::from(sps.coded_width) * u64::from(sps.coded_height);
        if pixels > PIXELS_MAX {
            let (width, height) = (sps.coded_width, sps.coded_height);
            return Err(format!("{width}x{height} pixels, at most {PIXELS_MAX}"));
        }
    }
    decoder.decode_nal(&nal).map_err(|error| error.to_string())
}

/// A NAL unit without start code and length, as the decoder wants it: without the bytes that keep
/// start codes out of it (section 7.4.1).
fn unit(nal: &[u8]) -> Option<NalUnit<'_>> {
    let (&head, body) = nal.split_first()?;
    if head & 0x80 != 0 {
        return None;
    }
    let mut rbsp = Vec::with_capacity(body.len());
    let mut zeros = 0;
    for &byte in body {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        rbsp.push(byte);
    }
    Some(NalUnit {
        nal_ref_idc: head >> 5 & 3,
        nal_unit_type: NalUnitType::from(head & 31),
        rbsp: rbsp.into(),
    })
}

/// The decoder's picture as ours.
fn plain(frame: rust_h264::decoder::Frame) -> Result<Picture, String> {
    if frame.bit_depth != 8 {
        return Err(format!("{} bits a sample, 8 expected", frame.bit_depth));
    }
    let (width, height) = (frame.width as usize, frame.height as usize);
    let (chroma_width, chroma_height) =
        (frame.chroma_width() as usize, frame.chroma_height() as usize);
    let step = if chroma_height > height.div_ceil(2) { 2 } else { 1 };
    let chroma = |samples: Vec<u8>| {
        let rows = height.div_ceil(2).min(chroma_height);
        Plane::from_samples(samples, chroma_width, rows, chroma_width * step)
    };
    let luma = Plane::from_samples(frame.y, width, height, width);
    let (Some(luma), Some(cb), Some(cr)) = (luma, chroma(frame.u), chroma(frame.v)) else {
        return Err("it gave fewer samples than pixels".to_owned());
    };
    Picture::from_planes([luma, cb, cr], Range::Limited)
        .ok_or_else(|| format!("a picture of {width}x{height}, even sides expected"))
}

/// Pictures that wait for others before them, at most (section A.3.1).
const DEPTH_MAX: usize = 16;
/// 4096x2304, the most of level 5.1: a decoder keeps up to 16 of them.
const PIXELS_MAX: u64 = 4_096 * 2_304;
