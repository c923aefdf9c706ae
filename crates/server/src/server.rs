//! The server: ports, shards, and what they share.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use weir_net::{DatagramBuffer, Host, SharedUdp, TcpListener, UdpOptions, UdpSocket, timeout};
use weir_record::{Sink, event};

use crate::hub::Hub;
use crate::settings::Settings;
use crate::shard::{Door, Letter, Mailbox, Shard, Udp};
use crate::sink;

/// What all shards of a server share.
pub(crate) struct Context {
    pub(crate) hub: Arc<Hub>,
    pub(crate) settings: Settings,
    pub(crate) records: Sink,
    /// The ports of RTP and RTCP.
    pub(crate) rtp_ports: (u16, u16),
    /// Whose RTCP comes from which address.
    rtcp_routes: Mutex<BTreeMap<SocketAddr, Route>>,
    viewers: AtomicU64,
    tickets: AtomicU64,
    drained: AtomicUsize,
    /// RTCP packets that no shard took, or that no viewer is known for.
    rtcp_dropped: AtomicU64,
    pub(crate) http: sink::http::Shared,
    /// One for each shard, once they run.
    mailboxes: OnceLock<Vec<Mailbox>>,
    rtsp_port: u16,
}

/// A viewer's place; before PLAY there is only the shard.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) mailbox: Mailbox,
    pub(crate) viewer: Option<usize>,
    pub(crate) number: u64,
}

impl Context {
    pub(crate) fn next_viewer(&self) -> u64 {
        self.viewers.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn next_ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Those of all shards.
    pub(crate) fn mailboxes(&self) -> &[Mailbox] {
        self.mailboxes.get().map_or(&[], Vec::as_slice)
    }

    /// The port on which RTSP is served.
    pub(crate) fn rtsp_port(&self) -> Option<u16> {
        Some(self.rtsp_port)
    }

    pub(crate) fn rtcp_dropped(&self) -> u64 {
        self.rtcp_dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn shard_drained(&self) {
        self.drained.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_route(&self, from: SocketAddr, route: Route) {
        self.routes().insert(from, route);
    }

    /// Forgets an address, if it is still this viewer's.
    pub(crate) fn remove_route(&self, from: SocketAddr, number: u64) {
        let mut routes = self.routes();
        if routes.get(&from).is_some_and(|route| route.number == number) {
            routes.remove(&from);
        }
    }

    fn routes(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Route>> {
        self.rtcp_routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that runs.
pub struct Server {
    context: Arc<Context>,
    mailboxes: Vec<Mailbox>,
    rtsp_address: SocketAddr,
    http_address: Option<SocketAddr>,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The port for RTSP cannot be had.
    #[error("cannot listen for RTSP on {address}: {source}{}", hint(source, "--rtsp-port 0"))]
    Rtsp {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The port for HTTP cannot be had.
    #[error(
        "cannot listen for HTTP on {address}: {source}{}; --no-http does without",
        hint(source, "--http-port 0")
    )]
    Http {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The ports for RTP and RTCP cannot be had.
    #[error(
        "cannot use UDP port {port} and the next for RTP and RTCP: {source}{}",
        hint(source, "--rtp-port 0")
    )]
    Rtp {
        /// The port that was asked for; 0 for any.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
}

fn hint(error: &io::Error, option: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("; {option} takes any free one"),
        io::ErrorKind::PermissionDenied => "; ports below 1024 are for root".to_owned(),
        _ => String::new(),
    }
}

impl Server {
    /// Opens the ports and starts to serve.
    ///
    /// # Errors
    /// When a port cannot be had.
    pub fn start(
        host: &Host,
        hub: &Arc<Hub>,
        settings: Settings,
        records: Sink,
    ) -> Result<Server, StartError> {
        let (listener, bind) = listen(host, settings.bind, settings.rtsp_port)?;
        let settings = Settings { bind, ..settings };
        let rtsp_address = listener.local_address();
        let http = settings.http_port.map(|port| {
            let address = SocketAddr::new(bind, port);
            host.tcp_listen(address).map_err(|source| StartError::Http { address, source })
        });
        let http = http.transpose()?;
        let http_address = http.as_ref().map(TcpListener::local_address);
        let udp = bind_pair(host, &settings)
            .map_err(|source| StartError::Rtp { port: settings.rtp_port, source })?;
        let ports = (udp.rtp.local_address().port(), udp.rtcp.local_address().port());
        let context = Arc::new(Context {
            hub: Arc::clone(hub),
            settings,
            records,
            rtp_ports: ports,
            rtcp_routes: Mutex::default(),
            viewers: AtomicU64::new(0),
            tickets: AtomicU64::new(0),
            drained: AtomicUsize::new(0),
            rtcp_dropped: AtomicU64::new(0),
            http: sink::http::Shared::default(),
            mailboxes: OnceLock::new(),
            rtsp_port: rtsp_address.port(),
        });
        context.say_listening(host, "rtsp", rtsp_address);
        context.say_listening(host, "rtp", udp.rtp.local_address());
        context.say_listening(host, "rtcp", udp.rtcp.local_address());
        let mailboxes = start_shards(host, &context, &udp.rtp.share(), &udp.rtcp.share());
        let _ = context.mailboxes.set(mailboxes.clone());
        host.spawn(accept(host.clone(), listener, Door::Rtsp, mailboxes.clone()));
        if let Some(listener) = http {
            context.say_listening(host, "http", listener.local_address());
            host.spawn(accept(host.clone(), listener, Door::Http, mailboxes.clone()));
        }
        host.spawn(ignore(host.clone(), udp.rtp));
        host.spawn(receive_rtcp(host.clone(), udp.rtcp, Arc::clone(&context)));
        Ok(Server { context, mailboxes, rtsp_address, http_address })
    }

    /// The address on which RTSP is served.
    pub fn rtsp_address(&self) -> SocketAddr {
        self.rtsp_address
    }

    /// The address on which HTTP is served, if it is.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// What the first shard holds, once its host has run on.
    #[cfg(test)]
    pub(crate) fn census(&self) -> Arc<Mutex<crate::shard::Census>> {
        let census = Arc::default();
        if let Some(mailbox) = self.mailboxes.first() {
            mailbox.post(Letter::Census(Arc::clone(&census)));
        }
        census
    }

    /// The UDP ports from which RTP and RTCP leave.
    pub fn rtp_ports(&self) -> (u16, u16) {
        self.context.rtp_ports
    }

    /// Ends: every viewer gets a last report and a good-bye, and what waits is sent, for at most
    /// `limit`.
    pub async fn drain(&self, host: &Host, limit: Duration) {
        for mailbox in &self.mailboxes {
            mailbox.post(Letter::Drain);
        }
        let all_drained = async {
            while self.context.drained.load(Ordering::Relaxed) < self.mailboxes.len() {
                host.sleep(Duration::from_millis(2)).await;
            }
        };
        self.context.say_dropped(host);
        self.context.http.end(host.now(), &self.context.records);
        if timeout(host, limit, all_drained).await.is_none() {
            tracing::warn!("some viewers did not take the last of what they were sent");
        }
    }
}

impl Context {
    /// Records what was dropped.
    fn say_dropped(&self, host: &Host) {
        let count = self.rtcp_dropped.load(Ordering::Relaxed);
        if count > 0 {
            self.records
                .emit(host.now(), event::Dropped { what: "rtcp of no viewer".into(), count });
        }
    }

    fn say_listening(&self, host: &Host, protocol: &str, address: SocketAddr) {
        let listening =
            event::Listening { protocol: protocol.into(), address: address.to_string().into() };
        self.records.emit(host.now(), listening);
    }
}

/// Listens for RTSP, and says on which address: `::` falls back where there is no IPv6.
fn listen(host: &Host, bind: IpAddr, port: u16) -> Result<(TcpListener, IpAddr), StartError> {
    let listen = |ip| host.tcp_listen(SocketAddr::new(ip, port));
    let error = match listen(bind) {
        Ok(listener) => return Ok((listener, bind)),
        Err(error) => error,
    };
    let tells = [io::ErrorKind::AddrInUse, io::ErrorKind::PermissionDenied];
    let all_of_v4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    if bind == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        && !tells.contains(&error.kind())
        && let Ok(listener) = listen(all_of_v4)
    {
        tracing::info!("no IPv6 here ({error}): listening on all of IPv4");
        return Ok((listener, all_of_v4));
    }
    Err(StartError::Rtsp { address: SocketAddr::new(bind, port), source: error })
}

/// Ports for RTP and RTCP: an even one and the next (RFC 3550 section 11).
fn bind_pair(host: &Host, settings: &Settings) -> io::Result<Udp> {
    let options = UdpOptions { send_buffer_bytes: Some(SEND_BUFFER_BYTES), ..Default::default() };
    let address = SocketAddr::new(settings.bind, settings.rtp_port);
    let (rtp, rtcp) = host.udp_bind_pair(address, &options)?;
    Ok(Udp { rtp, rtcp })
}

/// A burst to a thousand viewers fits.
const SEND_BUFFER_BYTES: u32 = 4 << 20;

fn start_shards(
    host: &Host,
    context: &Arc<Context>,
    rtp: &SharedUdp,
    rtcp: &SharedUdp,
) -> Vec<Mailbox> {
    let mut mailboxes = Vec::new();
    for handle in host.shards() {
        let mailbox = Mailbox::new();
        mailboxes.push(mailbox.clone());
        let (context, rtp, rtcp) = (Arc::clone(context), rtp.clone(), rtcp.clone());
        host.spawn_on(&handle, move |host| async move {
            let udp = match (host.attach_udp(&rtp), host.attach_udp(&rtcp)) {
                (Ok(rtp), Ok(rtcp)) => Some(Udp { rtp, rtcp }),
                (Err(error), _) | (_, Err(error)) => {
                    tracing::error!("a shard serves without UDP: {error}");
                    None
                }
            };
            let shard = Shard::new(host, context, mailbox, udp);
            sink::http::start(&shard);
            shard.run(sink::accept).await;
        });
    }
    mailboxes
}

/// Gives each connection to the next shard.
async fn accept(host: Host, listener: TcpListener, door: Door, mailboxes: Vec<Mailbox>) {
    for mailbox in mailboxes.iter().cycle() {
        loop {
            match listener.accept().await {
                Ok((connection, peer)) => {
                    // With too many waiting the connection is dropped, and so closed.
                    mailbox.post(Letter::Connection(door, connection, peer));
                    break;
                }
                Err(error) => {
                    // Out of descriptors, most likely: they come back when somebody leaves.
                    tracing::warn!("cannot accept a connection: {error}");
                    host.sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
}

const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Takes what comes to the port of RTP: players send a packet there to open a firewall.
async fn ignore(host: Host, socket: UdpSocket) {
    let mut buffer = DatagramBuffer::new();
    loop {
        if socket.receive(&mut buffer).await.is_err() {
            host.sleep(ACCEPT_RETRY).await;
        }
    }
}

/// Takes RTCP to the viewer that it comes from.
async fn receive_rtcp(host: Host, socket: UdpSocket, context: Arc<Context>) {
    let mut buffer = DatagramBuffer::new();
    loop {
        if socket.receive(&mut buffer).await.is_err() {
            host.sleep(ACCEPT_RETRY).await;
            continue;
        }
        for datagram in buffer.datagrams() {
            let route = context.routes().get(&datagram.from).cloned();
            let posted = route.is_some_and(|Route { mailbox, viewer, number }| {
                // Sent ahead of PLAY, to open a firewall: there is nothing to report yet.
                let Some(viewer) = viewer else { return true };
                let data = Bytes::copy_from_slice(datagram.data);
                mailbox.post(Letter::Rtcp { viewer, number, data, at: datagram.at })
            });
            if !posted {
                context.rtcp_dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
