//! Transport stream packets (ISO/IEC 13818-1 section 2.4.3).

/// Where the packets of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Where the first starts.
    pub(super) start: usize,
    /// Bytes from one to the next: 188, 192 or 204.
    pub(super) packet_bytes: usize,
    /// Bytes before the sync byte: 4 with a time stamp.
    pub(super) lead_bytes: usize,
}

/// A packet without what lies around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) pid: u16,
    /// payload_unit_start_indicator.
    pub(super) starts: bool,
    pub(super) counter: u8,
    /// discontinuity_indicator.
    pub(super) discontinuity: bool,
    /// random_access_indicator.
    pub(super) random_access: bool,
    pub(super) scrambled: bool,
    /// Without payload the counter stands still.
    pub(super) payload: Option<&'a [u8]>,
}

/// The packets of a file that starts so, if it is a transport stream.
pub(crate) fn grid(head: &[u8]) -> Option<Grid> {
    SIZES.into_iter().find_map(|(packet_bytes, lead_bytes)| {
        let expected = (head.len() / packet_bytes).min(SYNC_PACKETS);
        if expected < 2 {
            return None;
        }
        let starts = 0..packet_bytes;
        let mut grids = starts.map(|start| Grid { start, packet_bytes, lead_bytes });
        grids.find(|grid| grid.syncs(head, grid.start, expected))
    })
}

impl Grid {
    /// Whether the next `packets` packets from `at` on start with sync bytes.
    pub(super) fn syncs(&self, data: &[u8], at: usize, packets: usize) -> bool {
        (0..packets).all(|n| {
            let at = at + n * self.packet_bytes + self.lead_bytes;
            data.get(at) == Some(&SYNC)
        })
    }

    /// The packet that these `packet_bytes` bytes are; `None` if they do not start one.
    pub(super) fn packet<'a>(&self, data: &'a [u8]) -> Option<Packet<'a>> {
        Packet::read(data.get(self.lead_bytes..)?.first_chunk()?)
    }
}

impl<'a> Packet<'a> {
    fn read(data: &'a [u8; PACKET_BYTES]) -> Option<Self> {
        let (&[sync, b1, b2, b3], rest) = data.split_first_chunk::<4>()?;
        if sync != SYNC {
            return None;
        }
        let mut packet = Packet {
            pid: u16::from(b1 & 0x1f) << 8 | u16::from(b2),
            starts: b1 & 0x40 != 0,
            counter: b3 & 15,
            discontinuity: false,
            random_access: false,
            scrambled: b3 & 0xc0 != 0,
            payload: None,
        };
        let mut payload = rest;
        if b3 & ADAPTATION != 0 {
            let (&bytes, field) = rest.split_first()?;
            let (field, behind) = field.split_at_checked(bytes.into()).unwrap_or((&[], &[]));
            let flags = field.first().copied().unwrap_or(0);
            packet.discontinuity = flags & 0x80 != 0;
            packet.random_access = flags & 0x40 != 0;
            payload = behind;
        }
        // transport_error_indicator: whoever received it knows that it is damaged.
        if b3 & PAYLOAD != 0 && b1 & 0x80 == 0 {
            packet.payload = Some(payload);
        }
        Some(packet)
    }
}

const SYNC: u8 = 0x47;
const PACKET_BYTES: usize = 188;
/// Bytes from packet to packet, and those before the sync byte.
const SIZES: [(usize, usize); 3] = [(188, 0), (192, 4), (204, 0)];
/// Sync bytes in a row that tell a transport stream.
const SYNC_PACKETS: usize = 5;
/// Bits of adaptation_field_control.
const ADAPTATION: u8 = 0x20;
const PAYLOAD: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_each_size_are_found_also_behind_a_part_of_one() {
        for (packet_bytes, lead_bytes) in SIZES {
            for start in [0, 1, 100] {
                let mut file = vec![0x11; start + 9 * packet_bytes];
                (0..9).for_each(|n| file[start + n * packet_bytes + lead_bytes] = SYNC);
                assert_eq!(grid(&file), Some(Grid { start, packet_bytes, lead_bytes }));
            }
        }
        assert_eq!(grid(&[0x11; 4096]), None);
    }

    #[test]
    fn an_adaptation_field_that_is_too_long_leaves_no_payload() {
        let mut data = [0xff; 188];
        data[..6].copy_from_slice(&[0x47, 0x41, 0x00, 0x35, 183, 0xc0]);
        let grid = Grid { start: 0, packet_bytes: 188, lead_bytes: 0 };
        let packet = grid.packet(&data).unwrap();
        assert_eq!((packet.pid, packet.starts, packet.counter), (256, true, 5));
        assert!(packet.random_access && packet.discontinuity);
        assert_eq!(packet.payload, Some(&[][..]));
        data[4] = 200;
        assert_eq!(grid.packet(&data).unwrap().payload, Some(&[][..]));
    }
}
