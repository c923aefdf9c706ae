//! Takes a sample out of the packets that hold it.

use bytes::{Bytes, BytesMut};

use super::packet::Grid;
use super::pes::Pes;
use crate::Error;
use crate::aac::AdtsHeader;
use crate::movie::table::Numbers;

/// How the samples of a track stand in the packets of a transport stream.
#[derive(Clone, Debug)]
pub(crate) struct PacketPlace {
    pub(super) pid: u16,
    pub(super) grid: Grid,
    /// Where each sample starts in what its packets hold, for AAC; all start at 0 without.
    pub(super) skips: Numbers,
    pub(super) adts: bool,
    /// Bytes of all samples together.
    pub(crate) media_bytes: u64,
}

impl PacketPlace {
    /// The bytes of a sample: an access unit as a byte stream, or a raw frame of AAC.
    pub(crate) fn payload(&self, index: u32, packets: &[u8]) -> Result<Bytes, Error> {
        let stream = self.stream(packets);
        if !self.adts {
            return Ok(stream);
        }
        let skip = self.skips.get(index as usize) as usize;
        let frame = stream.get(skip..).unwrap_or(&[]);
        let AdtsHeader { header_bytes, frame_bytes, .. } = AdtsHeader::read(frame)?;
        if frame.len() < frame_bytes {
            let reason = format!("{frame_bytes} bytes expected, {} are there", frame.len());
            return Err(Error::syntax("ADTS frame", skip, reason));
        }
        // A copy, so that a short frame does not keep all that was read with it.
        Ok(Bytes::copy_from_slice(frame.get(header_bytes..frame_bytes).unwrap_or(&[])))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.skips.memory_bytes()
    }

    /// The elementary stream in these packets.
    fn stream(&self, packets: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(packets.len());
        let mut pes = Pes::default();
        for packet in packets.chunks_exact(self.grid.packet_bytes) {
            let packet = self.grid.packet(packet).filter(|packet| packet.pid == self.pid);
            if let Some(part) = packet.and_then(|packet| pes.push(&packet)) {
                out.extend_from_slice(part.data);
            }
        }
        out.freeze()
    }
}
