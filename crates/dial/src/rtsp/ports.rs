//! UDP ports for one track.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::Poll;

use weir_net::{DatagramBuffer, Host, UdpOptions, UdpSocket};

/// A port for RTP and the next one for RTCP.
pub(super) struct Ports {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
}

impl Ports {
    /// An even port and the next (RFC 3550 section 11) at the address `ip`.
    pub(super) fn bind(host: &Host, ip: IpAddr, receive_buffer_bytes: u32) -> io::Result<Self> {
        let options = UdpOptions {
            receive_buffer_bytes: Some(receive_buffer_bytes),
            ..UdpOptions::default()
        };
        let (rtp, rtcp) = host.udp_bind_pair(SocketAddr::new(ip, 0), &options)?;
        Ok(Ports { rtp, rtcp })
    }

    /// Opens the way through address translators and firewalls, as other players do: a packet to
    /// each of the server's ports. The one to the port of RTP is an RTP packet without payload.
    pub(super) fn open_way(&self, rtp: SocketAddr, rtcp: SocketAddr, report: &[u8], ssrc: u32) {
        let mut packet = [0; 12];
        packet[0] = 2 << 6;
        packet[8..].copy_from_slice(&ssrc.to_be_bytes());
        // Lost by a full queue as it might be by the network: nothing depends on them.
        let _ = self.rtp.try_send(&packet, rtp);
        let _ = self.rtcp.try_send(report, rtcp);
    }
}

/// Which port something came to.
#[derive(Clone, Copy)]
pub(super) struct Came {
    /// Place of its pair.
    pub(super) pair: usize,
    pub(super) is_rtcp: bool,
}

/// Waits for datagrams at any port; each in turn, so that a busy one does not keep the others
/// from being read.
pub(super) async fn receive_any<'a>(
    pairs: impl Fn(usize) -> Option<&'a Ports>,
    pair_count: usize,
    turn: &mut usize,
    buffer: &mut DatagramBuffer,
) -> (Came, io::Result<()>) {
    poll_fn(|cx| {
        let count = 2 * pair_count;
        for step in 0..count {
            let place = (*turn + step) % count;
            let came = Came { pair: place / 2, is_rtcp: place % 2 == 1 };
            let Some(ports) = pairs(came.pair) else {
                continue;
            };
            let socket = if came.is_rtcp { &ports.rtcp } else { &ports.rtp };
            if let Poll::Ready(done) = pin!(socket.receive(buffer)).poll(cx) {
                *turn = place + 1;
                return Poll::Ready((came, done));
            }
        }
        Poll::Pending
    })
    .await
}
