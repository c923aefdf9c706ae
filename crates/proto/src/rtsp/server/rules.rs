//! Which request is valid when (RFC 2326 sections 10 and 11, appendix A.2).

use core::net::IpAddr;
use core::time::Duration;

use super::connection::Connection;
use super::session::{SESSIONS_MAX, Session};
use super::{Client, Event, Refusal, SessionId, Token, parameter};
use crate::rtsp::Status;
use crate::rtsp::headers::{self, Lower, Mode, Npt, Range, Transport};
use crate::rtsp::message::{Fields, Method, Request, Version};
use crate::rtsp::url::ControlPath;

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It succeeds at once, with these fields in its response.
    Done(Fields),
    /// It is refused.
    Refuse(Refusal),
    /// The driver is asked.
    Ask(Question, Event),
}

/// What the answer to a pending question needs to know of it.
#[derive(Debug)]
pub(super) enum Question {
    Describe { uri: String },
    Setup { session: SessionId, uri: String, stream: String, offered: Vec<Transport> },
    Play { session: SessionId, tracks: Vec<u8> },
    Pause { session: SessionId, tracks: Vec<u8> },
    Teardown { session: SessionId, tracks: Vec<u8> },
}

/// Judges a request, and names the session that it belongs to.
pub(super) fn judge(
    request: &Request,
    connection: &Connection,
    token: Token,
) -> (Verdict, Option<SessionId>) {
    let found = find_session(request, connection);
    let named = found.as_ref().ok().copied().flatten();
    let session = match check(request).and(found) {
        Ok(session) => session,
        Err(refusal) => return (Verdict::Refuse(refusal), named.map(|session| session.id)),
    };
    let case = Case { request, connection, session, token };
    let verdict = case.judge().unwrap_or_else(Verdict::Refuse);
    (verdict, session.map(|session| session.id))
}

/// The methods that are carried out: the value of Public and Allow.
const METHODS: &str =
    "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER";

/// What holds for every method.
fn check(request: &Request) -> Result<(), Refusal> {
    let cseq = request.fields.get("CSeq");
    let Some(cseq) = cseq else {
        return refuse(Status::BAD_REQUEST, "the header CSeq is missing");
    };
    headers::parse_cseq(cseq).map_err(|error| bad(Status::BAD_REQUEST, &error))?;
    if request.version != Version::V1_0 {
        let Version { major, minor } = request.version;
        let detail = format!("expected RTSP/1.0, got RTSP/{major}.{minor}");
        return refuse(Status::VERSION_NOT_SUPPORTED, detail);
    }
    // RFC 2326 section 12.32: no option is known here.
    let required = request.fields.all("Require").chain(request.fields.all("Proxy-Require"));
    let required: Vec<&str> = required.flat_map(headers::list).collect();
    if !required.is_empty() {
        let tags = required.join(", ");
        let detail = format!("the option {tags} is not known");
        let mut refusal = Refusal::new(Status::OPTION_NOT_SUPPORTED, detail);
        refusal.fields.push(("Unsupported".into(), tags));
        return Err(refusal);
    }
    Ok(())
}

fn find_session<'a>(
    request: &Request,
    connection: &'a Connection,
) -> Result<Option<&'a Session>, Refusal> {
    let Some(value) = request.fields.get("Session") else {
        return Ok(None);
    };
    let named = headers::Session::parse(value).ok();
    let session = named.and_then(|named| connection.sessions.named(&named.id));
    match session {
        Some(session) => Ok(Some(session)),
        None => {
            let detail = "this connection has no session of that name";
            refuse(Status::SESSION_NOT_FOUND, detail)
        }
    }
}

/// One request and what it is judged by.
struct Case<'a> {
    request: &'a Request,
    connection: &'a Connection,
    session: Option<&'a Session>,
    token: Token,
}

impl Case<'_> {
    fn judge(&self) -> Result<Verdict, Refusal> {
        match &self.request.method {
            Method::Options => {
                let mut fields = Fields::default();
                fields.push("Public", METHODS);
                Ok(Verdict::Done(fields))
            }
            Method::Describe => self.describe(),
            Method::Setup => self.setup(),
            Method::Play => self.play(),
            Method::Pause => self.pause(),
            Method::Teardown => self.teardown(),
            Method::GetParameter | Method::SetParameter => self.parameter(),
            Method::Announce | Method::Record | Method::Redirect => {
                let detail = format!("{} is not served here", self.request.method);
                Err(with_allow(Refusal::new(Status::METHOD_NOT_ALLOWED, detail)))
            }
            Method::Other(token) => {
                let token: String = token.chars().take(40).collect();
                let detail = format!("the method {token} is not known");
                Err(with_allow(Refusal::new(Status::NOT_IMPLEMENTED, detail)))
            }
        }
    }

    fn describe(&self) -> Result<Verdict, Refusal> {
        let mut accepted = self.request.fields.all("Accept").flat_map(headers::list).peekable();
        if accepted.peek().is_some() && !accepted.any(is_sdp) {
            return refuse(Status::NOT_ACCEPTABLE, "only application/sdp is there");
        }
        let event =
            Event::Describe { token: self.token, control: self.control()?, client: self.client() };
        let uri = self.request.uri.clone();
        Ok(Verdict::Ask(Question::Describe { uri }, event))
    }

    fn setup(&self) -> Result<Verdict, Refusal> {
        let sessions = &self.connection.sessions;
        let control = self.control()?;
        if let Some(session) = self.session {
            self.check_setup_within(session, &control)?;
        } else if sessions.is_full() {
            let detail = format!("a connection may hold {SESSIONS_MAX} sessions");
            return refuse(Status::SERVICE_UNAVAILABLE, detail);
        }
        let id = self.session.map_or_else(|| sessions.next_id(), |session| session.id);
        let offered = self.offered(id, &control)?;
        let question = Question::Setup {
            session: id,
            uri: self.request.uri.clone(),
            stream: control.stream.clone(),
            offered: offered.clone(),
        };
        let event = Event::Setup {
            token: self.token,
            session: id,
            first: self.session.is_none(),
            control,
            offered,
            client: self.client(),
        };
        Ok(Verdict::Ask(question, event))
    }

    /// RFC 2326 section 10.4.
    fn check_setup_within(&self, session: &Session, control: &ControlPath) -> Result<(), Refusal> {
        if session.stream != control.stream {
            let detail = "the session belongs to another stream; leave the Session header out";
            return refuse(Status::AGGREGATE_OPERATION_NOT_ALLOWED, detail);
        }
        let playing = match control.track.filter(|_| self.connection.config.single_track_control) {
            Some(track) => session.track(track).is_some_and(|track| track.playing),
            None => session.is_playing(),
        };
        match playing {
            true => refuse(
                Status::METHOD_NOT_VALID_IN_THIS_STATE,
                "SETUP while the session plays; PAUSE or TEARDOWN first",
            ),
            false => Ok(()),
        }
    }

    fn offered(&self, id: SessionId, control: &ControlPath) -> Result<Vec<Transport>, Refusal> {
        // Several fields of one name are one list (RFC 2068 section 4.2).
        let values: Vec<&str> = self.request.fields.all("Transport").collect();
        if values.is_empty() {
            return refuse(Status::BAD_REQUEST, "the header Transport is missing");
        }
        let list = Transport::parse_list(&values.join(","));
        let list = list.map_err(|e| bad(Status::BAD_REQUEST, &e))?;
        // A stream set up as a whole has one track, which may be set up already.
        let own = control.track.or_else(|| match self.session?.tracks.as_slice() {
            [only] => Some(only.track),
            _ => None,
        });
        let own = own.map(|track| (id, track));
        let mut offered = Vec::new();
        let mut obstacles: Vec<&str> = Vec::new();
        for transport in list {
            match self.possible(transport, own) {
                Ok(transport) => offered.push(transport),
                Err(why) if obstacles.contains(&why) => {}
                Err(why) => obstacles.push(why),
            }
        }
        match offered.is_empty() {
            true => refuse(Status::UNSUPPORTED_TRANSPORT, obstacles.join("; ")),
            false => Ok(offered),
        }
    }

    /// One alternative, reduced to what the server goes by, or why it is impossible.
    fn possible(
        &self,
        asked: Transport,
        own: Option<(SessionId, u8)>,
    ) -> Result<Transport, &'static str> {
        // Where neither is said, RFC 2326 section 12.39 means multicast; clients mean unicast.
        if asked.unicast == Some(false) {
            return Err("multicast is not served");
        }
        if !matches!(asked.mode, None | Some(Mode::Play)) {
            return Err("only the mode PLAY is served");
        }
        // RFC 2326 section 16: media sent where a stranger asks for it would be a weapon.
        if !is_destination(asked.destination.as_deref(), self.connection.peer) {
            return Err("media goes to the control connection's own address only");
        }
        let is_unreadable = asked.interleaved.is_none() && asked.names("interleaved");
        let mut transport = Transport::new(asked.lower);
        transport.mode = asked.mode;
        match transport.lower {
            Lower::Udp => {
                let ports = asked.client_port.ok_or("client_port is missing")?;
                let rtcp = ports.rtcp_port();
                if ports.rtp == 0 || rtcp.is_none_or(|port| port == 0) {
                    return Err("client_port is no pair of ports");
                }
                transport.client_port = Some(ports);
            }
            Lower::Tcp => {
                if is_unreadable {
                    return Err("interleaved is no pair of channels");
                }
                let channels = self.connection.sessions.free_channels(asked.interleaved, own);
                transport.interleaved = Some(channels.ok_or(match asked.interleaved {
                    Some(_) => "the interleaved channels are taken, or are not two",
                    None => "no channel is free",
                })?);
            }
            Lower::Other(_) => return Err("expected RTP/AVP or RTP/AVP/TCP"),
        }
        Ok(transport)
    }

    fn play(&self) -> Result<Verdict, Refusal> {
        let (session, tracks) = self.tracks()?;
        let scale = self.factor("Scale", headers::parse_scale)?;
        let speed = self.factor("Speed", headers::parse_speed)?;
        let playing = |&track: &u8| session.track(track).is_some_and(|track| track.playing);
        let event = Event::Play {
            token: self.token,
            session: session.id,
            tracks: tracks.clone(),
            playing: tracks.iter().any(playing),
            range: self.range()?,
            scale,
            speed,
            client: self.client(),
        };
        let session = session.id;
        Ok(Verdict::Ask(Question::Play { session, tracks }, event))
    }

    fn pause(&self) -> Result<Verdict, Refusal> {
        let (session, tracks) = self.tracks()?;
        if !session.is_playing() {
            let detail = "PAUSE while nothing plays";
            return refuse(Status::METHOD_NOT_VALID_IN_THIS_STATE, detail);
        }
        let event = Event::Pause {
            token: self.token,
            session: session.id,
            tracks: tracks.clone(),
            at: self.pause_point()?,
        };
        let session = session.id;
        Ok(Verdict::Ask(Question::Pause { session, tracks }, event))
    }

    fn teardown(&self) -> Result<Verdict, Refusal> {
        let session = self.require_session()?;
        let tracks = self.tracks_named(session)?;
        let tracks = tracks.map_or_else(|| session.track_numbers(), |track| vec![track]);
        let event = Event::Teardown {
            token: self.token,
            session: session.id,
            tracks: tracks.clone(),
            end: tracks.len() == session.tracks.len(),
        };
        let session = session.id;
        Ok(Verdict::Ask(Question::Teardown { session, tracks }, event))
    }

    /// Without a body a sign of life (RFC 2326 section 10.8). No parameter is known.
    fn parameter(&self) -> Result<Verdict, Refusal> {
        match parameter::refusal(&self.request.body) {
            None => Ok(Verdict::Done(Fields::default())),
            Some(refusal) => Err(refusal),
        }
    }

    fn factor(
        &self,
        name: &str,
        parse: fn(&str) -> Result<f64, headers::Error>,
    ) -> Result<Option<f64>, Refusal> {
        let value = self.request.fields.get(name).map(parse);
        value.transpose().map_err(|error| bad(Status::BAD_REQUEST, &error))
    }

    /// One place, not a stretch (RFC 2326 section 10.6): `npt=10-`, or against the grammar
    /// `npt=10`. Now is at once.
    fn pause_point(&self) -> Result<Option<Duration>, Refusal> {
        match self.range()? {
            None | Some(Range::Npt { start: Some(Npt::Now), end: None }) => Ok(None),
            Some(Range::Npt { start: Some(Npt::At(at)), end: None }) => Ok(Some(at)),
            Some(_) => refuse(Status::INVALID_RANGE, "PAUSE takes one place, as in npt=10-"),
        }
    }

    /// The tracks that PLAY or PAUSE means (RFC 2326 section 10.5 and C.3).
    fn tracks(&self) -> Result<(&Session, Vec<u8>), Refusal> {
        let session = self.require_session()?;
        let Some(track) = self.tracks_named(session)? else {
            return Ok((session, session.track_numbers()));
        };
        if session.tracks.len() > 1 && !self.connection.config.single_track_control {
            let detail = "the session's tracks play together; use the stream's own address";
            return refuse(Status::ONLY_AGGREGATE_OPERATION_ALLOWED, detail);
        }
        Ok((session, vec![track]))
    }

    /// The track that the address names, if it does not mean the session as a whole.
    fn tracks_named(&self, session: &Session) -> Result<Option<u8>, Refusal> {
        let control = self.control()?;
        // The server as a whole: within a session that means its stream.
        if control.stream.is_empty() && control.track.is_none() {
            return Ok(None);
        }
        if control.stream != session.stream {
            return refuse(Status::NOT_FOUND, "the session belongs to another stream");
        }
        match control.track {
            Some(track) if session.track(track).is_none() => {
                let detail = format!("track {track} is not set up in this session");
                refuse(Status::METHOD_NOT_VALID_IN_THIS_STATE, detail)
            }
            track => Ok(track),
        }
    }

    fn require_session(&self) -> Result<&Session, Refusal> {
        if let Some(session) = self.session {
            return Ok(session);
        }
        let method = &self.request.method;
        match self.connection.sessions.is_empty() {
            true => {
                refuse(Status::METHOD_NOT_VALID_IN_THIS_STATE, format!("{method} before SETUP"))
            }
            false => refuse(Status::SESSION_NOT_FOUND, "the header Session is missing"),
        }
    }

    /// RFC 2326 section 12.29: 501 for a unit that is not understood.
    fn range(&self) -> Result<Option<Range>, Refusal> {
        let Some(value) = self.request.fields.get("Range") else {
            return Ok(None);
        };
        let is_npt = value.trim().get(..3).is_some_and(|unit| unit.eq_ignore_ascii_case("npt"));
        match Range::parse(value) {
            Ok(range @ Range::Npt { .. }) => Ok(Some(range)),
            Err(error) if is_npt => Err(bad(Status::INVALID_RANGE, &error)),
            _ => refuse(Status::NOT_IMPLEMENTED, "only npt ranges are understood"),
        }
    }

    fn control(&self) -> Result<ControlPath, Refusal> {
        ControlPath::parse(&self.request.uri)
            .map_err(|error| Refusal::new(Status::BAD_REQUEST, error.to_string()))
    }

    fn client(&self) -> Client {
        let field = |name| self.request.fields.get(name).map(str::to_owned);
        Client { user_agent: field("User-Agent"), authorization: field("Authorization") }
    }
}

fn is_sdp(accepted: &str) -> bool {
    let kind = accepted.split(';').next().unwrap_or_default().trim();
    ["application/sdp", "application/*", "*/*", "*"]
        .iter()
        .any(|known| kind.eq_ignore_ascii_case(known))
}

fn is_destination(asked: Option<&str>, peer: IpAddr) -> bool {
    let asked = asked.map(|text| text.trim_matches(['[', ']']).parse::<IpAddr>());
    match asked {
        None => true,
        Some(Ok(address)) => address.to_canonical() == peer.to_canonical(),
        Some(Err(_)) => false,
    }
}

fn with_allow(mut refusal: Refusal) -> Refusal {
    for name in ["Allow", "Public"] {
        refusal.fields.push((name.into(), METHODS.into()));
    }
    refusal
}

fn bad(status: Status, error: &headers::Error) -> Refusal {
    Refusal::new(status, error.to_string())
}

fn refuse<T>(status: Status, detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(status, detail))
}
