//! Entries for fuzzing: any bytes, no panic.

use bytes::BytesMut;

use super::{NtpTime, Packet, compound, decode, is_rtcp};

/// Decodes; what can be encoded again must decode to the same.
pub fn fuzz_rtcp(data: &[u8]) {
    is_rtcp(data);
    let Ok(packets) = decode(data) else { return };
    for packet in &packets {
        if let Packet::ReceiverReport(report) = packet {
            for block in &report.reports {
                block.round_trip(NtpTime(u64::from(block.jitter_ticks) << 20));
            }
        }
    }
    let mut again = BytesMut::new();
    if compound(&packets, &mut again).is_ok() {
        assert_eq!(decode(&again).as_deref(), Ok(&packets[..]));
    }
}
