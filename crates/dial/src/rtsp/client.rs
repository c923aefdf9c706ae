//! The client: commands, the wait, and the order of its steps.

use std::collections::{BTreeSet, VecDeque};
use std::future::pending;
use std::mem::Discriminant;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use weir_net::{DatagramBuffer, Either, Host, select};
use weir_proto::rtcp::{self, Goodbye, Packet, ReceiverReport, ReportBlock, SourceDescription};
use weir_proto::rtp::Ssrc;
use weir_proto::rtsp::client::{self as machine, Config, Credentials, Input, Oddity, Output};
use weir_proto::rtsp::headers::Range;
use weir_proto::rtsp::url::Url;
use weir_time::Instant;

use super::control::Control;
use super::ports::{Came, Ports, receive_any};
use super::{
    Error, Event, Happened, Lower, REPORT_INTERVAL, Settings, TrackDescription, Transport,
};

/// Drives one stream. See the module's text.
pub struct Client {
    pub(super) host: Host,
    pub(super) settings: Settings,
    pub(super) url: Url,
    pub(super) lower: Lower,
    pub(super) stage: Stage,
    pub(super) control: Option<Control>,
    /// The tracks to set up.
    pub(super) wanted: Vec<TrackDescription>,
    /// The stretch that the description says the stream has.
    pub(super) described: Option<Range>,
    /// The tracks that are set up, or being set up.
    pub(super) tracks: Vec<Track>,
    pub(super) redirects: usize,
    /// The timer `silence`: when media by UDP is given up if none has come.
    pub(super) silence: Option<Instant>,
    /// The timer `report`.
    pub(super) report: Option<Instant>,
    config: Config,
    ssrc: Ssrc,
    cname: String,
    buffer: DatagramBuffer,
    /// The port to read next.
    turn: usize,
    happened: VecDeque<Happened>,
    foreign_datagrams: u64,
    reports_dropped: u64,
    udp_error_said: bool,
    /// The oddities that were told.
    said: BTreeSet<String>,
    pub(super) odd_responses: Vec<Discriminant<Oddity>>,
}

/// How far the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To connect next.
    Start,
    /// Up to the answer to the first PLAY.
    Preparing,
    Playing,
    /// TEARDOWN was sent.
    Ending,
    /// Nothing more is asked or answered; packets by UDP may still come.
    Over,
    Failed,
}

/// A track that is set up.
pub(super) struct Track {
    pub(super) number: u8,
    pub(super) way: Way,
    /// Its address, as SETUP sent it.
    pub(super) url: String,
    pub(super) ssrc: Option<u32>,
}

/// How a track's packets come.
pub(super) enum Way {
    Udp {
        ports: Box<Ports>,
        /// Where the server takes receiver reports.
        rtcp: Option<SocketAddr>,
        /// Who sends.
        from: IpAddr,
    },
    Tcp {
        rtp: u8,
        rtcp: u8,
    },
}

/// How long to wait after the system failed to receive, so that a lasting failure is no busy loop.
const RECEIVE_RETRY: Duration = Duration::from_millis(10);
/// How many different oddities of a server are told.
const ODDITIES_MAX: usize = 32;

impl Client {
    /// A client for the stream that the settings name. It connects once [`Client::next`] is
    /// called.
    ///
    /// # Errors
    /// When the address cannot be read, or asks for TLS.
    pub fn new(host: &Host, settings: Settings) -> Result<Self, Error> {
        let url = Url::parse(&settings.url)
            .map_err(|source| Error::Url { url: hide_password(&settings.url), source })?;
        if url.secure {
            return Err(Error::Secure { url: url.without_userinfo().to_string() });
        }
        let random = host.random_u64();
        Ok(Client {
            config: Config {
                credentials: url.userinfo.as_deref().map(credentials),
                request_timeout: settings.request_timeout,
                ..Config::default()
            },
            lower: match settings.transport {
                Transport::Tcp => Lower::Tcp,
                Transport::Udp | Transport::Auto => Lower::Udp,
            },
            host: host.clone(),
            settings,
            url,
            stage: Stage::Start,
            control: None,
            wanted: Vec::new(),
            described: None,
            tracks: Vec::new(),
            redirects: 0,
            silence: None,
            report: None,
            ssrc: Ssrc((random >> 32) as u32),
            cname: format!("{:016x}", host.random_u64()),
            buffer: DatagramBuffer::new(),
            turn: 0,
            happened: VecDeque::new(),
            foreign_datagrams: 0,
            reports_dropped: 0,
            udp_error_said: false,
            said: BTreeSet::new(),
            odd_responses: Vec::new(),
        })
    }

    /// What happens next; `None` once `until` has come. After [`Event::Failed`] only `None`.
    ///
    /// Dropping the future loses nothing, except while a connection is being made.
    pub async fn next(&mut self, until: Option<Instant>) -> Option<Happened> {
        loop {
            if let Some(happened) = self.happened.pop_front() {
                return Some(happened);
            }
            match self.stage {
                Stage::Failed => return None,
                Stage::Start => {
                    // Boxed: it is seldom, and large in what is awaited for every packet.
                    Box::pin(self.start()).await;
                    continue;
                }
                _ => {}
            }
            self.drive();
            self.expire();
            if !self.happened.is_empty() || self.stage == Stage::Start {
                continue;
            }
            if until.is_some_and(|until| until <= self.host.now()) {
                return None;
            }
            self.wait(until).await;
        }
    }

    /// Plays from another place of the movie, or from where a pause was made. The answer is
    /// [`Event::Playing`].
    pub fn play(&mut self, from: Option<Duration>) {
        let now = self.host.now();
        if let Some(control) = &mut self.control {
            let range = from.map(Range::from);
            note_refusal(control.machine.play(now, range));
        }
    }

    /// Pauses. The answer is [`Event::Paused`].
    pub fn pause(&mut self) {
        let now = self.host.now();
        self.silence = None;
        if let Some(control) = &mut self.control {
            note_refusal(control.machine.pause(now));
        }
    }

    /// Ends the session. The answer is [`Event::TornDown`], also where the server gives none.
    pub fn teardown(&mut self) {
        let now = self.host.now();
        (self.silence, self.report) = (None, None);
        match &mut self.control {
            Some(control) if matches!(self.stage, Stage::Preparing | Stage::Playing) => {
                self.stage = Stage::Ending;
                note_refusal(control.machine.teardown(now));
            }
            _ => {
                self.stage = Stage::Over;
                self.say(Event::TornDown);
            }
        }
    }

    /// Sends a receiver report about a track (RFC 3550 section 6.4.2), with a good-bye if it is
    /// the last one.
    pub fn report(&mut self, track: u8, block: Option<ReportBlock>, last: bool) {
        let report = self.receiver_report(block, last);
        let Some(track) = self.tracks.iter().find(|other| other.number == track) else {
            return;
        };
        let sent = match (&track.way, &mut self.control) {
            (Way::Udp { ports, rtcp: Some(to), .. }, _) => {
                ports.rtcp.try_send(&report, *to).is_ok()
            }
            (Way::Tcp { rtcp, .. }, Some(control)) => control.send_interleaved(*rtcp, &report),
            _ => false,
        };
        self.reports_dropped += u64::from(!sent);
    }

    /// How media travels, or is to.
    pub fn lower(&self) -> Lower {
        self.lower
    }

    /// Datagrams that came from others than the server and were dropped.
    pub fn foreign_datagrams(&self) -> u64 {
        self.foreign_datagrams
    }

    /// Receiver reports that could not be sent.
    pub fn reports_dropped(&self) -> u64 {
        self.reports_dropped
    }

    pub(super) fn receiver_report(&self, block: Option<ReportBlock>, last: bool) -> Bytes {
        let mut packets = vec![
            Packet::ReceiverReport(ReceiverReport {
                ssrc: self.ssrc,
                reports: block.into_iter().collect(),
            }),
            Packet::SourceDescription(SourceDescription::cname(self.ssrc, self.cname.as_str())),
        ];
        if last {
            packets.push(Packet::Goodbye(Goodbye { sources: vec![self.ssrc], reason: None }));
        }
        let mut out = BytesMut::new();
        rtcp::compound(&packets, &mut out)
            .expect("a report with at most one block and a short name");
        out.freeze()
    }

    pub(super) fn own_ssrc(&self) -> u32 {
        self.ssrc.0
    }

    pub(super) fn say(&mut self, event: Event) {
        self.say_at(self.host.now(), event);
    }

    /// Tells of something that the server does wrong and this client lives with, once.
    pub(super) fn say_odd(&mut self, text: String) {
        if self.said.len() < ODDITIES_MAX && self.said.insert(text.clone()) {
            self.say(Event::Warning(text));
        }
    }

    fn say_at(&mut self, at: Instant, event: Event) {
        self.happened.push_back(Happened { at, event });
    }

    pub(super) fn fail(&mut self, error: Error) {
        self.stage = Stage::Failed;
        self.control = None;
        self.say(Event::Failed(error));
    }

    /// Connects and asks for the description.
    async fn start(&mut self) {
        let url = self.url.without_userinfo().to_string();
        self.say(Event::Connecting { url, lower: self.lower });
        let opened = Control::open(&self.host, &self.settings, &self.url, self.config.clone());
        match opened.await {
            Ok(mut control) => {
                self.say(Event::Connected { peer: control.peer });
                let now = self.host.now();
                note_refusal(control.machine.describe(now));
                self.control = Some(control);
                self.stage = Stage::Preparing;
            }
            Err(error) => self.fail(error),
        }
    }

    /// Takes from the machine until it has said one thing or has no more.
    fn drive(&mut self) {
        while self.happened.is_empty() {
            let now = self.host.now();
            let Some(control) = &mut self.control else {
                return;
            };
            let polled = control.poll(now);
            if let Some((method, oddity)) = control.machine.take_oddity() {
                self.say_odd_response(&method, &oddity);
            }
            let Some(control) = &mut self.control else {
                return;
            };
            match polled {
                None => {}
                Some(Output::Interleaved { channel, data }) => {
                    let at = control.read_at;
                    self.interleaved(at, channel, data);
                }
                Some(Output::Event(event)) => self.answered(event),
                Some(Output::Close) => return self.closed(),
                Some(Output::Timeout(at)) => {
                    control.due = at;
                    return control.flush(now);
                }
                Some(Output::Send(_)) => unreachable!("the control connection sends by itself"),
            }
        }
    }

    fn interleaved(&mut self, at: Instant, channel: u8, data: Bytes) {
        let track = self.tracks.iter().find_map(|track| match track.way {
            Way::Tcp { rtp, .. } if rtp == channel => Some((track.number, false)),
            Way::Tcp { rtcp, .. } if rtcp == channel => Some((track.number, true)),
            _ => None,
        });
        if let Some((track, is_rtcp)) = track {
            self.came(at, track, is_rtcp, data, None);
        }
    }

    fn came(&mut self, at: Instant, track: u8, is_rtcp: bool, data: Bytes, ip_bytes: Option<u32>) {
        let event = media(track, is_rtcp, data, ip_bytes);
        if matches!(event, Event::Rtp { .. }) {
            self.silence = None;
        }
        self.say_at(at, event);
    }

    /// Lets the timers act that are due.
    fn expire(&mut self) {
        let now = self.host.now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if let Some(control) = &mut self.control
            && due(control.due)
        {
            control.due = None;
            control.machine.handle(now, Input::Timer);
            self.drive();
        }
        if due(self.report) {
            self.report = Some(now + self.report_interval());
            self.say(Event::ReportDue);
        }
        if due(self.silence) {
            self.fall_back(
                "no packet came by UDP: a firewall or address translator may be in between",
            );
        }
    }

    /// Drawn from half to one and a half of the mean.
    pub(super) fn report_interval(&self) -> Duration {
        let mean = REPORT_INTERVAL.as_nanos() as u64;
        Duration::from_nanos(mean / 2 + self.host.random_u64() % mean)
    }

    /// Waits for something to come or for a timer.
    async fn wait(&mut self, until: Option<Instant>) {
        let control_due = self.control.as_ref().and_then(|control| control.due);
        let timers = [until, control_due, self.report, self.silence];
        let timer = timers.into_iter().flatten().min();
        let woken = {
            let Client { host, control, tracks, turn, buffer, .. } = self;
            // Pinned here, they are not moved into what waits for them.
            let reading = pin!(async {
                match control {
                    Some(control) => control.wait(host).await,
                    None => pending().await,
                }
            });
            let pairs = |pair: usize| match tracks.get(pair) {
                Some(Track { way: Way::Udp { ports, .. }, .. }) => Some(&**ports),
                _ => None,
            };
            let receiving = pin!(receive_any(pairs, tracks.len(), turn, buffer));
            let sleeping = pin!(async {
                match timer {
                    Some(at) => host.sleep_until(at).await,
                    None => pending().await,
                }
            });
            let others = pin!(select(receiving, sleeping));
            select(reading, others).await
        };
        match woken {
            Either::Second(Either::First((came, Ok(())))) => self.received(came),
            Either::Second(Either::First((_, Err(error)))) => {
                if !std::mem::replace(&mut self.udp_error_said, true) {
                    self.say(Event::Warning(format!("cannot receive by UDP: {error}")));
                }
                self.host.sleep(RECEIVE_RETRY).await;
            }
            Either::First(()) | Either::Second(Either::Second(())) => {}
        }
    }

    /// Takes in the datagrams of one arrival.
    fn received(&mut self, came: Came) {
        let Client { tracks, buffer, happened, silence, foreign_datagrams, .. } = self;
        let Some(Track { number, way: Way::Udp { from, .. }, .. }) = tracks.get(came.pair) else {
            return;
        };
        let sender = from.to_canonical();
        let headers = if sender.is_ipv4() { UDP_IPV4_BYTES } else { UDP_IPV6_BYTES };
        for datagram in buffer.datagrams() {
            if datagram.from.ip().to_canonical() != sender {
                *foreign_datagrams += 1;
                continue;
            }
            let ip_bytes = u32::try_from(datagram.data.len() + headers).ok();
            let data = Bytes::copy_from_slice(datagram.data);
            let event = media(*number, came.is_rtcp, data, ip_bytes);
            if matches!(event, Event::Rtp { .. }) {
                *silence = None;
            }
            let at = datagram.at;
            happened.push_back(Happened { at, event });
        }
    }
}

/// What a packet is: a port for RTP may carry both (RFC 5761).
fn media(track: u8, is_rtcp: bool, data: Bytes, ip_bytes: Option<u32>) -> Event {
    if is_rtcp || rtcp::is_rtcp(&data) {
        Event::Rtcp { track, data }
    } else {
        Event::Rtp { track, data, ip_bytes }
    }
}

/// The machine refuses commands of an ended connection only, whose end is told elsewhere, or when
/// many wait for a server that does not answer, which then times out.
pub(super) fn note_refusal(command: Result<(), machine::Error>) {
    if let Err(error) = command {
        tracing::debug!("a command was not taken: {error}");
    }
}

/// The headers of UDP and IP.
const UDP_IPV4_BYTES: usize = 28;
const UDP_IPV6_BYTES: usize = 48;

/// A name and a password as they stand in an address.
fn credentials(userinfo: &str) -> Credentials {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    Credentials { user: decoded(user), password: decoded(password) }
}

/// Percent-decoded; what is no such code stands for itself.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let digit = |at: usize| char::from(*behind.get(at)?).to_digit(16);
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An address that cannot be read may still hold a password.
fn hide_password(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, behind)) => format!("...@{behind}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_percent_decoded() {
        let both = credentials("a%40b:p%3aw%");
        assert_eq!((both.user.as_str(), both.password.as_str()), ("a@b", "p:w%"));
        assert_eq!(credentials("alone").password, "");
    }
}
