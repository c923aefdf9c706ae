//! Reading captures: pcapng and the older pcap, of any program.
//!
//! A [`Reader`] takes bytes as they come, so that a file can be read while it is written.

use super::pcapng;

/// Takes the bytes of a capture, and gives what they hold.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Bytes of the buffer that were taken.
    taken: usize,
    /// Where the first byte not taken stands in the file.
    offset: u64,
    format: Format,
    is_big: bool,
    interfaces: Vec<Scale>,
    /// How many interfaces earlier sections had: numbers go on.
    interfaces_before: usize,
}

/// What a capture holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The next interface: they count from 0.
    Interface {
        /// Its name, if it has one.
        name: String,
        /// What its packets begin with: 1 for Ethernet, 101 for IP.
        link_type: u16,
    },
    /// A packet.
    Packet {
        /// The interface that saw it.
        interface: usize,
        /// When: nanoseconds since 1970 in UTC.
        at_ns: u64,
        /// Its whole length, whatever was kept of it.
        bytes: u32,
        /// The first comment, if there is one.
        comment: Option<String>,
        /// The same on all interfaces that saw it.
        id: Option<u64>,
    },
}

/// Why a capture cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a capture at all.
    #[error("no capture: expected pcapng or pcap, it begins with {start}")]
    Unknown {
        /// How it begins, in hexadecimal.
        start: String,
    },
    /// A block that breaks the format.
    #[error("byte {at}: {what}")]
    Broken {
        /// Where the block begins.
        at: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Unknown,
    Pcapng,
    Pcap {
        is_nano: bool,
    },
}

/// How an interface counts time.
#[derive(Clone, Copy, Debug)]
struct Scale {
    resolution: u8,
    offset_s: i64,
}

impl Reader {
    /// Takes the next bytes.
    pub fn push(&mut self, data: &[u8]) {
        // What was taken is moved out of the way before the buffer grows.
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(data);
    }

    /// What comes next; `None` until more bytes come.
    ///
    /// # Errors
    /// When the file cannot be read on; it stays so.
    pub fn poll(&mut self) -> Result<Option<Item>, Error> {
        loop {
            let read = match self.format {
                Format::Unknown => self.begin(),
                Format::Pcapng => self.block(),
                Format::Pcap { is_nano } => self.record(is_nano),
            }?;
            match read {
                Read::More => return Ok(None),
                Read::Nothing => {}
                Read::Item(item) => return Ok(Some(item)),
            }
        }
    }

    /// Whether the bytes so far end within something.
    pub fn is_within(&self) -> bool {
        self.taken < self.buffer.len()
    }

    fn begin(&mut self) -> Result<Read, Error> {
        let Some(start) = self.first::<4>() else { return Ok(Read::More) };
        let magic = u32::from_le_bytes(start);
        self.format = match magic {
            pcapng::SECTION_HEADER => Format::Pcapng,
            0xa1b2_c3d4 | 0xd4c3_b2a1 => Format::Pcap { is_nano: false },
            0xa1b2_3c4d | 0x4d3c_b2a1 => Format::Pcap { is_nano: true },
            _ => {
                let start = start.iter().map(|byte| format!("{byte:02x}")).collect();
                return Err(Error::Unknown { start });
            }
        };
        if self.format == Format::Pcapng {
            return Ok(Read::Nothing);
        }
        self.is_big = matches!(magic, 0xd4c3_b2a1 | 0x4d3c_b2a1);
        let Some(head) = self.first::<24>() else {
            self.format = Format::Unknown;
            return Ok(Read::More);
        };
        let link_type = (Fields { data: &head, is_big: self.is_big }).u32(20).unwrap_or(0) as u16;
        self.skip(24);
        self.interfaces.push(Scale { resolution: 0, offset_s: 0 });
        Ok(Read::Item(Item::Interface { name: String::new(), link_type }))
    }

    /// A packet of the older format.
    fn record(&mut self, is_nano: bool) -> Result<Read, Error> {
        let Some(head) = self.first::<16>() else { return Ok(Read::More) };
        let fields = Fields { data: &head, is_big: self.is_big };
        let field = |at| u64::from(fields.u32(at).unwrap_or(0));
        let kept = field(8) as usize;
        if kept > BLOCK_BYTES_MAX {
            return Err(self.broken("a packet is longer than 16 MB"));
        }
        if self.rest().len() < 16 + kept {
            return Ok(Read::More);
        }
        let fraction = field(4) * if is_nano { 1 } else { 1000 };
        let at_ns = field(0) * 1_000_000_000 + fraction;
        let bytes = field(12) as u32;
        self.skip(16 + kept);
        Ok(Read::Item(Item::Packet { interface: 0, at_ns, bytes, comment: None, id: None }))
    }

    /// A block of the newer format.
    fn block(&mut self) -> Result<Read, Error> {
        let Some(head) = self.first::<12>() else { return Ok(Read::More) };
        let is_section = head.starts_with(&pcapng::SECTION_HEADER.to_le_bytes());
        if is_section {
            let order = [head[8], head[9], head[10], head[11]];
            self.is_big = match u32::from_le_bytes(order) {
                pcapng::BYTE_ORDER => false,
                order if order == pcapng::BYTE_ORDER.swap_bytes() => true,
                _ => return Err(self.broken("the section's byte order is unknown")),
            };
        }
        let fields = Fields { data: &head, is_big: self.is_big };
        let length = fields.u32(4).unwrap_or(0) as usize;
        if length < 12 || !length.is_multiple_of(4) || length > BLOCK_BYTES_MAX {
            return Err(self.broken("a block's length is impossible"));
        }
        let Some(block) = self.rest().get(..length) else { return Ok(Read::More) };
        let fields = Fields { data: block, is_big: self.is_big };
        if fields.u32(length - 4) != Some(length as u32) {
            return Err(self.broken("a block's two lengths differ"));
        }
        let kind = fields.u32(0).unwrap_or(0);
        let body = Fields { data: block.get(8..length - 4).unwrap_or_default(), ..fields };
        let read = match kind {
            pcapng::SECTION_HEADER => {
                self.interfaces_before += self.interfaces.len();
                self.interfaces.clear();
                Read::Nothing
            }
            pcapng::INTERFACE_DESCRIPTION => {
                let (scale, item) = self.interface(&body)?;
                self.interfaces.push(scale);
                Read::Item(item)
            }
            pcapng::ENHANCED_PACKET => Read::Item(self.enhanced(&body)?),
            _ => Read::Nothing,
        };
        self.skip(length);
        Ok(read)
    }

    fn interface(&self, body: &Fields<'_>) -> Result<(Scale, Item), Error> {
        if self.interfaces.len() + self.interfaces_before >= INTERFACES_MAX {
            return Err(self.broken("there are more than 1024 interfaces"));
        }
        let link_type = body.u16(0).ok_or_else(|| self.broken("an interface is cut off"))?;
        let mut scale = Scale { resolution: 6, offset_s: 0 };
        let mut name = String::new();
        for (code, value) in body.options(8) {
            match code {
                pcapng::IF_NAME => name = text(value),
                pcapng::IF_TSRESOL => scale.resolution = value.first().copied().unwrap_or(6),
                pcapng::IF_TSOFFSET => {
                    let offset = Fields { data: value, ..*body }.u64(0).unwrap_or(0);
                    scale.offset_s = offset as i64;
                }
                _ => {}
            }
        }
        Ok((scale, Item::Interface { name, link_type }))
    }

    fn enhanced(&self, body: &Fields<'_>) -> Result<Item, Error> {
        let cut = || self.broken("a packet is cut off");
        let field = |at| body.u32(at).ok_or_else(cut);
        let interface = field(0)? as usize;
        let Some(scale) = self.interfaces.get(interface) else {
            return Err(self.broken("a packet's interface is not described"));
        };
        let ticks = u64::from(field(4)?) << 32 | u64::from(field(8)?);
        let (kept, bytes) = (field(12)? as usize, field(16)?);
        let padded = kept.checked_next_multiple_of(4).ok_or_else(cut)?;
        if body.data.len() < 20 + padded {
            return Err(cut());
        }
        let (mut comment, mut id) = (None, None);
        for (code, value) in body.options(20 + padded) {
            match code {
                pcapng::OPT_COMMENT if comment.is_none() => comment = Some(text(value)),
                pcapng::EPB_PACKETID => id = Fields { data: value, ..*body }.u64(0),
                _ => {}
            }
        }
        let interface = self.interfaces_before + interface;
        let at_ns = scale.nanos(ticks);
        Ok(Item::Packet { interface, at_ns, bytes, comment, id })
    }

    /// What was not taken.
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }

    /// The next bytes, without taking them.
    fn first<const N: usize>(&self) -> Option<[u8; N]> {
        self.rest().first_chunk().copied()
    }

    fn skip(&mut self, count: usize) {
        self.taken += count;
        self.offset += count as u64;
    }

    fn broken(&self, what: &'static str) -> Error {
        Error::Broken { at: self.offset, what }
    }
}

/// What a look at the bytes came to.
enum Read {
    /// More bytes are needed.
    More,
    /// Something that is of no use here.
    Nothing,
    Item(Item),
}

impl Scale {
    fn nanos(&self, ticks: u64) -> u64 {
        let ticks = u128::from(ticks);
        let power = u32::from(self.resolution & 0x7f);
        let nanos = match self.resolution & 0x80 {
            0 => match 10_u128.checked_pow(power) {
                Some(per_second) => ticks * 1_000_000_000 / per_second,
                None => 0,
            },
            _ => (ticks * 1_000_000_000).checked_shr(power).unwrap_or(0),
        };
        let offset = i128::from(self.offset_s) * 1_000_000_000;
        let nanos = i128::try_from(nanos).unwrap_or(i128::MAX).saturating_add(offset);
        u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)
    }
}

/// Numbers of a block.
#[derive(Clone, Copy)]
struct Fields<'a> {
    data: &'a [u8],
    is_big: bool,
}

impl<'a> Fields<'a> {
    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = *self.data.get(at..)?.first_chunk()?;
        Some(if self.is_big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = *self.data.get(at..)?.first_chunk()?;
        Some(if self.is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u64(&self, at: usize) -> Option<u64> {
        let bytes = *self.data.get(at..)?.first_chunk()?;
        Some(if self.is_big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// Codes and values from `at` on; what is cut off is left out.
    fn options(self, mut at: usize) -> impl Iterator<Item = (u16, &'a [u8])> {
        std::iter::from_fn(move || {
            let (code, length) = (self.u16(at)?, usize::from(self.u16(at + 2)?));
            let value = self.data.get(at + 4..at + 4 + length)?;
            at += 4 + length.next_multiple_of(4);
            (code != pcapng::OPT_END).then_some((code, value))
        })
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

const BLOCK_BYTES_MAX: usize = 16 << 20;
const INTERFACES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[u8]) -> Result<Vec<Item>, Error> {
        let mut reader = Reader::default();
        let mut items = Vec::new();
        for byte in data {
            reader.push(&[*byte]);
            while let Some(item) = reader.poll()? {
                items.push(item);
            }
        }
        assert!(!reader.is_within());
        Ok(items)
    }

    #[test]
    fn what_is_written_is_read_back_byte_by_byte() {
        let mut file = Vec::new();
        pcapng::section(&mut file, "weir");
        let described = pcapng::Interface {
            name: "s1-s2 up in".into(),
            description: "x".into(),
            snaplen: 96,
            speed_bps: Some(5),
        };
        pcapng::interface(&mut file, &described);
        let packet = pcapng::Packet {
            interface: 0,
            at_ns: 1_795_219_200_123_456_789,
            data: b"hello",
            bytes: 1500,
            comment: "#7 dropped: queue full",
            way: pcapng::Way::In,
            drop_count: 3,
            id: 7,
        };
        pcapng::packet(&mut file, &packet);
        let counts =
            pcapng::Counts { interface: 0, from_ns: 1, until_ns: 2, received: 1, dropped: 0 };
        pcapng::counts(&mut file, &counts);
        let items = read(&file).expect("it is right");
        let interface = Item::Interface { name: "s1-s2 up in".into(), link_type: 101 };
        let packet = Item::Packet {
            interface: 0,
            at_ns: 1_795_219_200_123_456_789,
            bytes: 1500,
            comment: Some("#7 dropped: queue full".into()),
            id: Some(7),
        };
        assert_eq!(items, [interface, packet]);
    }

    #[test]
    fn the_older_format_is_read_in_both_byte_orders() {
        for is_big in [false, true] {
            let number = |n: u32| if is_big { n.to_be_bytes() } else { n.to_le_bytes() };
            let mut file = number(0xa1b2_c3d4).to_vec();
            file.extend([0; 16]);
            file.extend(number(1));
            for field in [5, 6, 2, 60] {
                file.extend(number(field));
            }
            file.extend([1, 2]);
            let items = read(&file).expect("it is right");
            let interface = Item::Interface { name: String::new(), link_type: 1 };
            let at_ns = 5_000_006_000;
            let packet = Item::Packet { interface: 0, at_ns, bytes: 60, comment: None, id: None };
            assert_eq!(items, [interface, packet], "{is_big}");
        }
    }

    #[test]
    fn other_files_and_broken_blocks_are_refused_with_their_place() {
        let error = read(b"GIF89a").expect_err("no capture").to_string();
        assert_eq!(error, "no capture: expected pcapng or pcap, it begins with 47494638");
        let mut file = Vec::new();
        pcapng::section(&mut file, "weir");
        let at = file.len() as u64;
        file.extend([1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        let what = "a block's length is impossible";
        assert_eq!(read(&file), Err(Error::Broken { at, what }));
    }
}
