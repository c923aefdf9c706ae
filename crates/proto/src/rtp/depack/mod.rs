//! RTP payloads into access units.

mod aac;
mod av1;
mod frame;
mod h264;
mod h265;
mod jpeg;
mod nal;
mod sdp;
mod sound;
mod vp8;
mod vp9;

use std::collections::VecDeque;

use bytes::Bytes;
use weir_media::{Codec, KeyKind};
use weir_time::Instant;

use super::{Packet, TimeUnwrapper};

pub use sdp::Error;

/// Makes access units of one track's packets.
///
/// Packets are pushed in the order of their numbers ([`super::receive::Reorder`]), each with
/// whether some before it are missing. After each push, poll until there is nothing more. An
/// access unit of which a part is missing is dropped, counted and reported; the next whole one
/// comes as usual.
#[derive(Clone, Debug)]
pub struct Depacketiser {
    clock_rate_hz: u32,
    times: TimeUnwrapper,
    format: Format,
    outbox: Outbox,
    /// No packet has come yet, so that nobody knows whether the next is the first of its access
    /// unit.
    at_start: bool,
}

#[derive(Clone, Debug)]
enum Format {
    H264(Box<h264::Depacketiser>),
    H265(Box<h265::Depacketiser>),
    Vp8(Box<vp8::Depacketiser>),
    Vp9(Box<vp9::Depacketiser>),
    Av1(Box<av1::Depacketiser>),
    Aac(aac::Depacketiser),
    Jpeg(Box<jpeg::Depacketiser>),
    Sound(sound::Depacketiser),
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// One access unit.
    AccessUnit(AccessUnit),
    /// An access unit of which something came, but not all.
    Dropped(Dropped),
    /// The parameter sets, or else the configuration, of the access units that follow, where they
    /// are not those known before. [`Depacketiser::codec`] says the same.
    Codec(Codec),
}

/// One access unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// When it is shown or heard, in ticks of the RTP clock ([`Depacketiser::clock_rate_hz`]),
    /// not wrapped; its lowest 32 bits are the packets' time stamp. (For AAC, the time stamp of
    /// the packet plus the access units before it in the packet.)
    pub rtp_ticks: i64,
    /// The coded bytes in the form that [`Codec`] states. H.264 and H.265: without access unit delimiters
    /// and without the parameter sets of the last [`Output::Codec`], which is also where new ones
    /// are announced; where known ones are replaced, the new ones stay in the access unit too.
    pub payload: Bytes,
    /// Whether decoding can start here.
    pub key: KeyKind,
    /// Nothing of it can be missing. `false` where packets before its first one are, which may
    /// have held parameter sets or messages of it, but no part of the picture; and where nothing
    /// said that it was at its end.
    pub complete: bool,
    /// When the first of its packets came.
    pub first_arrival: Instant,
    /// When the last of its packets came.
    pub arrival: Instant,
}

/// An access unit that could not be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Its time in ticks of the RTP clock, not wrapped.
    pub rtp_ticks: i64,
    /// Why.
    pub reason: DropReason,
}

/// Why an access unit was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// One of its packets is missing.
    Lost,
    /// Its payload breaks the payload format: the sender's fault.
    Malformed,
    /// It is greater than [`ACCESS_UNIT_BYTES_MAX`].
    TooLarge,
    /// The stream ended inside it.
    CutOff,
    /// [`OUTPUTS_MAX`] outputs were waiting to be polled.
    Unpolled,
}

/// What came out so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets pushed.
    pub packets: u64,
    /// Access units put together.
    pub access_units: u64,
    /// Access units dropped for [`DropReason::Lost`].
    pub dropped_lost: u64,
    /// Access units dropped for [`DropReason::Malformed`].
    pub dropped_malformed: u64,
    /// Access units dropped for [`DropReason::TooLarge`].
    pub dropped_too_large: u64,
    /// Access units dropped for [`DropReason::CutOff`].
    pub dropped_cut_off: u64,
    /// Outputs dropped for [`DropReason::Unpolled`]; these are not reported.
    pub dropped_unpolled: u64,
    /// Packets without payload, or of a type that receivers ignore (RFC 6184 table 1).
    pub packets_ignored: u64,
    /// Parameter sets, of the session description or of the stream, that cannot be used.
    pub parameter_sets_ignored: u64,
}

impl Counts {
    /// Access units dropped for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.dropped_lost
            + self.dropped_malformed
            + self.dropped_too_large
            + self.dropped_cut_off
            + self.dropped_unpolled
    }
}

/// The greatest access unit that is put together.
pub const ACCESS_UNIT_BYTES_MAX: usize = 16 << 20;
/// How many outputs may wait to be polled.
pub const OUTPUTS_MAX: usize = 1_024;

impl Depacketiser {
    /// The depacketiser of a payload type that a session description tells of.
    ///
    /// `encoding_name`, `clock_rate_hz` and `channels` are those of its `a=rtpmap`; `parameters`
    /// is what stands behind the payload type in its `a=fmtp`, or nothing: pairs `name=value`
    /// between semicolons. `H264` (RFC 6184 section 8.1) may be without `sprop-parameter-sets`,
    /// `H265` (RFC 7798 section 7.1) without `sprop-vps`, `sprop-sps` and `sprop-pps`;
    /// `mpeg4-generic` (RFC 3640 section 4.1) must have `config`; `VP8` (RFC 7741), `VP9`
    /// (RFC 9628), `AV1`, `JPEG` (RFC 2435), `opus` (RFC 7587), `PCMU` and `PCMA` (RFC 3551) need
    /// none. What the static payload types stand for says [`crate::rtp::StaticType`].
    ///
    /// # Errors
    /// When there is no payload format of this name here, or a parameter is missing or cannot be
    /// served.
    pub fn from_sdp(
        encoding_name: &str,
        clock_rate_hz: u32,
        channels: Option<u8>,
        parameters: &str,
    ) -> Result<Self, Error> {
        let mut outbox = Outbox::default();
        let format =
            sdp::format(encoding_name, clock_rate_hz, channels, parameters, &mut outbox.counts)?;
        Ok(Depacketiser {
            clock_rate_hz,
            times: TimeUnwrapper::default(),
            format,
            outbox,
            at_start: true,
        })
    }

    /// Ticks a second of the RTP clock.
    pub fn clock_rate_hz(&self) -> u32 {
        self.clock_rate_hz
    }

    /// The codec's name as people write it, which is known before [`Depacketiser::codec`] is.
    pub fn codec_name(&self) -> &'static str {
        match &self.format {
            Format::H264(_) => "H.264",
            Format::H265(_) => "H.265",
            Format::Vp8(_) => "VP8",
            Format::Vp9(_) => "VP9",
            Format::Av1(_) => "AV1",
            Format::Jpeg(_) => "JPEG",
            Format::Aac(_) => "AAC",
            Format::Sound(sound) => sound.codec().name(),
        }
    }

    /// What the access units are coded in. `None` for H.264 and H.265 whose parameter sets are
    /// not known yet, for VP8 and VP9 before the first key frame, for AV1 before the first
    /// sequence header and for JPEG before the first image: it comes as [`Output::Codec`].
    pub fn codec(&self) -> Option<Codec> {
        match &self.format {
            Format::H264(h264) => h264.codec(),
            Format::H265(h265) => h265.codec(),
            Format::Vp8(vp8) => vp8.codec(),
            Format::Vp9(vp9) => vp9.codec(),
            Format::Av1(av1) => av1.codec(),
            Format::Aac(aac) => Some(aac.codec()),
            Format::Jpeg(jpeg) => jpeg.codec(),
            Format::Sound(sound) => Some(sound.codec()),
        }
    }

    /// What came out so far.
    pub fn counts(&self) -> Counts {
        self.outbox.counts
    }

    /// Takes the next packet, which came at `arrival`. `lost_before`: packets between the last
    /// one pushed and this one are missing; of the first one, that it is known not to be the
    /// first that was sent.
    pub fn push(&mut self, arrival: Instant, packet: &Packet<'_>, lost_before: bool) {
        self.outbox.counts.packets += 1;
        let input = Input {
            arrival,
            rtp_ticks: self.times.unwrap(packet.header.time),
            marker: packet.header.marker,
            payload: packet.payload,
            lost_before,
            first: self.at_start,
        };
        self.at_start = false;
        match &mut self.format {
            Format::H264(h264) => h264.push(&input, &mut self.outbox),
            Format::H265(h265) => h265.push(&input, &mut self.outbox),
            Format::Vp8(vp8) => vp8.push(&input, &mut self.outbox),
            Format::Vp9(vp9) => vp9.push(&input, &mut self.outbox),
            Format::Av1(av1) => av1.push(&input, &mut self.outbox),
            Format::Aac(aac) => aac.push(&input, &mut self.outbox),
            Format::Jpeg(jpeg) => jpeg.push(&input, &mut self.outbox),
            Format::Sound(sound) => sound.push(&input, &mut self.outbox),
        }
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<Output> {
        self.outbox.queue.pop_front()
    }

    /// Ends the access unit in progress: the stream is over, or its sender begins anew. What is
    /// pushed afterwards is as the first.
    pub fn flush(&mut self) {
        match &mut self.format {
            Format::H264(h264) => h264.flush(&mut self.outbox),
            Format::H265(h265) => h265.flush(&mut self.outbox),
            Format::Vp8(vp8) => vp8.flush(&mut self.outbox),
            Format::Vp9(vp9) => vp9.flush(&mut self.outbox),
            Format::Av1(av1) => av1.flush(&mut self.outbox),
            Format::Aac(aac) => aac.flush(&mut self.outbox),
            Format::Jpeg(jpeg) => jpeg.flush(&mut self.outbox),
            Format::Sound(_) => {}
        }
        self.at_start = true;
    }
}

/// One packet as the payload formats see it.
struct Input<'a> {
    arrival: Instant,
    rtp_ticks: i64,
    marker: bool,
    payload: &'a [u8],
    lost_before: bool,
    /// It is the first of all.
    first: bool,
}

/// Outputs that wait to be polled, and the counts.
#[derive(Clone, Debug, Default)]
struct Outbox {
    queue: VecDeque<Output>,
    counts: Counts,
}

impl Outbox {
    fn access_unit(&mut self, access_unit: AccessUnit) {
        self.counts.access_units += 1;
        self.put(Output::AccessUnit(access_unit));
    }

    fn dropped(&mut self, rtp_ticks: i64, reason: DropReason) {
        let counts = &mut self.counts;
        *match reason {
            DropReason::Lost => &mut counts.dropped_lost,
            DropReason::Malformed => &mut counts.dropped_malformed,
            DropReason::TooLarge => &mut counts.dropped_too_large,
            DropReason::CutOff => &mut counts.dropped_cut_off,
            DropReason::Unpolled => &mut counts.dropped_unpolled,
        } += 1;
        self.put(Output::Dropped(Dropped { rtp_ticks, reason }));
    }

    fn put(&mut self, output: Output) {
        if self.queue.len() < OUTPUTS_MAX {
            self.queue.push_back(output);
        } else {
            self.counts.dropped_unpolled += 1;
        }
    }
}

#[cfg(test)]
mod tests;
