//! `weir link set`, `show`, `capture`: against a session in this process, whose links nobody uses.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use weir_emulator::{Clock, Inbox, LinkIndex, Links, Plan, Session, SessionSettings, Tap, Wire};
use weir_link::Direction;

use crate::program::{Finished, Folder, run, weir};

const LIMIT: Duration = Duration::from_secs(20);

/// 500 bytes of nothing.
#[derive(Clone)]
struct Packet;

impl Wire for Packet {
    fn ip_bytes(&self) -> u32 {
        500
    }

    fn write_ip(&self, out: &mut Vec<u8>, bytes_max: usize) {
        out.extend(std::iter::repeat_n(0x45, bytes_max.min(500)));
    }

    fn corrupt(&mut self, _: u64) {}
}

fn plans() -> Vec<Plan> {
    let plan = |name: &str| Plan { name: name.to_owned(), ..Plan::default() };
    vec![plan("s1-s2"), plan("s2-s3")]
}

fn drive(clock: Clock, tap: Box<dyn Tap>, mut inbox: Inbox, stop: &AtomicBool) {
    let mut links = Links::new(1);
    for plan in plans() {
        links.add(plan).unwrap();
    }
    links.watch(clock.now(), tap);
    while !stop.load(Ordering::SeqCst) {
        let now = clock.now();
        inbox.serve(now, &mut links);
        links.offer(now, LinkIndex(0), Direction::Up, Packet);
        while links.poll(now).is_some() {}
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Lets `act` run while links run whose socket stands at the path that it gets.
fn beside_links(folder: &Folder, act: impl FnOnce(&Path)) {
    let control = folder.join("control.sock");
    let settings = SessionSettings {
        command: "weir link test".into(),
        driver: "test",
        control: Some(control.clone()),
        ..SessionSettings::default()
    };
    let clock = Clock::start();
    let (session, tap, inbox) = Session::start(settings, clock, 1, &plans()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let driver = std::thread::spawn(move || drive(clock, tap, inbox, &stopped));
    act(&control);
    stop.store(true, Ordering::SeqCst);
    driver.join().unwrap();
    session.finish();
}

fn link(folder: &Folder, arguments: &[&str]) -> Finished {
    let mut command = weir();
    command.arg("link").args(arguments).current_dir(folder.path());
    run(command, folder, "link", LIMIT)
}

#[test]
fn a_running_link_is_changed_and_shown() {
    let folder = Folder::new("link-set");
    beside_links(&folder, |control| {
        let control = control.to_str().unwrap();
        let set = ["set", "s1-s2", "rate=2mbit", "delay=50ms", "--up", "--control", control];
        let changed = link(&folder, &set);
        assert_eq!(changed.code, Some(0), "{}", changed.err);
        assert_eq!(changed.out, "s1-s2 up: rate=2mbit delay=50ms\n");
        let shown = link(&folder, &["show", "--control", control]);
        assert!(shown.out.starts_with("weir link test\n"), "{}", shown.out);
        assert!(shown.out.contains("\ns1-s2 up: rate=2mbit delay=50ms\n"));
        assert!(shown.out.contains("\ns2-s3 down: rate=unlimited"), "{}", shown.out);
        let shown = link(&folder, &["show", "--json", "--control", control]);
        let runs: Value = serde_json::from_str(&shown.out).unwrap();
        assert_eq!(runs[0]["links"][1]["name"], "s2-s3");
    });
}

#[test]
fn what_cannot_be_done_is_told_with_what_to_do() {
    let folder = Folder::new("link-refused");
    beside_links(&folder, |control| {
        let control = control.to_str().unwrap();
        for (words, said) in [
            (&["rate=2mbit"][..], "which link? There are: s1-s2, s2-s3"),
            (&["s9", "rate=2mbit"], "there is no link \"s9\"; there are: s1-s2, s2-s3"),
            (&["s1-s2", "rate=2mbps"], "(example: 5mbit)"),
            (&["s1-s2", "speed=2"], "expected rate, trace, queue"),
            (&["s1-s2"], "nothing to change"),
        ] {
            let arguments = [&["set"], words, &["--control", control]].concat();
            let refused = link(&folder, &arguments);
            assert_eq!(refused.code, Some(1), "{words:?}");
            assert!(refused.err.contains(said), "{words:?}: {}", refused.err);
        }
    });
    let gone = folder.join("gone.sock");
    let refused = link(&folder, &["show", "--control", gone.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("nothing answers at"), "{}", refused.err);
}

#[test]
fn a_capture_of_a_running_link_is_summed_up() {
    let folder = Folder::new("link-capture");
    beside_links(&folder, |control| {
        let control = control.to_str().unwrap();
        let start = ["capture", "--start", "a.pcapng", "s1-s2", "--control", control];
        assert_eq!(link(&folder, &start).code, Some(0));
        std::thread::sleep(Duration::from_millis(400));
        let ended = link(&folder, &["capture", "--stop", "--control", control]);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    });
    let summed = link(&folder, &["capture", "a.pcapng", "--svg", "a.svg"]);
    assert_eq!(summed.code, Some(0), "{}", summed.err);
    let text = &summed.out;
    for part in ["s1-s2 up\n", "  sent  ", "  arrived ", "  delay ", "sends: ", "arrivals: "] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    assert!(!text.contains("s2-s3"));
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(std::fs::read_to_string(folder.join("a.svg")).unwrap().starts_with("<svg"));
    let json = link(&folder, &["capture", "a.pcapng", "--json"]);
    let summary: Value = serde_json::from_str(&json.out).unwrap();
    assert!(summary["links"][0]["sent"]["packets"].as_u64() > Some(100));
    assert!(summary["links"][0]["delay"]["p50"].is_u64());
}

#[test]
fn what_is_no_capture_is_refused() {
    let folder = Folder::new("link-no-capture");
    std::fs::write(folder.join("a.pcapng"), "GIF89a").unwrap();
    let refused = link(&folder, &["capture", "a.pcapng"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("no capture: expected pcapng or pcap"), "{}", refused.err);
    let missing = link(&folder, &["capture", "b.pcapng"]);
    assert!(missing.err.contains("cannot read b.pcapng"), "{}", missing.err);
}

#[test]
fn the_view_needs_a_terminal() {
    let folder = Folder::new("link-view");
    beside_links(&folder, |control| {
        let refused = link(&folder, &["view", "--control", control.to_str().unwrap()]);
        assert_eq!(refused.code, Some(1));
        assert!(refused.err.contains("the view needs a terminal"), "{}", refused.err);
    });
}
