//! Tags (annex E.4): what stands at the start of each.

/// The head of a tag (section E.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TagHead {
    pub(super) kind: u8,
    pub(super) encrypted: bool,
    pub(super) data_bytes: u32,
    pub(super) time_ms: u32,
}

/// What the data of a tag of sound or picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MediaHead {
    pub(super) coding: Coding,
    pub(super) part: Part,
    pub(super) key: bool,
    /// CompositionTime: presentation less decoding.
    pub(super) shift_ms: i32,
    /// Bytes of the tag's data before the media itself.
    pub(super) head_bytes: usize,
    /// Bytes of the media; `None`: all that stands behind.
    pub(super) body_bytes: Option<u32>,
    /// The byte that older codecs put their form of sound into.
    pub(super) flags: u8,
}

/// How the media is coded: a number of the older kind, or four characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Sound(u8),
    Picture(u8),
    FourCc([u8; 4]),
}

/// What a tag holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A decoder's configuration.
    Config,
    Frame,
    /// Nothing to play: the end of a sequence, metadata, a seek command.
    Other,
    /// Tracks beside the first, which are not carried.
    Multitrack,
}

impl Coding {
    /// Whether CompositionTime stands before each frame of Enhanced RTMP.
    fn has_shift(&self) -> bool {
        matches!(self, Coding::FourCc(name) if [b"avc1", b"hvc1", b"vvc1"].contains(&name))
    }
}

impl TagHead {
    /// Reads the first eleven bytes of a tag; `None` if it is no tag.
    pub(super) fn read(data: &[u8; HEAD_BYTES]) -> Option<Self> {
        let &[kind, d0, d1, d2, t0, t1, t2, t3, s0, s1, s2] = data;
        let is_tag = matches!(kind & 31, SOUND | PICTURE | SCRIPT) && kind & 0xc0 == 0;
        // StreamID is always 0.
        (is_tag && [s0, s1, s2] == [0; 3]).then(|| TagHead {
            kind: kind & 31,
            encrypted: kind & 0x20 != 0,
            data_bytes: u32::from_be_bytes([0, d0, d1, d2]),
            time_ms: u32::from_be_bytes([t3, t0, t1, t2]),
        })
    }
}

impl MediaHead {
    /// Reads the start of a tag's data; `None` if it is too short.
    pub(super) fn read(kind: u8, data: &[u8]) -> Option<Self> {
        let &flags = data.first()?;
        match (kind, flags >> 4) {
            (SOUND, 9) => MediaHead::enhanced_sound(data),
            (SOUND, format) => MediaHead::sound(format, flags, data),
            (_, frame) if frame & 8 != 0 => MediaHead::enhanced_picture(data),
            _ => MediaHead::picture(flags, data),
        }
    }

    /// Section E.4.2.
    fn sound(format: u8, flags: u8, data: &[u8]) -> Option<Self> {
        let mut head = MediaHead {
            coding: Coding::Sound(format),
            part: Part::Frame,
            key: true,
            shift_ms: 0,
            head_bytes: 1,
            body_bytes: None,
            flags,
        };
        if format == AAC {
            head.part = if *data.get(1)? == 0 { Part::Config } else { Part::Frame };
            head.head_bytes = 2;
        }
        Some(head)
    }

    /// Section E.4.3.
    fn picture(flags: u8, data: &[u8]) -> Option<Self> {
        let (frame, codec) = (flags >> 4, flags & 15);
        let mut head = MediaHead {
            coding: Coding::Picture(codec),
            part: Part::Frame,
            key: matches!(frame, KEY | GENERATED_KEY),
            shift_ms: 0,
            head_bytes: 1,
            body_bytes: None,
            flags,
        };
        if frame == COMMAND {
            head.part = Part::Other;
        } else if matches!(codec, AVC | HEVC) {
            head.part = match data.get(1)? {
                0 => Part::Config,
                1 => Part::Frame,
                _ => Part::Other,
            };
            head.shift_ms = signed_24(data.get(2..5)?);
            head.head_bytes = 5;
        }
        Some(head)
    }

    /// ExVideoTagHeader of Enhanced RTMP.
    fn enhanced_picture(data: &[u8]) -> Option<Self> {
        let (&flags, rest) = data.split_first()?;
        let frame = flags >> 4 & 7;
        let (mut packet, mut rest) = behind_mod_ex(flags & 15, rest)?;
        let mut head = MediaHead {
            coding: Coding::FourCc(*b"    "),
            part: Part::Other,
            key: matches!(frame, KEY | GENERATED_KEY),
            shift_ms: 0,
            head_bytes: 0,
            body_bytes: None,
            flags,
        };
        if frame == COMMAND && packet != METADATA {
            head.head_bytes = data.len() - rest.len();
            return Some(head);
        }
        if packet == MULTITRACK_PICTURE {
            match FirstTrack::find(rest)? {
                Some(track) => track.put(&mut head, &mut packet, &mut rest),
                None => return Some(head.beside(data, rest)),
            }
        } else {
            let (fourcc, behind) = rest.split_first_chunk::<4>()?;
            head.coding = Coding::FourCc(*fourcc);
            rest = behind;
        }
        head.part = match packet {
            0 => Part::Config,
            1 | 3 => Part::Frame,
            _ => Part::Other,
        };
        if packet == 1 && head.coding.has_shift() {
            let (shift, behind) = rest.split_first_chunk::<3>()?;
            head.shift_ms = signed_24(shift);
            head.body_bytes = head.body_bytes.map(|bytes| bytes.saturating_sub(3));
            rest = behind;
        }
        head.head_bytes = data.len() - rest.len();
        Some(head)
    }

    /// ExAudioTagHeader of Enhanced RTMP.
    fn enhanced_sound(data: &[u8]) -> Option<Self> {
        let (&flags, rest) = data.split_first()?;
        let (mut packet, mut rest) = behind_mod_ex(flags & 15, rest)?;
        let mut head = MediaHead {
            coding: Coding::FourCc(*b"    "),
            part: Part::Other,
            key: true,
            shift_ms: 0,
            head_bytes: 0,
            body_bytes: None,
            flags,
        };
        if packet == MULTITRACK_SOUND {
            match FirstTrack::find(rest)? {
                Some(track) => track.put(&mut head, &mut packet, &mut rest),
                None => return Some(head.beside(data, rest)),
            }
        } else {
            let (fourcc, behind) = rest.split_first_chunk::<4>()?;
            head.coding = Coding::FourCc(*fourcc);
            rest = behind;
        }
        head.part = match packet {
            0 => Part::Config,
            1 => Part::Frame,
            _ => Part::Other,
        };
        head.head_bytes = data.len() - rest.len();
        Some(head)
    }

    fn beside(mut self, data: &[u8], rest: &[u8]) -> Self {
        self.part = Part::Multitrack;
        self.head_bytes = data.len() - rest.len();
        self
    }
}

/// The track with number 0 in a tag of several (AvMultitrackType of Enhanced RTMP).
struct FirstTrack<'a> {
    fourcc: [u8; 4],
    packet: u8,
    /// How long its part is; `None`: all that stands behind.
    bytes: Option<u32>,
    rest: &'a [u8],
}

impl<'a> FirstTrack<'a> {
    /// `None` where more bytes are needed, `Some(None)` where that track is not there.
    fn find(data: &'a [u8]) -> Option<Option<Self>> {
        let (&kinds, mut rest) = data.split_first()?;
        let (kind, packet) = (kinds >> 4, kinds & 15);
        let mut fourcc = *b"    ";
        if kind != MANY_CODECS {
            let (shared, behind) = rest.split_first_chunk::<4>()?;
            (fourcc, rest) = (*shared, behind);
        }
        loop {
            if kind == MANY_CODECS {
                let (own, behind) = rest.split_first_chunk::<4>()?;
                (fourcc, rest) = (*own, behind);
            }
            let (&number, behind) = rest.split_first()?;
            rest = behind;
            let mut bytes = None;
            if kind != ONE_TRACK {
                let (&[s0, s1, s2], behind) = rest.split_first_chunk::<3>()?;
                bytes = Some(u32::from_be_bytes([0, s0, s1, s2]));
                rest = behind;
            }
            if number == 0 {
                return Some(Some(FirstTrack { fourcc, packet, bytes, rest }));
            }
            match bytes {
                Some(bytes) if (bytes as usize) < rest.len() => {
                    rest = rest.get(bytes as usize..)?
                }
                _ => return Some(None),
            }
        }
    }

    fn put(self, head: &mut MediaHead, packet: &mut u8, rest: &mut &'a [u8]) {
        head.coding = Coding::FourCc(self.fourcc);
        head.body_bytes = self.bytes;
        *packet = self.packet;
        *rest = self.rest;
    }
}

/// The packet type behind all ModEx of an enhanced tag, and what follows.
fn behind_mod_ex(mut packet: u8, mut rest: &[u8]) -> Option<(u8, &[u8])> {
    while packet == MOD_EX {
        let behind = mod_ex(rest)?;
        packet = rest.get(rest.len() - behind.len() - 1)? & 15;
        rest = behind;
    }
    Some((packet, rest))
}

/// Passes over a ModEx of an enhanced tag: its size, its data, and a byte with its type and the
/// packet type that follows. Gives what stands behind.
fn mod_ex(data: &[u8]) -> Option<&[u8]> {
    let (&size, rest) = data.split_first()?;
    let (bytes, rest) = match size {
        255 => {
            let (size, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*size)) + 1, rest)
        }
        size => (usize::from(size) + 1, rest),
    };
    rest.get(bytes + 1..)
}

fn signed_24(data: &[u8]) -> i32 {
    match *data {
        [a, b, c] => i32::from_be_bytes([a, b, c, 0]) >> 8,
        _ => 0,
    }
}

pub(super) const HEAD_BYTES: usize = 11;
/// PreviousTagSize.
pub(super) const TRAILER_BYTES: u64 = 4;
pub(super) const SOUND: u8 = 8;
pub(super) const PICTURE: u8 = 9;
pub(super) const SCRIPT: u8 = 18;
/// SoundFormat.
pub(super) const AAC: u8 = 10;
pub(super) const A_LAW: u8 = 7;
pub(super) const MU_LAW: u8 = 8;
/// CodecID; the second is not Adobe's, and widely written.
pub(super) const AVC: u8 = 7;
pub(super) const HEVC: u8 = 12;
/// FrameType.
const KEY: u8 = 1;
const GENERATED_KEY: u8 = 4;
const COMMAND: u8 = 5;
/// VideoPacketType and AudioPacketType.
const METADATA: u8 = 4;
const MULTITRACK_PICTURE: u8 = 6;
const MULTITRACK_SOUND: u8 = 5;
const MOD_EX: u8 = 7;
/// AvMultitrackType; 1 is many tracks of one codec.
const ONE_TRACK: u8 = 0;
const MANY_CODECS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_has_its_highest_byte_last() {
        let head = TagHead::read(&[9, 0, 1, 2, 3, 4, 5, 1, 0, 0, 0]).unwrap();
        assert_eq!((head.kind, head.data_bytes, head.time_ms), (9, 258, 0x0103_0405));
        assert_eq!(TagHead::read(&[7, 0, 1, 2, 3, 4, 5, 1, 0, 0, 0]), None);
        assert_eq!(TagHead::read(&[9, 0, 1, 2, 3, 4, 5, 1, 0, 0, 9]), None);
    }

    #[test]
    fn composition_times_are_signed() {
        let head = MediaHead::read(PICTURE, &[0x27, 1, 0xff, 0xff, 0xfe, 0]).unwrap();
        assert_eq!((head.shift_ms, head.key, head.part), (-2, false, Part::Frame));
        assert_eq!((head.coding, head.head_bytes), (Coding::Picture(AVC), 5));
    }

    #[test]
    fn enhanced_tags_name_their_codec_by_four_characters() {
        let head = MediaHead::read(PICTURE, b"\x91hvc1\0\0\x28xyz").unwrap();
        assert_eq!((head.coding, head.part), (Coding::FourCc(*b"hvc1"), Part::Frame));
        assert_eq!((head.shift_ms, head.head_bytes, head.key), (40, 8, true));
        let head = MediaHead::read(PICTURE, b"\xa3hvc1xyz").unwrap();
        assert_eq!((head.shift_ms, head.head_bytes, head.key), (0, 5, false));
        let head = MediaHead::read(PICTURE, b"\x90av01record").unwrap();
        assert_eq!((head.coding, head.part), (Coding::FourCc(*b"av01"), Part::Config));
        let head = MediaHead::read(SOUND, b"\x90Opusrecord").unwrap();
        assert_eq!((head.coding, head.part), (Coding::FourCc(*b"Opus"), Part::Config));
        // Three bytes of time in nanoseconds, then coded frames.
        let head = MediaHead::read(PICTURE, b"\x97\x02\0\0\x07\x01av01x").unwrap();
        assert_eq!((head.coding, head.part), (Coding::FourCc(*b"av01"), Part::Frame));
        assert_eq!(head.head_bytes, 10);
    }

    #[test]
    fn of_several_tracks_in_a_tag_the_first_is_taken() {
        // One track, with its number.
        let head = MediaHead::read(PICTURE, b"\x96\x01hvc1\0\0\0\x28xyz").unwrap();
        assert_eq!((head.coding, head.part), (Coding::FourCc(*b"hvc1"), Part::Frame));
        assert_eq!((head.shift_ms, head.head_bytes, head.body_bytes), (40, 10, None));
        let head = MediaHead::read(PICTURE, b"\xa6\x01hvc1\x01\0\0\x28xyz").unwrap();
        assert_eq!(head.part, Part::Multitrack);
        // Many tracks of one codec: number, size, data.
        let many = b"\x95\x11Opus\x01\0\0\x02zz\0\0\0\x03abc";
        let head = MediaHead::read(SOUND, many).unwrap();
        assert_eq!((head.part, head.head_bytes, head.body_bytes), (Part::Frame, 16, Some(3)));
        // Many codecs.
        let many = b"\x95\x20mp4a\x01\0\0\x02zzOpus\0\0\0\x03abc";
        let head = MediaHead::read(SOUND, many).unwrap();
        assert_eq!((head.part, head.head_bytes), (Part::Config, 20));
        assert_eq!(head.coding, Coding::FourCc(*b"Opus"));
        let head = MediaHead::read(SOUND, b"\x95\x11Opus\x01\0\0\x02zz").unwrap();
        assert_eq!(head.part, Part::Multitrack);
        assert_eq!(MediaHead::read(SOUND, b"\x95\x11Opus\x01\0"), None);
    }
}
