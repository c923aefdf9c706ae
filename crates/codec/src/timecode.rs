//! The time-code strip: the number and time of a picture, in the picture itself
//! (`docs/timecode.md`).
//!
//! A grid of 40 columns by 3 rows of black and white cells stands across the top of the picture.
//! It scales with the picture, and its cells are large enough to outlive lossy coding.

use crate::Picture;
use crate::picture::{Area, BLACK, NEUTRAL, Plane, WHITE};

/// What the strip says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeCode {
    /// Whether the picture happens now, so that its age can be known; else it was recorded.
    pub is_live: bool,
    /// The number of the picture, from 0.
    pub frame: u32,
    /// Live: when the picture was drawn, UTC, milliseconds since 1970. Recorded: milliseconds
    /// since the movie's start. 48 bits.
    pub time_ms: u64,
}

/// Columns of the grid over the whole picture.
pub const COLUMNS: usize = 40;
/// Rows of the strip.
pub const ROWS: usize = 3;

/// The least width and height of a picture in which each cell is two pixels wide and high.
pub const SIZE_MIN: (usize, usize) = (80, 46);

/// Writes the strip over the top of a picture.
pub fn write(picture: &mut Picture, code: &TimeCode) {
    let bits = bits_of(code);
    let (width, height) = (picture.width(), picture.height());
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let is_white = match finder(row, column) {
                Some(is_white) => is_white,
                None => bits >> (BITS - 1 - bit_number(row, column)) & 1 == 1,
            };
            let luma = if is_white { WHITE } else { BLACK };
            let area = cell(width, height, row, column);
            picture.planes[0].fill(area, luma);
        }
    }
    let bottom = cell(width, height, ROWS - 1, 0).bottom.div_ceil(2);
    let chroma = Area { left: 0, top: 0, right: width.div_ceil(2), bottom };
    picture.planes[1].fill(chroma, NEUTRAL);
    picture.planes[2].fill(chroma, NEUTRAL);
}

/// Reads the strip at the top of a plane of luma; `None` where there is none, or where it cannot
/// be read beyond doubt.
pub fn read(luma: &Plane) -> Option<TimeCode> {
    let (width, height) = (luma.width(), luma.height());
    let mean = |row, column| luma.mean(cell(width, height, row, column).centre());
    let (mut white, mut black) = (0.0, 0.0);
    for row in 0..ROWS {
        for column in [0, COLUMNS - 1] {
            let sum = if finder(row, column)? { &mut white } else { &mut black };
            *sum += mean(row, column)? / ROWS as f32;
        }
    }
    if white - black < CONTRAST_MIN {
        return None;
    }
    let threshold = (white + black) / 2.0;
    let mut bits = 0u128;
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let is_white = mean(row, column)? > threshold;
            match finder(row, column) {
                Some(expected) if expected != is_white => return None,
                Some(_) => {}
                None => bits = bits << 1 | u128::from(is_white),
            }
        }
    }
    code_of(bits)
}

/// CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
        })
    })
}

/// The bits of the strip in the order of its cells, the last one lowest.
fn bits_of(code: &TimeCode) -> u128 {
    let mut data = u128::from(VERSION) << 84;
    data |= u128::from(code.is_live) << 80;
    data |= u128::from(code.frame) << TIME_BITS;
    data |= u128::from(code.time_ms & TIME_MAX);
    (data << 16 | u128::from(crc_of(data))) << ZERO_BITS
}

fn code_of(bits: u128) -> Option<TimeCode> {
    let data = bits >> (16 + ZERO_BITS);
    let (version, flags) = (data >> 84 & 15, data >> 80 & 15);
    let is_whole = bits & ((1 << ZERO_BITS) - 1) == 0
        && (bits >> ZERO_BITS) as u16 == crc_of(data)
        && version == u128::from(VERSION)
        && flags <= 1;
    is_whole.then_some(TimeCode {
        is_live: flags == 1,
        frame: (data >> TIME_BITS) as u32,
        time_ms: data as u64 & TIME_MAX,
    })
}

/// The CRC of the first 88 bits, as 11 bytes.
fn crc_of(data: u128) -> u16 {
    crc(&data.to_be_bytes()[5..])
}

/// Whether a finder cell is white; `None` for a cell that carries a bit.
fn finder(row: usize, column: usize) -> Option<bool> {
    let is_even = row.is_multiple_of(2);
    match column {
        0 => Some(is_even),
        _ if column == COLUMNS - 1 => Some(!is_even),
        _ => None,
    }
}

fn bit_number(row: usize, column: usize) -> usize {
    row * (COLUMNS - 2) + column - 1
}

/// The pixels of a cell of the grid that covers the whole picture: 40 columns, 22.5 rows.
pub(crate) fn cell(width: usize, height: usize, row: usize, column: usize) -> Area {
    Area {
        left: column * width / COLUMNS,
        top: row * 2 * height / 45,
        right: (column + 1) * width / COLUMNS,
        bottom: (row + 1) * 2 * height / 45,
    }
}

const BITS: usize = ROWS * (COLUMNS - 2);
const VERSION: u8 = 1;
const TIME_BITS: u32 = 48;
const TIME_MAX: u64 = (1 << TIME_BITS) - 1;
const ZERO_BITS: u32 = 10;
/// Luma between white and black below which there is no strip.
const CONTRAST_MIN: f32 = 40.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_crc_is_ccitt_false() {
        assert_eq!(crc(b"123456789"), 0x29b1);
    }

    #[test]
    fn the_cells_stand_where_the_page_says() {
        let mut picture = Picture::new(1280, 720);
        write(&mut picture, &TimeCode { is_live: true, frame: 1, time_ms: 0 });
        let luma = |x: usize, y: usize| picture.luma().row(y)[x];
        // Finders: white above black above white on the left, the other way round on the right.
        assert_eq!([luma(0, 0), luma(31, 40), luma(5, 95)], [WHITE, BLACK, WHITE]);
        assert_eq!([luma(1279, 0), luma(1248, 40), luma(1260, 95)], [BLACK, WHITE, BLACK]);
        // Version 1: bits 0 to 3 of the first row; live: bit 7.
        assert_eq!(
            [luma(32, 0), luma(128, 0), luma(160, 0), luma(256, 0)],
            [BLACK, WHITE, BLACK, WHITE]
        );
        // The last bit of the frame number is bit 39, the second of the second row.
        assert_eq!([luma(64, 33), luma(96, 33)], [WHITE, BLACK]);
        assert_eq!(luma(640, 96), BLACK);
        // The bits themselves, as the other reader's tests have them.
        let bits = bits_of(&TimeCode { is_live: true, frame: 1, time_ms: 0 });
        assert_eq!(bits >> 26, 0x11_0000_0001_0000_0000_0000);
    }

    #[test]
    fn one_wrong_cell_is_noticed() {
        let code = TimeCode { is_live: false, frame: 77, time_ms: 1234 };
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                let mut picture = Picture::new(320, 180);
                write(&mut picture, &code);
                let area = cell(320, 180, row, column);
                let was = picture.luma().mean(area).unwrap();
                let other = if was > 126.0 { BLACK } else { WHITE };
                picture.planes[0].fill(area, other);
                assert_eq!(read(picture.luma()), None, "row {row}, column {column}");
            }
        }
    }

    #[test]
    fn a_picture_without_a_strip_has_no_time() {
        assert_eq!(read(Picture::new(640, 360).luma()), None);
        assert_eq!(read(&Plane::new(0, 0, 0)), None);
        assert_eq!(read(&Plane::new(10, 3, 99)), None);
    }

    #[test]
    fn little_contrast_is_no_strip() {
        let mut picture = Picture::new(320, 180);
        write(&mut picture, &TimeCode { is_live: true, frame: 5, time_ms: 6 });
        let faded = |times: i32| {
            let mut plane = picture.luma().clone();
            for y in 0..180 {
                plane.row_mut(y).iter_mut().for_each(|sample| {
                    *sample = (128 + (i32::from(*sample) - 128) * times / 100) as u8;
                });
            }
            read(&plane)
        };
        assert_eq!(faded(15), None);
        assert!(faded(25).is_some());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_any_size(
            is_live: bool, frame: u32, time_ms in 0..=TIME_MAX,
            width in SIZE_MIN.0..700, height in SIZE_MIN.1..400,
        ) {
            let mut picture = Picture::new(width, height);
            let code = TimeCode { is_live, frame, time_ms };
            write(&mut picture, &code);
            prop_assert_eq!(read(picture.luma()), Some(code));
        }

        #[test]
        fn noise_is_no_strip(samples in proptest::collection::vec(any::<u8>(), 80 * 46)) {
            let plane = Plane::from_samples(samples, 80, 46, 80).unwrap();
            prop_assert_eq!(read(&plane), None);
        }
    }
}
