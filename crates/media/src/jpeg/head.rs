//! The head of an image: everything up to its first scan.

use core::fmt;

use super::huffman::{CodeTable, Tables};
use super::marker::{
    APP14, DAC, DHT, DQT, DRI, EOI, JPG, SOF0, SOF1, SOF15, SOI, SOS, Segment, Segments,
};
use super::{Config, IMAGE, QuantisationTable};
use crate::Error;

/// How an image is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    /// The coding process.
    pub process: Process,
    /// Bits of a sample: 8, or 12.
    pub sample_bits: u8,
    /// How colour is sampled.
    pub sampling: Sampling,
    /// An Adobe marker (APP14), or the components' names, say that colours are red, green and
    /// blue.
    pub is_rgb: bool,
    /// The first scan holds all components.
    pub interleaved: bool,
}

/// A coding process (ITU-T T.81 table B.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Process {
    /// SOF0.
    Baseline,
    /// SOF1: sequential with Huffman codes, and more than baseline allows.
    Extended,
    /// SOF2.
    Progressive,
    /// Any other, by its marker: lossless, hierarchical, with arithmetic codes.
    Other(u8),
}

/// How colour is sampled against brightness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sampling {
    /// No colour.
    Grey,
    /// 4:4:4: as often.
    Yuv444,
    /// 4:2:2: half as often in a line.
    Yuv422,
    /// 4:2:0: half as often in a line, in every other line.
    Yuv420,
    /// 4:4:0: in every other line.
    Yuv440,
    /// 4:1:1: a fourth as often in a line.
    Yuv411,
    /// Three components in another relation.
    OtherYuv,
    /// Two components, or more than three.
    Components(u8),
}

/// What stands before the first scan of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Width in pixels, at least 1.
    pub width: u16,
    /// Height in pixels, at least 1.
    pub height: u16,
    /// The coding process.
    pub process: Process,
    /// Bits of a sample.
    pub sample_bits: u8,
    /// 1 to 4 components.
    pub components: Vec<Component>,
    /// An Adobe marker (APP14), or the components' names, say that colours are red, green and
    /// blue.
    pub is_rgb: bool,
    /// MCUs between restart markers; 0 where there are none.
    pub restart_interval: u16,
    /// Quantisation tables by their destinations.
    pub quantisation: [Option<QuantisationTable>; 4],
    /// Tables of Huffman codes by their destinations.
    pub(super) codes: Tables,
    /// The components of the first scan.
    pub scan: Vec<ScanComponent>,
    /// Where its entropy-coded data start, in bytes from SOI.
    pub scan_at: usize,
}

/// A component of an image (section B.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its identifier.
    pub id: u8,
    /// Horizontal sampling factor, 1 to 4.
    pub horizontal: u8,
    /// Vertical sampling factor, 1 to 4.
    pub vertical: u8,
    /// The destination of its quantisation table, 0 to 3.
    pub quantisation: u8,
}

/// A component of a scan (section B.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanComponent {
    /// Its place among the components of the image.
    pub component: usize,
    /// The destination of its table of DC codes, 0 to 3.
    pub dc: u8,
    /// The destination of its table of AC codes, 0 to 3.
    pub ac: u8,
}

impl Head {
    /// Reads the head of the image that `image` starts with.
    ///
    /// # Errors
    /// When it is no image, or ends before its first scan.
    pub fn read(image: &[u8]) -> Result<Head, Error> {
        let mut reader = Reader::default();
        let mut segments = Segments::new(image);
        loop {
            let Some(segment) = segments.next_segment()? else {
                let reason = "ends before its first scan";
                return Err(Error::syntax(IMAGE, image.len(), reason));
            };
            match segment.marker {
                DQT => reader.quantisation(&segment)?,
                DHT => reader.codes.read(&segment)?,
                DRI => reader.restart_interval = word(&segment, 0)?,
                DAC => {}
                JPG => {}
                SOF0..=SOF15 => reader.frame(&segment)?,
                APP14 => reader.adobe(&segment),
                SOS => return reader.finish(&segment, segments.at),
                SOI if segment.at > 0 => {
                    return Err(Error::syntax(IMAGE, segment.at, "a second SOI"));
                }
                EOI => return Err(Error::syntax(IMAGE, segment.at, "it has no scan")),
                _ => {}
            }
        }
    }

    /// What a stream of such images has for its configuration.
    pub fn config(&self) -> Config {
        let coding = Coding {
            process: self.process,
            sample_bits: self.sample_bits,
            sampling: self.sampling(),
            is_rgb: self.is_rgb,
            interleaved: self.scan.len() == self.components.len(),
        };
        Config { width: self.width, height: self.height, coding: Some(coding) }
    }

    /// How colour is sampled.
    pub fn sampling(&self) -> Sampling {
        let factors: Vec<_> = self.reduced_factors();
        match factors[..] {
            [_] => Sampling::Grey,
            [y, (1, 1), (1, 1)] => match y {
                (1, 1) => Sampling::Yuv444,
                (2, 1) => Sampling::Yuv422,
                (2, 2) => Sampling::Yuv420,
                (1, 2) => Sampling::Yuv440,
                (4, 1) => Sampling::Yuv411,
                _ => Sampling::OtherYuv,
            },
            [_, _, _] => Sampling::OtherYuv,
            _ => Sampling::Components(factors.len() as u8),
        }
    }

    /// The components' sampling factors, horizontal and vertical, without divisors that all have
    /// in common: some encoders write 4:2:2 as 2x2, 1x2, 1x2.
    pub(super) fn reduced_factors(&self) -> Vec<(u8, u8)> {
        let (across, down) = self.common_factors();
        self.components.iter().map(|c| (c.horizontal / across, c.vertical / down)).collect()
    }

    /// The greatest divisors that all horizontal, and all vertical, sampling factors have.
    pub(super) fn common_factors(&self) -> (u8, u8) {
        let divides = |divisor: u8, factor: fn(&Component) -> u8| {
            self.components.iter().all(|component| factor(component).is_multiple_of(divisor))
        };
        let greatest =
            |factor| (1..=4).rev().find(|&divisor| divides(divisor, factor)).unwrap_or(1);
        (greatest(|c| c.horizontal), greatest(|c| c.vertical))
    }

    /// The table of DC codes that a component of the scan uses; a standard one where the image
    /// brings none for destinations 0 and 1, as images in AVI files do not.
    pub fn dc_codes(&self, of: &ScanComponent) -> Option<&CodeTable> {
        self.codes.dc(of.dc)
    }

    /// The table of AC codes that a component of the scan uses; likewise.
    pub fn ac_codes(&self, of: &ScanComponent) -> Option<&CodeTable> {
        self.codes.ac(of.ac)
    }
}

#[derive(Default)]
struct Reader {
    frame: Option<Frame>,
    quantisation: [Option<QuantisationTable>; 4],
    codes: Tables,
    restart_interval: u16,
    adobe_transform: Option<u8>,
}

struct Frame {
    width: u16,
    height: u16,
    process: Process,
    sample_bits: u8,
    components: Vec<Component>,
}

impl Reader {
    /// Section B.2.4.1.
    fn quantisation(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        let mut at = 0;
        while let Some(&head) = segment.parameters.get(at) {
            let (is_wide, destination) = (head >> 4, usize::from(head & 15));
            let bytes = if is_wide == 0 { 64 } else { 128 };
            let values = segment.parameters.get(at + 1..at + 1 + bytes);
            let (Some(values), Some(place)) = (values, self.quantisation.get_mut(destination))
            else {
                let reason = format!("quantisation table {destination} of {bytes} bytes");
                return Err(segment.error(at, reason));
            };
            *place = QuantisationTable::read(values);
            at += 1 + bytes;
        }
        Ok(())
    }

    /// Section B.2.2.
    fn frame(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        let &[sample_bits, h0, h1, w0, w1, count, ref rest @ ..] = segment.parameters else {
            return Err(segment.error(0, "a frame header is too short"));
        };
        let rows = rest.as_chunks::<3>().0;
        if self.frame.is_some() || !(1..=4).contains(&count) || rows.len() < usize::from(count) {
            return Err(segment.error(5, format!("a frame header of {count} components")));
        }
        let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
        if width == 0 || height == 0 {
            let reason = format!("a size of {width}x{height} pixels");
            return Err(segment.error(1, reason));
        }
        let mut components = Vec::with_capacity(rows.len());
        for &[id, factors, quantisation] in rows.iter().take(count.into()) {
            let (horizontal, vertical) = (factors >> 4, factors & 15);
            let in_range = (1..=4).contains(&horizontal) && (1..=4).contains(&vertical);
            if !in_range || quantisation > 3 {
                let reason = format!(
                    "component {id}: sampling factors {horizontal}x{vertical}, quantisation table \
                     {quantisation}"
                );
                return Err(segment.error(6, reason));
            }
            components.push(Component { id, horizontal, vertical, quantisation });
        }
        let process = match segment.marker {
            SOF0 => Process::Baseline,
            SOF1 => Process::Extended,
            0xc2 => Process::Progressive,
            other => Process::Other(other),
        };
        self.frame = Some(Frame { width, height, process, sample_bits, components });
        Ok(())
    }

    /// Adobe's APP14: `Adobe`, version, two words of flags, and the colour transform.
    fn adobe(&mut self, segment: &Segment<'_>) {
        if let [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..] = segment.parameters
        {
            self.adobe_transform = Some(*transform);
        }
    }

    /// Section B.2.3.
    fn finish(self, segment: &Segment<'_>, scan_at: usize) -> Result<Head, Error> {
        let Some(frame) = self.frame else {
            return Err(segment.error(0, "a scan before any frame header"));
        };
        let count = usize::from(segment.parameters.first().copied().unwrap_or(0));
        let rows = segment.parameters.get(1..).unwrap_or(&[]).as_chunks::<2>().0;
        if count == 0 || count > frame.components.len() || rows.len() < count {
            return Err(segment.error(0, format!("a scan header of {count} components")));
        }
        let mut scan = Vec::with_capacity(count);
        for &[id, tables] in rows.iter().take(count) {
            let (dc, ac) = (tables >> 4, tables & 15);
            let component = frame.components.iter().position(|component| component.id == id);
            let Some(component) = component.filter(|_| dc < 4 && ac < 4) else {
                let reason = format!("a scan of component {id} with code tables {dc} and {ac}");
                return Err(segment.error(1, reason));
            };
            scan.push(ScanComponent { component, dc, ac });
        }
        let Frame { width, height, process, sample_bits, components } = frame;
        let is_rgb = components.len() == 3
            && match self.adobe_transform {
                Some(transform) => transform == 0,
                None => components.iter().map(|c| c.id).eq(*b"RGB"),
            };
        Ok(Head {
            width,
            height,
            process,
            sample_bits,
            components,
            is_rgb,
            restart_interval: self.restart_interval,
            quantisation: self.quantisation,
            codes: self.codes,
            scan,
            scan_at,
        })
    }
}

fn word(segment: &Segment<'_>, at: usize) -> Result<u16, Error> {
    let bytes = segment.parameters.get(at..).and_then(|rest| rest.first_chunk::<2>());
    let bytes = bytes.ok_or_else(|| segment.error(at, "two bytes expected"))?;
    Ok(u16::from_be_bytes(*bytes))
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Process::Baseline => f.write_str("baseline"),
            Process::Extended => f.write_str("extended sequential"),
            Process::Progressive => f.write_str("progressive"),
            Process::Other(marker) => write!(f, "of the process SOF{}", marker.wrapping_sub(SOF0)),
        }
    }
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sampling::Grey => "grey",
            Sampling::Yuv444 => "4:4:4",
            Sampling::Yuv422 => "4:2:2",
            Sampling::Yuv420 => "4:2:0",
            Sampling::Yuv440 => "4:4:0",
            Sampling::Yuv411 => "4:1:1",
            Sampling::OtherYuv => "of unusual sampling",
            Sampling::Components(count) => return write!(f, "of {count} components"),
        })
    }
}
