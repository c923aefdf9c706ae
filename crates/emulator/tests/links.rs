//! Links of a run: what comes out, and what whoever watches is told.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use weir_emulator::{Command, LinkIndex, Links, Plan, Reply, Tap, Wire};
use weir_link::{Direction, Passage, Settings};
use weir_time::Instant;

#[derive(Clone, Debug, PartialEq)]
struct Bytes(Vec<u8>);

impl Wire for Bytes {
    fn ip_bytes(&self) -> u32 {
        self.0.len() as u32
    }

    fn write_ip(&self, out: &mut Vec<u8>, bytes_max: usize) {
        out.extend(self.0.iter().take(bytes_max));
    }

    fn corrupt(&mut self, random: u64) {
        let at = (random % self.0.len() as u64) as usize;
        self.0[at] ^= 1;
    }
}

/// Keeps a line for all that it is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().drain(..).collect()
    }

    fn add(&self, at: Instant, line: String) {
        self.0.lock().unwrap().push(format!("{} {line}", at.as_nanos() / 1_000_000));
    }
}

impl Tap for Told {
    fn entered(&mut self, _: LinkIndex, _: Direction, index: u64, at: Instant, _: &dyn Wire) {
        self.add(at, format!("in {index}"));
    }

    fn passed(&mut self, _: LinkIndex, _: Direction, passage: &Passage) {
        let copy = if passage.duplicate { " copy" } else { "" };
        self.add(passage.entered, format!("passed {}{copy}", passage.index));
    }

    fn left(&mut self, _: LinkIndex, _: Direction, index: u64, due: Instant, at: Instant) {
        let late = at.since(due).as_millis();
        self.add(due, format!("out {index} late {late}"));
    }

    fn changed(&mut self, _: LinkIndex, direction: Direction, at: Instant, settings: &Settings) {
        self.add(at, format!("{direction:?} {settings}"));
    }
}

fn plan(up: &str, up_schedule: &str) -> Plan {
    Plan {
        name: "a-b".to_owned(),
        up: up.parse().unwrap(),
        up_schedule: Some(up_schedule.parse().unwrap()),
        ..Plan::default()
    }
}

#[test]
fn changes_by_a_schedule_are_told_when_they_are_made() {
    let mut links: Links<Bytes> = Links::new(1);
    links.add(plan("delay=10ms", "at 1s delay=20ms; at 2s delay=30ms")).unwrap();
    let told = Told::default();
    links.watch(Instant::ZERO, Box::new(told.clone()));
    assert_eq!(told.lines(), ["0 Up delay=10ms", "0 Down rate=unlimited"]);
    assert_eq!(links.next_timeout(), Some(Instant::from_millis(1000)));
    assert!(links.poll(Instant::from_millis(1500)).is_none());
    assert_eq!(told.lines(), ["1000 Up delay=20ms"]);
    links.offer(Instant::from_millis(1990), LinkIndex(0), Direction::Up, Bytes(vec![0; 100]));
    let out = links.poll(Instant::from_millis(2015)).unwrap();
    assert_eq!(out.at, Instant::from_millis(2010));
    let lines = told.lines();
    assert_eq!(lines, ["1990 in 0", "1990 passed 0", "2000 Up delay=30ms", "2010 out 0 late 5"]);
}

#[test]
fn copies_and_changed_bits_come_out() {
    let mut links: Links<Bytes> = Links::new(1);
    links.add(plan("duplicate=100% corrupt=100%", "")).unwrap();
    let told = Told::default();
    links.watch(Instant::ZERO, Box::new(told.clone()));
    told.lines();
    links.offer(Instant::ZERO, LinkIndex(0), Direction::Up, Bytes(vec![0; 100]));
    let one = links.poll(Instant::ZERO).unwrap().packet;
    let other = links.poll(Instant::ZERO).unwrap().packet;
    assert!(links.poll(Instant::ZERO).is_none());
    assert_eq!(one, other);
    assert_eq!(one.0.iter().filter(|byte| **byte != 0).count(), 1);
    let expected = ["0 in 0", "0 passed 0", "0 passed 0 copy", "0 out 0 late 0", "0 out 0 late 0"];
    assert_eq!(told.lines(), expected);
}

#[test]
fn a_command_changes_a_link_and_its_schedule_goes_on() {
    let mut links: Links<Bytes> = Links::new(1);
    links.add(plan("rate=1mbit", "square rate 1mbit/0 every 2s")).unwrap();
    let set = |links: &mut Links<Bytes>, text: &str| {
        let change = text.parse().unwrap();
        let command =
            Command::Set { link: None, direction: Some(Direction::Up), change: Box::new(change) };
        match links.command(Instant::from_millis(1500), command) {
            Reply::Links(status) => Ok(status[0].up.settings.to_string()),
            Reply::Refused(why) => Err(why),
        }
    };
    // The schedule has stopped the link; other settings change all the same.
    assert_eq!(set(&mut links, "delay=5ms"), Ok("rate=0bit delay=5ms".to_owned()));
    assert_eq!(set(&mut links, "rate=3mbit"), Ok("rate=3mbit delay=5ms".to_owned()));
    assert!(set(&mut links, "rate=5mbit loss=1%").is_ok());
    links.poll(Instant::ZERO + Duration::from_secs(2));
    let Reply::Links(status) = links.command(Instant::from_millis(2000), Command::Show) else {
        panic!("they are shown");
    };
    assert_eq!(status[0].up.settings.to_string(), "rate=1mbit delay=5ms loss=1%");
}
