//! Tells a file's format by its content, and has it read by whoever knows that.

use bytes::Bytes;

use super::{Format, Movie};
use crate::{Error, flv, mjpeg, mp4, ts};

/// Opens a movie file by asking for the parts of it that it needs.
///
/// ```
/// use weir_media::movie::{Movie, Opener, Step};
///
/// fn open(file: &[u8]) -> Result<Movie, weir_media::Error> {
///     let mut opener = Opener::new(file.len() as u64);
///     loop {
///         match opener.poll()? {
///             Step::Need { offset, bytes } => {
///                 opener.feed(offset, file[offset as usize..][..bytes as usize].to_vec())?;
///             }
///             Step::Done(movie) => return Ok(*movie),
///         }
///     }
/// }
/// assert_eq!(
///     open(b"not a movie").unwrap_err().to_string(),
///     "file at byte 0: no movie (MP4, QuickTime, FLV, MPEG-TS or Motion JPEG): \
///      it starts with \"not a mo\"",
/// );
/// ```
///
/// The format is told by the first bytes, never by a file name.
///
/// What it costs: of an MP4 or QuickTime file the index is read, which is some hundred kilobytes an
/// hour; of a fragmented one the head of each fragment. The other formats have no index: the file
/// is read once from the first byte to the last, in steps of [`STEP_BYTES`], of which one is held at
/// a time. Their tables take about 20 bytes a sample.
///
/// A file that is cut off, or damaged, behind everything that its tracks need opens with a
/// warning that names the place, and so does one without an index that is cut off or damaged
/// behind its first samples: what stands before the place is played. Everything else that is wrong
/// is an error that says where.
#[derive(Debug)]
pub struct Opener {
    file_bytes: u64,
    reader: Reader,
    needed: Option<(u64, u64)>,
    failed: Option<Error>,
}

#[derive(Debug)]
enum Reader {
    /// The first bytes have not come yet.
    Head,
    Mp4(Box<mp4::Opener>),
    Scan {
        scan: Box<dyn Scan>,
        at: u64,
        step_bytes: u64,
    },
    Over,
}

/// Reads a file from its first byte to its last.
pub(crate) trait Scan: core::fmt::Debug + Send {
    /// Takes what it can of `data`, which stands at `at` in the file, and returns where it wants
    /// to read on: `at` itself if it needs more at once, past the end of `data` to pass over
    /// something, the end of the file to stop.
    fn read(&mut self, at: u64, data: &[u8]) -> Result<u64, Error>;

    /// All was read.
    fn finish(self: Box<Self>) -> Result<Movie, Error>;
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
        Opener { file_bytes, reader: Reader::Head, needed: None, failed: None }
    }

    /// What is to be done next. After an error, and after [`Step::Done`], every call is an error.
    pub fn poll(&mut self) -> Result<Step, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let step = self.go_on();
        match &step {
            Err(error) => self.fail(error.clone()),
            Ok(Step::Done(_)) => {
                self.fail(Error::container("file", 0, "it has been opened already"))
            }
            Ok(Step::Need { offset, bytes }) => self.needed = Some((*offset, *bytes)),
        }
        step
    }

    /// Brings the bytes that [`Step::Need`] asked for, neither more nor fewer. What is wrong with
    /// them is told by [`Opener::poll`].
    pub fn feed(&mut self, offset: u64, data: impl Into<Bytes>) -> Result<(), Error> {
        let data = data.into();
        let (needed_offset, needed_bytes) = self.needed.unwrap_or((0, 0));
        if (offset, data.len() as u64) != (needed_offset, needed_bytes) {
            let (got_offset, got_bytes) = (offset, data.len() as u64);
            return Err(Error::Feed { needed_offset, needed_bytes, got_offset, got_bytes });
        }
        self.needed = None;
        if let Err(error) = self.take(offset, data) {
            self.fail(error);
        }
        Ok(())
    }

    fn fail(&mut self, error: Error) {
        self.failed = Some(error);
        self.reader = Reader::Over;
    }

    fn go_on(&mut self) -> Result<Step, Error> {
        let left_from = |at: u64| self.file_bytes.saturating_sub(at);
        match &mut self.reader {
            Reader::Mp4(opener) => opener.poll(),
            Reader::Head if self.file_bytes == 0 => Err(Error::container("file", 0, "it is empty")),
            Reader::Head => Ok(Step::Need { offset: 0, bytes: left_from(0).min(HEAD_BYTES) }),
            Reader::Scan { at, step_bytes, .. } if *at < self.file_bytes => {
                Ok(Step::Need { offset: *at, bytes: left_from(*at).min(*step_bytes) })
            }
            Reader::Scan { .. } => {
                let reader = core::mem::replace(&mut self.reader, Reader::Over);
                let Reader::Scan { scan, .. } = reader else {
                    unreachable!("it was looked at just now")
                };
                scan.finish().map(|movie| Step::Done(Box::new(movie)))
            }
            Reader::Over => Err(Error::container("file", 0, "it has been opened already")),
        }
    }

    fn take(&mut self, offset: u64, data: Bytes) -> Result<(), Error> {
        let file_bytes = self.file_bytes;
        match &mut self.reader {
            Reader::Head => self.reader = reader(&data, file_bytes)?,
            Reader::Mp4(opener) => return opener.feed(offset, data),
            Reader::Scan { scan, at, step_bytes } => {
                let next = scan.read(offset, &data)?;
                let is_all = offset + data.len() as u64 >= file_bytes;
                (*at, *step_bytes) = match next > offset {
                    true => (next, STEP_BYTES),
                    // At the end of the file nothing more can come.
                    false if is_all => (file_bytes, STEP_BYTES),
                    false if *step_bytes >= STEP_BYTES_MAX => {
                        let reason = format!("nothing ends within {STEP_BYTES_MAX} bytes");
                        return Err(Error::container("file", offset, reason));
                    }
                    false => (offset, *step_bytes * 2),
                };
                return Ok(());
            }
            Reader::Over => {}
        }
        // An MP4 reader asks first for what was read just now.
        if let Reader::Mp4(opener) = &mut self.reader
            && let Step::Need { offset: 0, bytes } = opener.poll()?
            && bytes == data.len() as u64
        {
            opener.feed(0, data)?;
        }
        Ok(())
    }
}

/// Whoever reads a file with this head.
fn reader(head: &[u8], file_bytes: u64) -> Result<Reader, Error> {
    let scan: Box<dyn Scan> = match format(head) {
        None if head.len() >= 8 => {
            let start = head.get(..8).unwrap_or(head).escape_ascii();
            let reason = format!(
                "no movie (MP4, QuickTime, FLV, MPEG-TS or Motion JPEG): it starts with \"{start}\""
            );
            return Err(Error::container("file", 0, reason));
        }
        Some(Format::Mp4) | None => {
            return Ok(Reader::Mp4(Box::new(mp4::Opener::new(file_bytes))));
        }
        Some(Format::Flv) => Box::new(flv::Reader::new(file_bytes)),
        Some(Format::Ts) => Box::new(ts::Reader::new(file_bytes)),
        Some(Format::ClassroomMjpeg) => Box::new(mjpeg::ClassroomReader::new(file_bytes)),
        Some(Format::Jpegs) => Box::new(mjpeg::JpegsReader::new(file_bytes)),
    };
    Ok(Reader::Scan { scan, at: 0, step_bytes: STEP_BYTES })
}

impl Format {
    /// The container of a file with this beginning, of which 4,096 bytes are enough.
    pub fn of(head: &[u8]) -> Option<Format> {
        format(head)
    }
}

/// The format of a file that starts so. Signatures come before the guess by packets.
fn format(head: &[u8]) -> Option<Format> {
    let kind = head.get(4..8).and_then(|kind| kind.first_chunk::<4>());
    if kind.is_some_and(|kind| mp4::FIRST_KINDS.contains(&kind)) {
        return Some(Format::Mp4);
    }
    if head.starts_with(b"FLV") {
        return Some(Format::Flv);
    }
    if head.starts_with(mjpeg::IMAGE_START) {
        return Some(Format::Jpegs);
    }
    // Also where the five digits before are none, so that the error is about them.
    if head.get(5..).is_some_and(|behind| behind.starts_with(mjpeg::IMAGE_START)) {
        return Some(Format::ClassroomMjpeg);
    }
    ts::grid(head).map(|_| Format::Ts)
}

/// What is read first: enough to tell the format, and small boxes of MP4 along with it.
const HEAD_BYTES: u64 = 4096;
/// What is read at once of a file without an index.
pub const STEP_BYTES: u64 = 2 << 20;
/// What is read at once if something does not end before.
const STEP_BYTES_MAX: u64 = 64 << 20;
