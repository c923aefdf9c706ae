//! A server and a player, joined by a link, and what came of a play.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use weir_dial::rtsp::Transport;
use weir_link::{Direction, Dropped, Jitter, Loss, Queue, Rate};
use weir_net::Host;
use weir_net::sim::{Fate, Link, World};
use weir_player::rtsp::{Outcome, Settings, play};
use weir_proto::rtcp;
use weir_record::stats::{PlaySummary, TrackSummary};
use weir_record::{Event, Level, Record, Sink, queue};
use weir_server::{Hub, Library, Server};

use crate::movie::{Shape, tracks};

/// Two hosts of a world.
pub(crate) struct Pair {
    pub(crate) world: World,
    pub(crate) server: Host,
    pub(crate) viewer: Host,
    pub(crate) link: Link,
}

/// What came of a play.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) outcome: Outcome,
    pub(crate) records: Vec<Record>,
    pub(crate) summary: PlaySummary,
}

impl Pair {
    /// A link of 10 ms each way that loses so much of what the server sends.
    pub(crate) fn new(seed: u64, loss: f64) -> Self {
        let up = weir_link::Settings {
            delay: Duration::from_millis(10),
            ..weir_link::Settings::default()
        };
        let down = weir_link::Settings { loss: Loss::Independent(loss), ..up.clone() };
        Pair::joined(seed, up, down)
    }

    /// A link such as one to a home far away: 20 Mbit/s, 20 ms each way with 5 ms of jitter, a
    /// queue of 100 packets. It loses both ways.
    pub(crate) fn rough(seed: u64, loss: Loss) -> Self {
        let each = weir_link::Settings {
            rate: Rate::bits_per_second(20_000_000),
            queue: Queue::Packets(100),
            delay: Duration::from_millis(20),
            jitter: Jitter::Uniform { spread: Duration::from_millis(5) },
            loss,
            ..weir_link::Settings::default()
        };
        Pair::joined(seed, each.clone(), each)
    }

    /// A link from the viewer up to the server and down again.
    pub(crate) fn joined(seed: u64, up: weir_link::Settings, down: weir_link::Settings) -> Self {
        let world = World::new(seed);
        let (server, viewer) = (world.host("server"), world.host("viewer"));
        let link = world.join(&viewer, &server, up, down).unwrap();
        Pair { world, server, viewer, link }
    }

    /// Where the server's port for RTSP is.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.server.addresses()[0], 8554)
    }

    /// Serves movies.
    pub(crate) fn serve(&self, movies: Vec<PathBuf>) {
        self.serve_with(movies, Sink::none());
    }

    /// Serves movies, and writes down what happens.
    pub(crate) fn serve_with(&self, movies: Vec<PathBuf>, records: Sink) -> Arc<Hub> {
        let hub = Hub::new(Library::new(movies), 64 << 20);
        let settings = weir_server::Settings::default();
        Server::start(&self.server, &hub, settings, records).unwrap();
        hub
    }

    /// Serves the live stream `live` from now on, until it is over.
    pub(crate) fn serve_live(&self, shape: Shape, records: Sink) {
        let hub = self.serve_with(Vec::new(), records);
        let mut publisher = hub.publish("live", tracks().to_vec()).unwrap();
        let host = self.server.clone();
        self.server.spawn(async move {
            let start = host.now();
            for frame in shape.frames() {
                let due = start + frame.dts.unwrap().to_duration();
                host.sleep_until(due).await;
                publisher.push(&frame, host.now()).unwrap();
            }
        });
    }

    /// The stream of a movie file.
    pub(crate) fn url(&self, path: &std::path::Path) -> String {
        let name = path.file_stem().unwrap().to_string_lossy();
        format!("rtsp://{}/{name}", self.address())
    }

    /// Plays.
    pub(crate) fn play(&self, settings: Settings, level: Level) -> Played {
        let (sink, mut drain) = queue(level, 1 << 20);
        let viewer = self.viewer.clone();
        let playing = async move { play(&viewer, settings, &sink, |_| {}).await };
        let outcome = self.world.run(playing).expect("the play ends");
        let mut records = Vec::new();
        drain.take(&mut records);
        let summary = PlaySummary::from_records(&records);
        Played { outcome, records, summary }
    }
}

impl Played {
    pub(crate) fn track(&self, number: u8) -> &TrackSummary {
        self.summary.tracks.iter().find(|track| track.track == number).unwrap()
    }

    /// The source of each track, by the server's word.
    pub(crate) fn source(&self, number: u8) -> u32 {
        let starts = self.records.iter().find_map(|record| match &record.event {
            Event::Playing(playing) => Some(playing.tracks.clone()),
            _ => None,
        });
        let start = starts.unwrap().into_iter().find(|start| start.track == number);
        start.unwrap().ssrc.unwrap()
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.records.iter().map(|record| record.event.name()).collect()
    }
}

/// How many RTP packets of each source a link's way down has dropped, and carried, and how often
/// the source's good-bye came through.
#[derive(Default)]
pub(crate) struct Fates {
    pub(crate) dropped: BTreeMap<u32, u64>,
    pub(crate) carried: BTreeMap<u32, u64>,
    pub(crate) queue_drops: u64,
    pub(crate) good_byes: BTreeMap<u32, u64>,
}

impl Fates {
    fn count(&mut self, datagram: &[u8], fate: Fate) {
        if let Fate::Dropped(Dropped::Queue) = fate {
            self.queue_drops += 1;
        }
        if rtcp::is_rtcp(datagram) {
            for packet in rtcp::decode(datagram).unwrap() {
                if let (rtcp::Packet::Goodbye(goodbye), Fate::Delivered) = (packet, fate) {
                    for source in goodbye.sources {
                        *self.good_byes.entry(source.0).or_default() += 1;
                    }
                }
            }
        } else if let Ok(rtp) = weir_proto::rtp::Packet::parse(datagram) {
            let counts = match fate {
                Fate::Delivered => &mut self.carried,
                Fate::Dropped(_) => &mut self.dropped,
            };
            *counts.entry(rtp.header.ssrc.0).or_default() += 1;
        }
    }
}

/// Counts packets from the server from now on.
pub(crate) fn count_fates(pair: &Pair) -> Rc<RefCell<Fates>> {
    let fates = Rc::new(RefCell::new(Fates::default()));
    let counted = Rc::clone(&fates);
    let server = pair.server.addresses()[0];
    pair.world.on_packet(move |packet| {
        if let Some(datagram) = packet.datagram.filter(|_| packet.from.ip() == server) {
            counted.borrow_mut().count(datagram, packet.fate);
        }
    });
    fates
}

/// Plays `url` by `transport`.
pub(crate) fn settings(url: &str, transport: Transport) -> Settings {
    let mut settings = Settings::new(url);
    settings.dial.transport = transport;
    settings
}

/// What the link has lost on the way down, of all protocols.
pub(crate) fn lost_down(pair: &Pair) -> u64 {
    pair.link.counters(Direction::Down).dropped_loss_packets
}
