//! A session around a small driver in real time: control, captures and records.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the small driver is a thread in real time"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use weir_emulator::control::{Client, Request};
use weir_emulator::{
    Certificate, Clock, Inbox, LinkIndex, Links, Plan, Session, SessionSettings, Tap, Wire,
};
use weir_link::{Change, Direction, Settings};

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

/// A session whose driver sends a packet each millisecond.
struct Run {
    folder: PathBuf,
    session: Session,
    stop: Arc<AtomicBool>,
    driver: JoinHandle<()>,
}

impl Run {
    fn start(name: &str, change: impl FnOnce(&Path, &mut SessionSettings)) -> Run {
        let folder = folder(name);
        let mut settings = SessionSettings {
            command: "weir link test".into(),
            driver: "test",
            control: Some(folder.join("control.sock")),
            ..SessionSettings::default()
        };
        change(&folder, &mut settings);
        let clock = Clock::start();
        let plans = [plan()];
        let (session, tap, inbox) =
            Session::start(settings, clock, 1, &plans).expect("it can start");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let driver = std::thread::spawn(move || drive(clock, tap, inbox, &stopped));
        Run { folder, session, stop, driver }
    }

    fn client(&self) -> Client {
        let path = self.session.control_path().expect("it is open");
        Client::connect(path).expect("it answers")
    }

    fn finish(self) -> (Certificate, PathBuf) {
        self.stop.store(true, Ordering::SeqCst);
        self.driver.join().expect("it does not panic");
        (self.session.finish(), self.folder)
    }
}

fn drive(clock: Clock, tap: Box<dyn Tap>, mut inbox: Inbox, stop: &AtomicBool) {
    let mut links = Links::new(1);
    links.add(plan()).expect("it is possible");
    links.watch(clock.now(), tap);
    let mut next = clock.now();
    while !stop.load(Ordering::SeqCst) {
        let now = clock.now();
        inbox.serve(now, &mut links);
        while next <= now {
            links.offer(now, LinkIndex(0), Direction::Up, Packet);
            next += Duration::from_millis(1);
        }
        while links.poll(now).is_some() {}
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn plan() -> Plan {
    let mut up = Settings::default();
    let change: Change = "rate=8mbit delay=5ms".parse().expect("it is well formed");
    change.apply(&mut up);
    Plan { name: "s1-s2".into(), up, ..Plan::default() }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("weir-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).expect("it can be made");
    folder
}

fn pause() {
    std::thread::sleep(Duration::from_millis(300));
}

fn records(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("it was written");
    text.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
}

fn of<'a>(records: &'a [Value], event: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["event"] == event).collect()
}

#[test]
fn a_link_is_changed_through_the_socket_and_the_change_is_recorded_and_certified() {
    let run = Run::start("set", |folder, settings| {
        settings.record = Some(folder.join("run.jsonl"));
    });
    pause();
    let mut client = run.client();
    let direction = Some(Direction::Up);
    let set = Request::Set { link: None, direction, set: "rate=2mbit".into() };
    let response = client.ask(&set).expect("it is done");
    assert_eq!(response.links[0].up.settings, "rate=2mbit delay=5ms");
    assert!(response.links[0].down.settings.starts_with("rate=unlimited"));
    let link = Some("s9".to_owned());
    let unknown = Request::Set { link, direction, set: "rate=2mbit".into() };
    let refused = client.ask(&unknown).expect_err("there is none").to_string();
    assert_eq!(refused, "there is no link \"s9\"; there are: s1-s2");
    pause();
    let (certificate, folder) = run.finish();
    assert_eq!(certificate.directions[0].stretches.len(), 2);
    let rate = certificate.directions[0].stretches[1].rate.expect("the queue was busy");
    assert_eq!(rate.asked_bps, 2e6);
    let records = records(&folder.join("run.jsonl"));
    assert_eq!(records[0]["role"], "link");
    let settings = of(&records, "link_settings");
    assert_eq!(settings[2]["settings"], "rate=2mbit delay=5ms");
    assert_eq!(of(&records, "link_certificate").len(), 3);
    assert_eq!(of(&records, "certificate").len(), 1);
    assert_eq!(records.last().expect("not empty")["event"], "ended");
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn each_second_has_a_record_though_nobody_asks() {
    let run = Run::start("second", |folder, settings| {
        settings.record = Some(folder.join("run.jsonl"));
    });
    let mut client = run.client();
    let mut has_second = || {
        let response = client.ask(&Request::Show {}).expect("it answers");
        response.links[0].up.second.is_some()
    };
    while !has_second() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let (_, folder) = run.finish();
    let records = records(&folder.join("run.jsonl"));
    let seconds = of(&records, "link_second");
    assert!(seconds.len() >= 4, "one whole and the last for each direction");
    assert!(seconds[0]["counts"]["offered_packets"].as_u64().expect("a number") > 500);
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn nonsense_on_the_socket_is_refused_line_by_line() {
    let run = Run::start("lines", |_, _| {});
    let path = run.session.control_path().expect("it is open");
    let mode = std::fs::metadata(path).expect("it is there");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o600);
    let mut stream = UnixStream::connect(path).expect("it answers");
    stream.write_all(b"hello\n\n{\"do\":\"show\"}\n").expect("it listens");
    let mut lines = BufReader::new(stream.try_clone().expect("it can be shared")).lines();
    let mut line = || lines.next().expect("there is a line").expect("it is text");
    assert!(line().contains("expected a request such as"));
    assert!(line().contains("\"links\":[{\"name\":\"s1-s2\""));
    stream.write_all(&vec![b'x'; 100_000]).expect("it listens");
    assert!(line().contains("longer than 64 KB"));
    let path = path.to_owned();
    let (_, folder) = run.finish();
    assert!(!path.exists());
    std::fs::remove_dir_all(folder).expect("it is ours");
}

fn http(run: &Run, request: &str) -> (u16, Value) {
    let address = run.session.http_address().expect("it is open");
    let mut stream = TcpStream::connect(address).expect("it answers");
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").expect("it has a body");
    (status.expect("a number"), serde_json::from_str(body).expect("it is JSON"))
}

#[test]
fn links_are_shown_and_changed_by_http_from_this_machine_alone() {
    let run = Run::start("http", |_, settings| settings.http_control = Some(0));
    let get = |path: &str, more: &str| {
        http(&run, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n"))
    };
    let (status, body) = get("/api/v1/links", "");
    assert_eq!((status, &body["links"][0]["name"]), (200, &Value::from("s1-s2")));
    let body = r#"{"direction":"up","set":"delay=50ms"}"#;
    let patch = |name: &str| {
        let length = body.len();
        http(
            &run,
            &format!(
                "PATCH /api/v1/links/{name} HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
        )
    };
    let (status, changed) = patch("s1-s2");
    assert_eq!(status, 200);
    assert_eq!(changed["links"][0]["up"]["settings"], "rate=8mbit delay=50ms");
    assert_eq!(patch("nobody").0, 404);
    assert_eq!(get("/api/v1/links", "Origin: http://evil.example\r\n").0, 403);
    assert_eq!(http(&run, "GET /api/v1/links HTTP/1.1\r\nHost: evil.example\r\n\r\n").0, 403);
    assert_eq!(get("/etc/passwd", "").0, 404);
    assert_eq!(http(&run, "DELETE /api/v1/links/s1-s2 HTTP/1.1\r\nHost: localhost\r\n\r\n").0, 405);
    assert_eq!(http(&run, "nonsense\r\n\r\n").0, 400);
    let (_, folder) = run.finish();
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn a_capture_starts_and_ends_while_packets_flow() {
    let run = Run::start("capture", |_, _| {});
    let file = run.folder.join("a.pcapng");
    let mut client = run.client();
    let (link, bytes_max) = (Some("s1-s2".to_owned()), Some(64));
    let start = Request::CaptureStart { file: file.clone(), link, bytes_max };
    client.ask(&start).expect("it starts");
    let again = client.ask(&start).expect_err("one goes on").to_string();
    assert!(again.contains("is running: stop it first"), "{again}");
    pause();
    let ended = client.ask(&Request::CaptureStop {}).expect("it ends").capture.expect("one");
    assert!(ended.packets > 400 && ended.packets_missed == 0, "{ended:?}");
    assert!(client.ask(&Request::CaptureStop {}).is_err());
    let refused = client.ask(&start).expect_err("it holds data").to_string();
    assert!(refused.contains("never written over"), "{refused}");
    let (certificate, folder) = run.finish();
    assert!(certificate.directions[0].packets() > 200);
    let mut reader = weir_emulator::capture::read::Reader::default();
    let mut builder = weir_emulator::capture::summary::Builder::default();
    reader.push(&std::fs::read(&file).expect("it was written"));
    while let Some(item) = reader.poll().expect("it is right") {
        builder.push(item);
    }
    let summary = builder.summary();
    let link = &summary.links[0];
    assert_eq!(link.sent.packets + link.arrived.packets, ended.packets);
    let delay = link.delay.as_ref().and_then(|delay| delay.0.quantile(0.5)).expect("measured");
    assert!(delay >= 5_400_000, "{delay}");
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn a_capture_that_cannot_be_written_any_more_ends_and_the_traffic_goes_on() {
    let mut ends = [0; 2];
    // SAFETY: there is room for both descriptors, which are ours if the call succeeds.
    let (reader, writer) = unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    let run = Run::start("full", |folder, settings| {
        settings.capture = Some(format!("/proc/self/fd/{}", writer.as_raw_fd()).into());
        settings.record = Some(folder.join("run.jsonl"));
    });
    drop((reader, writer));
    std::thread::sleep(Duration::from_millis(1200));
    let (certificate, folder) = run.finish();
    let capture = certificate.capture.as_ref().expect("there was one");
    assert!(capture.failed.as_ref().is_some_and(|why| why.contains("pipe")), "{capture:?}");
    assert!(certificate.directions[0].packets() > 700);
    let records = records(&folder.join("run.jsonl"));
    assert_eq!(of(&records, "warning").len(), 1);
    assert!(of(&records, "capture_ended")[0]["failed"].is_string());
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn files_that_hold_data_are_never_written_over() {
    let folder = folder("held");
    let file = folder.join("held");
    std::fs::write(&file, "mine").expect("there is room");
    for is_record in [true, false] {
        let some = Some(file.clone());
        let (record, capture) = if is_record { (some, None) } else { (None, some) };
        let control = Some(folder.join("control.sock"));
        let settings = SessionSettings { record, capture, control, ..SessionSettings::default() };
        let refused = Session::start(settings, Clock::start(), 1, &[plan()]);
        assert!(refused.is_err_and(|error| error.to_string().contains("held")));
    }
    assert_eq!(std::fs::read(&file).expect("it is there"), b"mine");
    std::fs::remove_dir_all(folder).expect("it is ours");
}
