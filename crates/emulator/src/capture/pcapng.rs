//! Writing pcapng (draft-ietf-opsawg-pcapng).
//!
//! A file is one section: its header, a description of each interface, then packets in order of
//! time, and counts of each interface at the end. Numbers are little-endian.

/// Raw IP without any link layer: LINKTYPE_RAW.
pub(super) const LINKTYPE_RAW: u16 = 101;

/// A description of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// Its name.
    pub(super) name: String,
    /// What it is.
    pub(super) description: String,
    /// The most bytes kept of a packet; 0 for all.
    pub(super) snaplen: u32,
    /// Bits a second, where there is a limit.
    pub(super) speed_bps: Option<u64>,
}

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// The interface, counted from 0 in the order of their descriptions.
    pub(super) interface: u32,
    /// Nanoseconds since 1970 in UTC.
    pub(super) at_ns: u64,
    /// What is kept of it.
    pub(super) data: &'a [u8],
    /// Its whole length.
    pub(super) bytes: u32,
    /// Something to read.
    pub(super) comment: &'a str,
    /// Which way it crosses the interface.
    pub(super) way: Way,
    /// Packets lost on this interface since the one before, where there are any.
    pub(super) drop_count: u64,
    /// The same on all interfaces that see this packet.
    pub(super) id: u64,
}

/// Which way a packet crosses an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From outside.
    In,
    /// To the outside.
    Out,
}

/// What an interface saw in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// The interface.
    pub(super) interface: u32,
    /// When the capture began and ended: nanoseconds since 1970 in UTC.
    pub(super) from_ns: u64,
    /// When it ended.
    pub(super) until_ns: u64,
    /// Packets that it saw.
    pub(super) received: u64,
    /// Packets that were left out of the file.
    pub(super) dropped: u64,
}

/// Appends the header of a section of unknown length. `application` names who writes.
pub(super) fn section(out: &mut Vec<u8>, application: &str) {
    block(out, SECTION_HEADER, |out| {
        out.extend(BYTE_ORDER.to_le_bytes());
        out.extend([1, 0, 0, 0]);
        out.extend((-1_i64).to_le_bytes());
        option(out, SHB_USERAPPL, application.as_bytes());
        option(out, OPT_END, &[]);
    });
}

/// Appends the description of an interface with times in nanoseconds.
pub(super) fn interface(out: &mut Vec<u8>, interface: &Interface) {
    block(out, INTERFACE_DESCRIPTION, |out| {
        out.extend(LINKTYPE_RAW.to_le_bytes());
        out.extend([0, 0]);
        out.extend(interface.snaplen.to_le_bytes());
        option(out, IF_NAME, interface.name.as_bytes());
        option(out, IF_DESCRIPTION, interface.description.as_bytes());
        if let Some(speed) = interface.speed_bps {
            option(out, IF_SPEED, &speed.to_le_bytes());
        }
        option(out, IF_TSRESOL, &[9]);
        option(out, OPT_END, &[]);
    });
}

/// Appends a packet.
pub(super) fn packet(out: &mut Vec<u8>, packet: &Packet<'_>) {
    block(out, ENHANCED_PACKET, |out| {
        out.extend(packet.interface.to_le_bytes());
        time(out, packet.at_ns);
        out.extend((packet.data.len() as u32).to_le_bytes());
        out.extend(packet.bytes.to_le_bytes());
        out.extend_from_slice(packet.data);
        pad(out, packet.data.len());
        option(out, OPT_COMMENT, packet.comment.as_bytes());
        let way: u32 = if packet.way == Way::In { 1 } else { 2 };
        option(out, EPB_FLAGS, &way.to_le_bytes());
        if packet.drop_count > 0 {
            option(out, EPB_DROPCOUNT, &packet.drop_count.to_le_bytes());
        }
        option(out, EPB_PACKETID, &packet.id.to_le_bytes());
        option(out, OPT_END, &[]);
    });
}

/// Appends the counts of an interface.
pub(super) fn counts(out: &mut Vec<u8>, counts: &Counts) {
    block(out, INTERFACE_STATISTICS, |out| {
        out.extend(counts.interface.to_le_bytes());
        time(out, counts.until_ns);
        for (code, at) in [(ISB_STARTTIME, counts.from_ns), (ISB_ENDTIME, counts.until_ns)] {
            let mut halves = Vec::new();
            time(&mut halves, at);
            option(out, code, &halves);
        }
        option(out, ISB_IFRECV, &counts.received.to_le_bytes());
        option(out, ISB_IFDROP, &counts.dropped.to_le_bytes());
        option(out, OPT_END, &[]);
    });
}

/// A block around `body`: its length stands before and behind it.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    body(out);
    let length = ((out.len() - start + 4) as u32).to_le_bytes();
    if let Some(place) = out.get_mut(start + 4..start + 8) {
        place.copy_from_slice(&length);
    }
    out.extend(length);
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

/// The upper half of a time stands first.
fn time(out: &mut Vec<u8>, at_ns: u64) {
    out.extend(((at_ns >> 32) as u32).to_le_bytes());
    out.extend((at_ns as u32).to_le_bytes());
}

fn pad(out: &mut Vec<u8>, length: usize) {
    out.resize(out.len() + length.wrapping_neg() % 4, 0);
}

pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
pub(super) const ENHANCED_PACKET: u32 = 6;
pub(super) const BYTE_ORDER: u32 = 0x1a2b_3c4d;

pub(super) const OPT_END: u16 = 0;
pub(super) const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
pub(super) const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_SPEED: u16 = 8;
pub(super) const IF_TSRESOL: u16 = 9;
pub(super) const IF_TSOFFSET: u16 = 14;
const EPB_FLAGS: u16 = 2;
const EPB_DROPCOUNT: u16 = 4;
pub(super) const EPB_PACKETID: u16 = 5;
const ISB_STARTTIME: u16 = 2;
const ISB_ENDTIME: u16 = 3;
const ISB_IFRECV: u16 = 4;
const ISB_IFDROP: u16 = 5;
