//! Boxes (ISO/IEC 14496-12 section 4.2), read so that every error names the place.

use core::fmt;

use crate::Error;

/// A box's type, or a codec's name: four characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct FourCc(pub(super) [u8; 4]);

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// The start of a box.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) kind: FourCc,
    /// Bytes of the header itself.
    pub(super) header_bytes: u64,
    /// Bytes of the whole box.
    pub(super) bytes: u64,
}

/// Why no box starts at a place.
pub(super) enum HeaderFault {
    /// The box, if its type can be read, needs more bytes than are left.
    Cut { kind: Option<FourCc>, needed_bytes: u64 },
    /// It breaks its syntax.
    Syntax(String),
}

impl Header {
    /// Reads the header that `data` starts with, of a box that has at most `left_bytes`. `data`
    /// holds 16 bytes, or all that is left.
    pub(super) fn read(data: &[u8], left_bytes: u64) -> Result<Header, HeaderFault> {
        let Some((&[s0, s1, s2, s3, k0, k1, k2, k3], rest)) = data.split_first_chunk::<8>() else {
            return Err(HeaderFault::Cut { kind: None, needed_bytes: 8 });
        };
        let kind = FourCc([k0, k1, k2, k3]);
        let (header_bytes, bytes) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            0 => (8, left_bytes),
            1 => match rest.first_chunk::<8>() {
                Some(&size) => (16, u64::from_be_bytes(size)),
                None => {
                    return Err(HeaderFault::Cut { kind: Some(kind), needed_bytes: 16 });
                }
            },
            size => (8, u64::from(size)),
        };
        if bytes < header_bytes {
            let reason = format!("a box ({kind}) of {bytes} bytes is shorter than its header");
            return Err(HeaderFault::Syntax(reason));
        }
        if bytes > left_bytes {
            return Err(HeaderFault::Cut { kind: Some(kind), needed_bytes: bytes });
        }
        Ok(Header { kind, header_bytes, bytes })
    }
}

/// A box whose bytes are there.
#[derive(Clone)]
pub(super) struct BoxView<'a> {
    pub(super) kind: FourCc,
    /// The boxes from the top, joined by slashes.
    pub(super) path: String,
    /// Where it starts in the file.
    pub(super) at: u64,
    /// Where its content starts in the file.
    pub(super) body_at: u64,
    pub(super) body: &'a [u8],
}

impl<'a> BoxView<'a> {
    /// The box that `data`, which starts at `at` in the file, is.
    pub(super) fn top(header: Header, at: u64, data: &'a [u8]) -> Self {
        let body = data.get(header.header_bytes as usize..).unwrap_or(&[]);
        let (kind, body_at) = (header.kind, at + header.header_bytes);
        BoxView { kind, path: kind.to_string(), at, body_at, body }
    }

    /// An error about this box.
    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        self.error_at(0, reason)
    }

    /// An error about a byte of its content; 0 names the box itself.
    pub(super) fn error_at(&self, body_offset: usize, reason: impl Into<String>) -> Error {
        let offset = if body_offset == 0 { self.at } else { self.body_at + body_offset as u64 };
        Error::Mp4 { path: self.path.clone(), offset, reason: reason.into() }
    }

    /// The boxes in it, the first of which starts `skip` bytes into its content. Fewer than 8
    /// bytes behind the last are passed over (QuickTime ends lists with four zeros).
    pub(super) fn children(&self, skip: usize) -> Children<'a, '_> {
        Children { parent: self, at: skip }
    }

    /// The first box of this type in it.
    pub(super) fn child(&self, kind: &[u8; 4]) -> Result<Option<BoxView<'a>>, Error> {
        self.child_behind(0, kind)
    }

    /// The first box of this type in it, `skip` bytes or more into its content.
    pub(super) fn child_behind(
        &self,
        skip: usize,
        kind: &[u8; 4],
    ) -> Result<Option<BoxView<'a>>, Error> {
        self.children(skip)
            .find(|child| !matches!(child, Ok(view) if view.kind.0 != *kind))
            .transpose()
    }

    /// The first box of this type in it; its absence is an error.
    pub(super) fn required(&self, kind: &[u8; 4]) -> Result<BoxView<'a>, Error> {
        self.child(kind)?.ok_or_else(|| self.error(format!("has no {} box", FourCc(*kind))))
    }

    /// Its content, from the first byte.
    pub(super) fn fields(&self) -> Fields<'a, '_> {
        Fields { view: self, at: 0 }
    }
}

pub(super) struct Children<'a, 'v> {
    parent: &'v BoxView<'a>,
    at: usize,
}

impl<'a> Iterator for Children<'a, '_> {
    type Item = Result<BoxView<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let BoxView { path, body_at, body, .. } = self.parent;
        let start = self.at;
        let data = body.get(start..).filter(|data| data.len() >= 8)?;
        self.at = body.len();
        let header = match Header::read(data, data.len() as u64) {
            Ok(header) => header,
            Err(HeaderFault::Syntax(reason)) => {
                return Some(Err(self.parent.error_at(start, reason)));
            }
            Err(HeaderFault::Cut { kind, needed_bytes }) => {
                let kind = kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
                let left = data.len();
                let reason = format!("a box{kind} of {needed_bytes} bytes, {left} bytes are left");
                return Some(Err(self.parent.error_at(start, reason)));
            }
        };
        let (head, end) = (header.header_bytes as usize, header.bytes as usize);
        self.at = start + end;
        let at = body_at + start as u64;
        Some(Ok(BoxView {
            kind: header.kind,
            path: format!("{path}/{}", header.kind),
            at,
            body_at: at + header.header_bytes,
            body: data.get(head..end).unwrap_or(&[]),
        }))
    }
}

/// Reads numbers from a box; running out is an error that names the place.
pub(super) struct Fields<'a, 'v> {
    view: &'v BoxView<'a>,
    at: usize,
}

impl<'a> Fields<'a, '_> {
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.view.body.len().saturating_sub(self.at)
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<&'a [u8], Error> {
        let rest = self.view.body.get(self.at..).unwrap_or(&[]);
        let Some(taken) = rest.get(..bytes) else {
            let reason = format!("{bytes} more bytes expected, {} are left", rest.len());
            return Err(self.view.error_at(self.at, reason));
        };
        self.at += bytes;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Error> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_be_bytes)
    }

    /// The version and the flags that a full box starts with (section 4.2.2).
    pub(super) fn version_and_flags(&mut self) -> Result<(u8, u32), Error> {
        let word = self.u32()?;
        Ok(((word >> 24) as u8, word & 0xff_ffff))
    }

    /// A time or a duration: 64 bits in version 1, else 32.
    pub(super) fn time(&mut self, version: u8) -> Result<u64, Error> {
        if version == 1 { self.u64() } else { self.u32().map(u64::from) }
    }

    /// A table of `count` entries of `N` bytes; an error if the box ends before.
    pub(super) fn table<const N: usize>(&mut self, count: u32) -> Result<&'a [[u8; N]], Error> {
        let left = self.left();
        if count as usize > left / N {
            let reason = format!("{count} entries of {N} bytes expected, {left} bytes are left");
            return Err(self.view.error_at(self.at, reason));
        }
        Ok(self.take(count as usize * N)?.as_chunks().0)
    }
}

/// Two numbers of four bytes each.
pub(super) fn pair(entry: &[u8; 8]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = *entry;
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}
