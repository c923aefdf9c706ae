//! JPEG out of RTP (RFC 2435): whole images, with the head that the packets do not carry.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use weir_media::jpeg::{Config, QuantisationTable, scaled_tables, write_head};
use weir_media::{Codec, KeyKind};
use weir_time::Instant;

use super::{ACCESS_UNIT_BYTES_MAX, AccessUnit, DropReason, Input, Outbox, Output};

/// Types 0, 1, 64 and 65 (section 4.1). The two fields of an interlaced picture come as two images.
#[derive(Clone, Debug, Default)]
pub(super) struct Depacketiser {
    config: Option<Config>,
    image: Option<Image>,
    /// Tables that came along, by Q from 128 to 254 (section 4.2): they hold until others come.
    tables: BTreeMap<u8, Tables>,
}

/// One or two: for brightness and for colour, or for both.
type Tables = Vec<QuantisationTable>;

/// An image of which not all packets have come.
#[derive(Clone, Debug)]
struct Image {
    rtp_ticks: i64,
    /// Head and scan.
    bytes: BytesMut,
    /// Bytes of the scan so far: the offset of the next packet.
    offset: usize,
    /// What the head says; `None` where the scan is a whole file with a head of its own.
    config: Option<Config>,
    first_arrival: Instant,
    arrival: Instant,
    damage: Option<DropReason>,
}

/// What stands before the scan in a packet.
struct Header<'a> {
    offset: usize,
    packet_type: u8,
    q: u8,
    width: u16,
    height: u16,
    restart_interval: u16,
    data: &'a [u8],
}

impl Depacketiser {
    pub(super) fn codec(&self) -> Option<Codec> {
        self.config.map(Codec::Jpeg)
    }

    pub(super) fn push(&mut self, input: &Input<'_>, outbox: &mut Outbox) {
        let reason = if input.lost_before { DropReason::Lost } else { DropReason::Malformed };
        if self.image.as_ref().is_some_and(|image| image.rtp_ticks != input.rtp_ticks) {
            // The end of the image before did not come.
            self.end_broken(reason, outbox);
        }
        if input.payload.is_empty() {
            outbox.counts.packets_ignored += 1;
            return;
        }
        match Header::read(input.payload) {
            Some(header) => self.take(input, &header, reason, outbox),
            None => self.damage(input, DropReason::Malformed),
        }
        if input.marker {
            self.end(outbox);
        }
    }

    pub(super) fn flush(&mut self, outbox: &mut Outbox) {
        self.end_broken(DropReason::CutOff, outbox);
    }

    fn take(
        &mut self,
        input: &Input<'_>,
        header: &Header<'_>,
        reason: DropReason,
        outbox: &mut Outbox,
    ) {
        if header.offset == 0 {
            // Two images may bear one time: fields, or a sender with a coarse clock.
            self.end_broken(reason, outbox);
            self.image = Some(self.start(input, header));
            return;
        }
        // What comes before the first whole image is the rest of one that was under way.
        let reason = if input.first { DropReason::Lost } else { reason };
        match &mut self.image {
            Some(image) if image.offset == header.offset && !input.lost_before => {
                image.arrival = image.arrival.max(input.arrival);
                image.append(header.data);
            }
            _ => self.damage(input, reason),
        }
    }

    /// The image that a first packet begins.
    fn start(&mut self, input: &Input<'_>, header: &Header<'_>) -> Image {
        let mut image = Image::new(input);
        let (tables, scan) = match self.tables_of(header) {
            Ok(found) => found,
            Err(reason) => {
                image.damage = Some(reason);
                return image;
            }
        };
        if scan.starts_with(&[0xff, 0xd8, 0xff]) {
            // Some senders put whole files into packets: their own head is the better one, and is
            // read once all of it is there.
            image.append(scan);
            return image;
        }
        let factors = [(2, 1 + (header.packet_type & 1)), (1, 1), (1, 1)];
        let head =
            write_head(header.width, header.height, &factors, &tables, header.restart_interval);
        image.config = Config::from_image(&head).ok();
        image.bytes.extend_from_slice(&head);
        image.append(scan);
        image
    }

    /// The quantisation tables of an image, and what follows them in its first packet (sections
    /// 3.1.8 and 4.2).
    fn tables_of<'a>(&mut self, header: &Header<'a>) -> Result<(Tables, &'a [u8]), DropReason> {
        match header.q {
            0 => return Err(DropReason::Malformed),
            1..128 => return Ok((scaled_tables(header.q).to_vec(), header.data)),
            _ => {}
        }
        let (&[_, precision, l0, l1], rest) =
            header.data.split_first_chunk::<4>().ok_or(DropReason::Malformed)?;
        let bytes = usize::from(u16::from_be_bytes([l0, l1]));
        let (values, scan) = rest.split_at_checked(bytes).ok_or(DropReason::Malformed)?;
        if values.is_empty() {
            // The tables were sent before, and this receiver may have come later.
            let known = self.tables.get(&header.q).cloned();
            return known.map(|tables| (tables, scan)).ok_or(DropReason::Lost);
        }
        let tables = read_tables(values, precision).ok_or(DropReason::Malformed)?;
        if header.q < 255 {
            self.tables.insert(header.q, tables.clone());
        }
        Ok((tables, scan))
    }

    /// Marks the image that a packet belongs to as broken.
    fn damage(&mut self, input: &Input<'_>, reason: DropReason) {
        let image = self.image.get_or_insert_with(|| Image::new(input));
        image.damage.get_or_insert(reason);
        image.arrival = image.arrival.max(input.arrival);
    }

    /// Gives out the image, now that its last packet has come.
    fn end(&mut self, outbox: &mut Outbox) {
        let Some(mut image) = self.image.take() else {
            return;
        };
        if let Some(reason) = image.damage {
            return outbox.dropped(image.rtp_ticks, reason);
        }
        let config = image.config.or_else(|| Config::from_image(&image.bytes).ok());
        let Some(config) = config.filter(|_| image.offset > 0) else {
            return outbox.dropped(image.rtp_ticks, DropReason::Malformed);
        };
        if !image.bytes.ends_with(&END_OF_IMAGE) {
            image.bytes.extend_from_slice(&END_OF_IMAGE);
        }
        if self.config != Some(config) {
            self.config = Some(config);
            outbox.put(Output::Codec(Codec::Jpeg(config)));
        }
        outbox.access_unit(AccessUnit {
            rtp_ticks: image.rtp_ticks,
            payload: Bytes::from(image.bytes),
            key: KeyKind::Key,
            complete: true,
            first_arrival: image.first_arrival,
            arrival: image.arrival,
        });
    }

    /// Reports an image whose last packet did not come.
    fn end_broken(&mut self, reason: DropReason, outbox: &mut Outbox) {
        if let Some(image) = self.image.take() {
            outbox.dropped(image.rtp_ticks, image.damage.unwrap_or(reason));
        }
    }
}

impl Image {
    fn new(input: &Input<'_>) -> Self {
        Image {
            rtp_ticks: input.rtp_ticks,
            bytes: BytesMut::new(),
            offset: 0,
            config: None,
            first_arrival: input.arrival,
            arrival: input.arrival,
            damage: None,
        }
    }

    fn append(&mut self, data: &[u8]) {
        if self.damage.is_some() {
            return;
        }
        if self.bytes.len() + data.len() > ACCESS_UNIT_BYTES_MAX - END_OF_IMAGE.len() {
            self.damage = Some(DropReason::TooLarge);
            return;
        }
        self.bytes.extend_from_slice(data);
        self.offset += data.len();
    }
}

impl<'a> Header<'a> {
    /// Sections 3.1 and 3.1.7; `None` for what is cut off, and for types that nobody has defined.
    fn read(payload: &'a [u8]) -> Option<Self> {
        let (&[_, o0, o1, o2, packet_type, q, width, height], mut data) =
            payload.split_first_chunk::<8>()?;
        let mut restart_interval = 0;
        match packet_type {
            0 | 1 => {}
            64 | 65 => {
                let (&[i0, i1, _, _], rest) = data.split_first_chunk::<4>()?;
                restart_interval = u16::from_be_bytes([i0, i1]);
                data = rest;
            }
            _ => return None,
        }
        if width == 0 || height == 0 {
            return None;
        }
        let [width, height] = [width, height].map(|blocks| u16::from(blocks) * 8);
        let offset = u32::from_be_bytes([0, o0, o1, o2]) as usize;
        Some(Header { offset, packet_type, q, width, height, restart_interval, data })
    }
}

/// The first two tables: the lowest bit of the precision belongs to the first.
fn read_tables(mut values: &[u8], precision: u8) -> Option<Tables> {
    let mut tables = Vec::with_capacity(2);
    for bit in 0..2 {
        if values.is_empty() {
            break;
        }
        let bytes = if precision >> bit & 1 == 1 { 128 } else { 64 };
        let (table, rest) = values.split_at_checked(bytes)?;
        tables.push(QuantisationTable::read(table)?);
        values = rest;
    }
    Some(tables)
}

const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_media::jpeg::{Head, recode};
    use weir_media::{MediaTime, jpeg};

    use super::super::{Counts, Depacketiser};
    use super::*;
    use crate::rtp::pack::jpeg::tests::{YUV420, image, track};
    use crate::rtp::pack::{Packer, tests::frame};
    use crate::rtp::{Header as RtpHeader, Packet, RtpTime, SequenceNumber, Ssrc};

    struct Receiver(Depacketiser);

    impl Receiver {
        fn new() -> Self {
            Receiver(Depacketiser::from_sdp("JPEG", 90_000, None, "").unwrap())
        }

        fn push(&mut self, time: u32, marker: bool, lost_before: bool, payload: &[u8]) {
            let header = RtpHeader {
                marker,
                payload_type: 26,
                sequence: SequenceNumber(0),
                time: RtpTime(time),
                ssrc: Ssrc(0),
            };
            let packet = Packet { header, csrc_count: 0, extension: None, payload };
            self.0.push(Instant::ZERO, &packet, lost_before);
        }

        fn images(&mut self) -> Vec<Bytes> {
            let mut images = Vec::new();
            while let Some(output) = self.0.poll() {
                if let Output::AccessUnit(unit) = output {
                    images.push(unit.payload);
                }
            }
            images
        }

        fn counts(&self) -> Counts {
            self.0.counts()
        }
    }

    /// The packets of an image.
    fn packets(image: &[u8], packet_bytes_max: usize) -> Vec<Vec<u8>> {
        let mut packer = Packer::new(&track(image), packet_bytes_max).unwrap();
        let packed = packer.pack(&frame(KeyKind::Key, MediaTime::ZERO, image.to_vec())).unwrap();
        packed.pieces.iter().map(|piece| packed.payload(*piece).to_vec()).collect()
    }

    fn scan(image: &[u8]) -> Vec<u8> {
        let head = Head::read(image).unwrap();
        recode(image, &head).unwrap().entropy.into_owned()
    }

    /// A main header without restarts, and what follows.
    fn packet(offset: u8, q: u8, rest: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, offset, 1, q, 2, 2], rest].concat()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_packed_is_put_together(
            sizes in prop::collection::vec((1u16..=2_040, 1u16..=2_040, 1usize..6_000), 1..6),
            restart_interval in 0u16..4,
            packet_bytes_max in 200usize..3_000,
        ) {
            let mut receiver = Receiver::new();
            for (number, (width, height, bytes)) in sizes.into_iter().enumerate() {
                let image = image(width, height, &YUV420, restart_interval, bytes);
                let packets = packets(&image, packet_bytes_max);
                for (n, packet) in packets.iter().enumerate() {
                    receiver.push(number as u32, n + 1 == packets.len(), false, packet);
                }
                let came = receiver.images();
                prop_assert_eq!(came.len(), 1);
                let (sent, came_head) = (Head::read(&image).unwrap(), Head::read(&came[0]).unwrap());
                prop_assert_eq!(scan(&came[0]), scan(&image));
                prop_assert_eq!(came_head.quantisation, sent.quantisation);
                prop_assert_eq!(came_head.restart_interval, sent.restart_interval);
                prop_assert_eq!(came_head.sampling(), sent.sampling());
                prop_assert_eq!(came_head.width, width.next_multiple_of(8));
                prop_assert_eq!(came_head.height, height.next_multiple_of(8));
            }
            prop_assert_eq!(receiver.counts().dropped(), 0);
        }

        #[test]
        fn with_packets_lost_what_comes_out_is_whole(
            lost in prop::collection::vec(any::<bool>(), 40),
        ) {
            let sent = image(320, 240, &YUV420, 0, 6_000);
            let packets = packets(&sent, 1_400);
            let mut receiver = Receiver::new();
            let mut lost_before = false;
            let mut whole = 0;
            for (number, lost) in lost.chunks_exact(packets.len()).enumerate() {
                for (n, (packet, &lost)) in packets.iter().zip(lost).enumerate() {
                    if !lost {
                        receiver.push(number as u32, n + 1 == packets.len(), lost_before, packet);
                    }
                    lost_before = lost;
                }
                whole += usize::from(lost.iter().all(|lost| !lost));
            }
            receiver.0.flush();
            let images = receiver.images();
            prop_assert_eq!(images.len(), whole);
            prop_assert!(images.iter().all(|image| scan(image) == scan(&sent)));
            prop_assert_eq!(receiver.counts().dropped_malformed, 0);
        }

        #[test]
        fn any_packets_are_taken_without_a_panic(data: Vec<u8>, packet_type in 0u8..3, q: u8) {
            crate::rtp::fuzz::fuzz_jpeg_depack(&data);
            let mut receiver = Receiver::new();
            let start = [0, 0, 0, 0, packet_type * 32, q, 3, 3];
            receiver.push(0, true, false, &[&start[..], &data].concat());
            prop_assert!(receiver.images().len() <= 1);
        }
    }

    #[test]
    fn tables_of_a_quality_are_computed() {
        let mut receiver = Receiver::new();
        receiver.push(0, true, false, &packet(0, 60, b"scan"));
        let came = receiver.images();
        let head = Head::read(&came[0]).unwrap();
        assert_eq!(head.quantisation[..2], jpeg::scaled_tables(60).map(Some));
        assert_eq!((head.width, head.height), (16, 16));
        assert_eq!(came[0][head.scan_at..], *b"scan\xff\xd9");
    }

    #[test]
    fn tables_that_came_along_hold_for_later_images_of_their_q() {
        let mut receiver = Receiver::new();
        receiver.push(0, true, false, &packet(0, 130, &[0, 0, 0, 0, 7]));
        assert!(receiver.images().is_empty());
        assert_eq!(receiver.counts().dropped_lost, 1);
        let tables = [&[0, 0, 0, 128][..], &[9; 128], b"scan"].concat();
        receiver.push(1, true, false, &packet(0, 130, &tables));
        receiver.push(2, true, false, &packet(0, 130, &[0, 0, 0, 0, 7]));
        receiver.push(3, true, false, &packet(0, 131, &[0, 0, 0, 0, 7]));
        let came = receiver.images();
        assert_eq!(came.len(), 2);
        let head = Head::read(&came[1]).unwrap();
        assert_eq!(head.quantisation[1], Some(QuantisationTable([9; 64])));
        assert_eq!(receiver.counts().dropped_lost, 2);
    }

    #[test]
    fn tables_of_sixteen_bits_and_a_single_table_are_read() {
        let mut receiver = Receiver::new();
        let wide = [&[0, 2, 0, 192][..], &[9; 64], &[1; 128], b"scan"].concat();
        receiver.push(0, true, false, &packet(0, 255, &wide));
        let single = [&[0, 0, 0, 64][..], &[9; 64], b"scan"].concat();
        receiver.push(1, true, false, &packet(0, 255, &single));
        let came = receiver.images();
        let heads = [0, 1].map(|n: usize| Head::read(&came[n]).unwrap());
        assert_eq!(heads[0].quantisation[1], Some(QuantisationTable([257; 64])));
        assert_eq!(heads[1].components.iter().map(|c| c.quantisation).max(), Some(0));
    }

    #[test]
    fn a_whole_file_in_the_packets_is_taken_as_it_is() {
        let file = image(64, 48, &[(1, 1); 3], 0, 300);
        let mut receiver = Receiver::new();
        receiver.push(0, false, false, &packet(0, 60, &file[..200]));
        receiver.push(0, true, false, &packet(200, 60, &file[200..]));
        assert_eq!(receiver.images(), [file]);
    }

    #[test]
    fn what_breaks_the_format_is_dropped_and_counted() {
        let mut receiver = Receiver::new();
        receiver.push(0, true, false, &[0; 7]);
        receiver.push(1, true, false, &packet(0, 0, b"scan"));
        receiver.push(2, true, false, &[0, 0, 0, 0, 5, 60, 2, 2, 1]);
        receiver.push(3, true, false, &[0, 0, 0, 0, 1, 60, 0, 2, 1]);
        receiver.push(4, true, false, &packet(0, 255, &[0, 0, 0, 200, 1]));
        // A gap that no loss explains, and an image without an end.
        receiver.push(5, false, false, &packet(0, 60, b"scan"));
        receiver.push(5, true, false, &packet(9, 60, b"scan"));
        receiver.push(6, false, false, &packet(0, 60, b"scan"));
        receiver.push(7, true, false, &packet(0, 60, b"scan"));
        assert_eq!(receiver.images().len(), 1);
        assert_eq!(receiver.counts().dropped_malformed, 7);
        receiver.push(8, true, false, &[]);
        receiver.push(9, false, false, &packet(0, 60, b"scan"));
        receiver.0.flush();
        let counts = receiver.counts();
        assert_eq!((counts.packets_ignored, counts.dropped_cut_off), (1, 1));
    }
}
