//! The thread that all relays of a run share.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use weir_proto::tcp::Settings as TcpSettings;
use weir_time::Instant;

use super::packet::Load;
use super::token::{self, Owner};
use super::udp::Taken;
use super::{Context, NOT_SENT_BYTES_MAX, Packet, Relays, Settings, Socket, Tcp, Totals, Udp};
use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::links::{Exit, LinkIndex, LinkStatus, Links};
use crate::wait::{Interest, Ready, Waiter};

/// Relays that run.
#[derive(Debug)]
pub struct Running {
    thread: JoinHandle<io::Result<Ended>>,
    stop: Arc<OwnedFd>,
}

/// How relays ended.
#[derive(Debug)]
pub struct Ended {
    /// All links as they stood.
    pub links: Vec<LinkStatus>,
    /// What went through.
    pub totals: Totals,
}

impl Running {
    /// Whether the thread has ended by itself, which it does only where the system fails it.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends the relays and waits for the thread.
    pub fn stop(self) -> io::Result<Ended> {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: eight bytes, as an eventfd takes them. It is full only if it rings already.
        unsafe { libc::write(self.stop.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the relay's thread panicked")))
    }
}

/// Starts the thread.
pub(super) fn start(
    relays: Relays,
    clock: Clock,
    seed: u64,
    links: Links<Packet>,
    inbox: Inbox,
) -> io::Result<Running> {
    // SAFETY: eventfd takes no pointers; a result of 0 or more is a new descriptor of our own.
    let stop = unsafe {
        let fd = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Arc::new(OwnedFd::from_raw_fd(fd))
    };
    let bell = Arc::clone(&stop);
    let thread = std::thread::Builder::new().name("relay".to_owned()).spawn(move || {
        let driver = Driver::new(relays, clock, seed, links, inbox)?;
        driver.waiter.watch(bell.as_fd(), token::STOP, READ)?;
        driver.run()
    })?;
    Ok(Running { thread, stop })
}

struct Driver {
    clock: Clock,
    /// Made on the thread that waits.
    waiter: Waiter,
    links: Links<Packet>,
    inbox: Inbox,
    udp: Udp,
    tcp: Tcp,
    totals: Totals,
    /// Up to where things have happened.
    stepped: Instant,
    offered_at: Instant,
    swept_at: Instant,
    pace: Pace,
    spin_max: Duration,
}

/// How many datagrams come, and what the driver does about it.
#[derive(Debug)]
struct Pace {
    since: Instant,
    datagrams: u64,
    is_busy: bool,
}

impl Driver {
    fn new(
        relays: Relays,
        clock: Clock,
        seed: u64,
        links: Links<Packet>,
        inbox: Inbox,
    ) -> io::Result<Self> {
        let Relays { settings, bound } = relays;
        let waiter = Waiter::new(settings.spin_max)?;
        waiter.watch(inbox.as_fd(), token::INBOX, READ)?;
        let mut udp = Udp::new(settings.udp_idle_max, settings.udp_flows_max);
        let mut tcp = Tcp::new(tcp_settings(&settings), seed, settings.tcp_flows_max);
        for bound in bound {
            let (target, link) = (bound.relay.target, bound.relay.link);
            match bound.socket {
                Socket::Udp(socket) => {
                    let key = udp.listen(socket, target, link);
                    if let Some(port) = udp.ports.get(key) {
                        waiter.watch(port.socket.as_fd(), token::udp(key), READ)?;
                    }
                }
                Socket::Tcp(socket) => {
                    let reads_rtsp = bound.relay.kind == super::Kind::Rtsp;
                    let number = tcp.listen(socket, target, link, reads_rtsp);
                    if let Some(listener) = tcp.listener(number) {
                        waiter.watch(listener.as_fd(), token::listener(number), READ)?;
                    }
                }
            }
        }
        let now = clock.now();
        Ok(Driver {
            clock,
            waiter,
            links,
            inbox,
            udp,
            tcp,
            totals: Totals::default(),
            stepped: now,
            offered_at: now,
            swept_at: now,
            pace: Pace { since: now, datagrams: 0, is_busy: false },
            spin_max: settings.spin_max,
        })
    }

    fn run(mut self) -> io::Result<Ended> {
        let mut ready = Vec::new();
        let mut taken = Taken::default();
        loop {
            self.wait(taken, &mut ready)?;
            taken = Taken::default();
            let mut is_stopped = false;
            for ready in ready.drain(..) {
                match token::owner(ready.token) {
                    Owner::Stop => is_stopped = true,
                    Owner::Inbox => self.inbox.serve(self.clock.now(), &mut self.links),
                    owner => {
                        let more = self.take(owner, ready);
                        taken.arrivals += more.arrivals;
                        taken.datagrams += more.datagrams;
                    }
                }
            }
            self.catch_up();
            self.udp.flush(&mut self.totals);
            let now = self.clock.now();
            self.pace.note(now, taken.datagrams);
            if now >= self.swept_at + SWEEP_INTERVAL {
                self.sweep(now);
            }
            if is_stopped {
                return Ok(Ended { links: self.links.status(), totals: self.totals });
            }
        }
    }

    /// Waits until something comes or is due.
    fn wait(&mut self, taken: Taken, ready: &mut Vec<Ready>) -> io::Result<()> {
        if self.pace.is_busy {
            // So many come that each waiting would be over at once. A nap lets some gather, which
            // costs them less than the system's own lateness; a full batch needs none.
            if taken.arrivals < BATCH_WORTH {
                std::thread::sleep(NAP);
            }
            return self.waiter.wait(&self.clock, Some(Instant::ZERO), ready);
        }
        let next = [self.links.next_timeout(), self.tcp.next_timeout()].into_iter().flatten().min();
        let sweep = self.swept_at + SWEEP_INTERVAL;
        let until = next.map_or(sweep, |next| next.min(sweep));
        // Segments go at their exact times however late the driver is: only datagrams need haste.
        let spins = self.udp.flows.len() > 0;
        self.waiter.set_spin(if spins { self.spin_max } else { Duration::ZERO });
        self.waiter.wait(&self.clock, Some(until), ready)
    }

    /// Takes what has come to a socket.
    fn take(&mut self, owner: Owner, ready: Ready) -> Taken {
        let mut cx = Context {
            clock: &self.clock,
            waiter: &self.waiter,
            links: &mut self.links,
            totals: &mut self.totals,
            now: self.clock.now(),
            offered_at: self.offered_at,
        };
        let mut taken = Taken::default();
        match owner {
            Owner::Udp(port) => taken = self.udp.receive(port, &mut cx),
            Owner::Listener(number) => self.tcp.accept(number, &mut cx),
            Owner::Leg(key, side) => self.tcp.ready(key, side, ready, &mut cx),
            Owner::Inbox | Owner::Stop => {}
        }
        self.offered_at = cx.offered_at;
        taken
    }

    /// Does all that is due.
    fn catch_up(&mut self) {
        for _ in 0..CATCH_UPS_MAX {
            let now = self.clock.now();
            let mut cx = Context {
                clock: &self.clock,
                waiter: &self.waiter,
                links: &mut self.links,
                totals: &mut self.totals,
                now,
                offered_at: self.offered_at,
            };
            if self.tcp.is_idle() {
                while let Some(exit) = cx.links.poll(now) {
                    deliver(exit, &mut self.udp, &mut self.tcp, &mut cx);
                }
            } else {
                self.stepped = step(self.stepped, now, &mut self.udp, &mut self.tcp, &mut cx);
            }
            self.tcp.pump(&mut self.udp, &mut cx);
            let next = [self.links.next_timeout(), self.tcp.next_timeout()];
            if next.into_iter().flatten().min().is_none_or(|next| next > now) {
                return;
            }
        }
    }

    /// What is done now and then: idle flows are closed, and figures told.
    fn sweep(&mut self, now: Instant) {
        self.swept_at = now;
        self.udp.sweep(now);
        self.tcp.sweep(now);
        for number in 0..self.links.status().len() {
            let link = LinkIndex(number);
            let held = self.tcp.held(link);
            let flows = held.flows + self.udp.flows_of(link);
            self.links.gauge(link, "flows", flows, now);
            if held.flows > 0 {
                self.links.gauge(link, "local_up_bytes", held.up_bytes, now);
                self.links.gauge(link, "local_down_bytes", held.down_bytes, now);
            }
        }
        let dropped = self.totals.dropped_receiving + self.totals.dropped_sending;
        if dropped > 0 {
            self.links.gauge(LinkIndex(0), "local_dropped_packets", dropped, now);
        }
    }
}

/// Does what is due up to `now`, each thing at its own time, so that a driver that is late changes
/// nothing on the link. Returns up to where it got.
fn step(
    mut stepped: Instant,
    now: Instant,
    udp: &mut Udp,
    tcp: &mut Tcp,
    cx: &mut Context<'_>,
) -> Instant {
    for _ in 0..STEPS_MAX {
        let next = [cx.links.next_timeout(), tcp.next_timeout()].into_iter().flatten().min();
        let Some(at) = next.filter(|at| *at <= now) else { return now };
        stepped = stepped.max(at);
        while let Some(exit) = cx.links.poll_as_of(stepped, now) {
            deliver(exit, udp, tcp, cx);
        }
        tcp.expire(stepped, cx);
    }
    stepped
}

fn deliver(exit: Exit<Packet>, udp: &mut Udp, tcp: &mut Tcp, cx: &mut Context<'_>) {
    let Packet { flow, is_up, load, .. } = exit.packet;
    match load {
        Load::Datagram(payload) => udp.exit(flow, is_up, payload, exit.at, cx.totals),
        Load::Segment { damaged: true, .. } => cx.totals.segments_damaged += 1,
        Load::Segment { segment, .. } => tcp.exit(flow, is_up, *segment, exit.at, cx),
    }
    if udp.outgoing() >= OUTGOING_MAX {
        udp.flush(cx.totals);
    }
}

impl Pace {
    fn note(&mut self, now: Instant, datagrams: usize) {
        self.datagrams += datagrams as u64;
        let span = now.since(self.since);
        if span < PACE_SPAN {
            return;
        }
        let per_second = self.datagrams as f64 / span.as_secs_f64();
        self.is_busy = per_second > BUSY_PER_SECOND;
        self.since = now;
        self.datagrams = 0;
    }
}

fn tcp_settings(settings: &Settings) -> TcpSettings {
    TcpSettings {
        congestion_control: settings.congestion_control,
        not_sent_low_water_bytes: NOT_SENT_BYTES_MAX,
        // A flow goes as soon as both ends are done, so that nothing waits for this long.
        time_wait: Duration::from_secs(60),
        ..TcpSettings::default()
    }
}

const READ: Interest = Interest { read: true, write: false };
const SWEEP_INTERVAL: Duration = Duration::from_millis(250);
/// What has become due while others were served is served too, a few times.
const CATCH_UPS_MAX: usize = 4;
const STEPS_MAX: usize = 1 << 14;
/// Datagrams sent in one go.
const OUTGOING_MAX: usize = 256;
/// From so many datagrams a second on it pays to let some gather.
const BUSY_PER_SECOND: f64 = 20_000.0;
const PACE_SPAN: Duration = Duration::from_millis(2);
const NAP: Duration = Duration::from_micros(20);
/// So many arrivals at once are worth the calls that they cost.
const BATCH_WORTH: usize = 16;
