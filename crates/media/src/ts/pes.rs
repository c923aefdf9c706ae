//! PES packets (ISO/IEC 13818-1 section 2.4.3.6), put together from the packets of one PID.

use super::packet::Packet;

/// The packets of one PID, without repetitions, as PES packets.
#[derive(Clone, Debug, Default)]
pub(super) struct Pes {
    counter: Option<u8>,
    state: State,
    /// What has come of the head.
    head: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing has started, or what has started is no PES packet with times.
    #[default]
    Outside,
    Head,
    /// Within the payload: bytes that are left, if the head says so.
    Payload(Option<usize>),
}

/// Times of a PES packet, 33 bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) pts: Option<u64>,
    pub(super) dts: Option<u64>,
}

/// What a packet brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// Bytes of the elementary stream.
    pub(super) data: &'a [u8],
    /// The head is complete with this packet.
    pub(super) times: Option<Times>,
    /// Packets before this one are missing.
    pub(super) gap: bool,
    /// The PES packet ends with this one.
    pub(super) ends: bool,
}

impl Pes {
    /// Takes the next packet; `None` if it brings nothing.
    pub(super) fn push<'a>(&mut self, packet: &Packet<'a>) -> Option<Part<'a>> {
        let payload = packet.payload.filter(|_| !packet.scrambled)?;
        let last = self.counter.replace(packet.counter);
        if last == Some(packet.counter) && !packet.discontinuity {
            // Each packet may be sent twice (section 2.4.3.3).
            return None;
        }
        let follows = last.is_none_or(|last| (last + 1) & 15 == packet.counter);
        let gap = !follows && !packet.discontinuity;
        if packet.starts {
            self.state = State::Head;
            self.head.clear();
        }
        let mut part = Part { data: &[], times: None, gap, ends: false };
        let mut data = payload;
        if self.state == State::Head {
            data = self.push_head(data);
            if let State::Payload(_) = self.state {
                part.times = Some(read_times(&self.head));
            }
        }
        if let State::Payload(left) = &mut self.state {
            part.data = match left {
                Some(left) => {
                    let data = data.get(..*left).unwrap_or(data);
                    *left -= data.len();
                    data
                }
                None => data,
            };
            if *left == Some(0) {
                part.ends = true;
                self.state = State::Outside;
            }
        }
        Some(part)
    }

    /// Bytes that the PES packet lacks, if it says how many it has.
    pub(super) fn left_bytes(&self) -> Option<usize> {
        match self.state {
            State::Payload(left) => left,
            _ => None,
        }
    }

    /// Takes what belongs to the head; gives back what stands behind it.
    fn push_head<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let mut data = data;
        loop {
            let needed = match self.head.get(8) {
                Some(&bytes) => HEAD_BYTES + usize::from(bytes),
                None => HEAD_BYTES,
            };
            let missing = needed - self.head.len();
            let (taken, rest) = data.split_at(missing.min(data.len()));
            self.head.extend_from_slice(taken);
            data = rest;
            if self.head.len() < needed {
                return &[];
            }
            if !is_head(&self.head) {
                self.state = State::Outside;
                return &[];
            }
            if self.head.len() >= HEAD_BYTES + usize::from(self.head[8]) {
                let bytes = usize::from(u16::from_be_bytes([self.head[4], self.head[5]]));
                let behind = (6 + bytes).saturating_sub(self.head.len());
                self.state = State::Payload((bytes > 0).then_some(behind));
                return data;
            }
        }
    }
}

/// Whether these nine bytes or more start a PES packet of the kind that has times.
fn is_head(head: &[u8]) -> bool {
    let id = head.get(3).copied().unwrap_or(0);
    let has_head = !matches!(id, 0xbc | 0xbe | 0xbf | 0xf0..=0xf2 | 0xf8 | 0xff);
    head.starts_with(&[0, 0, 1]) && has_head && head.get(6).is_some_and(|b| b & 0xc0 == 0x80)
}

fn read_times(head: &[u8]) -> Times {
    let flags = head.get(7).copied().unwrap_or(0);
    let end = HEAD_BYTES + usize::from(head.get(8).copied().unwrap_or(0));
    let time = |at: usize| {
        let &[b0, b1, b2, b3, b4] = head.get(..end)?.get(at..)?.first_chunk::<5>()?;
        Some(
            u64::from(b0 >> 1 & 7) << 30
                | u64::from(b1) << 22
                | u64::from(b2 >> 1) << 15
                | u64::from(b3) << 7
                | u64::from(b4 >> 1),
        )
    };
    let pts = if flags & 0x80 != 0 { time(9) } else { None };
    let dts = if flags & 0xc0 == 0xc0 { time(14) } else { None };
    Times { pts, dts }
}

/// Up to and with PES_header_data_length.
const HEAD_BYTES: usize = 9;
