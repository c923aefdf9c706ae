//! Bits, most significant first.

use crate::Error;

/// Reads bits of a structure; running out is an error that says where.
#[derive(Clone)]
pub(crate) struct BitReader<'a> {
    what: &'static str,
    data: &'a [u8],
    at_bit: usize,
}

impl<'a> BitReader<'a> {
    /// A reader of `data`, which errors call `what`.
    pub(crate) fn new(what: &'static str, data: &'a [u8]) -> Self {
        BitReader { what, data, at_bit: 0 }
    }

    pub(crate) fn left_bits(&self) -> usize {
        (self.data.len() * 8).saturating_sub(self.at_bit)
    }

    /// The byte that the next bit is in.
    pub(crate) fn at_byte(&self) -> usize {
        self.at_bit / 8
    }

    /// The next `count` bits, 32 at most.
    pub(crate) fn bits(&mut self, count: u32) -> Result<u32, Error> {
        debug_assert!(count <= 32);
        if self.left_bits() < count as usize {
            let reason = format!("ends at byte {}, {count} bits short", self.data.len());
            return Err(Error::syntax(self.what, self.at_byte(), reason));
        }
        let mut value = 0u64;
        let mut left = count as usize;
        while left > 0 {
            let byte = self.data.get(self.at_bit / 8).copied().unwrap_or(0);
            let free = 8 - self.at_bit % 8;
            let take = free.min(left);
            let part = (byte as usize >> (free - take)) & ((1 << take) - 1);
            value = value << take | part as u64;
            self.at_bit += take;
            left -= take;
        }
        Ok(value as u32)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Error> {
        Ok(self.bits(1)? == 1)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Result<(), Error> {
        if self.left_bits() < count {
            let reason = format!("ends at byte {}", self.data.len());
            return Err(Error::syntax(self.what, self.at_byte(), reason));
        }
        self.at_bit += count;
        Ok(())
    }

    /// On to the next whole byte.
    pub(crate) fn align(&mut self) {
        self.at_bit = self.at_bit.next_multiple_of(8);
    }

    /// An unsigned Exp-Golomb code (ISO/IEC 14496-10 section 9.1), 32 bits at most.
    pub(crate) fn ue(&mut self) -> Result<u32, Error> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                let reason = "an Exp-Golomb code has more than 31 leading zeros";
                return Err(Error::syntax(self.what, self.at_byte(), reason));
            }
        }
        let rest = u64::from(self.bits(zeros)?);
        Ok(((1u64 << zeros) - 1 + rest) as u32)
    }

    /// A signed Exp-Golomb code (section 9.1.1).
    pub(crate) fn se(&mut self) -> Result<i32, Error> {
        let code = i64::from(self.ue()?);
        let half = (code + 1) / 2;
        Ok((if code % 2 == 1 { half } else { -half }) as i32)
    }
}

#[cfg(test)]
// Bits are grouped by the fields that they are.
#[allow(clippy::unusual_byte_groupings)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_read_as_in_the_tables_of_section_9_1() {
        let mut r = BitReader::new("test", &[0b1_010_011_0, 0b0100_0010, 0b1_0000000]);
        let codes: Vec<_> = (0..5).map(|_| r.ue().unwrap()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4]);
        let mut r = BitReader::new("test", &[0b1_010_011_0, 0b0100_0010, 0b1_0000000]);
        let codes: Vec<_> = (0..5).map(|_| r.se().unwrap()).collect();
        assert_eq!(codes, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn running_out_names_the_place() {
        let mut r = BitReader::new("SPS", &[0xff]);
        r.skip(5).unwrap();
        let message = r.bits(4).unwrap_err().to_string();
        assert_eq!(message, "SPS, byte 0: ends at byte 1, 4 bits short");
    }
}
