//! The media presentation description (ISO/IEC 23009-1 section 5).

use std::fmt::Write as _;

use weir_media::MediaTime;
use weir_time::Utc;

/// A media presentation.
#[derive(Clone, Debug)]
pub struct Mpd {
    /// How long it lasts, of a movie (mediaPresentationDuration).
    pub duration: Option<MediaTime>,
    /// What is said of a live stream; `None` makes the presentation static.
    pub live: Option<Live>,
    /// The longest segment (maxSegmentDuration).
    pub segment_max: MediaTime,
    /// How much a client reads before it plays (minBufferTime).
    pub buffer_min: MediaTime,
    /// Stretches of it, one behind another.
    pub periods: Vec<Period>,
}

/// What a dynamic presentation says besides (section 5.3.1.2).
#[derive(Clone, Debug)]
pub struct Live {
    /// When the presentation's time 0 was (availabilityStartTime).
    pub availability_start: Utc,
    /// How long segments stay (timeShiftBufferDepth).
    pub window: MediaTime,
    /// How often a client asks anew (minimumUpdatePeriod); `None` once none will follow.
    pub update_period: Option<MediaTime>,
    /// When this was written (publishTime), and the server's clock (UTCTiming, section 5.8.5.7).
    pub now: Utc,
}

/// A stretch whose initialization segments stay (section 5.3.2).
#[derive(Clone, Debug)]
pub struct Period {
    /// Its number, unique in the presentation.
    pub id: u64,
    /// When it starts.
    pub start: MediaTime,
    /// Its representations, each alone in its adaptation set.
    pub representations: Vec<Representation>,
}

/// A representation (section 5.3.5).
#[derive(Clone, Debug)]
pub struct Representation {
    /// Its name, unique in the period.
    pub id: String,
    /// Its codec's RFC 6381 name.
    pub codecs: String,
    /// Bits a second with which it plays without a pause after `buffer_min` (section 5.3.5.4).
    pub bandwidth_bps: u64,
    /// What it is of.
    pub content: Content,
    /// Every segment starts with an access point of this type or a lesser one (startWithSAP; ISO/IEC
    /// 14496-12 annex I): 1 can be decoded by itself, behind 3 come frames that cannot.
    pub starts_with_sap: Option<u8>,
    /// Where its initialization segment is.
    pub init_uri: String,
    /// Where its segments are, with `$Number$` in place of their numbers (section 5.3.9.4.4).
    pub media_uri: String,
    /// Its segments.
    pub timeline: Timeline,
}

/// What a representation is of.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// Pictures.
    Picture(Picture),
    /// Sound.
    Sound(Sound),
}

/// Of pictures.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames in so many seconds (the first number in the second one).
    pub frame_rate: Option<(u32, u32)>,
}

/// Of sound.
#[derive(Clone, Copy, Debug)]
pub struct Sound {
    /// Samples a second.
    pub sample_rate_hz: u32,
    /// Channels.
    pub channels: u8,
}

/// The segments of a representation (section 5.3.9.6).
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Ticks a second.
    pub rate_hz: u32,
    /// The tick of the track's time that the period starts with (presentationTimeOffset).
    pub offset_ticks: u64,
    /// The number of the first segment.
    pub first_number: u64,
    /// Segments, first to last.
    pub runs: Vec<Run>,
}

/// A segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// When its first frame is shown or heard.
    pub start_ticks: u64,
    /// How long it lasts.
    pub ticks: u64,
}

impl Mpd {
    /// The description's text.
    pub fn write(&self) -> String {
        let mut out = String::with_capacity(4096);
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        out.push_str("<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" ");
        out.push_str("profiles=\"urn:mpeg:dash:profile:isoff-live:2011\"");
        let kind = if self.live.is_some() { "dynamic" } else { "static" };
        let _ = write!(out, " type=\"{kind}\"");
        if let Some(span) = self.duration {
            let _ = write!(out, " mediaPresentationDuration=\"{}\"", duration(span));
        }
        if let Some(live) = &self.live {
            let start = live.availability_start.to_iso_8601();
            let _ = write!(out, " availabilityStartTime=\"{start}\"");
            let _ = write!(out, " publishTime=\"{}\"", live.now.to_iso_8601());
            let _ = write!(out, " timeShiftBufferDepth=\"{}\"", duration(live.window));
            if let Some(period) = live.update_period {
                let _ = write!(out, " minimumUpdatePeriod=\"{}\"", duration(period));
            }
        }
        let _ = write!(out, " maxSegmentDuration=\"{}\"", duration(self.segment_max));
        let _ = writeln!(out, " minBufferTime=\"{}\">", duration(self.buffer_min));
        self.periods.iter().for_each(|period| period.write(&mut out));
        if let Some(live) = &self.live {
            let now = live.now.to_iso_8601();
            let scheme = "urn:mpeg:dash:utc:direct:2014";
            let _ = writeln!(out, "<UTCTiming schemeIdUri=\"{scheme}\" value=\"{now}\"/>");
        }
        out.push_str("</MPD>\n");
        out
    }
}

impl Period {
    fn write(&self, out: &mut String) {
        let _ = writeln!(out, "<Period id=\"{}\" start=\"{}\">", self.id, duration(self.start));
        for (number, representation) in self.representations.iter().enumerate() {
            representation.write(out, number);
        }
        out.push_str("</Period>\n");
    }
}

impl Representation {
    fn write(&self, out: &mut String, set: usize) {
        let kind = match self.content {
            Content::Picture(_) => "video",
            Content::Sound(_) => "audio",
        };
        let _ = write!(out, "<AdaptationSet id=\"{set}\" contentType=\"{kind}\"");
        out.push_str(" segmentAlignment=\"true\"");
        if let Some(kind) = self.starts_with_sap {
            let _ = write!(out, " startWithSAP=\"{kind}\"");
        }
        out.push_str(">\n");
        let _ = write!(
            out,
            "<Representation id=\"{}\" mimeType=\"{kind}/mp4\" codecs=\"{}\" bandwidth=\"{}\"",
            escaped(&self.id),
            escaped(&self.codecs),
            self.bandwidth_bps.max(1),
        );
        match &self.content {
            Content::Picture(picture) => picture.write(out),
            Content::Sound(sound) => sound.write(out),
        }
        self.timeline.write(out, &self.init_uri, &self.media_uri);
        out.push_str("</Representation>\n</AdaptationSet>\n");
    }
}

impl Picture {
    fn write(&self, out: &mut String) {
        let _ = write!(out, " width=\"{}\" height=\"{}\"", self.width, self.height);
        match self.frame_rate {
            Some((frames, 1)) => {
                let _ = write!(out, " frameRate=\"{frames}\"");
            }
            Some((frames, seconds)) => {
                let _ = write!(out, " frameRate=\"{frames}/{seconds}\"");
            }
            None => {}
        }
        out.push_str(">\n");
    }
}

impl Sound {
    fn write(&self, out: &mut String) {
        let _ = writeln!(out, " audioSamplingRate=\"{}\">", self.sample_rate_hz);
        let scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
        let channels = self.channels;
        let _ = writeln!(
            out,
            "<AudioChannelConfiguration schemeIdUri=\"{scheme}\" value=\"{channels}\"/>"
        );
    }
}

impl Timeline {
    fn write(&self, out: &mut String, init_uri: &str, media_uri: &str) {
        let _ = write!(out, "<SegmentTemplate timescale=\"{}\"", self.rate_hz);
        if self.offset_ticks > 0 {
            let _ = write!(out, " presentationTimeOffset=\"{}\"", self.offset_ticks);
        }
        let _ = writeln!(
            out,
            " startNumber=\"{}\" initialization=\"{}\" media=\"{}\">\n<SegmentTimeline>",
            self.first_number,
            escaped(init_uri),
            escaped(media_uri),
        );
        let mut rest = &self.runs[..];
        let mut end = None;
        while let Some((first, behind)) = rest.split_first() {
            // As many as go on from one another with one duration are one element.
            let goes_on = |(number, run): (usize, &Run)| {
                let start = first.start_ticks + first.ticks * (number as u64 + 1);
                run.ticks == first.ticks && run.start_ticks == start
            };
            let more = behind.iter().enumerate().take_while(|each| goes_on(*each)).count();
            out.push_str("<S");
            if end != Some(first.start_ticks) {
                let _ = write!(out, " t=\"{}\"", first.start_ticks);
            }
            let _ = write!(out, " d=\"{}\"", first.ticks);
            if more > 0 {
                let _ = write!(out, " r=\"{more}\"");
            }
            out.push_str("/>\n");
            end = Some(first.start_ticks + first.ticks * (more as u64 + 1));
            rest = behind.get(more..).unwrap_or(&[]);
        }
        out.push_str("</SegmentTimeline>\n</SegmentTemplate>\n");
    }
}

/// An xs:duration, to the nanosecond.
fn duration(span: MediaTime) -> String {
    let nanos = span.as_nanos().max(0);
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    format!("PT{}S", text.trim_end_matches('0').trim_end_matches('.'))
}

/// An attribute's value.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
