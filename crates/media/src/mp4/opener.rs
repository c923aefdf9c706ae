//! Finds the boxes that say where a movie's samples are.

use bytes::Bytes;

use super::Warnings;
use super::boxes::{BoxView, FourCc, Header, HeaderFault};
use super::first_sample;
use super::moof::Fragments;
use super::moov::{self, Moov, TrackDraft};
use crate::movie::{SkippedTrack, Step};
use crate::{Codec, Error};

/// Opens an MP4 or QuickTime file, fragmented or not, by asking for the parts of it that it needs.
///
/// A file that is cut off, or damaged, behind everything that its tracks need opens with a
/// warning; so does a fragmented file that is cut off behind its first fragment. Everything else
/// that is wrong is an error that says where.
#[derive(Debug)]
pub(crate) struct Opener {
    file_bytes: u64,
    /// Where the next box at the top starts.
    at: u64,
    box_count: u32,
    /// Bytes of the file from `window_at` on.
    window: Bytes,
    window_at: u64,
    needed: Option<(u64, u64)>,
    has_mdat: bool,
    moov: Option<(Moov, Fragments)>,
    warnings: Warnings,
    /// All boxes were seen, up to the damage in it; first samples may still be needed.
    ending: Option<Option<Error>>,
    failed: Option<Error>,
}

impl Opener {
    /// An opener of a file with so many bytes.
    pub(crate) fn new(file_bytes: u64) -> Self {
        Opener {
            file_bytes,
            at: 0,
            box_count: 0,
            window: Bytes::new(),
            window_at: 0,
            needed: None,
            has_mdat: false,
            moov: None,
            warnings: Warnings::default(),
            ending: None,
            failed: None,
        }
    }

    /// What is to be done next. After an error, and after [`Step::Done`], every call is an error.
    pub(crate) fn poll(&mut self) -> Result<Step, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let step = self.go_on();
        match &step {
            Err(error) => self.failed = Some(error.clone()),
            Ok(Step::Done(_)) => self.failed = Some(file_error(0, "it has been opened already")),
            Ok(Step::Need { offset, bytes }) => self.needed = Some((*offset, *bytes)),
        }
        step
    }

    /// Brings the bytes that [`Step::Need`] asked for, neither more nor fewer.
    pub(crate) fn feed(&mut self, offset: u64, data: Bytes) -> Result<(), Error> {
        let (needed_offset, needed_bytes) = self.needed.unwrap_or((0, 0));
        if (offset, data.len() as u64) != (needed_offset, needed_bytes) {
            let (got_offset, got_bytes) = (offset, data.len() as u64);
            return Err(Error::Feed { needed_offset, needed_bytes, got_offset, got_bytes });
        }
        self.needed = None;
        self.window = data;
        self.window_at = offset;
        Ok(())
    }

    fn go_on(&mut self) -> Result<Step, Error> {
        if let Some(damage) = self.ending.take() {
            return self.finish(damage);
        }
        while self.at < self.file_bytes {
            let left = self.file_bytes - self.at;
            let Some(head) = self.window(left.min(HEADER_BYTES_MAX)) else {
                return Ok(Step::Need { offset: self.at, bytes: left.min(READ_BYTES) });
            };
            let header = match Header::read(head, left) {
                Ok(header) => header,
                Err(fault) => return self.stopped_by(fault),
            };
            self.look_at_first(header.kind)?;
            if matches!(&header.kind.0, b"moov" | b"moof") {
                self.check_size(&header)?;
                if self.window(header.bytes).is_none() {
                    return Ok(Step::Need { offset: self.at, bytes: header.bytes });
                }
                if self.read(header)? {
                    return self.finish(None);
                }
            }
            self.has_mdat |= header.kind.0 == *b"mdat";
            self.at += header.bytes;
            self.box_count += 1;
            if self.box_count >= BOXES_MAX {
                let reason = format!("more than {BOXES_MAX} boxes at the top");
                return Err(file_error(self.at, reason));
            }
        }
        self.finish(None)
    }

    /// The next bytes, if they are there.
    fn window(&self, bytes: u64) -> Option<&[u8]> {
        let start = usize::try_from(self.at.checked_sub(self.window_at)?).ok()?;
        self.window.get(start..)?.get(..usize::try_from(bytes).ok()?)
    }

    /// Reads the box that the window starts with; whether nothing behind it is needed.
    fn read(&mut self, header: Header) -> Result<bool, Error> {
        let start = (self.at - self.window_at) as usize;
        let data = self.window.get(start..start + header.bytes as usize).unwrap_or(&[]);
        let view = BoxView::top(header, self.at, data);
        match (&header.kind.0, &mut self.moov) {
            (b"moov", None) => {
                let moov = Moov::read(&view, &mut self.warnings)?;
                if moov.tracks.is_empty() {
                    return Err(Error::NoTrack { skipped: moov.skipped });
                }
                let whole = moov.tracks.iter().all(|track| track.data_end <= self.file_bytes);
                let ends = whole && !moov.fragmented;
                self.moov = Some((moov, Fragments::new(self.file_bytes)));
                Ok(ends)
            }
            (b"moof", Some((moov, fragments))) if moov.fragmented => {
                fragments.read(&view, &mut moov.tracks, &mut self.warnings)?;
                Ok(fragments.cut.is_some())
            }
            (b"moof", None) => Err(view.error("a fragment comes before the moov box")),
            _ => Ok(false),
        }
    }

    fn look_at_first(&self, kind: FourCc) -> Result<(), Error> {
        if self.at > 0 || FIRST_KINDS.contains(&&kind.0) {
            return Ok(());
        }
        let reason = format!("no MP4 or QuickTime file: it starts with a box of type \"{kind}\"");
        Err(file_error(0, reason))
    }

    fn check_size(&self, header: &Header) -> Result<(), Error> {
        let max = if header.kind.0 == *b"moov" { MOOV_BYTES_MAX } else { MOOF_BYTES_MAX };
        if header.bytes <= max {
            return Ok(());
        }
        let reason = format!("{} bytes, at most {max} are read", header.bytes);
        Err(Error::Mp4 { path: header.kind.to_string(), offset: self.at, reason })
    }

    /// No box starts at `at`.
    fn stopped_by(&mut self, fault: HeaderFault) -> Result<Step, Error> {
        let error = match fault {
            HeaderFault::Syntax(reason) => file_error(self.at, reason),
            HeaderFault::Cut { kind, needed_bytes } => {
                if let Some(kind) = kind {
                    self.look_at_first(kind)?;
                }
                Error::Truncated {
                    path: kind.map_or("a box header".to_owned(), |kind| kind.to_string()),
                    offset: self.at,
                    needed_bytes: self.at.saturating_add(needed_bytes),
                    file_bytes: self.file_bytes,
                }
            }
        };
        self.finish(Some(error))
    }

    /// All boxes were seen, up to `damage`.
    fn finish(&mut self, damage: Option<Error>) -> Result<Step, Error> {
        let Some((mut moov, mut fragments)) = self.moov.take() else {
            return Err(damage.unwrap_or_else(|| self.no_moov()));
        };
        let file_bytes = self.file_bytes;
        if let Some(track) = moov.tracks.iter().find(|track| track.data_end > file_bytes) {
            return Err(damage.unwrap_or(Error::Truncated {
                path: track.stbl_path.clone(),
                offset: track.stbl_at,
                needed_bytes: track.data_end,
                file_bytes,
            }));
        }
        let damage = damage.or(fragments.cut.take());
        let empty = moov.tracks.iter().all(|track| track.table.count() == 0);
        if (damage.is_none() || !empty)
            && let Some((offset, bytes)) = self.first_samples(&mut moov)
        {
            (self.moov, self.ending) = (Some((moov, fragments)), Some(damage));
            return Ok(Step::Need { offset, bytes });
        }
        if let Some(damage) = damage {
            if empty {
                return Err(damage);
            }
            self.warnings.push(format!("{damage}; what stands before it is used"));
        }
        let warnings = core::mem::take(&mut self.warnings);
        moov.into_movie(warnings).map(|movie| Step::Done(Box::new(movie)))
    }

    /// Completes configurations by the tracks' first samples: gives the place of one that is
    /// needed. Tracks that have nothing of the kind there are passed over.
    fn first_samples(&mut self, moov: &mut Moov) -> Option<(u64, u64)> {
        let mut needed = None;
        let warnings = &mut self.warnings;
        let mut complete = |draft: &mut TrackDraft| -> Result<(), String> {
            let first = draft.table.cursor(0, 1).next();
            let Some(first) = first.filter(|_| !first_sample::is_complete(&draft.codec)) else {
                return Ok(());
            };
            let place = (first.offset, u64::from(first.bytes));
            if place.1 == 0
                || place.1 > SAMPLE_BYTES_MAX
                || place.0.saturating_add(place.1) > self.file_bytes
            {
                return Err("its parameter sets are not in its sample description".to_owned());
            }
            let start = usize::try_from(place.0.wrapping_sub(self.window_at)).ok();
            let window = start.and_then(|start| self.window.get(start..)?.get(..place.1 as usize));
            let Some(sample) = window else {
                needed = Some(place);
                return Ok(());
            };
            let (codec, length_bytes) = (&mut draft.codec, draft.length_bytes);
            let done = first_sample::complete(codec, sample, length_bytes);
            // Images describe themselves: others may be whole.
            if let (Codec::Jpeg(_), Err(error)) = (&codec, &done) {
                warnings.push(format!("{}, the first image: {error}", moov::place(draft.trak)));
                return Ok(());
            }
            done.map_err(|error| {
                format!("its parameter sets are neither in its description nor in its first sample ({error})")
            })
        };
        let skipped = &mut moov.skipped;
        moov.tracks.retain_mut(|draft| {
            let done = complete(draft);
            if let Err(reason) = &done {
                let codec = Some(draft.codec.name().to_owned());
                skipped.push(SkippedTrack {
                    place: moov::place(draft.trak),
                    codec,
                    reason: reason.clone(),
                });
            }
            done.is_ok()
        });
        needed
    }

    fn no_moov(&self) -> Error {
        let reason = match (self.file_bytes, self.has_mdat) {
            (0, _) => "it is empty",
            (_, true) => "it has samples and no moov box: its recording was not finished",
            (_, false) => "it has no moov box",
        };
        file_error(self.file_bytes, reason)
    }
}

fn file_error(offset: u64, reason: impl Into<String>) -> Error {
    Error::Mp4 { path: "file".to_owned(), offset, reason: reason.into() }
}

const HEADER_BYTES_MAX: u64 = 16;
/// What is asked for at once where a box is expected: small boxes come along.
const READ_BYTES: u64 = 4096;
/// A movie of ten hours has about 30 MB.
const MOOV_BYTES_MAX: u64 = 256 << 20;
const MOOF_BYTES_MAX: u64 = 16 << 20;
/// A first sample that is looked into.
const SAMPLE_BYTES_MAX: u64 = 16 << 20;
/// Two for each of 30 fragments a second, for more than a day.
const BOXES_MAX: u32 = 6_000_000;
pub(crate) const FIRST_KINDS: [&[u8; 4]; 14] = [
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"styp", b"sidx",
    b"junk", b"PICT", b"pict", b"prfl",
];
