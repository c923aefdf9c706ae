//! Packets that wait to be sent.

use std::collections::VecDeque;

use weir_time::Instant;

/// A packet inside a pipe.
#[derive(Debug)]
pub(crate) struct Packet<P> {
    pub(crate) index: u64,
    pub(crate) bytes: u32,
    pub(crate) entered: Instant,
    pub(crate) payload: P,
}

/// Packets in the order in which they came, and their bytes.
#[derive(Debug)]
pub(crate) struct Waiting<P> {
    packets: VecDeque<Packet<P>>,
    bytes: u64,
}

impl<P> Waiting<P> {
    pub(crate) fn new() -> Self {
        Waiting { packets: VecDeque::new(), bytes: 0 }
    }

    pub(crate) fn push(&mut self, packet: Packet<P>) {
        self.bytes += u64::from(packet.bytes);
        self.packets.push_back(packet);
    }

    pub(crate) fn pop(&mut self) -> Option<Packet<P>> {
        let packet = self.packets.pop_front()?;
        self.bytes -= u64::from(packet.bytes);
        Some(packet)
    }

    pub(crate) fn first(&self) -> Option<&Packet<P>> {
        self.packets.front()
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}
