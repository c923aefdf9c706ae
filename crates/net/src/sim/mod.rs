//! Simulated hosts: virtual time, emulated links, and a UDP and a TCP of our own.
//!
//! A [`World`] runs on one thread and depends on its seed alone: tasks run first in, first out,
//! timers and packets fire in order of time and then of creation, and every random draw comes
//! from the seed.

mod network;
mod packet;
mod tcp;
mod udp;
mod world;

pub use packet::{Fate, PacketEvent};
pub(crate) use tcp::{DetachedTcp, TcpListener, TcpStream};
pub(crate) use udp::{SharedUdp, UdpSocket};
pub(crate) use world::Node;
pub use world::{Link, World};

use crate::batch::{BatchStorage, Sent, Target};
use crate::tcp::StreamBody;
use crate::udp::SocketBody;

/// Sends everything; one result for each message.
pub(crate) fn submit(storage: &mut BatchStorage) {
    for index in 0..storage.messages.len() {
        let message = &storage.messages[index];
        let slices: Vec<&[u8]> = storage
            .slices_of(index)
            .iter()
            // SAFETY: the batch keeps all that its slices name borrowed until now.
            .map(|slice| unsafe { std::slice::from_raw_parts(slice.iov_base.cast(), slice.iov_len) })
            .collect();
        let sent = match message.target {
            // SAFETY: the batch keeps the stream borrowed until now.
            Target::Tcp(stream) => match unsafe { &(*stream).body } {
                StreamBody::Sim(stream) => stream.try_write(&slices),
                StreamBody::Os(_) => unreachable!("a simulated host has simulated sockets"),
            },
            Target::Udp { socket, to, segment_len } => {
                // SAFETY: the batch keeps the socket borrowed until now.
                let body = unsafe { &(*socket).body };
                match body {
                    SocketBody::Sim(socket) => socket.send_train(&slices, to, segment_len),
                    SocketBody::Os(_) => unreachable!("a simulated host has simulated sockets"),
                }
            }
        };
        storage.results.push(match sent {
            Ok(bytes) => Sent::Bytes(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Sent::Blocked,
            Err(error) => Sent::Failed(error.raw_os_error().unwrap_or(libc::ECONNRESET)),
        });
    }
}
