//! A small stand-in for what is around a driver: a tap that counts, and a certificate of counts.

use std::path::PathBuf;

use serde_json::json;
use weir_emulator::relay::Totals;
use weir_emulator::{Clock, Command, Inbox, LinkIndex, LinkStatus, Plan, Remote, Reply, Tap, Wire};
use weir_link::{Direction, Jitter, Loss, Passage, Queue, Rate, Settings};
use weir_time::Instant;

#[derive(clap::Args)]
pub(super) struct SessionFlags {
    /// Print what listens where and the certificate as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Write the records (JSON Lines) to this file
    #[arg(long, value_name = "FILE.jsonl")]
    record: Option<PathBuf>,
}

pub(super) struct SessionSettings {
    pub(super) models: Vec<(String, String)>,
    pub(super) fidelity: Vec<String>,
}

impl SessionFlags {
    pub(super) fn settings(&self, _driver: &'static str) -> SessionSettings {
        let _ = &self.record;
        SessionSettings { models: Vec::new(), fidelity: Vec::new() }
    }
}

pub(super) struct Session {
    remote: Remote,
    settings: SessionSettings,
}

pub(super) struct Certificate {
    settings: SessionSettings,
    links: Vec<LinkStatus>,
}

struct Nothing;

impl Tap for Nothing {
    fn entered(&mut self, _: LinkIndex, _: Direction, _: u64, _: Instant, _: &dyn Wire) {}
    fn passed(&mut self, _: LinkIndex, _: Direction, _: &Passage) {}
    fn left(&mut self, _: LinkIndex, _: Direction, _: u64, _: Instant, _: Instant) {}
    fn changed(&mut self, _: LinkIndex, _: Direction, _: Instant, _: &Settings) {}
}

impl Session {
    pub(super) fn start(
        settings: SessionSettings,
        _clock: Clock,
        _seed: u64,
        _plans: &[Plan],
    ) -> std::io::Result<(Session, Box<dyn Tap>, Inbox)> {
        let (inbox, remote) = Inbox::new()?;
        Ok((Session { remote, settings }, Box::new(Nothing), inbox))
    }

    pub(super) fn remote(&self) -> Remote {
        self.remote.clone()
    }

    pub(super) fn finish(self) -> Certificate {
        let links = match self.remote.ask(Command::Show) {
            Reply::Links(links) => links,
            Reply::Refused(_) => Vec::new(),
        };
        Certificate { settings: self.settings, links }
    }
}

pub(super) fn certificate(certificate: &Certificate, totals: &Totals, is_json: bool) -> String {
    let settings = &certificate.settings;
    if is_json {
        let totals = json!({
            "certificate": certificate.links.len(), "totals": totals, "models": settings.models,
            "fidelity": settings.fidelity,
        });
        return format!("{totals}\n");
    }
    format!("{totals:?}\n")
}

pub(super) fn shown(settings: &Settings) -> String {
    let mut words = Vec::new();
    if let Rate::Constant { bits_per_second } = settings.rate {
        words.push(format!("rate {} kbit/s", bits_per_second / 1000));
    }
    match settings.queue {
        Queue::Bytes(bytes) => words.push(format!("queue {bytes} bytes")),
        Queue::Packets(packets) => words.push(format!("queue {packets} packets")),
        _ => {}
    }
    if !settings.delay.is_zero() {
        words.push(format!("delay {:?}", settings.delay));
    }
    if settings.jitter != Jitter::None {
        words.push(format!("jitter {:?}", settings.jitter));
    }
    if settings.loss != Loss::None {
        words.push(format!("loss {:?}", settings.loss));
    }
    words.join(", ")
}
