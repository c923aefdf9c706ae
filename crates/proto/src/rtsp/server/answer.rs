//! The driver's answers to events, and the responses that they become.

use bytes::Bytes;

use super::connection::{Connection, Pending};
use super::rules::Question;
use super::{Chosen, Description, Error, Output, Paused, Playing, Refusal, SessionId, Token};
use crate::rtsp::Status;
use crate::rtsp::headers::{RtpInfo, Session, Transport, parse_cseq};
use crate::rtsp::message::{Fields, Request, Response};
use crate::rtsp::url::{Url, without_track};

/// What a response repeats of its request.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    cseq: Option<u32>,
    session: Option<SessionId>,
    /// RFC 2326 section 12.38: repeated as it came.
    timestamp: Option<String>,
}

impl Reply {
    pub(super) fn to(request: &Request, session: Option<SessionId>) -> Self {
        Reply {
            cseq: request.fields.get("CSeq").and_then(|v| parse_cseq(v).ok()),
            session,
            timestamp: request.fields.get("Timestamp").map(str::to_owned),
        }
    }
}

impl Connection {
    /// Answers [`super::Event::Describe`].
    ///
    /// # Errors
    /// When no such question is pending.
    pub fn describe(
        &mut self,
        token: Token,
        answer: Result<Description, Refusal>,
    ) -> Result<(), Error> {
        let Some((Question::Describe { uri }, reply)) =
            self.take_pending(token, |q| matches!(q, Question::Describe { .. }))
        else {
            return Err(Error::NotPending(token));
        };
        match answer {
            Err(refusal) => self.send_refusal(&reply, &refusal),
            Ok(description) => {
                let mut fields = Fields::default();
                fields.push("Content-Type", "application/sdp");
                let base = description.content_base.or_else(|| default_base(&uri));
                if let Some(base) = base {
                    fields.push("Content-Base", base);
                }
                self.send_success(&reply, fields, description.sdp.into());
            }
        }
        Ok(())
    }

    /// Answers [`super::Event::Setup`]. The session, if it is new, begins with a consent.
    ///
    /// # Errors
    /// When no such question is pending: then nothing is set up. When the transport is none of
    /// those offered: then the question stays pending.
    pub fn setup(&mut self, token: Token, answer: Result<Chosen, Refusal>) -> Result<(), Error> {
        if let (Ok(chosen), Some(Question::Setup { offered, .. })) = (&answer, self.asked(token)) {
            let fits = |offered: &Transport| same_way(offered, &chosen.transport);
            if !offered.iter().any(fits) {
                return Err(Error::NotOffered);
            }
        }
        let Some((question, reply)) =
            self.take_pending(token, |q| matches!(q, Question::Setup { .. }))
        else {
            return Err(Error::NotPending(token));
        };
        match answer {
            Err(refusal) => self.send_refusal(&reply, &refusal),
            Ok(chosen) => self.set_up(question, reply, chosen),
        }
        Ok(())
    }

    /// Answers [`super::Event::Play`]. With a consent the tracks count as playing, until PAUSE.
    ///
    /// # Errors
    /// When no such question is pending.
    pub fn play(&mut self, token: Token, answer: Result<Playing, Refusal>) -> Result<(), Error> {
        let Some((Question::Play { session, tracks }, reply)) =
            self.take_pending(token, |q| matches!(q, Question::Play { .. }))
        else {
            return Err(Error::NotPending(token));
        };
        match answer {
            Err(refusal) => self.send_refusal(&reply, &refusal),
            Ok(playing) => {
                let fields = self.playing_fields(session, &playing);
                if let Some(session) = self.sessions.get_mut(session) {
                    session.set_playing(&tracks, true);
                }
                self.send_success(&reply, fields, Bytes::new());
            }
        }
        Ok(())
    }

    /// Answers [`super::Event::Pause`].
    ///
    /// # Errors
    /// When no such question is pending.
    pub fn pause(&mut self, token: Token, answer: Result<Paused, Refusal>) -> Result<(), Error> {
        let Some((Question::Pause { session, tracks }, reply)) =
            self.take_pending(token, |q| matches!(q, Question::Pause { .. }))
        else {
            return Err(Error::NotPending(token));
        };
        match answer {
            Err(refusal) => self.send_refusal(&reply, &refusal),
            Ok(paused) => {
                if let Some(session) = self.sessions.get_mut(session) {
                    session.set_playing(&tracks, paused.later);
                }
                let mut fields = Fields::default();
                if let Some(range) = paused.range {
                    fields.push("Range", range.to_string());
                }
                self.send_success(&reply, fields, Bytes::new());
            }
        }
        Ok(())
    }

    /// Answers [`super::Event::Teardown`]: the tracks are given up.
    ///
    /// # Errors
    /// When no such question is pending.
    pub fn teardown(&mut self, token: Token) -> Result<(), Error> {
        let Some((Question::Teardown { session, tracks }, mut reply)) =
            self.take_pending(token, |q| matches!(q, Question::Teardown { .. }))
        else {
            return Err(Error::NotPending(token));
        };
        let left = self.sessions.get_mut(session).is_some_and(|session| {
            session.remove(&tracks);
            !session.tracks.is_empty()
        });
        if !left {
            self.session_ended(session);
            reply.session = None;
        }
        self.send_success(&reply, Fields::default(), Bytes::new());
        Ok(())
    }

    pub(super) fn send_success(&mut self, reply: &Reply, fields: Fields, body: Bytes) {
        let mut response = Response::new(Status::OK);
        response.body = body;
        self.send(reply, response, fields.iter());
    }

    pub(super) fn send_refusal(&mut self, reply: &Reply, refusal: &Refusal) {
        let mut response = Response::new(refusal.status);
        response.body = refusal.body.clone();
        if !refusal.detail.is_empty() {
            response.reason = format!("{}: {}", response.reason, refusal.detail);
        }
        let fields = refusal.fields.iter();
        self.send(reply, response, fields.map(|(name, value)| (&**name, &**value)));
    }

    fn send<'a>(
        &mut self,
        reply: &Reply,
        mut response: Response,
        more: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        let fields = &mut response.fields;
        if let Some(cseq) = reply.cseq {
            fields.push("CSeq", cseq.to_string());
        }
        if let Some(session) = reply.session.filter(|&id| self.sessions.get(id).is_some()) {
            let session =
                Session { id: session.to_string(), timeout: Some(self.session_timeout()) };
            fields.push("Session", session.to_string());
        }
        for (name, value) in more {
            fields.push(name, value);
        }
        if let Some(timestamp) = &reply.timestamp {
            fields.push("Timestamp", timestamp);
        }
        fields.push("Server", &self.config.software);
        self.emit(Output::Send(response.encode()));
    }

    fn asked(&self, token: Token) -> Option<&Question> {
        let pending = self.pending.as_ref().filter(|pending| pending.token == token)?;
        Some(&pending.question)
    }

    fn take_pending(
        &mut self,
        token: Token,
        kind: fn(&Question) -> bool,
    ) -> Option<(Question, Reply)> {
        let fits = |pending: &mut Pending| pending.token == token && kind(&pending.question);
        let pending = self.pending.take_if(fits)?;
        self.answered = true;
        Some((pending.question, pending.reply))
    }

    fn set_up(&mut self, question: Question, mut reply: Reply, chosen: Chosen) {
        let Question::Setup { session: id, uri, stream, .. } = question else {
            return;
        };
        let mut fields = Fields::default();
        fields.push("Transport", chosen.transport.to_string());
        if let Some(session) = self.sessions.get_or_begin(id, &stream, self.now) {
            session.set_up(chosen.track, uri, chosen.transport);
        }
        reply.session = Some(id);
        self.send_success(&reply, fields, Bytes::new());
    }

    fn playing_fields(&self, session: SessionId, playing: &Playing) -> Fields {
        let mut fields = Fields::default();
        if let Some(range) = &playing.range {
            fields.push("Range", range.to_string());
        }
        if let Some(scale) = playing.scale {
            fields.push("Scale", scale.to_string());
        }
        if let Some(speed) = playing.speed {
            fields.push("Speed", speed.to_string());
        }
        let session = self.sessions.get(session);
        let infos = playing.rtp_info.iter().filter_map(|info| {
            let track = session?.track(info.track)?;
            Some(info.at(track.url.clone()))
        });
        let infos: Vec<RtpInfo> = infos.collect();
        if !infos.is_empty() {
            fields.push("RTP-Info", RtpInfo::format_list(&infos));
        }
        fields
    }
}

/// The request's address without user, password and track, with a slash at the end of its path.
/// `None` where it is not absolute: a client resolves against the address that it knows.
///
/// A query stays behind the slash. Clients that append a track's control text get
/// `name/?x=1/trackID=0`, those that resolve by RFC 3986 `name/trackID=0`: both name the track.
fn default_base(uri: &str) -> Option<String> {
    let url = without_track(&Url::parse(uri).ok()?.without_userinfo());
    let slash = if url.path.ends_with('/') { "" } else { "/" };
    Some(Url { path: format!("{}{slash}", url.path), ..url }.to_string())
}

/// Whether two transports lead the same way, whatever the server has filled in.
fn same_way(offered: &Transport, chosen: &Transport) -> bool {
    offered.lower == chosen.lower
        && offered.interleaved == chosen.interleaved
        && offered.client_port == chosen.client_port
        && chosen.unicast == Some(true)
}
