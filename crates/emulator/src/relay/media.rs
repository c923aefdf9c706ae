//! Media of relayed RTSP: pairs of ports on both sides, and two flows between them.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use weir_proto::rtsp::headers::PortPair;
use weir_proto::rtsp::relay::{Media, MediaId, Opened};

use super::Context;
use super::batch::Way;
use super::packet::Ends;
use super::slab::Key;
use super::socket::{fitting, udp_bound};
use super::udp::{Flow, Role, Udp};
use crate::links::LinkIndex;

/// The media of one control connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: Vec<Stream>,
    next: u64,
    told: bool,
}

/// RTP and RTCP of one track.
#[derive(Debug)]
struct Stream {
    id: MediaId,
    flows: [Key; 2],
}

/// The two sides of a control connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sides {
    pub(super) link: LinkIndex,
    /// The client, and our address that it knows.
    pub(super) client: IpAddr,
    pub(super) towards_client: IpAddr,
    /// The target, and our address that it knows.
    pub(super) target: IpAddr,
    pub(super) towards_target: IpAddr,
}

/// Opens media while a message is read.
pub(super) struct Opener<'a, 'b> {
    pub(super) streams: &'a mut Streams,
    pub(super) sides: Sides,
    pub(super) udp: &'a mut Udp,
    pub(super) cx: &'a mut Context<'b>,
}

impl Media for Opener<'_, '_> {
    fn open(&mut self, client: PortPair) -> Option<Opened> {
        let full = self.streams.streams.len() >= STREAMS_MAX;
        let made = if full {
            Err(io::Error::other(format!("more than {STREAMS_MAX} tracks on one connection")))
        } else {
            self.make(client)
        };
        match made {
            Ok(opened) => Some(opened),
            Err(error) => {
                if !std::mem::replace(&mut self.streams.told, true) {
                    tracing::warn!("no ports for media: {error}; what is sent by UDP is lost");
                }
                self.cx.totals.flows_refused += 1;
                None
            }
        }
    }

    fn answered(&mut self, media: MediaId, server: Option<PortPair>, source: Option<IpAddr>) {
        let Some(stream) = self.streams.streams.iter().find(|stream| stream.id == media) else {
            return;
        };
        let target = source.filter(|ip| !ip.is_unspecified()).unwrap_or(self.sides.target);
        for (flow, is_rtcp) in stream.flows.into_iter().zip([false, true]) {
            let port =
                server.and_then(|ports| if is_rtcp { ports.rtcp_port() } else { Some(ports.rtp) });
            let Some(flow) = self.udp.flows.get_mut(flow) else { continue };
            flow.target_ip = Some(target);
            if let Some(port) = port {
                flow.set_target(SocketAddr::new(target, port), &self.udp.ports);
            }
        }
    }

    fn close(&mut self, media: MediaId) {
        let streams = &mut self.streams.streams;
        let Some(at) = streams.iter().position(|stream| stream.id == media) else { return };
        for flow in streams.remove(at).flows {
            self.udp.close(flow);
        }
    }
}

impl Streams {
    pub(super) fn close_all(&mut self, udp: &mut Udp) {
        for flow in self.streams.drain(..).flat_map(|stream| stream.flows) {
            udp.close(flow);
        }
    }
}

impl Opener<'_, '_> {
    fn make(&mut self, client: PortPair) -> io::Result<Opened> {
        let to_server = pair(self.sides.towards_target)?;
        let to_client = pair(self.sides.towards_client)?;
        let opened = Opened {
            media: MediaId(self.streams.next),
            to_server: to_server[0].local_addr()?.port(),
            to_client: to_client[0].local_addr()?.port(),
        };
        let rtcp = client.rtcp_port().unwrap_or(client.rtp);
        let mut flows = Vec::with_capacity(2);
        for ((server_socket, client_socket), port) in
            to_server.into_iter().zip(to_client).zip([client.rtp, rtcp])
        {
            match self.flow(Arc::new(server_socket), Arc::new(client_socket), port) {
                Ok(flow) => flows.push(flow),
                Err(error) => {
                    flows.into_iter().for_each(|flow| self.udp.close(flow));
                    return Err(error);
                }
            }
        }
        let [rtp, rtcp] = flows[..] else { return Err(io::Error::other("two flows are made")) };
        self.streams.next += 1;
        self.streams.streams.push(Stream { id: opened.media, flows: [rtp, rtcp] });
        Ok(opened)
    }

    fn flow(
        &mut self,
        server_socket: Arc<UdpSocket>,
        client_socket: Arc<UdpSocket>,
        port: u16,
    ) -> io::Result<Key> {
        let client = SocketAddr::new(self.sides.client, port);
        let towards_target = server_socket.local_addr()?;
        let local = client_socket.local_addr()?;
        let target = SocketAddr::new(self.sides.target, 0);
        let down = Way::new(Arc::clone(&client_socket), Some(fitting(local, client)));
        let ends = Arc::new(Ends::new(client, target, towards_target));
        let flow = Flow::of_media(self.sides.link, client, ends, Arc::new(down), self.sides.target);
        let key = self.udp.flows.insert_with(|_| flow);
        let watched = self
            .udp
            .add_port(key, server_socket, Role::Target(key), self.cx)
            .and_then(|()| self.udp.add_port(key, client_socket, Role::Client(key), self.cx));
        if let Err(error) = watched {
            self.udp.close(key);
            return Err(error);
        }
        Ok(key)
    }
}

/// An even port and the next one (RFC 3550 section 11).
fn pair(ip: IpAddr) -> io::Result<[UdpSocket; 2]> {
    for _ in 0..PAIR_TRIES_MAX {
        let first = udp_bound(SocketAddr::new(ip, 0))?;
        let port = first.local_addr()?.port();
        let (even, odd) = if port % 2 == 0 { (port, port + 1) } else { (port - 1, port) };
        let other = if port == even { odd } else { even };
        let Ok(second) = udp_bound(SocketAddr::new(ip, other)) else { continue };
        return Ok(if port == even { [first, second] } else { [second, first] });
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no pair of free UDP ports"))
}

const STREAMS_MAX: usize = 16;
const PAIR_TRIES_MAX: usize = 64;
