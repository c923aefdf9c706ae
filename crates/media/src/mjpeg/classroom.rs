//! The classroom's file: five decimal digits with an image's length, then the image.

use super::{IMAGE_END, IMAGE_START, Images};
use crate::movie::{Format, Movie, Scan};
use crate::{Error, jpeg};

/// Reads a file in which each image stands behind its length in five digits; they are shown 50 ms
/// each. A length that is no number, or that does not end an image, ends the movie before it.
#[derive(Debug)]
pub(crate) struct ClassroomReader {
    file_bytes: u64,
    images: Images,
}

/// What stands at a place.
enum Found {
    /// An image with its length, of so many bytes together.
    Image(usize),
    /// More is to be read before that can be said.
    More,
}

impl ClassroomReader {
    pub(crate) fn new(file_bytes: u64) -> Self {
        ClassroomReader { file_bytes, images: Images::new(FRAME_MS) }
    }

    /// What stands at `at`, where `data` starts; `is_all` if the file ends with it.
    fn look(&self, at: u64, data: &[u8], is_all: bool) -> Result<Found, Error> {
        let part = || format!("image {}", self.images.count);
        let cut = |needed: usize| Error::Truncated {
            path: part(),
            offset: at,
            needed_bytes: at + needed as u64,
            file_bytes: self.file_bytes,
        };
        let Some((digits, behind)) = data.split_first_chunk::<DIGITS>() else {
            return if is_all { Err(cut(DIGITS)) } else { Ok(Found::More) };
        };
        let Some(bytes) = length(digits) else {
            let came = digits.escape_ascii();
            let reason = format!("a length of five decimal digits expected, \"{came}\" came");
            return Err(Error::container(part(), at, reason));
        };
        let all_bytes = DIGITS + bytes;
        let Some(image) = behind.get(..bytes) else {
            return if is_all { Err(cut(all_bytes)) } else { Ok(Found::More) };
        };
        if !image.starts_with(IMAGE_START) {
            let start = image.get(..3).unwrap_or(image).escape_ascii();
            let reason = format!("an image expected behind the length, \"{start}\" came");
            return Err(Error::container(part(), at + DIGITS as u64, reason));
        }
        if image.ends_with(IMAGE_END) {
            return Ok(Found::Image(all_bytes));
        }
        // Some writers pad images: then the length is right if another image comes behind.
        match data.get(all_bytes..all_bytes + DIGITS + IMAGE_START.len()) {
            Some(next) if length(next).is_some() && next.ends_with(IMAGE_START) => {
                Ok(Found::Image(all_bytes))
            }
            None if !is_all => Ok(Found::More),
            None if data.len() == all_bytes => Ok(Found::Image(all_bytes)),
            _ => {
                let truth = match jpeg::image_bytes(behind) {
                    Ok(Some(bytes)) => format!("; it has {bytes}"),
                    _ => String::new(),
                };
                let reason =
                    format!("its length says {bytes} bytes, and no image ends there{truth}");
                Err(Error::container(part(), at, reason))
            }
        }
    }
}

impl Scan for ClassroomReader {
    fn read(&mut self, at: u64, data: &[u8]) -> Result<u64, Error> {
        let is_all = at + data.len() as u64 >= self.file_bytes;
        let mut here = 0;
        while here < data.len() {
            let start = at + here as u64;
            let rest = data.get(here..).unwrap_or(&[]);
            match self.look(start, rest, is_all) {
                Ok(Found::More) => break,
                Ok(Found::Image(bytes)) => {
                    let image = rest.get(DIGITS..bytes).unwrap_or(&[]);
                    self.images.push(start + DIGITS as u64, image)?;
                    here += bytes;
                }
                Err(error) => {
                    self.images.stop(error)?;
                    return Ok(self.file_bytes);
                }
            }
        }
        Ok(at + here as u64)
    }

    fn finish(self: Box<Self>) -> Result<Movie, Error> {
        self.images.finish(Format::ClassroomMjpeg)
    }
}

fn length(digits: &[u8]) -> Option<usize> {
    let digits = digits.first_chunk::<DIGITS>()?;
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + usize::from(digit - b'0'))
    })
}

/// Digits of a length.
pub(super) const DIGITS: usize = 5;
/// 20 images a second.
const FRAME_MS: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_five_decimal_digits() {
        assert_eq!(length(b"06014\xff"), Some(6014));
        assert_eq!(length(b"6014"), None);
        assert_eq!(length(b"+6014"), None);
        assert_eq!(length(b" 6014"), None);
    }
}
