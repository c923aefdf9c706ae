//! Reading, a line at a time.

use super::{
    Bandwidth, Direction, ENTRIES_MAX, Error, Fmtp, MEDIA_MAX, Media, RtpMap, SessionDescription,
    TEXT_BYTES_MAX,
};
use crate::rtsp::headers::Range;

impl SessionDescription {
    /// Reads a description. Lines end in CR LF, LF or CR. Lines that cannot be read and those
    /// past the bounds are passed over and counted; unknown ones are passed over.
    ///
    /// # Errors
    /// When the text is too long, is no description, or names no track.
    pub fn parse(text: &str) -> Result<SessionDescription, Error> {
        if text.len() > TEXT_BYTES_MAX {
            let bytes = text.len();
            return Err(Error::TooLong { bytes });
        }
        let mut lines = text.split(['\r', '\n']).filter(|line| !line.trim().is_empty());
        let first = lines.next().unwrap_or_default();
        // A byte order mark is seen in the wild.
        if first.trim_start_matches('\u{feff}').trim() != "v=0" {
            return Err(Error::Version(first.chars().take(80).collect()));
        }
        let mut reader = Reader::default();
        for line in lines {
            if reader.line(line).is_none() {
                reader.description.skipped_lines += 1;
            }
        }
        reader.finish()
    }
}

#[derive(Default)]
struct Reader {
    description: SessionDescription,
    /// The lines at hand belong to an `m=` that was passed over.
    in_skipped_media: bool,
}

impl Reader {
    /// `None` for a line that cannot be read.
    fn line(&mut self, line: &str) -> Option<()> {
        let (kind, value) = line.split_once('=')?;
        let value = value.trim();
        let kind = kind.trim();
        if kind == "m" {
            return self.start_media(value);
        }
        if self.in_skipped_media {
            return None;
        }
        match kind {
            "s" => {
                self.description.name =
                    Some(value.to_owned()).filter(|s| !matches!(s.as_str(), "" | "-"))
            }
            "b" => self.bandwidth(value)?,
            "a" => self.attribute(value)?,
            _ => {}
        }
        Some(())
    }

    fn start_media(&mut self, value: &str) -> Option<()> {
        self.in_skipped_media = true;
        let mut parts = value.split_ascii_whitespace();
        let kind = parts.next()?.to_owned();
        // A number of ports may follow the port: `49170/2`.
        let port = parts.next()?.split('/').next()?.parse().ok()?;
        let protocol = parts.next()?.to_owned();
        let payload_types = parts.filter_map(|part| part.parse().ok()).take(ENTRIES_MAX);
        let media = Media {
            kind,
            port,
            protocol,
            payload_types: payload_types.collect(),
            ..Media::default()
        };
        push(&mut self.description.media, media, MEDIA_MAX)?;
        self.in_skipped_media = false;
        Some(())
    }

    fn bandwidth(&mut self, value: &str) -> Option<()> {
        let (kind, value) = value.split_once(':')?;
        let bandwidth =
            Bandwidth { kind: kind.trim().to_owned(), value: value.trim().parse().ok()? };
        let list = match self.description.media.last_mut() {
            Some(media) => &mut media.bandwidth,
            None => &mut self.description.bandwidth,
        };
        push(list, bandwidth, ENTRIES_MAX)
    }

    fn attribute(&mut self, text: &str) -> Option<()> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (text, None),
        };
        match self.description.media.last_mut() {
            Some(media) => media.attribute(name, value),
            None => self.description.attribute(name, value),
        }
    }

    fn finish(mut self) -> Result<SessionDescription, Error> {
        let direction = self.description.direction;
        if self.description.media.is_empty() {
            return Err(Error::NoMedia);
        }
        for media in &mut self.description.media {
            media.direction = media.direction.or(direction);
        }
        Ok(self.description)
    }
}

impl SessionDescription {
    fn attribute(&mut self, name: &str, value: Option<&str>) -> Option<()> {
        match name.to_ascii_lowercase().as_str() {
            "control" => self.control = Some(value?.to_owned()),
            "range" => self.range = Some(Range::parse(value?).ok()?),
            lower => self.direction = parse_direction(lower).or(self.direction),
        }
        Some(())
    }
}

impl Media {
    fn attribute(&mut self, name: &str, value: Option<&str>) -> Option<()> {
        match name.to_ascii_lowercase().as_str() {
            "control" => self.control = Some(value?.to_owned()),
            "range" => self.range = Some(Range::parse(value?).ok()?),
            "rtpmap" => push(&mut self.rtpmaps, parse_rtpmap(value?)?, ENTRIES_MAX)?,
            "fmtp" => push(&mut self.fmtps, parse_fmtp(value?)?, ENTRIES_MAX)?,
            "framerate" => self.frame_rate = Some(parse_rate(value?)?),
            lower => match parse_direction(lower) {
                Some(direction) => self.direction = Some(direction),
                None => {
                    let attribute = (name.to_owned(), value.map(str::to_owned));
                    push(&mut self.attributes, attribute, ENTRIES_MAX)?;
                }
            },
        }
        Some(())
    }
}

/// `96 mpeg4-generic/48000/2`.
fn parse_rtpmap(value: &str) -> Option<RtpMap> {
    let (payload_type, rest) = value.split_once([' ', '\t'])?;
    let mut parts = rest.split('/').map(str::trim);
    let encoding = parts.next().filter(|name| !name.is_empty())?.to_owned();
    Some(RtpMap {
        payload_type: payload_type.parse().ok()?,
        encoding,
        clock_rate_hz: parts.next()?.parse().ok().filter(|&rate| rate > 0)?,
        channels: parts.next().and_then(|channels| channels.parse().ok()),
    })
}

/// `96 packetization-mode=1; profile-level-id=64001F`. Values may hold `=`.
fn parse_fmtp(value: &str) -> Option<Fmtp> {
    let (payload_type, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    let parameters = rest.split(';').map(str::trim).filter(|part| !part.is_empty());
    let parameters = parameters.take(ENTRIES_MAX).map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.trim().to_owned(), value.trim().to_owned())
    });
    Some(Fmtp { payload_type: payload_type.parse().ok()?, parameters: parameters.collect() })
}

fn parse_rate(value: &str) -> Option<f64> {
    let rate: f64 = value.parse().ok()?;
    (rate.is_finite() && rate > 0.0).then_some(rate)
}

fn parse_direction(name: &str) -> Option<Direction> {
    match name {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    }
}

fn push<T>(list: &mut Vec<T>, item: T, max: usize) -> Option<()> {
    if list.len() >= max {
        return None;
    }
    list.push(item);
    Some(())
}
