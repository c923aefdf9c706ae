//! A driver without sockets, in virtual time, for tests.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use weir_link::{Change, Direction, Settings};
use weir_record::{Drain, Level, Record, queue};
use weir_time::Instant;

use crate::capture::Feeds;
use crate::certificate::Certificate;
use crate::links::{LinkIndex, Links, Plan, Wire};
use crate::observer::{Account, Accountant, Letter, Observer};

/// What stands for a packet: its length. As IP it is a header and its number over and over.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) bytes: u32,
    pub(crate) number: u8,
}

impl Wire for Packet {
    fn ip_bytes(&self) -> u32 {
        self.bytes
    }

    fn write_ip(&self, out: &mut Vec<u8>, bytes_max: usize) {
        let length = self.bytes as u16;
        let mut packet = vec![0x45, 0, (length >> 8) as u8, length as u8, 0, 0, 0, 0, 64, 253];
        packet.extend([0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        let sum: u32 = packet.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1])).sum();
        let folded = !((sum & 0xffff) + (sum >> 16)) as u16;
        packet[10..12].copy_from_slice(&folded.to_be_bytes());
        packet.resize(self.bytes as usize, self.number);
        out.extend(packet.iter().take(bytes_max));
    }

    fn corrupt(&mut self, _: u64) {}
}

/// Links, who watches them, and the time.
pub(crate) struct World {
    pub(crate) links: Links<Packet>,
    pub(crate) now: Instant,
    /// How late the driver is whenever it waits for a packet.
    pub(crate) late: Duration,
    letters: Receiver<Letter>,
    accountant: Accountant,
    drain: Drain,
    next_second: Instant,
    number: u8,
    /// Packets that came out.
    pub(crate) out: u64,
}

impl World {
    /// One link of this name, with settings for up; down has none.
    pub(crate) fn new(up: &str, feeds: Feeds) -> World {
        let plan = Plan { name: "s1-s2".into(), up: settings(up), ..Plan::default() };
        let (sink, drain) = queue(Level::Packet, 1 << 20);
        let (observer, letters, spent) = Observer::new(1, sink.clone(), feeds, None);
        let accountant = Accountant::new(vec!["s1-s2".into()], sink, spent);
        let mut links = Links::new(1);
        links.add(plan).expect("it is possible");
        links.watch(Instant::ZERO, Box::new(observer));
        World {
            links,
            now: Instant::ZERO,
            late: Duration::ZERO,
            letters,
            accountant,
            drain,
            next_second: Instant::from_millis(1000),
            number: 0,
            out: 0,
        }
    }

    /// Offers packets of so many bytes, one each `every`, until `until`.
    pub(crate) fn send(&mut self, bytes: u32, every: Duration, until: Instant) {
        let mut next = self.now;
        while next < until {
            self.run_until(next);
            self.number = self.number.wrapping_add(1);
            let packet = Packet { bytes, number: self.number };
            self.links.offer(next, LinkIndex(0), Direction::Up, packet);
            next += every;
        }
        self.run_until(until);
    }

    /// Lets time pass.
    pub(crate) fn run_until(&mut self, until: Instant) {
        loop {
            let due = self.links.next_timeout().unwrap_or(Instant::FAR);
            let at = (due + self.late).max(self.now);
            if at.min(self.next_second) > until {
                self.now = self.now.max(until);
                return;
            }
            if self.next_second <= at {
                self.now = self.now.max(self.next_second);
                self.links.tick(self.now);
                self.next_second += Duration::from_secs(1);
                self.accountant.read(&self.letters);
                continue;
            }
            self.now = at;
            while self.links.poll(at).is_some() {
                self.out += 1;
            }
        }
    }

    pub(crate) fn set(&mut self, change: &str) {
        let change: Change = change.parse().expect("it is well formed");
        let up = Some(Direction::Up);
        self.links.set(self.now, LinkIndex(0), up, &change).expect("it is possible");
    }

    /// The end of the driver.
    pub(crate) fn account(mut self) -> (Account, Vec<Record>) {
        drop(self.links);
        self.accountant.read(&self.letters);
        assert!(self.accountant.is_closed());
        let account = self.accountant.finish();
        let mut records = Vec::new();
        self.drain.take(&mut records);
        (account, records)
    }

    pub(crate) fn certificate(self) -> Certificate {
        let (account, _) = self.account();
        let mut certificate = Certificate::of(&account, &["s1-s2".to_owned()]);
        certificate.judge(None, None);
        certificate
    }
}

pub(crate) fn settings(text: &str) -> Settings {
    let mut settings = Settings::default();
    text.parse::<Change>().expect("it is well formed").apply(&mut settings);
    settings
}

pub(crate) fn seconds(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1000)
}
