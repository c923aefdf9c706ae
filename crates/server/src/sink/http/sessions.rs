//! Who watches by HTTP: requests that belong together.
//!
//! HTTP has no connection for a viewing. A page makes a token and gives it with each request;
//! other players are told apart by their address and what they call themselves, as long as they
//! ask again within three target durations.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use weir_record::{Sink, event};
use weir_time::Instant;

/// A session's number in this run.
pub(super) type SessionId = u64;

/// The sessions of a server.
#[derive(Default)]
pub(super) struct Sessions {
    rows: BTreeMap<SessionId, Session>,
    by_key: BTreeMap<(Arc<str>, Who), SessionId>,
    last_id: SessionId,
    /// Sessions that went because there were too many.
    dropped: u64,
    /// A task looks through them.
    sweeping: bool,
}

/// By what a session is told from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Token(String),
    AddressAndAgent(IpAddr, String),
}

/// One viewing.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) stream: Arc<str>,
    pub(super) who: Who,
    /// Unknown until something is asked for that only one protocol has.
    pub(super) protocol: Option<&'static str>,
    pub(super) peer: SocketAddr,
    pub(super) agent: Option<String>,
    pub(super) began: Instant,
    pub(super) seen: Instant,
    pub(super) bytes: u64,
    requests: u64,
    /// Requests that are being answered.
    open: u32,
}

/// A request that is part of a viewing.
pub(super) struct Asking {
    pub(super) stream: Arc<str>,
    pub(super) token: Option<String>,
    pub(super) protocol: Option<&'static str>,
    pub(super) peer: SocketAddr,
    pub(super) agent: Option<String>,
}

/// Sessions that are kept; beyond it, the one that was not seen for longest goes.
const SESSIONS_MAX: usize = 10_000;
/// Three target durations: after it a session without a request is over.
pub(super) const SESSION_LIMIT: Duration = Duration::from_secs(18);
/// What is kept of what a player calls itself.
const AGENT_CHARS_MAX: usize = 200;

impl Sessions {
    /// A request came: the session that it belongs to, a new one if need be.
    pub(super) fn ask(&mut self, asking: Asking, now: Instant, records: &Sink) -> SessionId {
        let agent = asking.agent.map(|agent| agent.chars().take(AGENT_CHARS_MAX).collect());
        let agent: Option<String> = agent;
        let who = match asking.token {
            Some(token) => Who::Token(token),
            None => {
                let agent = agent.clone().unwrap_or_default();
                Who::AddressAndAgent(asking.peer.ip().to_canonical(), agent)
            }
        };
        let key = (asking.stream, who);
        if let Some(id) = self.by_key.get(&key)
            && let Some(session) = self.rows.get_mut(id)
        {
            session.protocol = asking.protocol.or(session.protocol);
            session.peer = asking.peer;
            session.seen = now;
            session.requests += 1;
            return *id;
        }
        if self.rows.len() >= SESSIONS_MAX {
            let oldest = self.rows.iter().min_by_key(|(_, session)| session.seen);
            if let Some(id) = oldest.map(|(id, _)| *id) {
                self.remove(id, "dropped", now, records);
                self.dropped += 1;
            }
        }
        self.last_id += 1;
        let (stream, who) = key.clone();
        let session = Session {
            stream,
            who,
            protocol: asking.protocol,
            peer: asking.peer,
            agent,
            began: now,
            seen: now,
            bytes: 0,
            requests: 1,
            open: 0,
        };
        session.say_began(self.last_id, now, records);
        self.rows.insert(self.last_id, session);
        self.by_key.insert(key, self.last_id);
        self.last_id
    }

    /// A request of a session is being answered from now on.
    pub(super) fn open(&mut self, id: SessionId) {
        if let Some(session) = self.rows.get_mut(&id) {
            session.open += 1;
        }
    }

    /// It was answered, or given up.
    pub(super) fn close(&mut self, id: SessionId, now: Instant) {
        if let Some(session) = self.rows.get_mut(&id) {
            session.open = session.open.saturating_sub(1);
            session.seen = now;
        }
    }

    /// Bytes were sent to it.
    pub(super) fn sent(&mut self, id: SessionId, bytes: u64, now: Instant) {
        if let Some(session) = self.rows.get_mut(&id) {
            session.bytes += bytes;
            session.seen = now;
        }
    }

    /// Ends those that were not seen for too long; whether any is left.
    pub(super) fn sweep(&mut self, now: Instant, records: &Sink) -> bool {
        let is_over =
            |session: &Session| session.open == 0 && now.since(session.seen) >= SESSION_LIMIT;
        let over = self.rows.iter().filter(|(_, session)| is_over(session));
        let over: Vec<SessionId> = over.map(|(id, _)| *id).collect();
        for id in over {
            self.remove(id, "timeout", now, records);
        }
        self.sweeping = !self.rows.is_empty();
        self.sweeping
    }

    /// Whether a task must be started that sweeps; it counts as started.
    pub(super) fn wants_sweeper(&mut self) -> bool {
        !self.rows.is_empty() && !std::mem::replace(&mut self.sweeping, true)
    }

    /// Ends all of them.
    pub(super) fn end(&mut self, now: Instant, records: &Sink) {
        let all: Vec<SessionId> = self.rows.keys().copied().collect();
        all.into_iter().for_each(|id| self.remove(id, "server ended", now, records));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.rows.iter().map(|(id, session)| (*id, session))
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn remove(&mut self, id: SessionId, reason: &str, now: Instant, records: &Sink) {
        let Some(session) = self.rows.remove(&id) else { return };
        self.by_key.remove(&(Arc::clone(&session.stream), session.who.clone()));
        let lasted = session.seen.since(session.began);
        let ended = event::SessionEnded {
            session: session.id_text(id).into(),
            stream: (&*session.stream).into(),
            reason: reason.into(),
            protocol: session.protocol.map(Into::into),
            requests: session.requests,
            bytes: session.bytes,
            lasted_ns: u64::try_from(lasted.as_nanos()).unwrap_or(u64::MAX),
        };
        records.emit(now, ended);
    }
}

impl Session {
    /// Its name in the API and in records.
    pub(super) fn id_text(&self, id: SessionId) -> String {
        match &self.who {
            Who::Token(token) => token.clone(),
            Who::AddressAndAgent(..) => format!("http-{id}"),
        }
    }

    /// By what it is told from others, in words.
    pub(super) fn identified_by(&self) -> &'static str {
        match self.who {
            Who::Token(_) => "token",
            Who::AddressAndAgent(..) => "address and agent",
        }
    }

    fn say_began(&self, id: SessionId, now: Instant, records: &Sink) {
        let began = event::SessionBegan {
            session: self.id_text(id).into(),
            stream: (&*self.stream).into(),
            peer: self.peer.to_string().into(),
            protocol: self.protocol.map(Into::into),
            user_agent: self.agent.as_deref().map(Into::into),
            identified_by: self.identified_by().into(),
        };
        records.emit(now, began);
    }
}

/// The page's token of a query: 16 to 64 hexadecimal digits.
pub(super) fn token(query: Option<&str>) -> Option<&str> {
    let fields = query?.split('&');
    fields.filter_map(|field| field.strip_prefix("session=")).find(|token| is_token(token))
}

pub(super) fn is_token(text: &str) -> bool {
    (16..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
