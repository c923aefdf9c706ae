//! The flash of the test pattern: a white box in the scene during the first 100 ms of each whole
//! second (`docs/timecode.md`).

use weir_media::MediaTime;

use crate::Plane;
use crate::picture::Area;
use crate::timecode::cell;

/// How long a flash and a beep last.
pub const LENGTH_MS: u64 = 100;

/// Finds the first flashed picture of each flash. Pictures come in order of presentation.
#[derive(Debug, Default)]
pub struct Detector {
    was_lit: Option<bool>,
}

impl Detector {
    /// A detector that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next picture's luma and its time; gives the time back if a flash begins with it.
    /// The first picture begins none: it may be in the middle of one.
    pub fn push(&mut self, luma: &Plane, pts: MediaTime) -> Option<MediaTime> {
        let area = area(luma.width(), luma.height()).centre();
        let is_lit = luma.mean(area)? > THRESHOLD;
        let was_lit = self.was_lit.replace(is_lit)?;
        (is_lit && !was_lit).then_some(pts)
    }

    /// Forgets the last picture: what comes next does not follow it.
    pub fn restart(&mut self) {
        self.was_lit = None;
    }
}

/// The box in a picture of this size: columns 33 to 37, rows 5 to 8 of the grid of the strip.
pub(crate) fn area(width: usize, height: usize) -> Area {
    let first = cell(width, height, 5, 33);
    let last = cell(width, height, 8, 37);
    Area { left: first.left, top: first.top, right: last.right, bottom: last.bottom }
}

/// Luma above which the box is lit: it is near black, or near white.
const THRESHOLD: f32 = 126.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flash_begins_with_its_first_picture_only() {
        let dark = Plane::new(320, 180, 30);
        let mut lit = dark.clone();
        lit.fill(area(320, 180), 235);
        let mut detector = Detector::new();
        let mut push = |plane, ms: i64| detector.push(plane, MediaTime::from_nanos(ms * 1_000_000));
        // The middle of a flash says nothing of its beginning.
        assert_eq!(push(&lit, 0), None);
        assert_eq!(push(&dark, 33), None);
        assert_eq!(push(&lit, 1000), Some(MediaTime::from_nanos(1_000_000_000)));
        assert_eq!(push(&lit, 1033), None);
        assert_eq!(push(&dark, 1100), None);
    }
}
