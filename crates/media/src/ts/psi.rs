//! Program specific information (ISO/IEC 13818-1 section 2.4.4): which streams there are.

/// Puts sections together from the payloads of packets.
#[derive(Debug, Default)]
pub(super) struct Sections {
    buffer: Vec<u8>,
    active: bool,
}

/// An elementary stream as a program map lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) pid: u16,
    pub(super) stream_type: u8,
    /// Its descriptors.
    pub(super) descriptors: Vec<u8>,
}

impl Sections {
    /// Takes the payload of a packet, and gives the sections that are complete with it. Those
    /// whose checksum is wrong are counted and left out.
    pub(super) fn push(&mut self, starts: bool, payload: &[u8], broken: &mut u64) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let mut payload = payload;
        if starts {
            let Some((&pointer, rest)) = payload.split_first() else {
                return out;
            };
            let Some((before, behind)) = rest.split_at_checked(pointer.into()) else {
                self.stop();
                return out;
            };
            if self.active {
                self.buffer.extend_from_slice(before);
                self.take(&mut out, broken);
            }
            self.buffer.clear();
            self.active = true;
            payload = behind;
        }
        if self.active {
            self.buffer.extend_from_slice(payload);
            self.take(&mut out, broken);
        }
        out
    }

    fn take(&mut self, out: &mut Vec<Vec<u8>>, broken: &mut u64) {
        while let Some(&[table, high, low]) = self.buffer.first_chunk::<3>() {
            if table == STUFFING {
                return self.stop();
            }
            let bytes = 3 + (usize::from(high & 15) << 8 | usize::from(low));
            if self.buffer.len() < bytes {
                return;
            }
            let section: Vec<u8> = self.buffer.drain(..bytes).collect();
            if bytes >= 12 && crc32(&section) == 0 {
                out.push(section);
            } else {
                *broken += 1;
            }
        }
    }

    fn stop(&mut self) {
        self.buffer.clear();
        self.active = false;
    }
}

/// The programs of a program association section: number and where its map is.
pub(super) fn read_pat(section: &[u8]) -> Vec<(u16, u16)> {
    let Some(entries) = body(section, 0, 8) else {
        return Vec::new();
    };
    let programs = entries.as_chunks::<4>().0.iter().map(|&[n0, n1, p0, p1]| {
        (u16::from_be_bytes([n0, n1]), u16::from_be_bytes([p0, p1]) & 0x1fff)
    });
    // Program 0 is the network information.
    programs.filter(|&(number, _)| number != 0).collect()
}

/// The program number and the streams of a program map section.
pub(super) fn read_pmt(section: &[u8]) -> Option<(u16, Vec<Listed>)> {
    let number = u16::from_be_bytes([*section.get(3)?, *section.get(4)?]);
    let body = body(section, 2, 8)?;
    let (&[_, _, i0, i1], rest) = body.split_first_chunk::<4>()?;
    let mut rest = rest.get(length(i0, i1)..)?;
    let mut out = Vec::new();
    while let Some((&[stream_type, p0, p1, l0, l1], behind)) = rest.split_first_chunk::<5>() {
        let (descriptors, behind) = behind.split_at_checked(length(l0, l1))?;
        let pid = u16::from_be_bytes([p0, p1]) & 0x1fff;
        out.push(Listed { pid, stream_type, descriptors: descriptors.to_vec() });
        rest = behind;
    }
    Some((number, out))
}

impl Listed {
    /// What the stream is, for people.
    pub(super) fn name(&self) -> &'static str {
        match self.stream_type {
            0x01 | 0x02 => "MPEG-2 video",
            0x03 | 0x04 => "MPEG audio",
            0x05 => "private sections",
            0x06 => self.private_name(),
            0x0f => "AAC",
            0x10 => "MPEG-4 part 2",
            0x11 => "AAC in LATM",
            0x15 => "timed metadata",
            0x1b => "H.264",
            0x21 => "JPEG 2000",
            0x24 => "H.265",
            0x33 => "H.266",
            0x42 => "AVS",
            0x80 => "PCM",
            0x81 => "AC-3",
            0x82 | 0x85 => "DTS",
            0x83 => "TrueHD",
            0x84 | 0x87 | 0xa1 => "E-AC-3",
            0x86 => "splice information",
            0x90 => "subtitles",
            0xd2 => "Dirac",
            0xea => "VC-1",
            _ => "this kind of stream",
        }
    }

    /// Whether its descriptors do not say what it is.
    pub(super) fn is_unknown(&self) -> bool {
        self.stream_type == 0x06 && self.private_name() == PRIVATE
    }

    /// Private data say in their descriptors what they are (ETSI EN 300 468 section 6.1).
    fn private_name(&self) -> &'static str {
        let mut rest = &self.descriptors[..];
        while let Some((&[tag, bytes], behind)) = rest.split_first_chunk::<2>() {
            let Some((body, behind)) = behind.split_at_checked(bytes.into()) else {
                break;
            };
            match (tag, body) {
                (0x6a, _) => return "AC-3",
                (0x7a, _) => return "E-AC-3",
                (0x7b, _) => return "DTS",
                (0x56 | 0x59, _) => return "subtitles",
                (0x05, b"Opus") => return "Opus",
                (0x05, b"AC-3") => return "AC-3",
                (0x05, b"HEVC") => return "H.265 as private data",
                _ => rest = behind,
            }
        }
        PRIVATE
    }
}

/// What stands behind the head of a section of this table, up to its checksum, if the section is
/// valid now.
fn body(section: &[u8], table: u8, head_bytes: usize) -> Option<&[u8]> {
    let is_current = section.get(5)? & 1 == 1;
    let is_table = section.first() == Some(&table);
    let end = section.len().checked_sub(4)?;
    section.get(head_bytes..end).filter(|_| is_table && is_current)
}

fn length(high: u8, low: u8) -> usize {
    usize::from(high & 15) << 8 | usize::from(low)
}

/// The checksum of a section (annex A), which is 0 with itself at the end.
pub(super) fn crc32(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

const STUFFING: u8 = 0xff;
const PRIVATE: &str = "private data";

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A section of this table with this body, valid now.
    pub(crate) fn section(table: u8, number: u16, body: &[u8]) -> Vec<u8> {
        let bytes = 5 + body.len() + 4;
        let mut out = vec![table, 0xb0 | (bytes >> 8) as u8, bytes as u8];
        out.extend(number.to_be_bytes());
        out.extend([0xc1, 0, 0]);
        out.extend(body);
        out.extend(crc32(&out).to_be_bytes());
        out
    }

    #[test]
    fn sections_are_put_together_over_packets() {
        let pmt = section(
            2,
            7,
            &[0xe1, 0, 0xf0, 0, 0x1b, 0xe1, 1, 0xf0, 2, 0x52, 0, 0x81, 0xe1, 2, 0xf0, 0],
        );
        let (mut sections, mut broken) = (Sections::default(), 0);
        let first = [&[0], &pmt[..10]].concat();
        assert!(sections.push(true, &first, &mut broken).is_empty());
        let second = [&[pmt.len() as u8 - 10], &pmt[10..], &[0xff; 5]].concat();
        let found = sections.push(true, &second, &mut broken);
        assert_eq!((found.len(), broken), (1, 0));
        let (number, streams) = read_pmt(&found[0]).unwrap();
        assert_eq!(number, 7);
        let listed: Vec<_> = streams.iter().map(|s| (s.pid, s.stream_type, s.name())).collect();
        assert_eq!(listed, [(257, 0x1b, "H.264"), (258, 0x81, "AC-3")]);
    }

    #[test]
    fn a_section_with_a_wrong_checksum_is_left_out_and_counted() {
        let mut pat = section(0, 1, &[0, 1, 0xf0, 0]);
        assert_eq!(read_pat(&pat), [(1, 0x1000)]);
        pat[9] ^= 1;
        let (mut sections, mut broken) = (Sections::default(), 0);
        assert!(sections.push(true, &[&[0], &pat[..]].concat(), &mut broken).is_empty());
        assert_eq!(broken, 1);
    }
}
