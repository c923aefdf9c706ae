//! A report in words.

use std::fmt::Write;

use super::{Gop, Report, Track};

impl Report {
    /// What it is made of, in a few lines, for people.
    pub fn in_words(&self) -> String {
        let mut text = format!("{}: {}", self.source, self.format);
        match self.duration_ns {
            Some(duration) => {
                let _ = write!(text, ", {}", seconds(duration));
            }
            None => text.push_str(", without an end that the server names (live)"),
        }
        if let Some(bytes) = self.bytes {
            let _ = write!(text, ", {bytes} bytes");
        }
        if let Some(rate) = self.data_rate_bps {
            let _ = write!(text, ", {}", mbits(rate));
        }
        if let Some(watched) = self.watched_ns {
            let _ = write!(text, "; watched for {}", seconds(watched));
        }
        text.push('\n');
        self.tracks.iter().for_each(|track| push_track(&mut text, track));
        if !self.warnings.is_empty() {
            let _ = writeln!(text, "  warnings: {}", self.warnings.len());
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "    {warning}");
        }
        text
    }
}

fn push_track(text: &mut String, track: &Track) {
    let codec = track.codec.as_deref().unwrap_or("unknown codec");
    match (track.track, track.kind) {
        (Some(number), Some(kind)) => {
            let _ = write!(text, "  track {number} {kind} {codec}");
        }
        _ => {
            let _ = write!(text, "  another track");
        }
    }
    if let Some(why) = &track.unreadable {
        let _ = writeln!(text, ": cannot be read: {why}");
        return;
    }
    let level = track.level.as_ref().map(|level| format!("level {level}"));
    push_list(text, " (", [track.codec_string.clone(), track.profile.clone(), level], ")");
    let size = track.width.zip(track.height).map(|(width, height)| format!("{width}x{height}"));
    let samples = track.chroma.map(str::to_owned);
    let depth = track.bit_depth.map(|bits| format!("{bits} bit"));
    let sound = track.sample_rate_hz.map(|rate| format!("{rate} Hz"));
    let channels = track.channels.map(|count| match count {
        1 => "1 channel".to_owned(),
        count => format!("{count} channels"),
    });
    let rate = track.data_rate_bps.map(mbits);
    push_list(text, ": ", [size, samples, depth, frame_rate(track), sound, channels, rate], "");
    text.push('\n');
    let frames = track.frames.map(|frames| format!("{frames} frames"));
    let keys = track.key_frames.filter(|_| track.kind == Some("video"));
    let keys = keys.map(|keys| format!("{keys} key"));
    let gop = track.gop.map(gop);
    let lost = track.packets_lost.map(|lost| format!("{lost} packets lost"));
    push_list(text, "    ", [frames, keys, gop, reordering(track), lost], "\n");
}

/// Writes what is known, between commas; nothing at all where nothing is.
fn push_list<const N: usize>(
    text: &mut String,
    before: &str,
    list: [Option<String>; N],
    behind: &str,
) {
    let known: Vec<String> = list.into_iter().flatten().collect();
    if !known.is_empty() {
        let _ = write!(text, "{before}{}{behind}", known.join(", "));
    }
}

fn frame_rate(track: &Track) -> Option<String> {
    let unsteady = if track.frame_rate_is_constant == Some(false) { " in the mean" } else { "" };
    match (track.frame_rate, track.frame_rate_said) {
        (Some(rate), Some(said)) if (rate - said).abs() > 0.01 * said => {
            Some(format!("{rate} frames/s{unsteady} (its headers say {said})"))
        }
        (Some(rate), _) => Some(format!("{rate} frames/s{unsteady}")),
        (None, Some(said)) => Some(format!("{said} frames/s by its headers")),
        (None, None) => None,
    }
}

fn gop(gop: Gop) -> String {
    let Gop { frames_min, frames_mean, frames_max, ns_min, ns_mean, ns_max, .. } = gop;
    let mean = format!("GOP of {frames_mean} frames, {}", seconds(ns_mean));
    match frames_min == frames_max {
        true => mean,
        false => format!(
            "{mean} (from {frames_min} to {frames_max} frames, {} to {})",
            seconds(ns_min),
            seconds(ns_max)
        ),
    }
}

fn reordering(track: &Track) -> Option<String> {
    Some(match track.reorder_depth? {
        0 => "no B-frames".to_owned(),
        depth => format!("B-frames (reorder depth {depth})"),
    })
}

fn seconds(nanos: u64) -> String {
    format!("{:.3} s", nanos as f64 / 1e9)
}

fn mbits(bps: u64) -> String {
    format!("{:.3} Mbit/s", bps as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_told_and_nothing_else() {
        let track = Track {
            track: Some(0),
            kind: Some("video"),
            codec: Some("H.264".to_owned()),
            width: Some(320),
            height: Some(180),
            frame_rate: Some(29.97),
            frame_rate_said: Some(29.97),
            frames: Some(60),
            reorder_depth: Some(0),
            ..Track::default()
        };
        let report = Report {
            source: "rtsp://h/live".to_owned(),
            format: "RTSP over UDP".to_owned(),
            tracks: vec![track],
            ..Report::default()
        };
        assert_eq!(
            report.in_words(),
            "rtsp://h/live: RTSP over UDP, without an end that the server names (live)\n  \
             track 0 video H.264: 320x180, 29.97 frames/s\n    60 frames, no B-frames\n"
        );
    }
}
