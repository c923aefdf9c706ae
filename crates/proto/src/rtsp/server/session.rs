//! The sessions of one control connection: their tracks, channels and deadlines.

use core::time::Duration;

use weir_time::{Instant, hash};

use super::SessionId;
use crate::rtsp::headers::{ChannelPair, Transport};

/// All sessions that a control connection has set up, in the order of their beginning.
#[derive(Debug)]
pub(super) struct Sessions {
    seed: u64,
    begun: u64,
    list: Vec<Session>,
}

/// One session: tracks of one stream, controlled together.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) stream: String,
    pub(super) tracks: Vec<SetUpTrack>,
    alive_at: Instant,
}

/// One track as it was set up.
#[derive(Debug)]
pub(super) struct SetUpTrack {
    pub(super) track: u8,
    /// Its address as the SETUP request named it.
    pub(super) url: String,
    pub(super) playing: bool,
    transport: Transport,
}

/// How many sessions one connection may hold.
pub(super) const SESSIONS_MAX: usize = 8;

impl Sessions {
    pub(super) fn new(seed: u64) -> Self {
        Sessions { seed, begun: 0, list: Vec::new() }
    }

    /// The identifier of the session that begins next.
    pub(super) fn next_id(&self) -> SessionId {
        SessionId(hash([self.seed, self.begun]))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= SESSIONS_MAX
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.list.iter().find(|session| session.id == id)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.list.iter_mut().find(|session| session.id == id)
    }

    /// The session that a header names.
    pub(super) fn named(&self, id: &str) -> Option<&Session> {
        self.list.iter().find(|session| session.id.to_string() == id)
    }

    /// The session of this identifier, begun now if it is the next one.
    pub(super) fn get_or_begin(
        &mut self,
        id: SessionId,
        stream: &str,
        now: Instant,
    ) -> Option<&mut Session> {
        if self.get(id).is_none() && id == self.next_id() && !self.is_full() {
            self.begun += 1;
            self.list.push(Session {
                id,
                stream: stream.to_owned(),
                tracks: Vec::new(),
                alive_at: now,
            });
        }
        self.get_mut(id)
    }

    /// Forgets a session.
    pub(super) fn end(&mut self, id: SessionId) {
        self.list.retain(|session| session.id != id);
    }

    /// Forgets all sessions, and names them.
    pub(super) fn end_all(&mut self) -> Vec<SessionId> {
        self.list.drain(..).map(|session| session.id).collect()
    }

    /// Forgets the sessions whose last sign of life is `timeout` ago or more, and names them.
    pub(super) fn expire(&mut self, now: Instant, timeout: Duration) -> Vec<SessionId> {
        let over = |session: &Session| session.alive_at + timeout <= now;
        let ended = self.list.iter().filter(|s| over(s)).map(|s| s.id).collect();
        self.list.retain(|session| !over(session));
        ended
    }

    /// When the first session times out.
    pub(super) fn deadline(&self, timeout: Duration) -> Option<Instant> {
        self.list.iter().map(|session| session.alive_at + timeout).min()
    }

    /// Notes a sign of life of one session.
    pub(super) fn touch(&mut self, id: SessionId, now: Instant) {
        if let Some(session) = self.get_mut(id) {
            session.alive_at = session.alive_at.max(now);
        }
    }

    /// Notes a sign of life of all sessions.
    pub(super) fn touch_all(&mut self, now: Instant) {
        for session in &mut self.list {
            session.alive_at = session.alive_at.max(now);
        }
    }

    /// Which track of which session holds a channel.
    pub(super) fn channel_owner(&self, channel: u8) -> Option<(SessionId, u8)> {
        let mut tracks = self.tracks();
        let (id, track) = tracks.find(|(_, track)| track.holds(channel))?;
        Some((id, track.track))
    }

    /// The channels that a track shall have: those it asks for, where they are free and two; the
    /// lowest free pair where it asks for none. A track that is set up anew may keep its own.
    pub(super) fn free_channels(
        &self,
        wanted: Option<ChannelPair>,
        own: Option<(SessionId, u8)>,
    ) -> Option<ChannelPair> {
        let taken = |channel: u8| {
            self.tracks().any(|(id, track)| own != Some((id, track.track)) && track.holds(channel))
        };
        let free = |&(rtp, rtcp): &(u8, u8)| rtp != rtcp && !taken(rtp) && !taken(rtcp);
        let (rtp, rtcp) = match wanted {
            Some(pair) => Some((pair.rtp, pair.rtcp_channel()?)).filter(free)?,
            None => (0..=u8::MAX / 2).map(|half| (half * 2, half * 2 + 1)).find(free)?,
        };
        Some(ChannelPair { rtp, rtcp: Some(rtcp) })
    }

    fn tracks(&self) -> impl Iterator<Item = (SessionId, &SetUpTrack)> {
        let of = |session: &'_ Session| session.id;
        self.list
            .iter()
            .flat_map(move |session| session.tracks.iter().map(move |track| (of(session), track)))
    }
}

impl Session {
    pub(super) fn track(&self, track: u8) -> Option<&SetUpTrack> {
        self.tracks.iter().find(|other| other.track == track)
    }

    pub(super) fn is_playing(&self) -> bool {
        self.tracks.iter().any(|track| track.playing)
    }

    /// The numbers of all tracks, in order.
    pub(super) fn track_numbers(&self) -> Vec<u8> {
        self.tracks.iter().map(|track| track.track).collect()
    }

    /// Adds a track, or replaces its transport and address.
    pub(super) fn set_up(&mut self, track: u8, url: String, transport: Transport) {
        self.remove(&[track]);
        let at = self.tracks.partition_point(|other| other.track < track);
        self.tracks.insert(at, SetUpTrack { track, url, playing: false, transport });
    }

    pub(super) fn set_playing(&mut self, tracks: &[u8], playing: bool) {
        for track in &mut self.tracks {
            if tracks.contains(&track.track) {
                track.playing = playing;
            }
        }
    }

    pub(super) fn remove(&mut self, tracks: &[u8]) {
        self.tracks.retain(|track| !tracks.contains(&track.track));
    }
}

impl SetUpTrack {
    fn holds(&self, channel: u8) -> bool {
        let pair = self.transport.interleaved;
        pair.is_some_and(|pair| pair.rtp == channel || pair.rtcp_channel() == Some(channel))
    }
}
