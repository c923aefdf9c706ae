//! Finds the boxes that say where a movie's samples are.

use super::boxes::{BoxView, FourCc, Header, HeaderFault};
use super::moof::Fragments;
use super::moov::Moov;
use super::{Movie, Warnings, jpeg_entry};
use crate::Error;

/// Opens an MP4 or QuickTime file, fragmented or not, by asking for the parts of it that it needs.
///
/// ```
/// use weir_media::mp4::{Opener, Step};
///
/// fn open(file: &[u8]) -> Result<weir_media::mp4::Movie, weir_media::Error> {
///     let mut opener = Opener::new(file.len() as u64);
///     loop {
///         match opener.poll()? {
///             Step::Need { offset, bytes } => {
///                 opener.feed(offset, &file[offset as usize..][..bytes as usize])?;
///             }
///             Step::Done(movie) => return Ok(*movie),
///         }
///     }
/// }
/// assert_eq!(
///     open(b"not a movie").unwrap_err().to_string(),
///     "file at byte 0: no MP4 or QuickTime file: it starts with a box of type \"a mo\"",
/// );
/// ```
///
/// A file that is cut off, or damaged, behind everything that its tracks need opens with a
/// warning; so does a fragmented file that is cut off behind its first fragment. Everything else
/// that is wrong is an error that says where.
#[derive(Debug)]
pub struct Opener {
    file_bytes: u64,
    /// Where the next box at the top starts.
    at: u64,
    box_count: u32,
    /// Bytes of the file from `window_at` on.
    window: Vec<u8>,
    window_at: u64,
    needed: Option<(u64, u64)>,
    has_mdat: bool,
    moov: Option<(Moov, Fragments)>,
    /// The movie, and the first track whose images have not been looked at.
    looking: Option<(Box<Movie>, usize)>,
    warnings: Warnings,
    failed: Option<Error>,
}

/// What an [`Opener`] wants.
#[derive(Debug)]
pub enum Step {
    /// These bytes of the file, by [`Opener::feed`].
    Need {
        /// Where they start.
        offset: u64,
        /// How many; never past the end of the file.
        bytes: u64,
    },
    /// Nothing more.
    Done(Box<Movie>),
}

impl Opener {
    /// An opener of a file with so many bytes.
    pub fn new(file_bytes: u64) -> Self {
        Opener {
            file_bytes,
            at: 0,
            box_count: 0,
            window: Vec::new(),
            window_at: 0,
            needed: None,
            has_mdat: false,
            moov: None,
            looking: None,
            warnings: Warnings::default(),
            failed: None,
        }
    }

    /// What is to be done next. After an error, and after [`Step::Done`], every call is an error.
    pub fn poll(&mut self) -> Result<Step, Error> {
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
    pub fn feed(&mut self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let (needed_offset, needed_bytes) = self.needed.unwrap_or((0, 0));
        if (offset, data.len() as u64) != (needed_offset, needed_bytes) {
            let (got_offset, got_bytes) = (offset, data.len() as u64);
            return Err(Error::Feed { needed_offset, needed_bytes, got_offset, got_bytes });
        }
        self.needed = None;
        self.window.clear();
        self.window.extend_from_slice(data);
        self.window_at = offset;
        Ok(())
    }

    fn go_on(&mut self) -> Result<Step, Error> {
        if let Some((movie, track)) = self.looking.take() {
            return Ok(self.look(movie, track));
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
        let Some((moov, fragments)) = self.moov.take() else {
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
        let damage = damage.or(fragments.cut);
        let empty = moov.tracks.iter().all(|track| track.table.count() == 0);
        if let Some(damage) = damage {
            if empty {
                return Err(damage);
            }
            self.warnings.push(format!("{damage}; what stands before it is used"));
        }
        let warnings = core::mem::take(&mut self.warnings);
        let movie = Box::new(Movie::new(moov, warnings)?);
        Ok(self.look(movie, 0))
    }

    /// Looks at the first image of each track of JPEG images, for the movie's boxes do not say how
    /// these are coded.
    fn look(&mut self, mut movie: Box<Movie>, from: usize) -> Step {
        for track in from..movie.tracks().len() {
            let Some(place) = jpeg_entry::first_image(&movie, track) else {
                continue;
            };
            self.at = place.start;
            match self.window(place.end - place.start) {
                Some(image) => jpeg_entry::look_at(&mut movie, track, image),
                None => {
                    self.looking = Some((movie, track));
                    return Step::Need { offset: place.start, bytes: place.end - place.start };
                }
            }
        }
        Step::Done(movie)
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
/// Two for each of 30 fragments a second, for more than a day.
const BOXES_MAX: u32 = 6_000_000;
const FIRST_KINDS: [&[u8; 4]; 14] = [
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"styp", b"sidx",
    b"junk", b"PICT", b"pict", b"prfl",
];
