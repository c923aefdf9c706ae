//! Sessions: what SETUP, PLAY, PAUSE and TEARDOWN do to a viewer.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use weir_media::MediaTime;
use weir_proto::rtp::pack::clock_rate_hz;
use weir_proto::rtp::{RtpTime, SequenceNumber, Ssrc};
use weir_proto::rtsp::Status;
use weir_proto::rtsp::headers::{Lower, Npt, PortPair, Range, Transport};
use weir_proto::rtsp::server::{Chosen, Paused, Playing, Refusal, TrackInfo};
use weir_time::Instant;

use super::describe::payload_type;
use crate::hub::Stream;
use crate::server::Route;
use crate::shard::{Begun, From, Setup, Shard, Target, TrackSetup, Way};

/// One session of a control connection.
pub(super) struct Session {
    stream: Stream,
    name: Arc<str>,
    peer: SocketAddr,
    outlet: usize,
    user_agent: Option<String>,
    tracks: Vec<Option<TrackSetup>>,
    viewer: Option<usize>,
    /// From where to where in a movie the last PLAY goes.
    stretch: Option<(MediaTime, MediaTime)>,
}

impl Session {
    pub(super) fn new(
        stream: Stream,
        name: &str,
        peer: SocketAddr,
        outlet: usize,
        user_agent: Option<String>,
    ) -> Self {
        let tracks = vec![None; stream.tracks().len()];
        let (name, viewer, stretch) = (name.into(), None, None);
        Session { stream, name, peer, outlet, user_agent, tracks, viewer, stretch }
    }

    /// The name of its stream, as the client spells it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// SETUP of one track.
    pub(super) fn set_up(
        &mut self,
        shard: &Rc<Shard>,
        name: &str,
        track: Option<u8>,
        offered: Vec<Transport>,
    ) -> Result<Chosen, Refusal> {
        if *name != *self.name {
            let detail = format!("the session is one of {:?}", self.name);
            return Err(Refusal::new(Status::AGGREGATE_OPERATION_NOT_ALLOWED, detail));
        }
        if self.viewer.is_some() {
            let detail = "tracks are set up before the first PLAY";
            return Err(Refusal::new(Status::METHOD_NOT_VALID_IN_THIS_STATE, detail));
        }
        let number = match (track, self.tracks.len()) {
            (Some(track), _) => track,
            (None, 1) => 0,
            (None, _) => {
                return Err(Refusal::new(
                    Status::AGGREGATE_OPERATION_NOT_ALLOWED,
                    "each track is set up for itself",
                ));
            }
        };
        let Some(described) = self.stream.tracks().get(usize::from(number)) else {
            return Err(Refusal::new(Status::NOT_FOUND, format!("there is no track {number}")));
        };
        let clock_rate_hz = clock_rate_hz(&described.codec)
            .map_err(|error| Refusal::new(Status::UNSUPPORTED_MEDIA_TYPE, error.to_string()))?;
        let payload_type = payload_type(described);
        let (transport, rtp, rtcp) = self.choose(shard, number, offered)?;
        let random = shard.host.random_u64();
        let ssrc = self.free_ssrc(shard);
        let before = self.tracks[usize::from(number)].as_ref().map(|track| track.rtcp);
        if let Some(Target::Address(from)) = before {
            shard.context.remove_route(from, 0);
        }
        if let Target::Address(from) = rtcp {
            let mailbox = shard.mailbox.clone();
            shard.context.add_route(from, Route { mailbox, viewer: None, number: 0 });
        }
        self.tracks[usize::from(number)] = Some(TrackSetup {
            ssrc,
            payload_type,
            clock_rate_hz,
            // The lower half: a receiver that counts cycles is not put to the test at once.
            seq: SequenceNumber((random & 0x7fff) as u16),
            offset: RtpTime((random >> 32) as u32),
            rtp,
            rtcp,
        });
        Ok(Chosen { track: number, transport: Transport { ssrc: Some(ssrc.0), ..transport } })
    }

    /// The first transport offered that can be had, and where the track's packets go by it.
    fn choose(
        &self,
        shard: &Rc<Shard>,
        number: u8,
        offered: Vec<Transport>,
    ) -> Result<(Transport, Target, Target), Refusal> {
        let others = self.tracks.iter().enumerate();
        let others = others.filter(|(track, _)| *track != usize::from(number));
        let other = others.filter_map(|(_, track)| track.as_ref()).next();
        let ports = shard.context.rtp_ports;
        let server_port = Some(PortPair { rtp: ports.0, rtcp: Some(ports.1) });
        let mut detail = "this server has no UDP now; ask for RTP/AVP/TCP";
        for transport in offered {
            let targets = targets(&transport, self.peer);
            let Some((rtp, rtcp)) = targets else { continue };
            // All tracks go the same way: they share one cursor.
            let fits = other.is_none_or(|other| {
                matches!(other.rtp, Target::Channel(_)) == matches!(rtp, Target::Channel(_))
            });
            match (fits, rtp) {
                (false, _) => detail = "all tracks of a session go the same way, by UDP or by TCP",
                (true, Target::Address(_)) if !shard.has_udp() => {}
                (true, Target::Channel(_)) => return Ok((transport, rtp, rtcp)),
                (true, Target::Address(_)) => {
                    return Ok((Transport { server_port, ..transport }, rtp, rtcp));
                }
            }
        }
        Err(Refusal::new(Status::UNSUPPORTED_TRANSPORT, detail))
    }

    fn free_ssrc(&self, shard: &Rc<Shard>) -> Ssrc {
        loop {
            let ssrc = Ssrc(shard.host.random_u64() as u32);
            if self.tracks.iter().flatten().all(|track| track.ssrc != ssrc) {
                return ssrc;
            }
        }
    }

    /// PLAY.
    pub(super) fn play(
        &mut self,
        shard: &Rc<Shard>,
        range: Option<&Range>,
    ) -> Result<Playing, Refusal> {
        let (from, to) = self.range(shard, range)?;
        let viewer = match self.viewer {
            Some(viewer) => viewer,
            None => self.begin(shard),
        };
        let begun = shard.play(viewer, from, to);
        self.stretch = begun.from.zip(begun.to);
        Ok(playing(&begun))
    }

    /// From where to where a Range asks to play. Of a live stream there is only now, whatever is
    /// asked: players begin with `npt=0-` before they know what it is.
    fn range(
        &self,
        shard: &Rc<Shard>,
        range: Option<&Range>,
    ) -> Result<(From, Option<MediaTime>), Refusal> {
        let (start, end) = match range {
            None => return Ok((From::Here, None)),
            Some(Range::Npt { start, end }) => (*start, end.map(MediaTime::from)),
            Some(_) => {
                let detail = "ranges are in normal play time: npt=START-END";
                return Err(Refusal::new(Status::INVALID_RANGE, detail));
            }
        };
        let Stream::Movie(movie) = &self.stream else {
            return Ok((From::Now, None));
        };
        let length = movie.duration();
        match (start, end) {
            (Some(Npt::At(at)), end) if MediaTime::from(at) < length || at.is_zero() => {
                Ok((From::Place(at.into()), end))
            }
            (Some(Npt::At(at)), _) => {
                let length = length.as_secs_f64();
                let detail =
                    format!("the movie ends at {length:.3} s, before {:.3} s", at.as_secs_f64());
                Err(Refusal::new(Status::INVALID_RANGE, detail))
            }
            // For a movie that is where it stands, as without a start.
            (Some(Npt::Now) | None, Some(end)) => {
                let here = self.viewer.and_then(|viewer| shard.place(viewer));
                if here.unwrap_or(MediaTime::ZERO) >= end {
                    let detail = "the range ends before the place that playing has reached";
                    return Err(Refusal::new(Status::INVALID_RANGE, detail));
                }
                Ok((From::Here, Some(end)))
            }
            (Some(Npt::Now) | None, None) => Ok((From::Here, None)),
        }
    }

    fn begin(&mut self, shard: &Rc<Shard>) -> usize {
        let tracks = self.tracks.clone();
        let interleaved = tracks.iter().flatten().any(|t| matches!(t.rtp, Target::Channel(_)));
        let viewer = shard.add_viewer(Setup {
            stream: self.stream.clone(),
            name: Arc::clone(&self.name),
            peer: self.peer,
            way: if interleaved { Way::Tcp { outlet: self.outlet } } else { Way::Udp },
            user_agent: self.user_agent.take(),
            tracks,
        });
        self.viewer = Some(viewer);
        if let Some(number) = shard.viewer_number(viewer) {
            for from in self.rtcp_addresses() {
                let mailbox = shard.mailbox.clone();
                shard.context.add_route(from, Route { mailbox, viewer: Some(viewer), number });
            }
        }
        viewer
    }

    /// PAUSE, at once or at a place of the stretch that the last PLAY goes over (RFC 2326 section
    /// 10.6). A place that is passed already is where a PLAY without a Range goes on.
    pub(super) fn pause(&self, shard: &Rc<Shard>, at: Option<Duration>) -> Result<Paused, Refusal> {
        let refuse = |detail| Err(Refusal::new(Status::INVALID_RANGE, detail));
        let (range, later) = match (at.map(MediaTime::from), &self.stream) {
            (None, stream) => {
                let place = self.viewer.and_then(|viewer| shard.pause(viewer));
                (place.filter(|_| matches!(stream, Stream::Movie(_))), false)
            }
            (Some(_), Stream::Live(_)) => {
                return refuse("a live stream pauses at once: leave the Range out");
            }
            (Some(at), Stream::Movie(_)) => match (self.viewer, self.stretch) {
                (Some(viewer), Some((from, to))) if (from..=to).contains(&at) => {
                    (Some(at), shard.pause_at(viewer, at))
                }
                _ => return refuse("the place to pause at is not in the range that plays"),
            },
        };
        let range = range.map(|place| Range::from(place.to_duration()));
        Ok(Paused { range, later })
    }

    /// TEARDOWN of some tracks of several: they get a good-bye, and the others go on.
    pub(super) fn give_up(&mut self, shard: &Rc<Shard>, tracks: &[u8]) {
        let number = self.viewer.and_then(|viewer| shard.viewer_number(viewer)).unwrap_or(0);
        for number_of_track in tracks {
            if let Some(viewer) = self.viewer {
                shard.give_up_track(viewer, *number_of_track);
            }
            let track = self.tracks.get_mut(usize::from(*number_of_track)).and_then(Option::take);
            if let Some(TrackSetup { rtcp: Target::Address(from), .. }) = track {
                shard.context.remove_route(from, number);
            }
        }
    }

    /// The session is over.
    pub(super) fn end(self, shard: &Rc<Shard>, reason: &str) {
        let number = self.viewer.and_then(|viewer| shard.viewer_number(viewer)).unwrap_or(0);
        for from in self.rtcp_addresses() {
            shard.context.remove_route(from, number);
        }
        if let Some(viewer) = self.viewer {
            shard.remove_viewer(viewer, reason);
        }
    }

    /// A packet from the client on an interleaved channel.
    pub(super) fn interleaved(&self, shard: &Rc<Shard>, track: u8, channel: u8, data: &[u8]) {
        let track = self.tracks.get(usize::from(track)).and_then(Option::as_ref);
        if let (Some(viewer), Some(track)) = (self.viewer, track)
            && track.rtcp == Target::Channel(channel)
        {
            shard.rtcp_from_viewer(viewer, None, data, shard.host.now());
        }
    }

    /// When the client last sent RTCP.
    pub(super) fn alive(&self, shard: &Rc<Shard>) -> Option<Instant> {
        shard.alive(self.viewer?)
    }

    /// Whether any of its tracks goes by UDP.
    pub(super) fn is_by_udp(&self) -> bool {
        !self.rtcp_addresses().is_empty()
    }

    fn rtcp_addresses(&self) -> Vec<SocketAddr> {
        let targets = self.tracks.iter().flatten().map(|track| track.rtcp);
        targets
            .filter_map(|target| match target {
                Target::Address(address) => Some(address),
                Target::Channel(_) => None,
            })
            .collect()
    }
}

/// Where RTP and RTCP of a track go by a transport.
fn targets(transport: &Transport, peer: SocketAddr) -> Option<(Target, Target)> {
    match transport.lower {
        Lower::Tcp => {
            let channels = transport.interleaved?;
            Some((Target::Channel(channels.rtp), Target::Channel(channels.rtcp_channel()?)))
        }
        Lower::Udp => {
            let ports = transport.client_port?;
            // Its own address with another port: a link-local one keeps its scope.
            let to = |port| {
                let mut address = peer;
                address.set_port(port);
                Target::Address(address)
            };
            Some((to(ports.rtp), to(ports.rtcp_port()?)))
        }
        Lower::Other(_) => None,
    }
}

fn playing(begun: &Begun) -> Playing {
    let range = match begun.from {
        Some(from) => Range::Npt {
            start: Some(Npt::At(from.to_duration())),
            end: begun.to.map(MediaTime::to_duration),
        },
        None => Range::NOW,
    };
    let info = |(track, seq, time): &(u8, SequenceNumber, RtpTime)| TrackInfo {
        track: *track,
        seq: seq.0,
        rtptime: time.0,
    };
    Playing {
        range: Some(range),
        scale: None,
        speed: None,
        rtp_info: begun.tracks.iter().map(info).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV6;

    use super::*;

    #[test]
    fn media_to_a_link_local_address_keeps_its_scope() {
        let peer = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 40_000, 0, 3));
        let to = |port| {
            Target::Address(SocketAddr::V6(SocketAddrV6::new(
                "fe80::1".parse().unwrap(),
                port,
                0,
                3,
            )))
        };
        assert_eq!(targets(&Transport::udp(5000), peer), Some((to(5000), to(5001))));
    }
}
