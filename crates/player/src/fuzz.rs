//! Entries for fuzzing: whatever comes, nothing may panic.

use std::time::Duration;

use bytes::Bytes;
use weir_dial::rtsp::{Event, Happened, Lower, TrackDescription, TrackStart};
use weir_media::Kind;
use weir_proto::rtp::depack::Depacketiser;
use weir_record::event::EndReason;
use weir_record::{Event as Record, Level, queue};
use weir_time::Instant;

use crate::Measure;

/// Feeds a measure of picture and sound with packets cut out of `data`, each behind one byte of
/// what it is and one of its length, and checks that the totals add up.
pub fn fuzz_measure(data: &[u8]) {
    let (sink, mut drain) = queue(Level::Packet, 4_096);
    let mut measure = Measure::new(sink, true);
    let mut now = Instant::from_millis(1);
    let tracks = vec![
        track(0, Kind::Video, "H264", 90_000, ""),
        track(1, Kind::Audio, "mpeg4-generic", 48_000, AAC),
    ];
    let start =
        |track| TrackStart { track, ssrc: None, first_seq: Some(7), rtp_timestamp: Some(9) };
    let to = Some(Duration::from_secs(3));
    let tracks_start = vec![start(0), start(1)];
    let playing = Event::Playing { lower: Lower::Udp, from: to, to, tracks: tracks_start };
    for event in [Event::Described { tracks }, playing] {
        measure.handle(now, &Happened { at: now, event });
    }
    let mut rest = data;
    while let [what, len, behind @ ..] = rest {
        let (packet, behind) = behind.split_at(behind.len().min(usize::from(*len)));
        rest = behind;
        now += Duration::from_millis(u64::from(what >> 2));
        let (track, data) = (what & 1, Bytes::copy_from_slice(packet));
        let event = match what & 2 {
            0 => Event::Rtp { track, data, ip_bytes: Some(40) },
            _ => Event::Rtcp { track, data },
        };
        measure.handle(now, &Happened { at: now, event });
        measure.tick(now);
        while let Some(taken) = measure.poll_frame() {
            let _ = measure.pts(taken.track, taken.unit.rtp_ticks);
        }
    }
    measure.flush(now, false);
    measure.finish(now, EndReason::EndOfStream, None);
    let mut records = Vec::new();
    drain.take(&mut records);
    for record in records {
        if let Record::TrackTotal(total) = record.event {
            assert_eq!(total.lost, total.expected - total.packets, "the totals add up");
        }
    }
}

const AAC: &str = "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190";

fn track(track: u8, kind: Kind, encoding: &str, rate: u32, parameters: &str) -> TrackDescription {
    let depacketiser = Depacketiser::from_sdp(encoding, rate, None, parameters);
    TrackDescription {
        track,
        kind,
        encoding: encoding.to_owned(),
        clock_rate_hz: rate,
        payload_type: 96,
        control: String::new(),
        depacketiser: depacketiser.map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_comes_is_measured(
            packets in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..60),
        ) {
            let mut data = Vec::new();
            for (what, mut packet) in packets {
                // Mostly of version 2, so that most are read.
                if let Some(first) = packet.first_mut().filter(|_| what & 0x30 > 0) {
                    *first = 0x80 | (*first & 0x0f);
                }
                data.extend([what, packet.len() as u8]);
                data.extend(packet);
            }
            super::fuzz_measure(&data);
        }
    }
}
