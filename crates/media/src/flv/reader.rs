//! Reads an FLV file from its first tag to its last.

use super::codec::{self, Found};
use super::tag::{Coding, HEAD_BYTES, MediaHead, PICTURE, Part, SCRIPT, TRAILER_BYTES, TagHead};
use crate::movie::{
    Format, Jumps, Layout, Movie, Scan, SkippedTrack, TimeLine, TrackBuilder, TrackIndex, Unit,
    Warnings, origin,
};
use crate::{Codec, Error, MediaTime, Track, TrackId, opus};

/// Reads an FLV file: one track of picture, one of sound.
#[derive(Debug)]
pub(crate) struct Reader {
    file_bytes: u64,
    /// The file's head was read.
    begun: bool,
    picture: Lane,
    sound: Lane,
    jumps: Jumps,
    warnings: Warnings,
}

/// One track, as far as it was read.
#[derive(Debug)]
struct Lane {
    place: &'static str,
    /// How it is coded, by its first tag.
    coding: Option<Coding>,
    found: Option<(Codec, u8)>,
    /// The configuration that it started with.
    config: Vec<u8>,
    /// Why it cannot be played at all.
    refused: Option<String>,
    /// It cannot be played any further.
    ended: bool,
    builder: TrackBuilder,
    /// Frames before the configuration.
    early: u64,
}

impl Reader {
    pub(crate) fn new(file_bytes: u64) -> Self {
        Reader {
            file_bytes,
            begun: false,
            picture: Lane::new("picture"),
            sound: Lane::new("sound"),
            jumps: Jumps::new(RATE_HZ),
            warnings: Warnings::default(),
        }
    }

    /// Reads the file's head (section E.2); returns where the first tag is.
    fn read_head(&mut self, data: &[u8]) -> Result<u64, Error> {
        let Some(&[b'F', b'L', b'V', version, _, o0, o1, o2, o3]) = data.first_chunk::<9>() else {
            let file_bytes = self.file_bytes;
            let path = "FLV header".to_owned();
            return Err(Error::Truncated { path, offset: 0, needed_bytes: 9, file_bytes });
        };
        if version != 1 {
            let reason = format!("version 1 expected, {version} came");
            return Err(Error::container("FLV header", 3, reason));
        }
        let bytes = u32::from_be_bytes([o0, o1, o2, o3]);
        if bytes < 9 {
            let reason = format!("a header of 9 bytes or more expected, {bytes} came");
            return Err(Error::container("FLV header", 5, reason));
        }
        let first_tag = u64::from(bytes) + TRAILER_BYTES;
        if first_tag > self.file_bytes {
            let file_bytes = self.file_bytes;
            let reason = format!("the first tag is at byte {first_tag}, the file has {file_bytes}");
            return Err(Error::container("FLV header", 5, reason));
        }
        self.begun = true;
        Ok(first_tag)
    }

    /// Takes a tag that starts at `at`; `data` is what was read of it behind its head. Returns
    /// whether that is enough.
    fn tag(&mut self, head: TagHead, at: u64, data: &[u8]) -> bool {
        if head.kind == SCRIPT {
            return true;
        }
        let has_all = data.len() as u64 >= u64::from(head.data_bytes);
        let data = data.get(..head.data_bytes as usize).unwrap_or(data);
        let lane = if head.kind == PICTURE { &mut self.picture } else { &mut self.sound };
        if head.encrypted {
            lane.refuse(None, "it is encrypted".to_owned());
            return true;
        }
        let Some(media) = MediaHead::read(head.kind, data) else {
            return has_all;
        };
        if media.part == Part::Config && !has_all {
            return false;
        }
        let body = data.get(media.head_bytes..).unwrap_or(&[]);
        match media.part {
            Part::Other => {}
            Part::Multitrack => {
                let text = format!("FLV tag at byte {at}: a track beside the first, left out");
                self.warnings.push(text);
            }
            Part::Config => lane.configure(&media, body, at, &mut self.warnings),
            Part::Frame => {
                let dts = i64::from(head.time_ms);
                let Some(behind) = head.data_bytes.checked_sub(media.head_bytes as u32) else {
                    return true;
                };
                let bytes = media.body_bytes.unwrap_or(behind).min(behind);
                let unit = Unit {
                    offset: at + HEAD_BYTES as u64 + media.head_bytes as u64,
                    bytes,
                    dts,
                    pts: dts + i64::from(media.shift_ms),
                    key: media.key,
                    duration: None,
                    skip: 0,
                };
                if bytes > 0 && lane.takes(&media, at, &mut self.warnings) {
                    lane.push(unit, &mut self.jumps, &mut self.warnings);
                }
            }
        }
        true
    }
}

impl Lane {
    fn new(place: &'static str) -> Self {
        Lane {
            place,
            coding: None,
            found: None,
            config: Vec::new(),
            refused: None,
            ended: false,
            builder: TrackBuilder::default(),
            early: 0,
        }
    }

    fn refuse(&mut self, coding: Option<Coding>, reason: String) {
        self.coding = self.coding.or(coding);
        if self.refused.is_none() && self.found.is_none() {
            self.refused = Some(reason);
        }
    }

    fn configure(&mut self, media: &MediaHead, config: &[u8], at: u64, warnings: &mut Warnings) {
        if self.refused.is_some() || self.ended || config.is_empty() {
            return;
        }
        if self.found.is_some() {
            if config != self.config || self.coding != Some(media.coding) {
                self.end(at, "its configuration changes", warnings);
            }
            return;
        }
        match codec::from_config(media.coding, config) {
            Ok(Found { codec, length_bytes }) => {
                self.coding = Some(media.coding);
                self.config = config.to_vec();
                self.found = Some((codec, length_bytes));
            }
            Err(error) => {
                let reason = match &error {
                    Error::Unsupported { .. } => error.to_string(),
                    _ => format!("FLV tag at byte {at}: {error}"),
                };
                self.refuse(Some(media.coding), reason);
            }
        }
    }

    /// Whether a frame with this head can be played.
    fn takes(&mut self, media: &MediaHead, at: u64, warnings: &mut Warnings) -> bool {
        if self.refused.is_some() || self.ended {
            return false;
        }
        if self.found.is_none() {
            if codec::has_config(media.coding) {
                self.coding = self.coding.or(Some(media.coding));
                self.early += 1;
                return false;
            }
            match codec::from_flags(media.coding, media.flags) {
                Ok(Found { codec, length_bytes }) => {
                    self.coding = Some(media.coding);
                    self.found = Some((codec, length_bytes));
                }
                Err(error) => self.refuse(Some(media.coding), error.to_string()),
            }
        }
        if self.found.is_some() && self.coding != Some(media.coding) {
            self.end(at, "its codec changes", warnings);
        }
        self.found.is_some() && !self.ended
    }

    fn push(&mut self, mut unit: Unit, jumps: &mut Jumps, warnings: &mut Warnings) {
        unit.duration = match &self.found {
            Some((Codec::G711(config), _)) => {
                let rate = u64::from(config.sample_rate_hz) * u64::from(config.channels);
                Some((u64::from(unit.bytes) * u64::from(RATE_HZ) / rate.max(1)) as u32)
            }
            _ => None,
        };
        self.builder.push(unit, jumps, warnings);
    }

    fn end(&mut self, at: u64, why: &str, warnings: &mut Warnings) {
        self.ended = true;
        let place = self.place;
        warnings.push(format!(
            "FLV tag at byte {at}: {why}, which is not followed; the {place} ends before it"
        ));
    }

    /// The track, if there is one that can be played.
    fn finish(
        self,
        skipped: &mut Vec<SkippedTrack>,
        warnings: &mut Warnings,
    ) -> Option<(Codec, TrackIndex)> {
        let place = self.place.to_owned();
        let codec = self.coding.map(codec::label);
        if let Some(reason) = self.refused {
            skipped.push(SkippedTrack { place, codec, reason });
            return None;
        }
        let Some((found, length_bytes)) = self.found else {
            if self.early > 0 {
                let reason = "its configuration is missing".to_owned();
                skipped.push(SkippedTrack { place, codec, reason });
            }
            return None;
        };
        if self.early > 0 {
            let early = self.early;
            warnings.push(format!("{place}: {early} frames before its configuration, left out"));
        }
        let table = self.builder.finish().table;
        if table.count() == 0 {
            let reason = "it has no samples".to_owned();
            skipped.push(SkippedTrack { place, codec, reason });
            return None;
        }
        let index = TrackIndex { table, line: LINE, length_bytes, layout: Layout::Whole };
        Some((found, index))
    }
}

impl Scan for Reader {
    fn read(&mut self, at: u64, data: &[u8]) -> Result<u64, Error> {
        if !self.begun {
            return self.read_head(data);
        }
        let data_end = at + data.len() as u64;
        let is_all = data_end >= self.file_bytes;
        let mut here = at;
        while here < data_end {
            let tag = data.get((here - at) as usize..).unwrap_or(&[]);
            let Some((head, body)) = tag.split_first_chunk::<HEAD_BYTES>() else {
                if is_all {
                    self.cut(here, HEAD_BYTES as u64);
                }
                return Ok(if is_all { self.file_bytes } else { here });
            };
            let Some(head) = TagHead::read(head) else {
                let start = head.escape_ascii();
                self.warnings.push(format!(
                    "byte {here}: no FLV tag starts with \"{start}\"; what stands before it is used"
                ));
                return Ok(self.file_bytes);
            };
            let bytes = HEAD_BYTES as u64 + u64::from(head.data_bytes);
            if here + bytes > self.file_bytes {
                self.cut(here, bytes);
                return Ok(self.file_bytes);
            }
            // The start of the data says what is in it; configurations are read whole.
            let is_enough = body.len() as u64 >= u64::from(head.data_bytes).min(MEDIA_HEAD_BYTES);
            if !is_enough || !self.tag(head, here, body) {
                return Ok(here);
            }
            here += bytes + TRAILER_BYTES;
        }
        Ok(here)
    }

    fn finish(self: Box<Self>) -> Result<Movie, Error> {
        let Reader { picture, sound, mut warnings, .. } = *self;
        let mut skipped = Vec::new();
        let lanes = [picture, sound].into_iter();
        let mut built: Vec<_> =
            lanes.filter_map(|lane| lane.finish(&mut skipped, &mut warnings)).collect();
        let mut lines: Vec<_> =
            built.iter_mut().map(|(_, index)| (&index.table, &mut index.line)).collect();
        origin(&mut lines);
        let tracks = built.into_iter().enumerate().map(|(number, (codec, index))| {
            let clock_rate_hz = match &codec {
                Codec::Aac(config) => config.sample_rate_hz,
                Codec::G711(config) => config.sample_rate_hz,
                Codec::Opus(_) => opus::CLOCK_RATE_HZ,
                _ => RATE_HZ,
            };
            (Track { id: TrackId(number as u8), codec, clock_rate_hz }, index)
        });
        Movie::new(Format::Flv, tracks.collect(), skipped, warnings)
    }
}

impl Reader {
    fn cut(&mut self, at: u64, bytes: u64) {
        let (needed, file_bytes) = (at + bytes, self.file_bytes);
        self.warnings.push(format!(
            "the file is cut off: the FLV tag at byte {at} needs {needed} bytes, the file has \
             {file_bytes}; what stands before it is used"
        ));
    }
}

/// Times are in milliseconds.
const RATE_HZ: u32 = 1000;
const LINE: TimeLine =
    TimeLine { rate_hz: RATE_HZ, media_time: 0, delay: MediaTime::ZERO, lead: 0 };
/// What is read of a tag's data at least, so that its head is whole.
const MEDIA_HEAD_BYTES: u64 = 64;
