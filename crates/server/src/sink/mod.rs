//! Sinks: protocols by which viewers get streams.

pub(crate) mod classroom;
pub(crate) mod http;
pub(crate) mod rtsp;

use std::net::SocketAddr;
use std::rc::Rc;

use weir_net::DetachedTcp;

use crate::shard::{Door, Shard};

/// Serves a connection that was given to a shard.
pub(crate) fn accept(shard: &Rc<Shard>, door: Door, connection: DetachedTcp, peer: SocketAddr) {
    match door {
        Door::Rtsp => rtsp::accept(shard, connection, peer),
        Door::Http => http::accept(shard, connection, peer),
    }
}
