//! Viewers of other protocols, which the shards know.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use weir_net::{Doorbell, timeout};
use weir_time::Instant;

use crate::shard::{Letter, Shard};

/// A question to all shards: whom they serve.
pub(crate) struct Asked {
    audience: Mutex<(usize, Audience)>,
    bell: Doorbell,
}

/// What shards answer.
#[derive(Default)]
pub(crate) struct Audience {
    pub(crate) rows: Vec<Row>,
    /// Skips of slow viewers since the start.
    pub(crate) skips: u64,
    /// Bytes of media sent since the start.
    pub(crate) bytes: u64,
    /// Packets that the system refused to take, since the start.
    pub(crate) packets_refused: u64,
}

/// A viewer that has a connection.
pub(crate) struct Row {
    pub(crate) number: u64,
    pub(crate) stream: Arc<str>,
    pub(crate) peer: SocketAddr,
    pub(crate) transport: &'static str,
    pub(crate) agent: Option<Arc<str>>,
    pub(crate) joined: Instant,
    pub(crate) bytes: u64,
}

/// How long shards may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

impl Asked {
    /// A shard's answer.
    pub(crate) fn answer(&self, audience: Audience) {
        let mut state = self.lock();
        state.0 = state.0.saturating_sub(1);
        state.1.rows.extend(audience.rows);
        state.1.skips += audience.skips;
        state.1.bytes += audience.bytes;
        state.1.packets_refused += audience.packets_refused;
        let is_whole = state.0 == 0;
        drop(state);
        if is_whole {
            self.bell.ring(0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, (usize, Audience)> {
        self.audience.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks all shards; those that do not answer in time are left out, which the log says.
pub(super) async fn audience(shard: &Shard) -> Audience {
    let mailboxes = shard.context.mailboxes();
    let audience = Mutex::new((mailboxes.len(), Audience::default()));
    let asked = Arc::new(Asked { audience, bell: Doorbell::new() });
    for mailbox in mailboxes {
        mailbox.post(Letter::Viewers(Arc::clone(&asked)));
    }
    let mut keys = Vec::new();
    if timeout(&shard.host, ANSWER_LIMIT, asked.bell.rung(&mut keys)).await.is_none() {
        tracing::warn!("not all shards have said whom they serve");
    }
    let mut audience = std::mem::take(&mut asked.lock().1);
    audience.rows.sort_by_key(|row| row.number);
    audience
}
