//! The thread that carries packets between hosts over their links.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use weir_time::Instant;

use super::cut::cut;
use super::error::{Error, doing};
use super::layout::{Layout, NodeKind, Step};
use super::packet::{Headers, Packet};
use super::port::Port;
use super::way_out::{Action, WayOut};
use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::links::Links;
use crate::wait::{Interest, Ready, Waiter};

/// Everything that the thread needs.
pub(crate) struct Driver {
    pub(crate) clock: Clock,
    pub(crate) waiter: Waiter,
    pub(crate) links: Links<Packet>,
    pub(crate) inbox: Inbox,
    pub(crate) layout: Layout,
    pub(crate) ports: Vec<LinkPort>,
    pub(crate) way_out: Option<WayOut>,
    /// Readable when it is time to end.
    pub(crate) stop: Arc<OwnedFd>,
    /// Whether super-packets may pass while nothing is asked of any link.
    pub(crate) may_offload: bool,
    /// Of each link the place among `ports` of the step away from its first and its second end.
    pub(crate) port_of: Vec<[Option<usize>; 2]>,
    /// When it was last looked at whether anything is asked of links.
    pub(crate) settled: Instant,
    /// Super-packets are cut before links.
    pub(crate) cuts: bool,
    pub(crate) counters: Counters,
}

/// A device of a host, or of the way out, and the step away from it.
pub(crate) struct LinkPort {
    pub(crate) port: Box<dyn Port>,
    pub(crate) step: Step,
}

/// What became of packets beside the links. Totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets for an address to which no way leads, or that were no IPv4.
    pub without_way: u64,
    /// Packets that a host's device did not take.
    pub not_taken: u64,
    /// Packets that a host's own device dropped before the driver took them: the driver, or the
    /// host's own queue, did not keep up.
    pub not_sent: u64,
    /// Super-packets that could not be cut.
    pub not_cut: u64,
    /// Packets and datagrams that could not go the way out.
    pub not_out: u64,
}

impl Driver {
    /// Runs until it is told to stop.
    pub(crate) fn run(mut self) -> Result<Counters, Error> {
        self.watch_all().map_err(doing("watching the devices of hosts"))?;
        self.settle_offload(true);
        let (mut ready, mut actions) = (Vec::new(), Vec::new());
        loop {
            let timeouts =
                [self.links.next_timeout(), self.way_out.as_ref().and_then(WayOut::next_timeout)];
            let until = timeouts.into_iter().flatten().min();
            self.waiter
                .wait(&self.clock, until, &mut ready)
                .map_err(doing("waiting for packets"))?;
            for each in &ready {
                match each.token {
                    STOP => return Ok(self.end()),
                    INBOX => {
                        self.inbox.serve(self.clock.now(), &mut self.links);
                        self.settle_offload(false);
                    }
                    token if (token as usize) < self.ports.len() => self.receive(token as usize),
                    _ => self.serve_way_out(*each, &mut actions),
                }
            }
            self.act(&mut actions);
            self.forward(&mut actions);
            let now = self.clock.now();
            if let Some(way_out) = &mut self.way_out {
                way_out.timer(now);
            }
            if now >= self.settled + SETTLE_EVERY {
                self.settle_offload(false);
            }
        }
    }

    fn watch_all(&self) -> std::io::Result<()> {
        let read = Interest { read: true, write: false };
        self.waiter.watch(self.stop.as_fd(), STOP, read)?;
        self.waiter.watch(self.inbox.as_fd(), INBOX, read)?;
        for (number, port) in self.ports.iter().enumerate() {
            self.waiter.watch(port.port.fd(), number as u64, read)?;
        }
        Ok(())
    }

    fn end(mut self) -> Counters {
        let not_out = self.way_out.as_ref().map_or(0, WayOut::dropped);
        let not_sent = self.ports.iter_mut().map(|port| port.port.take_dropped()).sum();
        Counters { not_out, not_sent, ..self.counters }
    }

    /// Takes some packets of a host, and offers them to its link.
    fn receive(&mut self, number: usize) {
        for _ in 0..BATCH {
            let Some(LinkPort { port, step }) = self.ports.get_mut(number) else { return };
            let step = *step;
            match port.receive() {
                Ok(Some(packet)) => self.offer(step, packet),
                // A host may take its own device down; then nothing comes until it is up again.
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// A packet goes into a link: cut to what the link really carries, if anything is asked of it.
    fn offer(&mut self, step: Step, packet: Packet) {
        if Headers::read(&packet.bytes).is_none() {
            self.counters.without_way += 1;
            return;
        }
        let now = self.clock.now();
        let (link, direction) = step;
        // A schedule may have begun to ask for something since offload was settled.
        let passes = !self.cuts && self.links.asks_nothing(link, direction);
        if passes || packet.offload.is_done() {
            self.links.offer(now, link, direction, packet);
            return;
        }
        let links = &mut self.links;
        let was_cut = cut(packet, |piece| links.offer(now, link, direction, piece));
        self.counters.not_cut += u64::from(!was_cut);
    }

    /// Hands on all that has come out of links.
    fn forward(&mut self, actions: &mut Vec<Action>) {
        while let Some(exit) = self.links.poll(self.clock.now()) {
            let step = (exit.link, exit.direction);
            let node = self.layout.end(step);
            match self.layout.node(node).kind {
                NodeKind::Switch => {
                    let to = Headers::read(&exit.packet.bytes).map(|headers| headers.to);
                    match to.and_then(|to| self.layout.step(node, to)) {
                        Some(next) => self.offer(next, exit.packet),
                        None => self.counters.without_way += 1,
                    }
                }
                NodeKind::Host => self.deliver(step, &exit.packet),
                NodeKind::Internet => {
                    if let Some(way_out) = &mut self.way_out {
                        let now = self.clock.now();
                        way_out.pass(now, &self.waiter, step, exit.packet, actions);
                        self.act(actions);
                    }
                }
            }
        }
    }

    /// Gives a packet that came over a link to the host at its end.
    fn deliver(&mut self, (link, direction): Step, packet: &Packet) {
        let places = self.port_of.get(link.0);
        let place = places.and_then(|places| places[direction.reverse() as usize]);
        let port = place.and_then(|place| self.ports.get_mut(place));
        let taken = port.is_some_and(|port| port.port.send(packet).is_ok());
        self.counters.not_taken += u64::from(!taken);
    }

    fn serve_way_out(&mut self, ready: Ready, actions: &mut Vec<Action>) {
        if let Some(way_out) = &mut self.way_out {
            way_out.ready(self.clock.now(), &self.waiter, ready, actions);
        }
    }

    fn act(&mut self, actions: &mut Vec<Action>) {
        for action in actions.drain(..) {
            match action {
                Action::Deliver(step, packet) => self.deliver(step, &packet),
                Action::Reply((link, direction), packet) => {
                    self.offer((link, direction.reverse()), packet);
                }
            }
        }
    }

    /// Lets hosts leave us super-packets while nothing is asked of any link, and only then.
    fn settle_offload(&mut self, is_first: bool) {
        self.settled = self.clock.now();
        let is_free = self.may_offload && self.links.ask_nothing();
        if is_first || self.cuts == is_free {
            self.cuts = !is_free;
            for port in &mut self.ports {
                // Where the kernel cannot, packets come one by one, which is right as well.
                let _ = port.port.allow_offload(is_free);
            }
        }
    }
}

const STOP: u64 = u64::MAX;
const INBOX: u64 = u64::MAX - 1;
const BATCH: usize = 64;
const SETTLE_EVERY: Duration = Duration::from_millis(10);
/// How long the thread spins before a packet is due.
pub(crate) const SPIN: Duration = Duration::from_micros(100);
