//! The classroom dialect against a server such as the assignments hand out: it reads one request
//! a read, ends its replies with no line end, leaves errors unanswered, and sends from a port of
//! its own.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use weir_dial::classroom::{Dialect, detect};
use weir_link::Loss;
use weir_net::sim::World;
use weir_net::{Host, TcpStream, UdpOptions};
use weir_player::classroom::{Settings, play};
use weir_player::rtsp::{Action, Outcome};
use weir_record::event::EndReason;
use weir_record::stats::PlaySummary;
use weir_record::{Event, Level, Record, queue};

const FRAMES: u16 = 60;
const FRAME: Duration = Duration::from_millis(50);

/// What the server does.
#[derive(Clone, Copy, Default)]
struct Plan {
    /// It closes the connection after so many frames.
    closes_after: Option<u16>,
    /// It sends no frames.
    is_silent: bool,
    /// It leaves TEARDOWN unanswered.
    ignores_teardown: bool,
    /// It answers what is not there with a line of its own.
    says_404: bool,
}

/// Serves `movie.Mjpeg`.
fn serve(host: &Host, address: SocketAddr, plan: Plan) {
    let listener = host.tcp_listen(address).unwrap();
    let host = host.clone();
    host.clone().spawn(async move {
        loop {
            let (detached, peer) = listener.accept().await.unwrap();
            let stream = Rc::new(host.attach_tcp(detached).unwrap());
            host.spawn(converse(host.clone(), stream, peer, plan));
        }
    });
}

async fn converse(host: Host, stream: Rc<TcpStream>, peer: SocketAddr, plan: Plan) {
    let (next, playing) = (Rc::new(Cell::new(1)), Rc::new(Cell::new(false)));
    loop {
        let mut request = BytesMut::new();
        if !matches!(stream.read(&mut request).await, Ok(1..)) {
            return playing.set(false);
        }
        let request = String::from_utf8(request.to_vec()).unwrap();
        let lines: Vec<&str> = request.split('\n').collect();
        let words: Vec<&str> = lines[0].split(' ').collect();
        let cseq = lines[1].split(' ').nth(1).unwrap();
        match words[0] {
            "SETUP" if words[1] != "movie.Mjpeg" => {
                if plan.says_404 {
                    stream.write_all(b"RTSP/1.0 404 NOT FOUND\n").await.unwrap();
                }
                continue;
            }
            "SETUP" => {
                let port = lines[2].split(' ').nth(3).unwrap().parse().unwrap();
                let to = SocketAddr::new(peer.ip(), port);
                let (next, playing, stream) =
                    (Rc::clone(&next), Rc::clone(&playing), Rc::clone(&stream));
                host.spawn(send(host.clone(), to, next, playing, stream, plan));
            }
            "PLAY" => playing.set(true),
            "PAUSE" => playing.set(false),
            "TEARDOWN" if plan.ignores_teardown => continue,
            "TEARDOWN" => playing.set(false),
            // OPTIONS and whatever else: no answer.
            _ => continue,
        }
        if words[0] != "SETUP" {
            assert_eq!(lines[2], "Session: 123456");
        }
        let reply = format!("RTSP/1.0 200 OK\nCSeq: {cseq}\nSession: 123456");
        stream.write_all(reply.as_bytes()).await.unwrap();
    }
}

async fn send(
    host: Host,
    to: SocketAddr,
    next: Rc<Cell<u16>>,
    playing: Rc<Cell<bool>>,
    stream: Rc<TcpStream>,
    plan: Plan,
) {
    let local = SocketAddr::new(stream.local_address().ip(), 0);
    let udp = host.udp_bind(local, &UdpOptions::default()).unwrap();
    while next.get() <= FRAMES {
        host.sleep(FRAME).await;
        if !playing.get() || plan.is_silent {
            continue;
        }
        let number = next.replace(next.get() + 1);
        if plan.closes_after == Some(number) {
            return stream.shutdown();
        }
        udp.try_send(&packet(&host, number), to).unwrap();
    }
}

fn packet(host: &Host, number: u16) -> Vec<u8> {
    let time = (host.utc().as_nanos() / 1_000_000_000) as u32;
    let mut packet = vec![0x80, 26];
    packet.extend(number.to_be_bytes());
    packet.extend(time.to_be_bytes());
    packet.extend([0, 0, 0, 123]);
    packet.extend(image(number));
    packet
}

fn image(number: u16) -> Vec<u8> {
    let mut image = vec![0xff, 0xd8];
    image.resize(4_000 + 10 * usize::from(number), number as u8);
    image.extend([0xff, 0xd9]);
    image
}

struct Played {
    outcome: Outcome,
    summary: PlaySummary,
    records: Vec<Record>,
}

impl Played {
    fn frames(&self) -> Option<u64> {
        self.summary.tracks[0].frames
    }
}

/// Plays `name` from such a server.
fn run(plan: Plan, loss: f64, name: &str, ask: impl FnOnce(&mut Settings)) -> Played {
    let world = World::new(3);
    let (server, viewer) = (world.host("server"), world.host("viewer"));
    let up = weir_link::Settings { delay: Duration::from_millis(10), ..Default::default() };
    let down = weir_link::Settings { loss: Loss::Independent(loss), ..up.clone() };
    world.join(&viewer, &server, up, down).unwrap();
    let address = SocketAddr::new(server.addresses()[0], 554);
    serve(&server, address, plan);
    let mut settings = Settings::new(format!("rtsp://server/{name}"));
    ask(&mut settings);
    let (sink, mut drain) = queue(Level::Packet, 10_000);
    let outcome = world.run(async move { play(&viewer, settings, &sink, |_| {}).await });
    let mut records = Vec::new();
    drain.take(&mut records);
    let summary = PlaySummary::from_records(&records);
    Played { outcome: outcome.unwrap(), summary, records }
}

#[test]
fn a_movie_is_played_to_its_end_and_measured() {
    let played = run(Plan::default(), 0.0, "movie.Mjpeg", |_| {});
    assert_eq!(played.outcome.reason, EndReason::EndOfStream, "{:?}", played.outcome);
    let track = &played.summary.tracks[0];
    assert_eq!((track.frames, track.lost, track.head_lost), (Some(60), Some(0), Some(0)));
    let bytes = (1..=FRAMES).map(|number| image(number).len() as u64).sum();
    assert_eq!(track.bytes, Some(bytes));
    assert_eq!((track.jitter_ns, track.jitter_against_50ms_ns), (None, Some(0)));
    assert_eq!(played.summary.transport.as_deref(), Some("classroom/udp"));
    assert_eq!(played.summary.warnings, 0);
    // The session that the silence has ended is not part of the time.
    assert_eq!(track.receiving_ns, Some(59 * 50_000_000));
    let responses = played.records.iter().filter_map(|record| match &record.event {
        Event::Response(response) => Some((&*response.method, response.round_trip_ns)),
        _ => None,
    });
    let responses: Vec<_> = responses.collect();
    assert_eq!(responses[0].0, "SETUP");
    assert!(responses.iter().all(|(_, ns)| (19_000_000..25_000_000).contains(ns)), "{responses:?}");
}

#[test]
fn what_the_way_loses_is_what_is_reported() {
    let played = run(Plan::default(), 0.1, "movie.Mjpeg", |_| {});
    let track = &played.summary.tracks[0];
    let (lost, head) = (track.lost.unwrap(), track.head_lost.unwrap());
    assert!(lost > 0, "{track:?}");
    assert_eq!(track.packets.unwrap() + lost, track.expected.unwrap());
    let last = track.expected.unwrap() + head;
    assert!((55..=60).contains(&last), "{last}");
}

#[test]
fn a_pause_is_no_jitter_and_no_end() {
    let script =
        vec![(Duration::from_secs(1), Action::Pause), (Duration::from_secs(31), Action::Resume)];
    let played = run(Plan::default(), 0.0, "movie.Mjpeg", |settings| settings.script = script);
    assert_eq!(played.outcome.reason, EndReason::EndOfStream);
    let track = &played.summary.tracks[0];
    assert_eq!((played.frames(), track.lost), (Some(60), Some(0)));
    assert!(track.jitter_against_50ms_ns < Some(5_000_000), "{track:?}");
    assert!(track.inter_arrival_max_ns < Some(200_000_000), "{track:?}");
}

#[test]
fn the_images_are_written_as_a_classroom_file() {
    let path = std::env::temp_dir().join(format!("weir-classroom-{}.mjpeg", std::process::id()));
    let output = path.clone();
    let played = run(Plan::default(), 0.0, "movie.Mjpeg", |settings| {
        settings.movie = Some(output);
    });
    let file = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let written = played.outcome.movie.unwrap();
    assert_eq!((written.frames, written.bytes), (60, file.len() as u64));
    let mut expected = Vec::new();
    for number in 1..=FRAMES {
        expected.extend(format!("{:05}", image(number).len()).into_bytes());
        expected.extend(image(number));
    }
    assert!(file == expected);
}

#[test]
fn an_error_without_an_answer_is_named_after_the_time_limit() {
    let played = run(Plan::default(), 0.0, "nothing.Mjpeg", |_| {});
    let text = played.outcome.text.unwrap();
    assert!(text.contains("SETUP nothing.Mjpeg: no reply within 5 s"), "{text}");
    assert_eq!(played.outcome.reason, EndReason::Failed);
    let played = run(Plan { says_404: true, ..Plan::default() }, 0.0, "nothing.Mjpeg", |_| {});
    let text = played.outcome.text.unwrap();
    assert!(text.contains("the server answered 404 NOT FOUND"), "{text}");
}

#[test]
fn a_server_that_sends_nothing_leaves_or_ignores_is_told_apart() {
    let silent = run(Plan { is_silent: true, ..Plan::default() }, 0.0, "movie.Mjpeg", |_| {});
    assert_eq!(silent.outcome.reason, EndReason::Failed);
    assert!(silent.outcome.text.unwrap().starts_with("no image came"));
    let closes = Plan { closes_after: Some(20), ..Plan::default() };
    let closed = run(closes, 0.0, "movie.Mjpeg", |_| {});
    assert_eq!((closed.outcome.reason, closed.frames()), (EndReason::PeerClosed, Some(19)));
    let deaf = Plan { ignores_teardown: true, ..Plan::default() };
    let deaf = run(deaf, 0.0, "movie.Mjpeg", |settings| {
        settings.limit = Some(Duration::from_secs(1));
    });
    assert_eq!(deaf.outcome.reason, EndReason::Done);
    assert_eq!(deaf.summary.errors, 0);
}

#[test]
fn a_server_is_asked_which_dialect_it_speaks() {
    let world = World::new(8);
    let (server, viewer) = (world.host("server"), world.host("viewer"));
    world.join(&viewer, &server, Default::default(), Default::default()).unwrap();
    let address = SocketAddr::new(server.addresses()[0], 554);
    serve(&server, address, Plan::default());
    let plan = crate::scripted::Plan::default();
    crate::scripted::serve(&server, SocketAddr::new(address.ip(), 8554), plan);
    world.run(async move {
        let limit = Duration::from_secs(3);
        let ask = |url: &str| weir_dial::classroom::Settings::new(url);
        let one = detect(&viewer, &ask("rtsp://server/movie.Mjpeg"), limit).await;
        assert_eq!(one.unwrap(), Dialect::Classroom);
        let other = detect(&viewer, &ask("rtsp://server:8554/movie"), limit).await;
        assert_eq!(other.unwrap(), Dialect::Rtsp);
        assert!(detect(&viewer, &ask("rtsp://server:9/movie"), limit).await.is_err());
    });
}
