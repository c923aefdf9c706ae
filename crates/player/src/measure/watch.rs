//! What a server does wrong with a track's packets and reports, each said once.

use std::collections::BTreeSet;

use weir_dial::rtsp::TrackStart;
use weir_media::Kind;
use weir_proto::rtcp::SenderReport;
use weir_proto::rtp::{Error, Header, RtpTime, Ssrc};

/// Watches one track; what is found waits in `texts` to be recorded.
pub(super) struct Watch {
    track: u8,
    kind: Kind,
    clock_rate_hz: u32,
    payload_type: u8,
    /// The source that SETUP announced.
    announced: Option<u32>,
    /// Where RTP-Info says that the packets begin.
    first_seq: Option<u16>,
    head_lost_max: i16,
    /// RTP-Info's time stamp, until the packet has come that it is of.
    first_time: Option<u32>,
    /// A packet has come.
    has_begun: bool,
    newest_ticks: Option<i64>,
    /// The report before, and the packets that had come by then.
    reported: Option<(u32, u64)>,
    said: BTreeSet<Oddity>,
    texts: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Oddity {
    Unreadable,
    Source,
    ReportSource,
    PayloadType,
    FirstSeq,
    FirstTime,
    TimeBack,
    PacketCount,
    Malformed,
}

/// More packets than these are not lost by UDP before the first that comes.
const HEAD_LOST_MAX: i16 = 3_000;
/// So far may the first packet be from the start of the range: a key frame before it, as a rule.
const FIRST_TIME_SECS_MAX: f64 = 20.0;
/// Pictures are sent in the order of decoding: so far may their times go back.
const REORDER_SECS_MAX: f64 = 2.0;
/// So many packets may be on their way when a sender report comes.
const ON_THE_WAY_MAX: i64 = 64;

impl Watch {
    pub(super) fn new(track: u8, kind: Kind, clock_rate_hz: u32, payload_type: u8) -> Self {
        Watch {
            track,
            kind,
            clock_rate_hz,
            payload_type,
            announced: None,
            first_seq: None,
            head_lost_max: HEAD_LOST_MAX,
            first_time: None,
            has_begun: false,
            newest_ticks: None,
            reported: None,
            said: BTreeSet::new(),
            texts: Vec::new(),
        }
    }

    /// What was found since the last call.
    pub(super) fn take_texts(&mut self) -> Vec<String> {
        std::mem::take(&mut self.texts)
    }

    /// The server says where the packets start.
    pub(super) fn starts(&mut self, udp: bool, start: &TrackStart) {
        // By TCP nothing is lost.
        self.head_lost_max = if udp { HEAD_LOST_MAX } else { 0 };
        self.announced = start.ssrc;
        self.first_seq = start.first_seq;
        self.first_time = start.rtp_timestamp;
        self.newest_ticks = None;
        self.reported = None;
    }

    /// Something came that is no RTP.
    pub(super) fn unreadable(&mut self, error: &Error) {
        self.say(Oddity::Unreadable, || format!("packets that are no RTP came: {error}"));
    }

    /// A packet came of the source that is measured.
    pub(super) fn packet(&mut self, header: &Header) {
        let (ssrc, seq, time) = (header.ssrc.0, header.sequence.0, header.time);
        if let Some(announced) = self.announced.filter(|announced| *announced != ssrc) {
            self.say(Oddity::Source, || {
                format!("its packets are of the source {ssrc:08x}; SETUP announced {announced:08x}")
            });
        }
        if header.payload_type != self.payload_type {
            let (came, said) = (header.payload_type, self.payload_type);
            self.say(Oddity::PayloadType, || {
                format!("packets of payload type {came} came; the description says {said}")
            });
        }
        let Some(first) = self.first_seq else {
            self.has_begun = true;
            return;
        };
        let ahead = seq.wrapping_sub(first) as i16;
        if !std::mem::replace(&mut self.has_begun, true)
            && !(0..=self.head_lost_max).contains(&ahead)
        {
            self.say(Oddity::FirstSeq, || {
                format!("RTP-Info says that packet {first} is the first, and packet {seq} came")
            });
        }
        if ahead == 0
            && let Some(said) = self.first_time.take()
        {
            let away = self.seconds(time.distance_from(RtpTime(said)).into());
            if away.abs() > FIRST_TIME_SECS_MAX {
                let came = time.0;
                self.say(Oddity::FirstTime, || {
                    format!(
                        "RTP-Info gives the start the RTP time {said}; its first packet has {came}, \
                         {away:.1} s away"
                    )
                });
            }
        }
    }

    /// The sender numbers its packets anew.
    pub(super) fn restarted(&mut self) {
        (self.newest_ticks, self.reported, self.announced) = (None, None, None);
    }

    /// A frame came, in the order of the packets' numbers.
    pub(super) fn frame(&mut self, rtp_ticks: i64) {
        let back_max = match self.kind {
            Kind::Video => REORDER_SECS_MAX,
            Kind::Audio => 0.0,
        };
        let back = self.newest_ticks.map_or(0, |newest| newest.saturating_sub(rtp_ticks));
        let back = self.seconds(back);
        if back > back_max {
            self.say(Oddity::TimeBack, || format!("its RTP times go back, by {back:.3} s"));
        }
        self.newest_ticks = self.newest_ticks.max(Some(rtp_ticks));
    }

    /// A frame broke the payload format.
    pub(super) fn malformed(&mut self) {
        self.say(Oddity::Malformed, || {
            "frames came whose packets break the payload format".to_owned()
        });
    }

    /// A report came; `received` packets had come by then, of `source`.
    pub(super) fn sender_report(
        &mut self,
        report: &SenderReport,
        source: Option<Ssrc>,
        received: u64,
    ) {
        if let Some(source) = source.filter(|source| *source != report.ssrc) {
            let of = report.ssrc.0;
            return self.say(Oddity::ReportSource, || {
                format!(
                    "sender reports of the source {of:08x} came; its packets are of {:08x}",
                    source.0
                )
            });
        }
        let before = self.reported.replace((report.packet_count, received));
        let Some((count_before, received_before)) = before else {
            return;
        };
        // A loss makes the sender's count the greater one: only the other way is wrong for sure.
        let sent = report.packet_count.wrapping_sub(count_before) as i32;
        let came = received.saturating_sub(received_before);
        if i64::try_from(came).unwrap_or(i64::MAX) - i64::from(sent) > ON_THE_WAY_MAX {
            self.say(Oddity::PacketCount, || {
                format!("between two sender reports {came} packets came; they count {sent} as sent")
            });
        }
    }

    fn seconds(&self, ticks: i64) -> f64 {
        ticks as f64 / f64::from(self.clock_rate_hz.max(1))
    }

    fn say(&mut self, oddity: Oddity, text: impl FnOnce() -> String) {
        if self.said.insert(oddity) {
            self.texts.push(format!("track {}: {}", self.track, text()));
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_proto::rtcp::NtpTime;

    use super::*;

    fn report(packet_count: u32) -> SenderReport {
        SenderReport {
            ssrc: Ssrc(9),
            ntp: NtpTime(0),
            rtp_time: RtpTime(0),
            packet_count,
            octet_count: 0,
            reports: Vec::new(),
        }
    }

    fn watch() -> Watch {
        Watch::new(0, Kind::Video, 90_000, 96)
    }

    #[test]
    fn a_sender_that_counts_less_than_comes_is_told_once() {
        let mut watch = watch();
        let source = Some(Ssrc(9));
        for (count, received) in [(10, 8), (110, 100), (120, 400), (121, 800)] {
            watch.sender_report(&report(count), source, received);
        }
        let said = "track 0: between two sender reports 300 packets came; they count 10 as sent";
        assert_eq!(watch.take_texts(), [said]);
        // What is lost, and what was sent to others before, is nobody's fault.
        let mut watch = self::watch();
        for (count, received) in [(u32::MAX - 10, 8), (500, 20)] {
            watch.sender_report(&report(count), source, received);
        }
        assert!(watch.take_texts().is_empty());
    }

    #[test]
    fn reports_of_another_source_are_told() {
        let mut watch = watch();
        watch.sender_report(&report(1), Some(Ssrc(8)), 1);
        assert!(watch.take_texts()[0].contains("of the source 00000009 came"));
    }

    #[test]
    fn pictures_may_be_shown_in_another_order_than_they_come_in() {
        let mut watch = watch();
        for ticks in [0, 12_000, 6_000, 3_000, 9_000, 100_000] {
            watch.frame(ticks);
        }
        assert!(watch.take_texts().is_empty());
        watch.frame(100_000 - 180_001);
        assert_eq!(watch.take_texts().len(), 1);
    }
}
