//! Action Message Format: the values in RTMP's commands and in an FLV file's script tags.
//!
//! [`amf0`] (Action Message Format, AMF 0, Adobe 2007) is what everybody writes; [`amf3`] (AMF 3,
//! Adobe 2013) comes inside of it, or in commands of a type of their own. Both readers are bounded
//! in depth, in the number of values and in the bytes that these hold, so that what they make is in
//! proportion to [`Limits`] and not to what a peer claims.

pub mod amf0;
pub mod amf3;
#[doc(hidden)]
pub mod fuzz;

/// How much one reader takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Values within values.
    pub depth_max: u32,
    /// Values in all, those within others included.
    pub values_max: u32,
    /// Bytes of strings and byte arrays in all, as they stand in memory.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { depth_max: 16, values_max: 4096, bytes_max: 256 * 1024 }
    }
}

/// Why values cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data ends within a value.
    #[error("AMF byte {offset}: {needed_bytes} bytes expected, {left_bytes} are left")]
    Truncated {
        /// Bytes from the start of the data.
        offset: usize,
        /// What the value needs from there.
        needed_bytes: usize,
        /// What there is.
        left_bytes: usize,
    },
    /// A byte that marks no type of value.
    #[error("AMF byte {offset}: the type of a value expected, {marker:#04x} came")]
    Marker {
        /// Bytes from the start of the data.
        offset: usize,
        /// What came.
        marker: u8,
    },
    /// A reference to something that did not come before.
    #[error("AMF byte {offset}: reference to number {index}, {known} came before")]
    Reference {
        /// Bytes from the start of the data.
        offset: usize,
        /// What is referred to.
        index: usize,
        /// How many there are.
        known: usize,
    },
    /// An object whose class alone knows how it is written.
    #[error("AMF byte {offset}: an externalizable object, whose form only its class knows")]
    Externalizable {
        /// Bytes from the start of the data.
        offset: usize,
    },
    /// Values stand too deep within others.
    #[error("AMF byte {offset}: values deeper than {depth_max} within each other")]
    TooDeep {
        /// Bytes from the start of the data.
        offset: usize,
        /// The limit.
        depth_max: u32,
    },
    /// Too many values.
    #[error("AMF byte {offset}: more than {values_max} values")]
    TooManyValues {
        /// Bytes from the start of the data.
        offset: usize,
        /// The limit.
        values_max: u32,
    },
    /// Too many bytes in strings.
    #[error("AMF byte {offset}: more than {bytes_max} bytes in strings")]
    TooManyBytes {
        /// Bytes from the start of the data.
        offset: usize,
        /// The limit.
        bytes_max: usize,
    },
}

/// A place in the data, and what was taken of the limits.
#[derive(Clone, Debug)]
struct Cursor<'a> {
    data: &'a [u8],
    offset: usize,
    limits: Limits,
    values: u32,
    bytes: usize,
    depth: u32,
}

impl<'a> Cursor<'a> {
    fn new(data: &'a [u8], limits: Limits) -> Self {
        Cursor { data, offset: 0, limits, values: 0, bytes: 0, depth: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.data.get(self.offset..).unwrap_or(&[])
    }

    fn is_empty(&self) -> bool {
        self.offset >= self.data.len()
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Error> {
        let rest = self.rest();
        let Some(taken) = rest.get(..bytes) else {
            let (offset, left_bytes) = (self.offset, rest.len());
            return Err(Error::Truncated { offset, needed_bytes: bytes, left_bytes });
        };
        self.offset += bytes;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let taken = self.take(N)?;
        Ok(*taken.first_chunk().expect("as many were taken"))
    }

    fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    fn f64(&mut self) -> Result<f64, Error> {
        self.array().map(f64::from_be_bytes)
    }

    /// Text of so many bytes; what is not UTF-8 in it becomes replacement characters.
    fn text(&mut self, bytes: usize) -> Result<String, Error> {
        let offset = self.offset;
        let text = String::from_utf8_lossy(self.take(bytes)?).into_owned();
        self.hold(offset, text.len())?;
        Ok(text)
    }

    /// Counts bytes that a value keeps.
    fn hold(&mut self, offset: usize, bytes: usize) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.bytes_max {
            return Err(Error::TooManyBytes { offset, bytes_max: self.limits.bytes_max });
        }
        Ok(())
    }

    /// Counts a value, and goes one deeper; [`Cursor::leave`] goes back.
    fn enter(&mut self) -> Result<(), Error> {
        let (offset, Limits { depth_max, values_max, .. }) = (self.offset, self.limits);
        self.values += 1;
        if self.values > values_max {
            return Err(Error::TooManyValues { offset, values_max });
        }
        self.depth += 1;
        if self.depth > depth_max {
            return Err(Error::TooDeep { offset, depth_max });
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }
}
