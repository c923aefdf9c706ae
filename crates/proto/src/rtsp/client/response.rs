//! Responses, and the events that they become.

use core::time::Duration;

use super::command::Command;
use super::connection::{Connection, Outstanding};
use super::{Cause, Event, Oddity, TransportRequest};
use crate::rtsp::Status;
use crate::rtsp::headers::{self, Lower, Range, RtpInfo, Session, Transport};
use crate::rtsp::message::{Method, Response};
use crate::rtsp::url::resolve;
use crate::sdp::SessionDescription;

impl Connection {
    pub(super) fn take_response(&mut self, response: Response) {
        // RFC 2326 section 7.1.1: a word in between.
        if (100..200).contains(&response.status.0) {
            return;
        }
        let cseq = response.fields.get("CSeq").and_then(|v| headers::parse_cseq(v).ok());
        // A server that repeats no number, or makes one up, means the only request there is. One
        // that was used before is of a request that is over.
        let is_old =
            |request: &Outstanding| cseq.is_some_and(|cseq| (1..request.cseq).contains(&cseq));
        let Some(request) = self.outstanding.take_if(|request| !is_old(request)) else {
            self.stray_responses += 1;
            if let (Some(request), Some(got)) = (&self.outstanding, cseq) {
                let (method, expected) = (request.method.clone(), request.cseq);
                self.note_oddity(&method, Oddity::OldCseq { expected, got });
            }
            return;
        };
        match cseq {
            None => self.note_oddity(&request.method, Oddity::NoCseq),
            Some(got) if got != request.cseq => {
                let expected = request.cseq;
                self.note_oddity(&request.method, Oddity::WrongCseq { expected, got });
            }
            Some(_) => {}
        }
        let round_trip = self.now.since(request.sent_at);
        let status = response.status;
        if status.is_success() {
            self.check_session(&request.method, &response);
            match self.succeed(&request, &response, round_trip) {
                Ok(event) => self.event(event),
                Err(detail) => self.fail(request, Cause::Malformed(detail)),
            }
        } else if let Some(location) = redirection(&response) {
            self.event(Event::Redirected {
                location: resolve(&request.url, location),
                method: request.method,
                status,
                round_trip,
            });
        } else {
            self.refused(request, &response);
        }
        self.send_next();
    }

    fn succeed(
        &mut self,
        request: &Outstanding,
        response: &Response,
        round_trip: Duration,
    ) -> Result<Event, String> {
        let range = || response.fields.get("Range").and_then(|v| Range::parse(v).ok());
        Ok(match &request.command {
            Command::Options => {
                let methods = response.fields.all("Public").flat_map(headers::list);
                let methods: Vec<_> = methods.map(Method::from_token).collect();
                if !methods.is_empty() && !methods.contains(&Method::GetParameter) {
                    self.keep_alive = Method::Options;
                }
                Event::Options { methods, round_trip }
            }
            Command::Describe => self.described(request, response, round_trip)?,
            Command::Setup { control, transport } => {
                let transport = chosen(response, *transport)?;
                Event::SetUp {
                    control: control.clone(),
                    url: request.url.clone(),
                    session: self.open_session(response)?,
                    transport,
                    round_trip,
                }
            }
            Command::Play { .. } => Event::Playing {
                range: range(),
                scale: response.fields.get("Scale").and_then(|v| headers::parse_scale(v).ok()),
                rtp_info: self.rtp_info(response),
                round_trip,
            },
            Command::Pause => Event::Paused { range: range(), round_trip },
            Command::GetParameter | Command::KeepAlive => Event::Alive { round_trip },
            Command::Teardown => {
                self.session = None;
                Event::TornDown { round_trip }
            }
        })
    }

    fn described(
        &mut self,
        request: &Outstanding,
        response: &Response,
        round_trip: Duration,
    ) -> Result<Event, String> {
        if response.body.is_empty() {
            return Err("expected a description, got an empty body".to_owned());
        }
        self.check_content_type(response);
        let sdp = String::from_utf8_lossy(&response.body).into_owned();
        let field = |name| response.fields.get(name).filter(|value: &&str| !value.is_empty());
        let base = field("Content-Base").or_else(|| field("Content-Location"));
        self.base = resolve(&request.url, base.unwrap_or_default());
        let control = SessionDescription::parse(&sdp).ok().and_then(|sdp| sdp.control);
        self.aggregate = resolve(&self.base, control.as_deref().unwrap_or_default());
        Ok(Event::Described {
            sdp,
            base: self.base.clone(),
            aggregate: self.aggregate.clone(),
            round_trip,
        })
    }

    /// The session that a SETUP opened or joined. A server that opens one for each track makes
    /// the last one count.
    fn open_session(&mut self, response: &Response) -> Result<String, String> {
        let named = match response.fields.get("Session") {
            Some(value) => Some(Session::parse(value).map_err(|error| error.to_string())?),
            None => None,
        };
        let Some(mut session) = named.or_else(|| self.session.clone()) else {
            return Err("the response to SETUP has no header Session".to_owned());
        };
        // Said once, a timeout holds for the session.
        let earlier = self.session.as_ref().filter(|earlier| earlier.id == session.id);
        session.timeout = session.timeout.or(earlier.and_then(|earlier| earlier.timeout));
        let id = session.id.clone();
        self.session = Some(session);
        Ok(id)
    }

    fn rtp_info(&self, response: &Response) -> Vec<RtpInfo> {
        let infos = response.fields.all("RTP-Info").flat_map(RtpInfo::parse_list);
        let absolute =
            infos.map(|info| RtpInfo { url: resolve(&self.aggregate, &info.url), ..info });
        absolute.collect()
    }

    fn refused(&mut self, request: Outstanding, response: &Response) {
        let status = response.status;
        let challenges: Vec<_> = response.fields.all("WWW-Authenticate").collect();
        if status == Status::UNAUTHORIZED && !request.authorized {
            let credentials = self.config.credentials.as_ref();
            let basic = credentials.filter(|_| challenges.iter().any(|text| is_basic(text)));
            if let Some(basic) = basic {
                self.authorization = Some(basic.basic());
                return self.commands.push_front(request.command);
            }
        }
        if status == Status::SESSION_NOT_FOUND {
            self.session = None;
        }
        let not_there = [Status::METHOD_NOT_ALLOWED, Status::NOT_IMPLEMENTED];
        if request.method == Method::GetParameter
            && matches!(request.command, Command::KeepAlive)
            && not_there.contains(&status)
        {
            self.keep_alive = Method::Options;
            return self.commands.push_back(Command::KeepAlive);
        }
        let cause = Cause::Status {
            status,
            reason: response.reason.clone(),
            challenges: challenges.into_iter().map(str::to_owned).collect(),
        };
        self.fail(request, cause);
    }
}

fn redirection(response: &Response) -> Option<&str> {
    let location = response.fields.get("Location")?;
    (response.status.is_redirect() && !location.is_empty()).then_some(location)
}

fn is_basic(challenge: &str) -> bool {
    let scheme = challenge.split_ascii_whitespace().next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("basic")
}

/// The transport that a server chose. It must be of the kind that was asked for.
fn chosen(response: &Response, asked: TransportRequest) -> Result<Transport, String> {
    let Some(value) = response.fields.get("Transport") else {
        return Err("the response to SETUP has no header Transport".to_owned());
    };
    let list = Transport::parse_list(value).map_err(|error| error.to_string())?;
    let asked = asked.to_transport();
    let fits = |lower: &Lower| *lower == asked.lower;
    let Some(mut transport) = list.into_iter().find(|transport| fits(&transport.lower)) else {
        return Err(format!("Transport: asked for {asked}, got {value}"));
    };
    if transport.unicast == Some(false) {
        return Err(format!("Transport: asked for {asked}, got {value}"));
    }
    transport.interleaved = transport.interleaved.or(asked.interleaved);
    transport.client_port = transport.client_port.or(asked.client_port);
    Ok(transport)
}
