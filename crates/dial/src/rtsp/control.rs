//! The control connection: the machine and its TCP.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use bytes::{Buf, BytesMut};
use weir_net::{Host, Scratch, TcpOptions, TcpStream, timeout};
use weir_proto::rtsp::client::{Config, Connection, Input, Output};
use weir_proto::rtsp::message::interleave;
use weir_proto::rtsp::url::Url;
use weir_time::Instant;

use super::{Error, Settings};

/// A connection that stands.
pub(super) struct Control {
    pub(super) machine: Connection,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    /// When the last request was sent: what a refusal took is counted from there.
    pub(super) sent_at: Instant,
    /// When the bytes came that the machine reads now.
    pub(super) read_at: Instant,
    /// The machine's next timer.
    pub(super) due: Option<Instant>,
    /// Why the connection ended, if it was no orderly end.
    pub(super) error: Option<String>,
    stream: TcpStream,
    scratch: Scratch,
    /// What the system has not taken yet.
    outbox: BytesMut,
}

const SCRATCH_BYTES: usize = 64 * 1024;
/// More than this waits only if the server does not read: reports are then left out.
const OUTBOX_BYTES_MAX: usize = 64 * 1024;

impl Control {
    /// Connects to the first of the host's addresses that answers.
    pub(super) async fn open(
        host: &Host,
        settings: &Settings,
        url: &Url,
        config: Config,
    ) -> Result<Self, Error> {
        let limit = settings.connect_timeout;
        let resolved = timeout(host, limit, host.resolve(&url.host)).await;
        let addresses = resolved
            .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| Error::Resolve { host: url.host.clone(), source: source.into() })?;
        let mut failed = Error::Resolve {
            host: url.host.clone(),
            source: io::Error::from(io::ErrorKind::NotFound).into(),
        };
        let options = TcpOptions { no_delay: true, ..TcpOptions::default() };
        for address in addresses {
            let peer = SocketAddr::new(address, url.port_or_default());
            let connected = timeout(host, limit, host.tcp_connect(peer, &options)).await;
            match connected.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => return Ok(Control::new(host, stream, url, config)),
                Err(source) => failed = Error::Connect { peer, source: source.into() },
            }
        }
        Err(failed)
    }

    fn new(host: &Host, stream: TcpStream, url: &Url, config: Config) -> Self {
        let now = host.now();
        Control {
            machine: Connection::new(url, config, now),
            local: stream.local_address(),
            peer: stream.peer_address(),
            sent_at: now,
            read_at: now,
            due: None,
            error: None,
            stream,
            scratch: Scratch::new(SCRATCH_BYTES),
            outbox: BytesMut::new(),
        }
    }

    /// What the machine wants next; what it sends is sent.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Output> {
        match self.machine.poll() {
            Output::Send(bytes) => {
                self.sent_at = now;
                self.outbox.extend_from_slice(&bytes);
                None
            }
            output => Some(output),
        }
    }

    /// Queues an RTCP packet on a channel; whether there was room.
    pub(super) fn send_interleaved(&mut self, channel: u8, packet: &[u8]) -> bool {
        let room = self.outbox.len() + packet.len() <= OUTBOX_BYTES_MAX;
        let Some(head) = interleave(channel, packet.len()).filter(|_| room) else {
            return false;
        };
        self.outbox.extend_from_slice(&head);
        self.outbox.extend_from_slice(packet);
        true
    }

    /// Gives the system as much as it takes.
    pub(super) fn flush(&mut self, now: Instant) {
        while !self.outbox.is_empty() {
            match self.stream.try_write(&self.outbox) {
                Ok(written) => self.outbox.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.outbox.clear();
                    self.fail(now, &error);
                }
            }
        }
    }

    /// Waits for bytes, which the machine takes in, or for room to send in.
    pub(super) async fn wait(&mut self, host: &Host) {
        let woken = {
            let Control { machine, stream, scratch, outbox, read_at, .. } = self;
            let read = pin!(stream.read_with(scratch, |data| {
                *read_at = host.now();
                let input = if data.is_empty() { Input::Closed } else { Input::Bytes(data) };
                machine.handle(*read_at, input);
            }));
            let writable = pin!(async {
                match outbox.is_empty() {
                    true => pending().await,
                    false => stream.writable().await,
                }
            });
            weir_net::select(read, writable).await
        };
        if let weir_net::Either::First(Err(error)) = woken {
            self.fail(host.now(), &error);
        }
    }

    /// The system says that the connection is over.
    fn fail(&mut self, now: Instant, error: &io::Error) {
        self.error.get_or_insert_with(|| error.to_string());
        self.machine.handle(now, Input::Closed);
    }
}
