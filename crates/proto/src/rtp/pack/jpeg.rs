//! JPEG into RTP (RFC 2435).
//!
//! The payload format has no place for Huffman tables: images that bring others than the standard
//! ones are recoded, without a change of any coefficient. Quantisation tables go along with every
//! image (Q 255). Sizes are counted in blocks of 8 pixels: an image whose width or height is no
//! multiple of 8 is announced with the next one, and a receiver shows up to seven columns or rows
//! of what encoders fill the last blocks with.

use weir_media::jpeg::{self, Coding, Config, Head, Process, QuantisationTable, Sampling};

use super::{Error, Pieces};

/// Why the images of a track cannot go by RTP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JpegRefusal {
    /// They are not sequential.
    #[error("images that are {0}: only baseline ones can be")]
    Process(Process),
    /// Their samples do not have 8 bits.
    #[error("samples of {0} bits: only those of 8 can be")]
    SampleBits(u8),
    /// Their colour is sampled otherwise than in types 0 and 1 (section 4.1).
    #[error("images that are {0}: only 4:2:2 and 4:2:0 can be")]
    Sampling(Sampling),
    /// They are red, green and blue.
    #[error("images in red, green and blue: only those of brightness and colour can be")]
    Rgb,
    /// Their components come one after another.
    #[error("images whose components are in scans of their own: only interleaved ones can be")]
    Scans,
    /// The width or the height does not fit eight bits of blocks (section 3.1.5).
    #[error("images of {width}x{height} pixels: only up to {SIDE_MAX}x{SIDE_MAX} can be")]
    Size {
        /// In pixels.
        width: u16,
        /// In pixels.
        height: u16,
    },
    /// The two colour components have tables of their own, or one is missing.
    #[error(
        "an image with quantisation tables {0:?}: only one for brightness and one for both colours \
         can be"
    )]
    Tables([u8; 3]),
    /// The scan is longer than 24 bits count (section 3.1.2).
    #[error("an image of {0} bytes: at most {SCAN_BYTES_MAX} can be")]
    Bytes(usize),
    /// Packets are too small for the quantisation tables.
    #[error("quantisation tables of {tables_bytes} bytes in packets of {payload_bytes_max}")]
    PacketSize {
        /// The tables with their header.
        tables_bytes: usize,
        /// What a packet holds.
        payload_bytes_max: usize,
    },
}

/// Packs images.
#[derive(Clone, Debug, Default)]
pub(super) struct Packer {
    pub(super) images_damaged: u64,
}

impl Packer {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        check_size(config)?;
        if let Some(coding) = &config.coding {
            type_of(coding)?;
        }
        Ok(Packer::default())
    }

    pub(super) fn pack(
        &mut self,
        image: &[u8],
        payload_bytes_max: usize,
        out: &mut Pieces,
    ) -> Result<(), Error> {
        let head = Head::read(image)?;
        let config = head.config();
        check_size(&config)?;
        let coding = config.coding.ok_or(Error::Empty)?;
        let type_without_restarts = type_of(&coding)?;
        let tables = write_tables(&head)?;
        let recoded = jpeg::recode(image, &head)?;
        if recoded.entropy.is_empty() {
            return Err(Error::Empty);
        }
        if recoded.entropy.len() > SCAN_BYTES_MAX {
            return Err(JpegRefusal::Bytes(recoded.entropy.len()).into());
        }
        self.images_damaged += u64::from(recoded.damage.is_some());
        let [width, height] = [config.width, config.height].map(|side| side.div_ceil(8) as u8);
        let has_restarts = recoded.restart_interval > 0;
        let packet_type = type_without_restarts + if has_restarts { RESTARTS } else { 0 };
        let header = Header {
            of_image: [packet_type, Q_IN_BAND, width, height],
            restart_interval: has_restarts.then_some(recoded.restart_interval),
        };
        push_fragments(&header, &tables, &recoded.entropy, payload_bytes_max, out)
    }
}

/// What each packet of an image bears.
struct Header {
    /// Type, Q, width and height (sections 3.1.3 to 3.1.6).
    of_image: [u8; 4],
    restart_interval: Option<u16>,
}

impl Header {
    /// The main header, and that of restart markers (sections 3.1 and 3.1.7).
    fn write(&self, offset: usize) -> ([u8; 12], usize) {
        let mut bytes = [0; 12];
        let [_, o1, o2, o3] = (offset as u32).to_be_bytes();
        bytes[1..4].copy_from_slice(&[o1, o2, o3]);
        bytes[4..8].copy_from_slice(&self.of_image);
        let Some(interval) = self.restart_interval else {
            return (bytes, 8);
        };
        bytes[8..10].copy_from_slice(&interval.to_be_bytes());
        // Fragments are not cut at restart markers: F, L and a count of all ones.
        bytes[10..12].copy_from_slice(&[0xff, 0xff]);
        (bytes, 12)
    }
}

/// Cuts the scan so that packets are equal in size, but the last, which may be smaller; the first
/// has the tables.
fn push_fragments(
    header: &Header,
    tables: &[u8],
    entropy: &[u8],
    payload_bytes_max: usize,
    out: &mut Pieces,
) -> Result<(), Error> {
    let (_, header_bytes) = header.write(0);
    let most = payload_bytes_max.saturating_sub(header_bytes);
    if most <= tables.len() {
        return Err(
            JpegRefusal::PacketSize { tables_bytes: tables.len(), payload_bytes_max }.into()
        );
    }
    let body = super::fragment_bytes(tables.len() + entropy.len(), most);
    let in_first = body.saturating_sub(tables.len()).clamp(1, entropy.len());
    let (first, rest) = entropy.split_at(in_first);
    let (bytes, count) = header.write(0);
    out.push(&[&bytes[..count], tables, first]);
    let mut offset = first.len();
    for fragment in rest.chunks(body) {
        let (bytes, count) = header.write(offset);
        out.push(&[&bytes[..count], fragment]);
        offset += fragment.len();
    }
    Ok(())
}

/// The quantisation table header and the tables of brightness and of colour (section 3.1.8).
fn write_tables(head: &Head) -> Result<Vec<u8>, JpegRefusal> {
    let of = |component: usize| {
        let component = head.components.get(component)?;
        head.quantisation.get(usize::from(component.quantisation))?.as_ref()
    };
    let numbers = || {
        let mut numbers = [0; 3];
        for (number, component) in numbers.iter_mut().zip(&head.components) {
            *number = component.quantisation;
        }
        numbers
    };
    let (Some(luma), Some(chroma), Some(other)) = (of(0), of(1), of(2)) else {
        return Err(JpegRefusal::Tables(numbers()));
    };
    if chroma != other {
        return Err(JpegRefusal::Tables(numbers()));
    }
    let mut out = vec![0; 4];
    let mut precision = 0;
    for (bit, table) in [luma, chroma].into_iter().enumerate() {
        precision |= u8::from(QuantisationTable::is_wide(table)) << bit;
        table.write(&mut out);
    }
    let bytes = (out.len() - 4) as u16;
    out[1] = precision;
    out[2..4].copy_from_slice(&bytes.to_be_bytes());
    Ok(out)
}

/// The type of images that are coded so (section 4.1), restart markers apart.
fn type_of(coding: &Coding) -> Result<u8, JpegRefusal> {
    if !matches!(coding.process, Process::Baseline | Process::Extended) {
        return Err(JpegRefusal::Process(coding.process));
    }
    if coding.sample_bits != 8 {
        return Err(JpegRefusal::SampleBits(coding.sample_bits));
    }
    if coding.is_rgb {
        return Err(JpegRefusal::Rgb);
    }
    let number = match coding.sampling {
        Sampling::Yuv422 => 0,
        Sampling::Yuv420 => 1,
        other => return Err(JpegRefusal::Sampling(other)),
    };
    if !coding.interleaved {
        return Err(JpegRefusal::Scans);
    }
    Ok(number)
}

fn check_size(config: &Config) -> Result<(), JpegRefusal> {
    let Config { width, height, .. } = *config;
    if width > SIDE_MAX || height > SIDE_MAX {
        return Err(JpegRefusal::Size { width, height });
    }
    Ok(())
}

const SIDE_MAX: u16 = 2_040;
const SCAN_BYTES_MAX: usize = (1 << 24) - 1;
/// Types from here on have restart markers.
const RESTARTS: u8 = 64;
/// The tables come along, and may be others with each image (section 4.2).
const Q_IN_BAND: u8 = 255;

#[cfg(test)]
pub(in crate::rtp) mod tests {
    use super::super::{PACKET_BYTES_MAX, Packed, Packer, sdp_attributes, tests::frame};
    use super::*;
    use weir_media::{Codec, KeyKind, MediaTime, Track, TrackId};

    /// An image in our own form with a scan of so many bytes; nothing looks into it.
    pub(in crate::rtp) fn image(
        width: u16,
        height: u16,
        factors: &[(u8, u8)],
        restart_interval: u16,
        scan_bytes: usize,
    ) -> Vec<u8> {
        let tables = jpeg::scaled_tables(40);
        let mut image = jpeg::write_head(width, height, factors, &tables, restart_interval);
        image.extend((0..scan_bytes).map(|n| (n % 255) as u8));
        image.extend([0xff, 0xd9]);
        image
    }

    pub(in crate::rtp) const YUV420: [(u8, u8); 3] = [(2, 2), (1, 1), (1, 1)];
    const YUV422: [(u8, u8); 3] = [(2, 1), (1, 1), (1, 1)];

    pub(in crate::rtp) fn track(image: &[u8]) -> Track {
        let codec = Codec::Jpeg(Config::from_image(image).unwrap());
        Track { id: TrackId(0), codec, clock_rate_hz: 12_800 }
    }

    fn pack(image: Vec<u8>) -> Result<Packed, Error> {
        let mut packer = Packer::new(&track(&image), PACKET_BYTES_MAX)?;
        packer.pack(&frame(KeyKind::Key, MediaTime::ZERO, image))
    }

    #[test]
    fn a_small_image_is_one_packet_with_its_tables() {
        let packed = pack(image(320, 180, &YUV420, 0, 20)).unwrap();
        assert_eq!(packed.pieces.len(), 1);
        assert!(packed.pieces[0].marker);
        // 180 rows are 22.5 blocks.
        assert_eq!(packed.bytes[..12], [0, 0, 0, 0, 1, 255, 40, 23, 0, 0, 0, 128]);
        assert_eq!(packed.bytes.len(), 8 + 4 + 128 + 20);
    }

    #[test]
    fn packets_are_equal_but_the_last_and_count_the_bytes_of_the_scan() {
        let packed = pack(image(640, 480, &YUV422, 0, 5_000)).unwrap();
        let sizes: Vec<_> = packed.pieces.iter().map(|piece| piece.len).collect();
        assert_eq!(sizes, [1_291, 1_291, 1_291, 1_291]);
        let offsets = packed.pieces.iter().map(|piece| {
            let [_, a, b, c, ..] = packed.payload(*piece) else { panic!() };
            u32::from_be_bytes([0, *a, *b, *c])
        });
        assert_eq!(offsets.collect::<Vec<_>>(), [0, 1_151, 2_434, 3_717]);
    }

    #[test]
    fn restart_markers_make_another_type_and_a_header() {
        let packed = pack(image(64, 64, &YUV422, 7, 10)).unwrap();
        assert_eq!(packed.bytes[4], 64);
        assert_eq!(packed.bytes[8..12], [0, 7, 0xff, 0xff]);
    }

    #[test]
    fn values_of_sixteen_bits_are_told_by_the_precision() {
        let mut tables = jpeg::scaled_tables(40);
        tables[1].0[5] = 300;
        let mut image = jpeg::write_head(64, 64, &YUV420, &tables, 0);
        image.extend([1, 2, 3, 0xff, 0xd9]);
        let packed = pack(image).unwrap();
        assert_eq!(packed.bytes[8..12], [0, 2, 0, 192]);
    }

    #[test]
    fn one_table_for_all_components_is_sent_twice() {
        let mut image = jpeg::write_head(64, 64, &YUV420, &jpeg::scaled_tables(9)[..1], 0);
        image.extend([1, 2, 3, 0xff, 0xd9]);
        let packed = pack(image).unwrap();
        assert_eq!(packed.bytes[10..12], [0, 128]);
        assert_eq!(packed.bytes[12..76], packed.bytes[76..140]);
    }

    #[test]
    fn images_that_the_format_has_no_place_for_are_refused_with_the_reason() {
        let refusal =
            |image: &[u8]| Packer::new(&track(image), PACKET_BYTES_MAX).unwrap_err().to_string();
        let start = "RTP (RFC 2435) cannot carry images ";
        let of = |factors: &[(u8, u8)]| refusal(&image(64, 64, factors, 0, 9));
        let end = ": only 4:2:2 and 4:2:0 can be";
        assert_eq!(of(&[(1, 1); 3]), format!("{start}that are 4:4:4{end}"));
        assert_eq!(of(&[(1, 1)]), format!("{start}that are grey{end}"));
        let mut progressive = image(64, 64, &YUV420, 0, 9);
        let sof = progressive.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
        progressive[sof + 1] = 0xc2;
        let expected = format!("{start}that are progressive: only baseline ones can be");
        assert_eq!(refusal(&progressive), expected);
        let expected = format!("{start}of 2041x64 pixels: only up to 2040x2040 can be");
        assert_eq!(refusal(&image(2_041, 64, &YUV420, 0, 9)), expected);
        assert!(pack(image(2_040, 2_040, &YUV420, 0, 9)).is_ok());
    }

    #[test]
    fn limits_that_do_not_hold_the_tables_are_refused() {
        let image = image(64, 64, &YUV420, 0, 9);
        let mut packer = Packer::new(&track(&image), 150).unwrap();
        let packed = packer.pack(&frame(KeyKind::Key, MediaTime::ZERO, image.clone()));
        let expected = JpegRefusal::PacketSize { tables_bytes: 132, payload_bytes_max: 138 };
        assert_eq!(packed.unwrap_err(), expected.into());
        let mut packer = Packer::new(&track(&image), 153).unwrap();
        let packed = packer.pack(&frame(KeyKind::Key, MediaTime::ZERO, image)).unwrap();
        assert!(packed.pieces.iter().all(|piece| piece.len <= 141));
    }

    #[test]
    fn a_track_of_images_has_a_map_and_no_parameters() {
        let text = sdp_attributes(&track(&image(64, 64, &YUV420, 0, 9)), 26).unwrap();
        assert_eq!((text.rtpmap.as_str(), text.fmtp), ("26 JPEG/90000", None));
    }
}
