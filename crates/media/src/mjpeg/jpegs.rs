//! JPEG images one behind another, with nothing between.

use super::{IMAGE_START, Images};
use crate::movie::{Format, Movie, Scan};
use crate::{Error, jpeg};

/// Reads a file of bare images. Such a file has no times: each is shown 40 ms, as other players do.
/// What stands between images is passed over with a warning.
#[derive(Debug)]
pub(crate) struct JpegsReader {
    file_bytes: u64,
    images: Images,
}

impl JpegsReader {
    pub(crate) fn new(file_bytes: u64) -> Self {
        JpegsReader { file_bytes, images: Images::new(FRAME_MS) }
    }
}

impl Scan for JpegsReader {
    fn read(&mut self, at: u64, data: &[u8]) -> Result<u64, Error> {
        let is_all = at + data.len() as u64 >= self.file_bytes;
        let mut here = 0;
        while here < data.len() {
            let start = at + here as u64;
            let rest = data.get(here..).unwrap_or(&[]);
            let part = || format!("image {}", self.images.count);
            if !rest.starts_with(IMAGE_START) {
                let Some(gap) = find(rest, IMAGE_START) else {
                    // The next image may have begun within the last bytes.
                    let kept = if is_all { 0 } else { IMAGE_START.len() - 1 };
                    let tail = rest.len().saturating_sub(kept);
                    if is_all && rest.iter().any(|&byte| byte != 0) {
                        let reason = "no image starts here or further on";
                        self.images.stop(Error::container(part(), start, reason))?;
                    }
                    here += tail;
                    break;
                };
                if rest.iter().take(gap).any(|&byte| byte != 0) {
                    self.images.warnings.push(format!(
                        "{} at byte {start}: {gap} bytes that are no image, left out",
                        part()
                    ));
                }
                here += gap;
                continue;
            }
            match jpeg::image_bytes(rest) {
                Ok(Some(bytes)) => {
                    let image = rest.get(..bytes).unwrap_or(rest);
                    self.images.push(start, image)?;
                    here += bytes;
                }
                Ok(None) if !is_all => break,
                Ok(None) => {
                    let reason = "it is cut off: the file ends before the image does";
                    self.images.stop(Error::container(part(), start, reason))?;
                    return Ok(self.file_bytes);
                }
                Err(Error::Syntax { offset, reason, .. }) => {
                    let at = start + offset as u64;
                    self.images.stop(Error::container(part(), at, reason))?;
                    return Ok(self.file_bytes);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(at + here as u64)
    }

    fn finish(self: Box<Self>) -> Result<Movie, Error> {
        self.images.finish(Format::Jpegs)
    }
}

fn find(data: &[u8], what: &[u8]) -> Option<usize> {
    data.windows(what.len()).position(|window| window == what)
}

/// 25 images a second.
const FRAME_MS: u32 = 40;
