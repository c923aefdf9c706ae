//! Figures in words, for people.

use std::fmt::Write;

use weir_dial::rtsp::Error;
use weir_proto::rtsp::Status;
use weir_proto::rtsp::client::Cause;
use weir_proto::rtsp::url::ControlPath;
use weir_record::event::{EndReason, LatencyBasis, MediaKind};
use weir_record::stats::{
    Basis, LatencySummary, PlaySummary, ServeSummary, TrackSummary, ViewerSummary,
};

use crate::Progress;

/// One line about how far a stream is.
pub fn progress(progress: &Progress, rate_bps: Option<u64>) -> String {
    let mut line = format!("{:.0} s", progress.played.as_secs_f64());
    if let Some(position) = progress.position {
        let _ = write!(line, "  at {:.1} s", position.as_secs_f64());
        if let Some(end) = progress.end {
            let _ = write!(line, " of {:.1} s", end.as_secs_f64());
        }
    }
    let _ = write!(line, "  {} frames", progress.frames);
    if let Some(rate) = rate_bps {
        let _ = write!(line, "  {}", mbits(rate));
    }
    if progress.expected > 0 {
        let _ = write!(line, "  lost {} of {}", progress.lost, progress.expected);
    }
    if let Some(jitter) = progress.jitter_ns {
        let _ = write!(line, "  jitter {}", millis(jitter));
    }
    line
}

/// A summary, in a few lines.
pub fn summary(summary: &PlaySummary) -> String {
    let mut text = String::new();
    if let Some(url) = &summary.url {
        let _ = write!(text, "{url}");
        if let Some(transport) = &summary.transport {
            let _ = write!(text, " over {}", transport.to_uppercase());
        }
        let _ = write!(text, ": ");
    }
    let _ = write!(text, "{}", ended(summary.ended));
    if let Some(lasted) = summary.lasted_ns {
        let _ = write!(text, " after {:.3} s", lasted as f64 / 1e9);
    }
    if let Some(why) = &summary.ended_text {
        let _ = write!(text, " ({why})");
    }
    if let Some(began) = summary.began_at_ns.filter(|began| *began > 0) {
        let _ = write!(text, ", began at {:.3} s of the movie", began as f64 / 1e9);
    }
    let _ = writeln!(
        text,
        "\n  connected {}, first byte {}, first decodable frame {}",
        known(summary.connect_ns.map(millis)),
        known(summary.first_byte_ns.map(millis)),
        known(summary.first_decodable_frame_ns.map(millis)),
    );
    if let Some(startup) = summary.startup_ns {
        let _ = writeln!(
            text,
            "  shown after {}, stalled {} times for {}",
            millis(startup),
            known(summary.stalls),
            known(summary.stalled_ns.map(millis)),
        );
    }
    if let Some(latency) = &summary.latency {
        push_latency(&mut text, latency);
    }
    let is_failed = summary.ended_text.is_some() || summary.ended == Some(EndReason::Failed);
    for (count, what) in [
        // The one that it ended by is told as the reason.
        (summary.errors - u64::from(summary.errors == 1 && is_failed), "errors"),
        (summary.records_dropped, "records dropped"),
        (summary.warnings, "warnings"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "  {what}: {count}");
        }
    }
    for warning in &summary.warning_texts {
        let _ = writeln!(text, "    {warning}");
    }
    summary.tracks.iter().for_each(|track| push_track(&mut text, track));
    text
}

/// A server's run, a line for each viewer.
pub fn served(summary: &ServeSummary) -> String {
    let lasted = known(summary.lasted_ns.map(|lasted| format!("{:.3} s", lasted as f64 / 1e9)));
    let count = summary.viewers.len() as u64 + summary.viewers_left_out;
    let mut text = format!("{count} viewers in {lasted}\n");
    for (count, what) in [
        (summary.refused, "requests refused"),
        (summary.warnings, "warnings"),
        (summary.errors, "errors"),
        (summary.records_dropped, "records dropped"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "  {what}: {count}");
        }
    }
    summary.viewers.iter().for_each(|viewer| push_viewer(&mut text, viewer));
    if summary.viewers_left_out > 0 {
        let _ = writeln!(text, "  and {} more", summary.viewers_left_out);
    }
    text
}

fn push_viewer(text: &mut String, viewer: &ViewerSummary) {
    let ViewerSummary { viewer: number, stream, peer, transport, .. } = viewer;
    let _ = write!(text, "  {number} {peer} {stream} over {transport}: ");
    match (&viewer.reason, viewer.lasted_ns) {
        (Some(reason), Some(lasted)) => {
            let _ = write!(text, "{reason} after {:.3} s", lasted as f64 / 1e9);
        }
        _ => text.push_str("still there at the last record"),
    }
    if let (Some(packets), Some(octets)) = (viewer.packets, viewer.octets) {
        let _ = write!(text, ", {packets} packets, {octets} bytes");
    }
    if let Some(lost) = viewer.reported_lost {
        let _ = write!(text, ", reported {lost} lost");
    }
    if let Some(round_trip) = viewer.round_trip_ns {
        let _ = write!(text, ", round trip {}", millis(round_trip));
    }
    if viewer.skips > 0 {
        let _ = write!(text, ", skipped {} times", viewer.skips);
    }
    text.push('\n');
}

/// What to check when a stream cannot be had, if anything helps.
pub fn advice(error: &Error) -> Option<String> {
    match error {
        Error::Connect { source, peer }
            if source.kind() == std::io::ErrorKind::ConnectionRefused =>
        {
            Some(format!(
                "nobody listens on {peer}: is the server running, and is this its port for RTSP?"
            ))
        }
        Error::Connect { source, .. } if source.kind() == std::io::ErrorKind::TimedOut => Some(
            "no answer: is the address right, and does a firewall let the port through?".to_owned(),
        ),
        Error::Request { failure, .. } if is_unanswered(&failure.cause) => Some(CLASSROOM.into()),
        Error::Unreadable { .. } | Error::Closed { .. } => Some(CLASSROOM.into()),
        Error::Request { failure, .. } => match error.status()? {
            Status::NOT_FOUND => {
                let name = ControlPath::parse(&failure.url).ok()?.stream;
                Some(format!("the server has no stream of the name {name:?}"))
            }
            Status::UNAUTHORIZED => {
                Some("the server wants a name and a password: rtsp://NAME:PASSWORD@HOST/...".into())
            }
            Status::UNSUPPORTED_TRANSPORT => {
                Some("the server does not offer this transport: try --transport auto".to_owned())
            }
            _ => None,
        },
        Error::OutOfRange { .. } => {
            Some("start at an earlier place: --from counts seconds from the movie's start".into())
        }
        _ => None,
    }
}

/// What a server of the other dialect may look like to a client of RTSP.
const CLASSROOM: &str = "the server may not speak RTSP 1.0; if it belongs to a course assignment, \
                         try --dialect classroom (or auto)";

fn is_unanswered(cause: &Cause) -> bool {
    matches!(cause, Cause::TimedOut { .. } | Cause::ConnectionLost)
}

fn push_latency(text: &mut String, latency: &LatencySummary) {
    let basis = match latency.basis {
        LatencyBasis::Arrived => "from capture to arrival",
        LatencyBasis::Shown => "from capture to being shown",
        _ => "from capture",
    };
    if latency.frames > 0 {
        let _ = writeln!(
            text,
            "  latency {basis}: p50 {}, p95 {}, p99 {}, longest {}, of {} frames",
            known(latency.p50_ns.map(millis)),
            known(latency.p95_ns.map(millis)),
            known(latency.p99_ns.map(millis)),
            known(latency.max_ns.map(millis)),
            latency.frames,
        );
    }
    for (count, what) in [
        (latency.frames_recorded, "frames bear the time code of a recording: no latency"),
        (latency.frames_unread, "frames bear no readable time code"),
        (latency.frames_skipped, "frames were not decoded"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "  {count} {what}");
        }
    }
    if latency.skews > 0 {
        let _ = writeln!(
            text,
            "  flash and beep apart by: p50 {}, p95 {}, of {} pairs",
            known(latency.skew_p50_ns.map(millis)),
            known(latency.skew_p95_ns.map(millis)),
            latency.skews,
        );
    }
}

fn push_track(text: &mut String, track: &TrackSummary) {
    let kind = match track.kind {
        Some(MediaKind::Video) => "video",
        Some(MediaKind::Audio) => "audio",
        _ => "unknown kind",
    };
    let codec = track.codec.as_deref().unwrap_or("unknown codec");
    let _ = write!(text, "  track {} {kind} {codec}: ", track.track);
    if track.basis == Basis::Nothing {
        let _ = writeln!(text, "not played");
        return;
    }
    if track.packets == Some(0) && track.head_lost.unwrap_or(0) == 0 {
        let _ = writeln!(text, "no packet came");
        return;
    }
    if let Some(shown) = track.frames_shown {
        let _ = writeln!(
            text,
            "{} frames ({} key), {} shown, {} bytes, fetched at {}",
            known(track.frames),
            known(track.key_frames),
            shown,
            known(track.bytes),
            known(track.data_rate_bps.map(mbits)),
        );
        return;
    }
    let _ = writeln!(
        text,
        "{} frames ({} key, {} discarded), {} bytes, {}",
        known(track.frames),
        known(track.key_frames),
        known(track.frames_discarded),
        known(track.bytes),
        known(track.data_rate_bps.map(mbits)),
    );
    let _ = write!(text, "    lost {} of {} packets", known(track.lost), known(track.expected));
    if let Some(ratio) = track.loss_ratio() {
        let _ = write!(text, " ({:.3} %)", ratio * 100.0);
    }
    let _ = writeln!(
        text,
        " from the first to the last received; before the first {}, after the last {}",
        known(track.head_lost),
        known(track.tail_lost),
    );
    if let Some(gaps) = track.gaps.filter(|gaps| *gaps > 0) {
        let at = track.gap_longest_at_ns.map(|at| format!("{:.3} s", at as f64 / 1e9));
        let _ = writeln!(
            text,
            "    gaps {gaps}, the longest of {} packets at {}; {} frames incomplete",
            known(track.gap_packets_max),
            known(at),
            known(track.frames_incomplete),
        );
    }
    // One of the two is measured: each says what it is.
    let jitter = match track.jitter_against_50ms_ns {
        Some(jitter) => format!("jitter of arrivals against 50 ms a frame {}", millis(jitter)),
        None => format!("jitter {}", known(track.jitter_ns.map(millis))),
    };
    let _ = writeln!(
        text,
        "    reordered {}, duplicates {}, late {}; {jitter}",
        known(track.reordered),
        known(track.duplicates),
        known(track.late),
    );
    let _ = writeln!(
        text,
        "    inter-arrival p50 {}, p95 {}, p99 {}, longest {}",
        known(track.inter_arrival_p50_ns.map(millis)),
        known(track.inter_arrival_p95_ns.map(millis)),
        known(track.inter_arrival_p99_ns.map(millis)),
        known(track.inter_arrival_max_ns.map(millis)),
    );
}

fn ended(reason: Option<EndReason>) -> &'static str {
    match reason {
        Some(EndReason::Done) => "done",
        Some(EndReason::EndOfStream) => "end of the stream",
        Some(EndReason::Stopped) => "stopped",
        Some(EndReason::PeerClosed) => "the server closed",
        Some(EndReason::Failed) => "failed",
        _ => "not ended",
    }
}

/// What is not known is said to be so, never shown as zero.
fn known(value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(|| "not known".to_owned(), |value| value.to_string())
}

fn millis(nanos: u64) -> String {
    format!("{:.3} ms", nanos as f64 / 1e6)
}

fn mbits(bps: u64) -> String {
    format!("{:.3} Mbit/s", bps as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_said_to_be_not_known() {
        let track = TrackSummary {
            basis: Basis::Total,
            lost: Some(0),
            expected: Some(7),
            head_lost: Some(0),
            ..TrackSummary::default()
        };
        let text = summary(&PlaySummary { tracks: vec![track], ..PlaySummary::default() });
        assert!(text.contains("lost 0 of 7 packets (0.000 %)"), "{text}");
        assert!(text.contains("before the first 0, after the last not known"), "{text}");
        assert!(text.contains("first byte not known"), "{text}");
    }

    #[test]
    fn progress_tells_place_rate_and_loss() {
        let line = progress(
            &Progress {
                position: Some(weir_media::MediaTime::from_nanos(1_500_000_000)),
                frames: 45,
                lost: 2,
                expected: 100,
                ..Progress::default()
            },
            Some(2_600_000),
        );
        assert_eq!(line, "0 s  at 1.5 s  45 frames  2.600 Mbit/s  lost 2 of 100");
    }
}
