//! HTTP/1.1: pages, the API, movies as files, packaged streams.
//!
//! A connection belongs to one shard, and a task there serves its requests one after another
//! ([`connection`]). Paths below the names of streams are looked up here ([`names`]): files leave by
//! sendfile ([`file`], [`send`]), the rest comes from the packager. Everything with a fixed address is
//! routed by axum ([`routes`]), which sees whole requests and gives whole responses, and no
//! connection: there is one reader of requests, and one place for limits.

mod answer;
mod api;
pub(crate) mod assets;
mod connection;
mod desk;
mod events;
mod file;
mod metrics;
mod names;
mod routes;
mod send;
mod sessions;
#[cfg(test)]
mod tests;
mod viewers;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::Router;
use weir_net::{DetachedTcp, TcpOptions};
use weir_record::Sink;
use weir_time::Instant;

use crate::shard::Shard;
use desk::Desk;
use sessions::Sessions;

pub(crate) use viewers::{Asked, Audience, Row};

/// What all shards of a server share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) counters: Counters,
    sessions: Mutex<Sessions>,
}

/// Counts since the start.
#[derive(Default)]
pub(crate) struct Counters {
    /// Connections that stand now.
    connections: AtomicU64,
    /// Connections beyond the bound, which got a 503.
    connections_refused: AtomicU64,
    /// Responses by the first digit of their status, from 1 on.
    responses: [AtomicU64; 5],
    /// Bytes written: heads and bodies.
    bytes: AtomicU64,
    /// Connections given up because the peer took nothing.
    stalled: AtomicU64,
    /// Heads that did not come in time.
    heads_late: AtomicU64,
}

impl Shared {
    /// The server ends: so do all sessions.
    pub(crate) fn end(&self, now: Instant, records: &Sink) {
        self.sessions().end(now, records);
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // A table of plain values: it is whole whatever panicked while it was held.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one shard has for HTTP.
pub(crate) struct Local {
    desk: Desk,
    router: RefCell<Option<Router>>,
    files: file::Kept,
    /// Requests that are being answered.
    active: Cell<usize>,
    /// The server ends: no connection stays open behind an answer.
    draining: Cell<bool>,
}

impl Local {
    pub(crate) fn new() -> Self {
        Local {
            desk: Desk::default(),
            router: RefCell::new(None),
            files: file::Kept::default(),
            active: Cell::new(0),
            draining: Cell::new(false),
        }
    }

    /// Whether no request is being answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.active.get() == 0
    }

    /// From now on connections end behind their answers.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
    }
}

/// Gets a shard ready to serve HTTP.
pub(crate) fn start(shard: &Rc<Shard>) {
    let local = &shard.http;
    local.router.replace(Some(routes::router(local.desk.clone())));
    shard.host.spawn(local.desk.clone().serve(Rc::clone(shard)));
}

/// Serves a connection that was given to a shard.
pub(super) fn accept(shard: &Rc<Shard>, connection: DetachedTcp, peer: SocketAddr) {
    let stream = match shard.host.attach_tcp(connection) {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!("{peer}: cannot be served: {error}"),
    };
    let congestion = shard.context.settings.congestion.clone();
    let options = TcpOptions { no_delay: true, not_sent_low_water_bytes: None, congestion };
    if let Err(error) = stream.set_options(&options) {
        tracing::warn!("{peer}: socket options are not as asked: {error}");
    }
    let counters = &shard.context.http.counters;
    let open = counters.connections.fetch_add(1, Ordering::Relaxed);
    let shard = Rc::clone(shard);
    if open >= shard.context.settings.http_connections_max {
        counters.connections_refused.fetch_add(1, Ordering::Relaxed);
        shard.host.clone().spawn(connection::refuse(Open(shard), stream, peer));
    } else {
        shard.host.clone().spawn(connection::serve(Open(shard), stream, peer));
    }
}

/// A connection that is counted while it stands.
struct Open(Rc<Shard>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.context.http.counters.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that is counted while it is being answered.
struct Active<'a>(&'a Local);

impl<'a> Active<'a> {
    fn new(local: &'a Local) -> Self {
        local.active.set(local.active.get() + 1);
        Active(local)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get() - 1);
    }
}
