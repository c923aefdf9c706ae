//! Quantisation tables (ITU-T T.81 sections B.2.4.1 and K.1).

/// A quantisation table: 64 values in zigzag order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantisationTable(pub [u16; 64]);

impl QuantisationTable {
    /// A table of 64 values of 8 bits or of 16 bits, big endian, in zigzag order; `None` where
    /// there are not so many bytes.
    pub fn read(values: &[u8]) -> Option<Self> {
        let mut table = [0; 64];
        match values.len() {
            64 => {
                for (place, &value) in table.iter_mut().zip(values) {
                    *place = value.into();
                }
            }
            128 => {
                for (place, &value) in table.iter_mut().zip(values.as_chunks::<2>().0) {
                    *place = u16::from_be_bytes(value);
                }
            }
            _ => return None,
        }
        Some(QuantisationTable(table))
    }

    /// Whether it needs values of 16 bits.
    pub fn is_wide(&self) -> bool {
        self.0.iter().any(|&value| value > 255)
    }

    /// Adds the values to `out`: 64 bytes, or 128 where [`Self::is_wide`].
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.is_wide() {
            self.0.iter().for_each(|value| out.extend(value.to_be_bytes()));
        } else {
            out.extend(self.0.iter().map(|&value| value as u8));
        }
    }
}

/// The tables of brightness and of colour that a quality of 1 to 99 stands for: those of tables
/// K.1 and K.2, scaled as the Independent JPEG Group's software does, and as RFC 2435 section 4.2
/// says. Other qualities count as the nearest of these.
pub fn scaled_tables(quality: u8) -> [QuantisationTable; 2] {
    let quality = u32::from(quality.clamp(1, 99));
    let percent = if quality < 50 { 5000 / quality } else { 200 - quality * 2 };
    [LUMA, CHROMA].map(|natural| {
        QuantisationTable(ZIGZAG.map(|place| {
            let value = natural.get(usize::from(place)).copied().unwrap_or(0);
            ((u32::from(value) * percent + 50) / 100).clamp(1, 255) as u16
        }))
    })
}

/// Table K.1, a row a line.
const LUMA: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, //
    12, 12, 14, 19, 26, 58, 60, 55, //
    14, 13, 16, 24, 40, 57, 69, 56, //
    14, 17, 22, 29, 51, 87, 80, 62, //
    18, 22, 37, 56, 68, 109, 103, 77, //
    24, 35, 55, 64, 81, 104, 113, 92, //
    49, 64, 78, 87, 103, 121, 120, 101, //
    72, 92, 95, 98, 112, 100, 103, 99,
];
/// Table K.2, a row a line.
const CHROMA: [u8; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, //
    18, 21, 26, 66, 99, 99, 99, 99, //
    24, 26, 56, 99, 99, 99, 99, 99, //
    47, 66, 99, 99, 99, 99, 99, 99, //
    99, 99, 99, 99, 99, 99, 99, 99, //
    99, 99, 99, 99, 99, 99, 99, 99, //
    99, 99, 99, 99, 99, 99, 99, 99, //
    99, 99, 99, 99, 99, 99, 99, 99,
];
/// The place of each value in a table by rows (figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];
