//! Numbers, times and reports over pauses and seeks, packet by packet (RFC 2326 appendix B).

use std::time::Duration;

use weir_dial::rtsp::Transport;
use weir_player::rtsp::Action;
use weir_record::event::{EndReason, Playing, RtpPacket, SenderReport, TrackStart};
use weir_record::{Event, Level};
use weir_time::Instant;

use crate::movie::{Shape, movie_of};
use crate::world::{Pair, Played, settings};

const SECONDS: u32 = 12;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Plays by both transports over a link without loss.
fn play(test: &str, script: &[(Duration, Action)]) -> [Played; 2] {
    let file = movie_of(test, Shape::typical(SECONDS));
    [Transport::Udp, Transport::Tcp].map(|transport| {
        let pair = Pair::rough(11, weir_link::Loss::None);
        pair.serve(vec![file.path.clone()]);
        let mut settings = settings(&pair.url(&file.path), transport);
        settings.script = script.to_vec();
        let played = pair.play(settings, Level::Packet);
        let reason = played.outcome.reason;
        assert_eq!(reason, EndReason::EndOfStream, "{:?}", played.outcome);
        played
    })
}

/// What came between one answer to PLAY and the next.
struct Stretch {
    playing: Playing,
    packets: Vec<(Instant, RtpPacket)>,
    reports: Vec<(Instant, SenderReport)>,
}

fn stretches(played: &Played) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for record in &played.records {
        match &record.event {
            Event::Playing(playing) => stretches.push(Stretch {
                playing: playing.clone(),
                packets: Vec::new(),
                reports: Vec::new(),
            }),
            Event::RtpPacket(packet) => {
                stretches.last_mut().unwrap().packets.push((record.at, *packet));
            }
            Event::SenderReport(report) => {
                stretches.last_mut().unwrap().reports.push((record.at, *report));
            }
            _ => {}
        }
    }
    stretches
}

impl Stretch {
    fn of(&self, track: u8) -> impl Iterator<Item = &(Instant, RtpPacket)> {
        self.packets.iter().filter(move |(_, packet)| packet.track == track)
    }

    fn start(&self, track: u8) -> &TrackStart {
        self.playing.tracks.iter().find(|start| start.track == track).unwrap()
    }
}

/// A pause of 18 s, and a seek that is met at the key picture before.
fn pause_and_seek() -> [(Duration, Action); 3] {
    [(secs(2), Action::Pause), (secs(20), Action::Resume), (secs(23), Action::Seek(secs(9)))]
}

#[test]
fn sequence_numbers_have_no_gap_over_pauses_and_seeks() {
    for played in play("numbers", &pause_and_seek()) {
        for track in TRACKS {
            let stretches = stretches(&played);
            assert_eq!(stretches.len(), 3);
            let numbers = stretches.iter().flat_map(|stretch| stretch.of(track));
            let numbers: Vec<u64> = numbers.map(|(_, packet)| packet.seq).collect();
            for two in numbers.windows(2) {
                assert_eq!(two[1], two[0] + 1);
            }
        }
    }
}

#[test]
fn rtp_info_names_the_first_packet_and_the_rtp_time_of_the_ranges_start() {
    for played in play("info", &pause_and_seek()) {
        let stretches = stretches(&played);
        let froms = stretches.iter().map(|stretch| stretch.playing.from_ns.unwrap());
        let froms: Vec<u64> = froms.collect();
        // The first picture is shown when one that is decoded after it has been decoded.
        assert_eq!((froms[0], froms[2]), (DELAY_NS, 8_000_000_000 + DELAY_NS));
        assert!((1_900_000_000..2_100_000_000).contains(&froms[1]), "{froms:?}");
        for stretch in &stretches {
            assert_eq!(stretch.playing.to_ns, Some(12_000_000_000 + DELAY_NS));
            for track in TRACKS {
                let (start, first) = (stretch.start(track), stretch.of(track).next().unwrap());
                assert_eq!(start.first_seq, Some(first.1.seq as u16));
            }
        }
        // Both begin with a key picture.
        for stretch in [&stretches[0], &stretches[2]] {
            let first = stretch.of(0).next().unwrap();
            assert_eq!(stretch.start(0).rtp_timestamp, Some(first.1.rtp_timestamp));
        }
        // A pause takes no RTP time.
        for (track, rate) in [(0, 90_000), (1, 48_000)] {
            let [before, after] = [0, 1].map(|n: usize| stretches[n].start(track).rtp_timestamp);
            let ticks = after.unwrap().wrapping_sub(before.unwrap());
            let nanos = u64::from(ticks) * 1_000_000_000 / rate;
            assert!(nanos.abs_diff(froms[1] - froms[0]) < 25_000, "{nanos} {froms:?}");
        }
    }
}

#[test]
fn rtp_time_goes_on_where_it_stopped() {
    for played in play("times", &pause_and_seek()) {
        let stretches = stretches(&played);
        let times = |stretch: usize, track: u8| {
            let packets = stretches[stretch].of(track);
            packets.map(|(_, packet)| packet.rtp_timestamp).collect::<Vec<u32>>()
        };
        let ahead = |from: u32, to: u32| to.wrapping_sub(from) as i32;
        let last = |times: &[u32]| {
            let first = times[0];
            first.wrapping_add(times.iter().map(|time| ahead(first, *time)).max().unwrap() as u32)
        };
        let sound = ahead(last(&times(0, 1)), times(1, 1)[0]);
        assert_eq!(sound, 1_024, "the frame that follows, over the pause");
        let picture = ahead(last(&times(1, 0)), times(2, 0)[0]);
        assert_eq!(picture, 3_000, "one picture later, over the seek");
        let sound = ahead(last(&times(1, 1)), times(2, 1)[0]);
        assert!((1_024..9_600).contains(&sound), "in step with the picture: {sound}");
        // B-pictures follow those that are shown after them: never by more than three.
        let all: Vec<u32> = (0..3).flat_map(|stretch| times(stretch, 0)).collect();
        for two in all.windows(2) {
            assert!((-6_000..=12_000).contains(&ahead(two[0], two[1])), "{two:?}");
        }
    }
}

#[test]
fn over_a_pause_every_frame_comes_once() {
    let script = [(secs(3), Action::Pause), (secs(30), Action::Resume)];
    let shape = Shape::typical(SECONDS);
    for played in play("once", &script) {
        let (picture, sound) = (played.track(0), played.track(1));
        assert_eq!(picture.frames, Some(shape.pictures()));
        assert_eq!(picture.key_frames, Some(shape.key_pictures()));
        assert_eq!(sound.frames, Some(shape.sounds()));
        let all = stretches(&played);
        let times = all.iter().flat_map(|stretch| stretch.of(0));
        let mut times: Vec<u32> = times.map(|(_, packet)| packet.rtp_timestamp).collect();
        times.dedup();
        assert_eq!(times.len() as u64, shape.pictures(), "none is sent again");
        let [_, after] = &all[..] else { panic!() };
        let first = after.packets[0].0;
        assert!(first > Instant::from_millis(30_000), "silence while it is paused");
    }
}

#[test]
fn a_sender_report_comes_with_the_first_packet_of_each_play() {
    for played in play("reports_first", &pause_and_seek()) {
        for stretch in stretches(&played) {
            for track in TRACKS {
                let report = stretch.reports.iter().find(|(_, report)| report.track == track);
                let (at, report) = report.unwrap();
                let (first_at, _) = stretch.of(track).next().unwrap();
                assert!(at.as_nanos().abs_diff(first_at.as_nanos()) < 150_000_000);
                // It maps the time of its sending to about the start of the range.
                let start = stretch.start(track).rtp_timestamp.unwrap();
                let ticks = report.rtp_timestamp.wrapping_sub(start) as i32;
                assert!((0..4_500).contains(&ticks), "{ticks}");
            }
        }
    }
}

#[test]
fn sender_reports_count_what_was_sent_to_the_last_packet() {
    for played in play("reports_count", &pause_and_seek()) {
        let all = stretches(&played);
        for track in TRACKS {
            let packets: Vec<_> = all.iter().flat_map(|stretch| stretch.of(track)).collect();
            let counts_of = |packets: &[&(Instant, RtpPacket)]| {
                let octets = packets.iter().map(|(_, packet)| packet.bytes).sum::<u32>();
                (packets.len() as u32, octets)
            };
            let reports = all.iter().flat_map(|stretch| &stretch.reports);
            let reports = reports.filter(|(_, report)| report.track == track);
            let mut last = None;
            for (at, report) in reports {
                // By UDP the two ports are read one after the other: of what comes at the same
                // moment nobody knows the order.
                let before = packets.partition_point(|(came, _)| came < at);
                let with = packets.partition_point(|(came, _)| came <= at);
                let counts = (report.packet_count, report.octet_count);
                let fits = |end| counts_of(&packets[..end]) == counts;
                assert!((before..=with).any(fits), "{report:?}: {before} to {with}");
                last = Some(counts);
            }
            assert_eq!(last, Some(counts_of(&packets)), "the last one counts all");
            let byes = played.records.iter().filter_map(|record| match &record.event {
                Event::Bye(bye) if bye.track == track => Some(record.at),
                _ => None,
            });
            let byes: Vec<Instant> = byes.collect();
            // At the end, and again in answer to TEARDOWN, in case the first was lost.
            let after_all = byes.iter().all(|at| *at >= packets.last().unwrap().0);
            assert!(byes.len() == 2 && after_all, "{byes:?}");
            let total = played.track(track);
            let lost = (total.lost, total.head_lost, total.tail_lost);
            assert_eq!(lost, (Some(0), Some(0), Some(0)));
        }
    }
}

#[test]
fn reports_come_every_five_seconds() {
    for played in play("reports_often", &[]) {
        for track in TRACKS {
            let all = stretches(&played);
            let [stretch] = &all[..] else { panic!() };
            let reports = stretch.reports.iter().filter(|(_, report)| report.track == track);
            // At the start, after 5 and 10 s, with the good-bye, and in answer to TEARDOWN.
            assert_eq!(reports.count(), 5);
        }
    }
}

const TRACKS: [u8; 2] = [0, 1];
const DELAY_NS: u64 = 33_333_333;
