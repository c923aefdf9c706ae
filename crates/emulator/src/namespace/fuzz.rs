//! Targets for a fuzzer: what comes from files and from hosts.

use super::cut::cut;
use super::packet::{OFFLOAD_BYTES, Offload, Packet};
use super::topology::Topology;
use crate::links::Wire;

/// A topology: it is read or refused.
pub fn fuzz_topology(data: &[u8]) {
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(topology) = Topology::parse(text)
    {
        let layout = super::layout::Layout::new(&topology);
        assert_eq!(layout.ends.len(), topology.links.len());
    }
}

/// A packet of a host behind its device's header: it is cut, corrupted and answered.
pub fn fuzz_super_packet(data: &[u8]) {
    let Some((header, bytes)) = data.split_first_chunk::<OFFLOAD_BYTES>() else { return };
    let offload = Offload::decode(header, 0);
    let mut packet = Packet { offload, bytes: bytes.to_vec() };
    packet.offload_header(14);
    super::way_out::fuzz_answers(&packet);
    packet.corrupt(u64::from(offload.segment_bytes));
    let total = packet.bytes.len();
    let mut most = 0;
    cut(packet, |piece| most = most.max(piece.bytes.len()));
    assert!(most <= total);
}
