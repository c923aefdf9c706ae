//! Media presentation descriptions as a player reads them.

mod tree;

use weir_media::MediaTime;

use crate::http::url::{self, Url};
use tree::Element;

/// A media presentation description (ISO/IEC 23009-1 section 5.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mpd {
    /// It is changed while it is played (`type="dynamic"`).
    pub is_live: bool,
    /// How long the whole lasts.
    pub duration: Option<MediaTime>,
    /// How often to read it again.
    pub minimum_update_period: Option<MediaTime>,
    /// Its periods in their order.
    pub periods: Vec<Period>,
}

/// A period (section 5.3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// When it starts.
    pub start: MediaTime,
    /// How long it lasts, if that is said or follows.
    pub duration: Option<MediaTime>,
    /// Its adaptation sets in their order.
    pub sets: Vec<AdaptationSet>,
}

/// Representations between which a player may switch (section 5.3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdaptationSet {
    /// `video`, `audio`, `text`; from the MIME type where it is not said.
    pub content_type: String,
    /// Its representations in their order.
    pub representations: Vec<Representation>,
}

/// One encoding (section 5.3.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Representation {
    /// Its name.
    pub id: String,
    /// Bits a second.
    pub bandwidth_bps: u64,
    /// RFC 6381 names.
    pub codecs: Option<String>,
    /// Width and height.
    pub resolution: Option<(u32, u32)>,
    /// Its initialization segment; none where each segment has it.
    pub initialization: Option<Part>,
    /// Its media segments in their order.
    pub segments: Vec<Segment>,
    /// What is to be taken off the times in its segments to get those of the period.
    pub presentation_time_offset: MediaTime,
}

/// A media segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it is.
    pub part: Part,
    /// When it starts in its period.
    pub start: MediaTime,
    /// How long it lasts.
    pub duration: MediaTime,
}

/// A resource or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The resource.
    pub url: Url,
    /// First and last byte.
    pub range: Option<(u64, u64)>,
}

/// Why a text is no description that can be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not well-formed.
    #[error("byte {at}: no well-formed XML: {reason}")]
    Xml {
        /// Where.
        at: u64,
        /// What is wrong.
        reason: String,
    },
    /// Something is not as the standard has it, or is not supported.
    #[error("{place}: {reason}")]
    Content {
        /// The element.
        place: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// An address is none.
    #[error(transparent)]
    Url(#[from] url::Error),
}

fn wrong(place: &'static str, reason: impl Into<String>) -> Error {
    Error::Content { place, reason: reason.into() }
}

/// Segments that a representation may have.
const SEGMENTS_MAX: u64 = 100_000;

impl Mpd {
    /// Reads a description that was fetched from `from`.
    ///
    /// # Errors
    /// Names the element, what is expected and what stands there.
    pub fn parse(text: &str, from: &Url) -> Result<Mpd, Error> {
        let root = Element::parse(text)?;
        if root.name != "MPD" {
            return Err(wrong("MPD", format!("expected it as the root, got {:?}", root.name)));
        }
        let time = |name: &str| root.attribute(name).map(|text| span("MPD", text)).transpose();
        let duration = time("mediaPresentationDuration")?;
        let base = base_url(&root, from)?;
        let mut periods: Vec<Period> = Vec::new();
        let elements: Vec<&Element> = root.children("Period").collect();
        for (index, element) in elements.iter().enumerate() {
            let said = |name: &str| element.attribute(name).map(|t| span("Period", t)).transpose();
            let follows = || {
                let before = periods.last()?;
                Some(before.start + before.duration?)
            };
            let start = said("start")?.or_else(follows).unwrap_or_default();
            let next = elements.get(index + 1).and_then(|next| next.attribute("start"));
            let next = next.map(|text| span("Period", text)).transpose()?;
            let lasts = said("duration")?
                .or(next.map(|next| next - start))
                .or(duration.map(|all| all - start));
            periods.push(period(element, &base, start, lasts)?);
        }
        if periods.is_empty() {
            return Err(wrong("MPD", "no Period"));
        }
        Ok(Mpd {
            is_live: root.attribute("type") == Some("dynamic"),
            duration,
            minimum_update_period: time("minimumUpdatePeriod")?,
            periods,
        })
    }
}

fn period(
    element: &Element,
    base: &Url,
    start: MediaTime,
    duration: Option<MediaTime>,
) -> Result<Period, Error> {
    let base = base_url(element, base)?;
    let mut sets = Vec::new();
    for set in element.children("AdaptationSet") {
        let base = base_url(set, &base)?;
        let mut representations = Vec::new();
        for own in set.children("Representation") {
            let chain = [own, set, element];
            representations.push(representation(&chain, &base_url(own, &base)?, duration)?);
        }
        let first = set.children("Representation").next();
        let mime = set.attribute("mimeType").or(first.and_then(|own| own.attribute("mimeType")));
        let content_type =
            set.attribute("contentType").or(mime.and_then(|mime| mime.split('/').next()));
        let content_type = content_type.unwrap_or_default().to_owned();
        sets.push(AdaptationSet { content_type, representations });
    }
    Ok(Period { start, duration, sets })
}

/// `chain` is the representation, then what holds it: what is not said in one is said in the next.
fn representation(
    chain: &[&Element; 3],
    base: &Url,
    period: Option<MediaTime>,
) -> Result<Representation, Error> {
    let own = chain[0];
    let said = |name: &str| chain[..2].iter().find_map(|element| element.attribute(name));
    let id = own.attribute("id").unwrap_or_default().to_owned();
    let bandwidth = own.attribute("bandwidth").unwrap_or("0");
    let bandwidth_bps = number("Representation", bandwidth)?;
    let pixels = |name: &str| said(name).and_then(|text| text.parse().ok());
    let addressing = Addressing { chain, base, id: &id, bandwidth_bps, period };
    let (initialization, segments, presentation_time_offset) = addressing.read()?;
    Ok(Representation {
        bandwidth_bps,
        codecs: said("codecs").map(str::to_owned),
        resolution: pixels("width").zip(pixels("height")),
        initialization,
        segments,
        presentation_time_offset,
        id,
    })
}

/// How segments are named (section 5.3.9).
struct Addressing<'a> {
    chain: &'a [&'a Element; 3],
    base: &'a Url,
    id: &'a str,
    bandwidth_bps: u64,
    period: Option<MediaTime>,
}

/// Time scale, offset and number of the first.
struct Counting {
    timescale: u32,
    offset: u64,
    first: u64,
}

impl Addressing<'_> {
    fn read(&self) -> Result<(Option<Part>, Vec<Segment>, MediaTime), Error> {
        for (name, is_template) in [("SegmentTemplate", true), ("SegmentList", false)] {
            let levels: Vec<&Element> =
                self.chain.iter().filter_map(|element| element.children(name).next()).collect();
            if levels.is_empty() {
                continue;
            }
            let said = |attribute: &str| levels.iter().find_map(|level| level.attribute(attribute));
            let whole = |attribute: &str, default: u64| {
                said(attribute).map_or(Ok(default), |text| number("SegmentTemplate", text))
            };
            let timescale = u32::try_from(whole("timescale", 1)?).ok().filter(|&rate| rate > 0);
            let timescale = timescale.ok_or_else(|| wrong(place(name), "no usable timescale"))?;
            let counting = Counting {
                timescale,
                offset: whole("presentationTimeOffset", 0)?,
                first: whole("startNumber", 1)?,
            };
            let offset = MediaTime::from_ticks(counting.offset as i64, timescale);
            let timeline = levels.iter().find_map(|level| level.children("SegmentTimeline").next());
            let times = match (timeline, said("duration")) {
                (Some(timeline), _) => self.timeline(timeline, &counting)?,
                (None, Some(duration)) => self.even(number(place(name), duration)?, &counting)?,
                (None, None) => {
                    return Err(wrong(place(name), "neither SegmentTimeline nor duration"));
                }
            };
            return match is_template {
                true => self.template(&said, &counting, &times),
                false => self.list(&levels, &counting, &times),
            }
            .map(|(initialization, segments)| (initialization, segments, offset));
        }
        Err(wrong(
            "Representation",
            "neither SegmentTemplate nor SegmentList: segments in one file by an index are not supported",
        ))
    }

    /// Start and duration of each segment, in ticks (section 5.3.9.6).
    fn timeline(&self, timeline: &Element, counting: &Counting) -> Result<Vec<(u64, u64)>, Error> {
        let place = "SegmentTimeline";
        let period_end = self.period.map(|period| {
            let ticks = period.to_ticks(counting.timescale).max(0) as u64;
            counting.offset.saturating_add(ticks)
        });
        let mut times: Vec<(u64, u64)> = Vec::new();
        let mut at = 0;
        let runs: Vec<&Element> = timeline.children("S").collect();
        for (index, run) in runs.iter().enumerate() {
            let lasts = number(place, run.attribute("d").unwrap_or_default())?;
            if lasts == 0 {
                return Err(wrong(place, "a segment that lasts no time"));
            }
            at = run.attribute("t").map_or(Ok(at), |text| number(place, text))?;
            let repeats = run.attribute("r").unwrap_or("0");
            let repeats: i64 = repeats
                .parse()
                .map_err(|_| wrong(place, format!("r={repeats:?}: expected a number")))?;
            let count = match u64::try_from(repeats) {
                Ok(repeats) => repeats.saturating_add(1),
                // Up to the next run, or the end of the period.
                Err(_) => {
                    let next = runs.get(index + 1).and_then(|next| next.attribute("t"));
                    let next = next.map(|text| number(place, text)).transpose()?;
                    let end = next.or(period_end);
                    let end = end.ok_or_else(|| wrong(place, "r=-1 without an end"))?;
                    end.saturating_sub(at).div_ceil(lasts)
                }
            };
            if (times.len() as u64).saturating_add(count) > SEGMENTS_MAX {
                return Err(wrong(place, format!("more than {SEGMENTS_MAX} segments")));
            }
            for _ in 0..count {
                times.push((at, lasts));
                at = at.saturating_add(lasts);
            }
        }
        Ok(times)
    }

    /// Segments of one length.
    fn even(&self, lasts: u64, counting: &Counting) -> Result<Vec<(u64, u64)>, Error> {
        let place = "SegmentTemplate";
        let Some(period) = self.period else {
            return Err(wrong(place, "a live presentation without SegmentTimeline: not supported"));
        };
        let period = period.to_ticks(counting.timescale).max(0) as u64;
        let count = period.checked_div(lasts).map(|_| period.div_ceil(lasts));
        let count = count.ok_or_else(|| wrong(place, "a segment that lasts no time"))?;
        if count > SEGMENTS_MAX {
            return Err(wrong(place, format!("more than {SEGMENTS_MAX} segments")));
        }
        let at = |index: u64| counting.offset.saturating_add(index.saturating_mul(lasts));
        Ok((0..count).map(|index| (at(index), lasts)).collect())
    }

    fn template<'a>(
        &self,
        said: &impl Fn(&str) -> Option<&'a str>,
        counting: &Counting,
        times: &[(u64, u64)],
    ) -> Result<(Option<Part>, Vec<Segment>), Error> {
        let media = said("media").ok_or_else(|| wrong("SegmentTemplate", "no media"))?;
        let part = |template: &str, number, time| -> Result<Part, Error> {
            let name = self.fill(template, number, time)?;
            Ok(Part { url: self.base.join(&name)?, range: None })
        };
        let initialization =
            said("initialization").map(|template| part(template, None, None)).transpose()?;
        let segments = (counting.first..).zip(times).map(|(number, &(at, lasts))| {
            Ok(Segment { part: part(media, Some(number), Some(at))?, ..counting.times(at, lasts) })
        });
        Ok((initialization, segments.collect::<Result<_, Error>>()?))
    }

    fn list(
        &self,
        levels: &[&Element],
        counting: &Counting,
        times: &[(u64, u64)],
    ) -> Result<(Option<Part>, Vec<Segment>), Error> {
        let place = "SegmentList";
        let part = |url: Option<&str>, range: Option<&str>| -> Result<Part, Error> {
            let url = url.map_or(Ok(self.base.clone()), |url| self.base.join(url))?;
            let range = range.map(|range| {
                let ends = range.split_once('-');
                let ends = ends.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                ends.filter(|(a, b)| a <= b)
                    .ok_or_else(|| wrong(place, format!("{range:?}: expected FIRST-LAST")))
            });
            Ok(Part { url, range: range.transpose()? })
        };
        let initialization =
            levels.iter().find_map(|level| level.children("Initialization").next());
        let initialization = initialization
            .map(|at| part(at.attribute("sourceURL"), at.attribute("range")))
            .transpose()?;
        let urls = levels.iter().find(|level| level.children("SegmentURL").next().is_some());
        let urls = urls.into_iter().flat_map(|level| level.children("SegmentURL"));
        let segments = urls.zip(times).map(|(url, &(at, lasts))| {
            let part = part(url.attribute("media"), url.attribute("mediaRange"))?;
            Ok(Segment { part, ..counting.times(at, lasts) })
        });
        Ok((initialization, segments.collect::<Result<_, Error>>()?))
    }

    /// Fills in a template's identifiers (section 5.3.9.4.4).
    fn fill(
        &self,
        template: &str,
        number: Option<u64>,
        time: Option<u64>,
    ) -> Result<String, Error> {
        let mut filled = String::new();
        let mut parts = template.split('$');
        filled.push_str(parts.next().unwrap_or_default());
        while let Some(identifier) = parts.next() {
            let after = parts.next().ok_or_else(|| {
                wrong("SegmentTemplate", format!("{template:?}: a $ stands alone"))
            })?;
            let (name, format) = identifier.split_once('%').unwrap_or((identifier, ""));
            let value = match name {
                "" => None,
                "RepresentationID" => {
                    filled.push_str(self.id);
                    None
                }
                "Bandwidth" => Some(self.bandwidth_bps),
                "Number" => number,
                "Time" => time,
                _ => {
                    let reason = format!("{template:?}: ${name}$ is not known");
                    return Err(wrong("SegmentTemplate", reason));
                }
            };
            if name.is_empty() {
                filled.push('$');
            }
            if let Some(value) = value {
                // %0Nd alone is allowed.
                let digits = format.strip_prefix('0').and_then(|rest| rest.strip_suffix('d'));
                let digits: usize = digits.and_then(|digits| digits.parse().ok()).unwrap_or(1);
                filled.push_str(&format!("{value:0width$}", width = digits.min(20)));
            }
            filled.push_str(after);
        }
        Ok(filled)
    }
}

impl Counting {
    /// A segment's times in its period; where it is comes later.
    fn times(&self, at: u64, lasts: u64) -> Segment {
        let ticks = |ticks: u64| i64::try_from(ticks).unwrap_or(i64::MAX);
        let start = ticks(at).saturating_sub(ticks(self.offset));
        Segment {
            part: Part { url: NOWHERE, range: None },
            start: MediaTime::from_ticks(start, self.timescale),
            duration: MediaTime::from_ticks(ticks(lasts), self.timescale),
        }
    }
}

const NOWHERE: Url = Url { host: String::new(), port: 0, target: String::new() };

fn place(name: &str) -> &'static str {
    if name == "SegmentList" { "SegmentList" } else { "SegmentTemplate" }
}

fn base_url(element: &Element, base: &Url) -> Result<Url, Error> {
    match element.children("BaseURL").next() {
        Some(own) => Ok(base.join(own.text.trim())?),
        None => Ok(base.clone()),
    }
}

fn number(place: &'static str, text: &str) -> Result<u64, Error> {
    text.trim().parse().map_err(|_| wrong(place, format!("expected a number, got {text:?}")))
}

/// A duration of XML Schema, without years and months (`PT1H2M3.5S`).
fn span(place: &'static str, text: &str) -> Result<MediaTime, Error> {
    let failed = || wrong(place, format!("expected a duration such as PT3.5S, got {text:?}"));
    let rest = text.trim().strip_prefix('P').ok_or_else(failed)?;
    let (days, time) = rest.split_once('T').unwrap_or((rest, ""));
    let mut seconds = 0.0;
    for (mut part, units) in [(days, &[('D', 86_400.0)][..]), (time, &TIME_UNITS[..])] {
        for &(unit, unit_seconds) in units {
            if let Some((value, after)) = part.split_once(unit) {
                let value: f64 = value.parse().map_err(|_| failed())?;
                seconds += value * unit_seconds;
                part = after;
            }
        }
        if !part.is_empty() {
            return Err(failed());
        }
    }
    let nanos = seconds * 1e9;
    let fits = nanos.is_finite() && (0.0..9.0e18).contains(&nanos);
    if fits { Ok(MediaTime::from_nanos(nanos.round() as i64)) } else { Err(failed()) }
}

const TIME_UNITS: [(char, f64); 3] = [('H', 3600.0), ('M', 60.0), ('S', 1.0)];

/// `data` as a description.
#[doc(hidden)]
pub fn fuzz_dash_mpd(data: &[u8]) {
    let from = Url { host: "h".into(), port: 80, target: "/m/x.mpd".into() };
    if let Ok(text) = std::str::from_utf8(data) {
        match Mpd::parse(text, &from) {
            Ok(mpd) => drop(mpd.periods.len()),
            Err(error) => drop(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Mpd, Error> {
        Mpd::parse(text, &Url::parse("http://h/m/x.mpd").unwrap())
    }

    fn set(inside: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><MPD xmlns=\"urn:x\" mediaPresentationDuration=\"PT0H0M10.5S\"><Period>\
             <AdaptationSet mimeType=\"video/mp4\">{inside}</AdaptationSet></Period></MPD>"
        )
    }

    #[test]
    fn a_timeline_names_each_segment() {
        let mpd = parse(&set(
            "<SegmentTemplate timescale=\"1000\" media=\"$RepresentationID$/$Time$.m4s\" \
             initialization=\"$RepresentationID$/i.mp4\" presentationTimeOffset=\"500\"><SegmentTimeline>\
             <S t=\"500\" d=\"4000\" r=\"1\"/><S d=\"2500\"/></SegmentTimeline></SegmentTemplate>\
             <Representation id=\"v&amp;1\" bandwidth=\"9\" width=\"64\" height=\"36\"/>",
        ));
        let mpd = mpd.unwrap();
        let set = &mpd.periods[0].sets[0];
        assert_eq!(set.content_type, "video");
        let found = &set.representations[0];
        assert_eq!(found.initialization.as_ref().unwrap().url.to_string(), "http://h/m/v&1/i.mp4");
        let segments: Vec<_> =
            found.segments.iter().map(|s| (s.part.url.path(), s.start.as_secs_f64())).collect();
        let expected =
            [("/m/v&1/500.m4s", 0.0), ("/m/v&1/4500.m4s", 4.0), ("/m/v&1/8500.m4s", 8.0)];
        assert_eq!(segments, expected);
        assert_eq!(found.presentation_time_offset, MediaTime::from_nanos(500_000_000));
    }

    #[test]
    fn segments_of_one_length_fill_the_period() {
        let mpd = parse(&set("<Representation id=\"1\"><BaseURL>v/</BaseURL>\
             <SegmentTemplate duration=\"4\" startNumber=\"0\" media=\"s-$Number%03d$.m4s\"/></Representation>"));
        let found = &mpd.unwrap().periods[0].sets[0].representations[0];
        let names: Vec<_> = found.segments.iter().map(|s| s.part.url.path()).collect();
        assert_eq!(names, ["/m/v/s-000.m4s", "/m/v/s-001.m4s", "/m/v/s-002.m4s"]);
    }

    #[test]
    fn a_list_names_parts_of_a_file() {
        let mpd = parse(&set(
            "<Representation id=\"1\"><BaseURL>all.mp4</BaseURL><SegmentList timescale=\"10\" duration=\"60\">\
             <Initialization range=\"0-99\"/><SegmentURL mediaRange=\"100-199\"/>\
             <SegmentURL mediaRange=\"200-299\"/></SegmentList></Representation>",
        ));
        let found = &mpd.unwrap().periods[0].sets[0].representations[0];
        assert_eq!(found.initialization.as_ref().unwrap().range, Some((0, 99)));
        assert_eq!(found.segments[1].part.range, Some((200, 299)));
        assert_eq!(found.segments[1].part.url.path(), "/m/all.mp4");
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_a_reason() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert!(message("<html></html>").contains("expected it as the root"));
        assert!(message("<MPD><").contains("no well-formed XML"));
        assert!(message(&set("<Representation id=\"1\"/>")).contains("not supported"));
        let many = "<Representation id=\"1\"><SegmentTemplate media=\"x\"><SegmentTimeline>\
                    <S d=\"1\" r=\"99999999999\"/></SegmentTimeline></SegmentTemplate></Representation>";
        assert!(message(&set(many)).contains("more than 100000 segments"));
        assert!(message("<MPD mediaPresentationDuration=\"5\"><Period/></MPD>").contains("PT3.5S"));
    }
}
