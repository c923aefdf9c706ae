//! What the client does with the server's answers.

use std::net::IpAddr;
use std::time::Duration;

use weir_net::Host;
use weir_proto::rtsp::Status;
use weir_proto::rtsp::client::{self as machine, Cause, Failure, TransportRequest};
use weir_proto::rtsp::headers::{ChannelPair, Npt, PortPair, Range, RtpInfo, Transport as Header};
use weir_proto::rtsp::message::Method;
use weir_proto::rtsp::url::Url;
use weir_proto::sdp::SessionDescription;

use super::client::{Client, Stage, Track, Way, note_refusal};
use super::ports::Ports;
use super::{Error, Event, Lower, REDIRECTS_MAX, SILENCE_MAX, TrackStart, Transport, describe};

impl Client {
    /// Takes in what the machine says.
    pub(super) fn answered(&mut self, event: machine::Event) {
        use machine::Event as E;
        if let Some((method, round_trip)) = succeeded(&event) {
            let status = Status::OK.0;
            self.say(Event::Response { method, status, round_trip });
        }
        match event {
            E::Described { sdp, base, .. } => self.described(&sdp, &base),
            E::SetUp { url, transport, .. } => self.set_up(url, &transport),
            E::Playing { range, rtp_info, .. } => self.playing(range, &rtp_info),
            E::Paused { range, .. } => {
                let position = range.as_ref().and_then(start_of);
                self.say(Event::Paused { position });
            }
            E::TornDown { .. } => self.torn_down(),
            E::Redirected { method, status, location, round_trip } => {
                let status = status.0;
                self.say(Event::Response { method, status, round_trip });
                self.redirected(&location);
            }
            E::Failed(failure) => self.request_failed(failure),
            E::Asked { method, url, status } => {
                tracing::debug!("the server asked {method} {url} and was answered {status}");
            }
            E::Skipped { offset, bytes } => self.say(Event::Warning(format!(
                "{bytes} bytes from byte {offset} of the connection belong to no message and were \
                 passed over"
            ))),
            E::Unreadable(source) => {
                let Some(control) = &self.control else { return };
                let (local, peer) = (control.local, control.peer);
                self.fail(Error::Unreadable { local, peer, source });
            }
            // Signs of life; and what this client does not ask.
            _ => {}
        }
    }

    /// The connection is over.
    pub(super) fn closed(&mut self) {
        let Some(control) = self.control.take() else {
            return;
        };
        let (local, peer, error) = (control.local, control.peer, control.error);
        match self.stage {
            Stage::Preparing => self.fail(Error::Closed { local, peer, error }),
            Stage::Ending => self.torn_down(),
            _ => {
                self.stage = Stage::Over;
                self.say(Event::Closed { error });
            }
        }
    }

    fn torn_down(&mut self) {
        if self.stage == Stage::Ending {
            self.stage = Stage::Over;
            self.say(Event::TornDown);
        }
    }

    fn described(&mut self, sdp: &str, base: &str) {
        let Some(peer) = self.control.as_ref().map(|control| control.peer) else {
            return;
        };
        let description = match SessionDescription::parse(sdp) {
            Ok(description) => description,
            Err(source) => return self.fail(Error::Description { peer, source }),
        };
        self.check_description(&description, base);
        let tracks = describe::tracks(&description);
        self.described = describe::range(&description);
        let wanted = tracks.iter().filter(|track| describe::is_wanted(track, &self.settings));
        self.wanted = wanted.cloned().collect();
        if self.wanted.is_empty() {
            let tracks = describe::why_none(&tracks);
            return self.fail(Error::NoTrack { peer, tracks });
        }
        for track in &tracks {
            if let Err(why) = &track.depacketiser {
                let text = format!("track {} ({}) is left out: {why}", track.track, track.encoding);
                self.say(Event::Warning(text));
            }
        }
        self.say(Event::Described { tracks });
        self.tracks.clear();
        self.set_up_next();
    }

    /// Asks for the next track, or for all to be played.
    fn set_up_next(&mut self) {
        let now = self.host.now();
        let index = self.tracks.len();
        let Some(control) = &mut self.control else {
            return;
        };
        let Some(track) = self.wanted.get(index) else {
            let range = self.settings.from.map(Range::from);
            note_refusal(control.machine.play(now, range));
            return;
        };
        let (way, request) = match way(&self.host, self.lower, index, control, &self.settings) {
            Ok(made) => made,
            Err(source) => {
                return self.fail(Error::Ports { source: source.into() });
            }
        };
        note_refusal(control.machine.setup(now, &track.control, request));
        let (number, url) = (track.track, String::new());
        self.tracks.push(Track { number, way, url, ssrc: None });
    }

    fn set_up(&mut self, url: String, transport: &Header) {
        self.check_transport(transport);
        let report = self.receiver_report(None, false);
        let own_ssrc = self.own_ssrc();
        let Some(track) = self.tracks.last_mut() else {
            return;
        };
        track.url = url;
        track.ssrc = transport.ssrc;
        match &mut track.way {
            Way::Tcp { rtp, rtcp } => {
                if let Some(pair) = transport.interleaved {
                    (*rtp, *rtcp) = (pair.rtp, pair.rtcp_channel().unwrap_or(pair.rtp));
                }
            }
            Way::Udp { ports, rtcp, from } => {
                let source = transport.source.as_deref().and_then(|text| text.parse().ok());
                if let Some(source) = source.filter(|ip: &IpAddr| !ip.is_unspecified()) {
                    *from = source;
                }
                if let Some(pair) = transport.server_port
                    && let Some(rtcp_port) = pair.rtcp_port()
                {
                    *rtcp = Some((*from, rtcp_port).into());
                    ports.open_way(
                        (*from, pair.rtp).into(),
                        (*from, rtcp_port).into(),
                        &report,
                        own_ssrc,
                    );
                }
            }
        }
        self.set_up_next();
    }

    fn playing(&mut self, range: Option<Range>, rtp_info: &[RtpInfo]) {
        let now = self.host.now();
        if self.stage == Stage::Preparing {
            self.stage = Stage::Playing;
            self.report = Some(now + self.report_interval() / 2);
            let watch = self.settings.transport == Transport::Auto && self.lower == Lower::Udp;
            self.silence = watch.then(|| now + SILENCE_MAX);
        }
        self.check_rtp_info(rtp_info);
        let from = range.as_ref().and_then(start_of);
        let said_end = range.as_ref().or(self.described.as_ref()).and_then(end_of);
        let tracks = self.tracks.iter().enumerate().map(|(index, track)| {
            let info = info_of(rtp_info, track, index, self.tracks.len());
            TrackStart {
                track: track.number,
                ssrc: track.ssrc,
                first_seq: info.and_then(|info| info.seq),
                rtp_timestamp: info.and_then(|info| info.rtptime),
            }
        });
        let tracks = tracks.collect();
        self.say(Event::Playing { lower: self.lower, from, to: said_end, tracks });
    }

    fn redirected(&mut self, location: &str) {
        self.redirects += 1;
        if self.redirects > REDIRECTS_MAX {
            return self.fail(Error::Redirects { url: location.to_owned() });
        }
        match Url::parse(location) {
            Ok(url) if url.secure => self.fail(Error::Secure { url: location.to_owned() }),
            Ok(url) => {
                // Credentials are for the server that the user named.
                self.url = url;
                self.forget();
            }
            Err(source) => self.fail(Error::Url { url: location.to_owned(), source }),
        }
    }

    fn request_failed(&mut self, failure: Failure) {
        let now = self.host.now();
        let Some(control) = &self.control else { return };
        let (local, peer) = (control.local, control.peer);
        let round_trip = now.since(control.sent_at);
        if let Cause::Status { status, .. } = &failure.cause {
            let method = failure.method.clone();
            self.say(Event::Response { method, status: status.0, round_trip });
        }
        let refused_udp = failure.method == Method::Setup
            && self.lower == Lower::Udp
            && self.settings.transport == Transport::Auto
            && matches!(failure.cause, Cause::Status { status: Status::UNSUPPORTED_TRANSPORT, .. });
        match self.stage {
            _ if failure.cause == Cause::ConnectionLost => {}
            Stage::Preparing if refused_udp => {
                self.fall_back("the server refuses UDP (461 Unsupported Transport)");
            }
            Stage::Preparing => {
                let failure = Box::new(failure);
                let error = match self.past_the_end(&failure) {
                    Some((asked, lasts)) => {
                        Error::OutOfRange { local, peer, failure, asked, lasts }
                    }
                    None => Error::Request { local, peer, failure },
                };
                self.fail(error);
            }
            Stage::Ending if failure.method == Method::Teardown => self.torn_down(),
            // The server goes on with what it did before (RFC 2326 section 11.3.8).
            Stage::Playing if is_status(&failure, Status::INVALID_RANGE) => {
                let ends = self.described.as_ref().and_then(end_of);
                let hint = ends.map_or_else(String::new, |end| {
                    format!(": the stream lasts {} s", end.as_secs_f64())
                });
                self.say(Event::Warning(format!("{failure}{hint}")));
            }
            // Without another place to play from there is nothing to go on with.
            Stage::Playing if failure.method == Method::Play => {
                self.fail(Error::Request { local, peer, failure: failure.into() });
            }
            _ => self.say(Event::Warning(failure.to_string())),
        }
    }

    /// The place asked for and the stream's end, where a PLAY failed because of them.
    fn past_the_end(&self, failure: &Failure) -> Option<(Duration, Duration)> {
        let asked = self.settings.from.filter(|_| failure.method == Method::Play)?;
        let ends = self.described.as_ref().and_then(end_of)?;
        let refused = matches!(failure.cause, Cause::Status { .. });
        (refused && asked >= ends).then_some((asked, ends))
    }

    /// Starts again, with media interleaved.
    pub(super) fn fall_back(&mut self, why: &str) {
        self.say(Event::FallingBack { why: why.to_owned() });
        self.lower = Lower::Tcp;
        self.forget();
    }

    /// Leaves the connection, and its session if there is one, and starts again.
    fn forget(&mut self) {
        let now = self.host.now();
        if let Some(mut control) = self.control.take()
            && control.machine.session().is_some()
        {
            // Sent as far as the system takes it now; else the session times out.
            note_refusal(control.machine.teardown(now));
            while control.poll(now).is_none() {}
            control.flush(now);
        }
        self.tracks.clear();
        (self.silence, self.report) = (None, None);
        self.stage = Stage::Start;
    }
}

fn is_status(failure: &Failure, wanted: Status) -> bool {
    matches!(&failure.cause, Cause::Status { status, .. } if *status == wanted)
}

/// The request that a good answer belongs to, and how long it took.
fn succeeded(event: &machine::Event) -> Option<(Method, Duration)> {
    use machine::Event as E;
    match event {
        E::Described { round_trip, .. } => Some((Method::Describe, *round_trip)),
        E::SetUp { round_trip, .. } => Some((Method::Setup, *round_trip)),
        E::Playing { round_trip, .. } => Some((Method::Play, *round_trip)),
        E::Paused { round_trip, .. } => Some((Method::Pause, *round_trip)),
        E::TornDown { round_trip } => Some((Method::Teardown, *round_trip)),
        _ => None,
    }
}

/// Ports or channels for the track that is set up as the `index`-th.
fn way(
    host: &Host,
    lower: Lower,
    index: usize,
    control: &super::control::Control,
    settings: &super::Settings,
) -> std::io::Result<(Way, TransportRequest)> {
    match lower {
        Lower::Udp => {
            let ports = Ports::bind(host, control.local.ip(), settings.receive_buffer_bytes)?;
            let client_port = PortPair {
                rtp: ports.rtp.local_address().port(),
                rtcp: Some(ports.rtcp.local_address().port()),
            };
            let way = Way::Udp { ports: ports.into(), rtcp: None, from: control.peer.ip() };
            Ok((way, TransportRequest::Udp { client_port }))
        }
        Lower::Tcp => {
            // A description has at most 64 tracks.
            let rtp = u8::try_from(2 * index).unwrap_or(0);
            let channels = ChannelPair { rtp, rtcp: Some(rtp + 1) };
            Ok((Way::Tcp { rtp, rtcp: rtp + 1 }, TransportRequest::Tcp { channels }))
        }
    }
}

/// The entry of RTP-Info about a track: by its address, or by the address's end, or by its place
/// where there is one for each track.
fn info_of<'a>(
    list: &'a [RtpInfo],
    track: &Track,
    index: usize,
    track_count: usize,
) -> Option<&'a RtpInfo> {
    let last = |url: &str| url.rsplit('/').next().unwrap_or_default().to_owned();
    list.iter()
        .find(|info| info.url == track.url)
        .or_else(|| list.iter().find(|info| last(&info.url) == last(&track.url)))
        .or_else(|| list.get(index).filter(|_| list.len() == track_count))
}

fn start_of(range: &Range) -> Option<Duration> {
    match range {
        Range::Npt { start: Some(Npt::At(at)), .. } => Some(*at),
        _ => None,
    }
}

fn end_of(range: &Range) -> Option<Duration> {
    match range {
        Range::Npt { end, .. } => *end,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(url: &str, seq: u16) -> RtpInfo {
        RtpInfo { url: url.to_owned(), seq: Some(seq), rtptime: None }
    }

    fn seq(list: &[RtpInfo], index: usize) -> Option<u16> {
        let track = Track {
            number: 0,
            way: Way::Tcp { rtp: 0, rtcp: 1 },
            url: format!("rtsp://h/movie/trackID={index}"),
            ssrc: None,
        };
        info_of(list, &track, index, 2).and_then(|info| info.seq)
    }

    #[test]
    fn rtp_info_is_found_by_address_in_any_order() {
        let list = [info("rtsp://h/movie/trackID=1", 1), info("rtsp://h/movie/trackID=0", 7)];
        assert_eq!((seq(&list, 0), seq(&list, 1)), (Some(7), Some(1)));
    }

    #[test]
    fn rtp_info_of_another_host_name_is_found_by_the_end_of_its_address() {
        let list = [info("rtsp://10.0.0.1:554/movie/trackID=1", 3)];
        assert_eq!((seq(&list, 0), seq(&list, 1)), (None, Some(3)));
    }

    #[test]
    fn rtp_info_with_strange_addresses_is_taken_by_place_if_there_is_one_for_each_track() {
        let list = [info("a", 5), info("b", 6)];
        assert_eq!((seq(&list, 0), seq(&list, 1)), (Some(5), Some(6)));
        assert_eq!(seq(&list[..1], 0), None);
    }
}
