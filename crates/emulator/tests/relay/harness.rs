//! A relay over a link of one's choice, and who watches it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant as SystemInstant};

use weir_emulator::relay::{Ended, Kind, Relay, Relays, Running, Settings};
use weir_emulator::{
    Clock, Command, Inbox, LinkIndex, LinkStatus, Links, Plan, Remote, Reply, Tap, Wire,
};
use weir_link::{Direction, Passage, Settings as Link};
use weir_time::Instant;

/// A relay that runs.
pub(crate) struct Relayed {
    pub(crate) address: SocketAddr,
    running: Option<Running>,
    remote: Remote,
    gauges: Gauges,
}

/// The most that each gauge has shown.
type Gauges = Arc<Mutex<BTreeMap<&'static str, u64>>>;

struct Watch(Gauges);

impl Tap for Watch {
    fn entered(&mut self, _: LinkIndex, _: Direction, _: u64, _: Instant, packet: &dyn Wire) {
        let mut written = Vec::new();
        packet.write_ip(&mut written, usize::MAX);
        assert_eq!(written.len() as u32, packet.ip_bytes());
    }
    fn passed(&mut self, _: LinkIndex, _: Direction, _: &Passage) {}
    fn left(&mut self, _: LinkIndex, _: Direction, _: u64, due: Instant, at: Instant) {
        assert!(at >= due);
    }
    fn changed(&mut self, _: LinkIndex, _: Direction, _: Instant, _: &Link) {}
    fn gauge(&mut self, _: LinkIndex, name: &'static str, value: u64, _: Instant) {
        let mut gauges = self.0.lock().unwrap();
        let most = gauges.entry(name).or_default();
        *most = value.max(*most);
    }
}

pub(crate) const SEED: u64 = 7;

impl Relayed {
    /// Starts a relay to `target` over a link.
    pub(crate) fn start(kind: Kind, target: SocketAddr, up: Link, down: Link) -> Relayed {
        Relayed::start_with(Settings::default(), kind, target, up, down)
    }

    pub(crate) fn start_with(
        settings: Settings,
        kind: Kind,
        target: SocketAddr,
        up: Link,
        down: Link,
    ) -> Relayed {
        let listen = "127.0.0.1:0".parse().unwrap();
        let relay = Relay { kind, listen, target, link: LinkIndex(0) };
        let relays = Relays::bind(settings, &[relay]).unwrap();
        let address = relays.listening()[0];
        let clock = Clock::start();
        let mut links = Links::new(SEED);
        links.add(Plan { name: "link".to_owned(), up, down, ..Plan::default() }).unwrap();
        let gauges = Gauges::default();
        links.watch(clock.now(), Box::new(Watch(Arc::clone(&gauges))));
        let (inbox, remote) = Inbox::new().unwrap();
        let running = relays.start(clock, SEED, links, inbox).unwrap();
        Relayed { address, running: Some(running), remote, gauges }
    }

    pub(crate) fn status(&self) -> LinkStatus {
        match self.remote.ask(Command::Show) {
            Reply::Links(mut links) => links.remove(0),
            Reply::Refused(why) => panic!("{why}"),
        }
    }

    /// The most that a gauge has shown.
    pub(crate) fn gauge(&self, name: &str) -> Option<u64> {
        self.gauges.lock().unwrap().get(name).copied()
    }

    pub(crate) fn stop(mut self) -> Ended {
        self.running.take().unwrap().stop().unwrap()
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.stop();
        }
    }
}

/// Waits until `done` holds; how long that takes is the machine's business.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = SystemInstant::now() + LIMIT;
    while !done() {
        assert!(SystemInstant::now() < deadline, "it never happened: {what}");
        sleep(Duration::from_millis(2));
    }
}

/// Longer than anything takes that comes at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
