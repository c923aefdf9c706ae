//! Several connections through one bottleneck.

use bytes::Bytes;
use weir_link::{Direction, LinkId, Pipe, Settings as LinkSettings};
use weir_time::Instant;

use super::world::{link, millis};
use crate::tcp::{CongestionControl, Connection, Output, Segment, Settings};

struct Flow {
    ends: [Connection; 2],
    timeouts: [Option<Instant>; 2],
    read: usize,
}

/// Flows that always have something to send, each with its own start; returns what each carried
/// in the second half of the run.
fn share(link: LinkSettings, controls: &[CongestionControl], end: Instant) -> Vec<usize> {
    let mut pipes = [Direction::Up, Direction::Down].map(|way| {
        Pipe::<(usize, Segment)>::new(1, LinkId(0), way, link.clone()).expect("possible")
    });
    let mut flows: Vec<Flow> = Vec::new();
    let mut now = Instant::ZERO;
    let mut half = Vec::new();
    let block = Bytes::from(vec![7; 65_536]);
    while now < end {
        if flows.len() < controls.len() && now >= millis(1_000 * flows.len() as u64) {
            flows.push(Flow::open(now, flows.len() as u64, controls[flows.len()]));
        }
        for (number, flow) in flows.iter_mut().enumerate() {
            flow.act(now, number, &mut pipes, &block);
        }
        for side in 0..2 {
            while let Some(delivery) = pipes[side].poll(now) {
                let (number, segment) = delivery.payload;
                flows[number].ends[1 - side].handle(now, segment);
                flows[number].act(now, number, &mut pipes, &block);
            }
        }
        if half.is_empty() && now >= millis(end.as_nanos() / 2_000_000) {
            half = flows.iter().map(|flow| flow.read).collect();
        }
        let timeouts = flows.iter().flat_map(|flow| flow.timeouts).flatten();
        let next = timeouts.chain(pipes.iter().filter_map(Pipe::next_timeout)).min();
        let tick = Instant::from_nanos(now.as_nanos() + 100_000_000);
        now = next.unwrap_or(tick).min(tick).max(now);
        for tcp in flows.iter_mut().flat_map(|flow| &mut flow.ends) {
            tcp.timer(now);
        }
    }
    flows.iter().zip(half).map(|(flow, half)| flow.read - half).collect()
}

impl Flow {
    fn open(now: Instant, seed: u64, congestion_control: CongestionControl) -> Flow {
        let settings = Settings { congestion_control, ..Settings::default() };
        let mut client = Connection::connect(now, seed, settings.clone());
        let Output::Send(syn) = client.poll(now) else { panic!("it opens") };
        let server = Connection::accept(now, seed, settings, &syn);
        Flow { ends: [client, server], timeouts: [None; 2], read: 0 }
    }

    fn act(
        &mut self,
        now: Instant,
        number: usize,
        pipes: &mut [Pipe<(usize, Segment)>; 2],
        block: &Bytes,
    ) {
        while self.ends[0].send_space() > 0 {
            self.ends[0].send(block.clone());
        }
        while let Some(bytes) = self.ends[1].recv(usize::MAX) {
            self.read += bytes.len();
        }
        for (side, pipe) in pipes.iter_mut().enumerate() {
            self.timeouts[side] = loop {
                match self.ends[side].poll(now) {
                    Output::Send(segment) => {
                        let bytes = segment.ip_bytes();
                        let _ = pipe.offer(now, bytes, (number, segment));
                    }
                    Output::Event(_) => {}
                    Output::Timeout(at) => break at,
                }
            };
        }
    }
}

#[test]
fn two_equal_flows_come_to_equal_shares() {
    for control in [CongestionControl::Cubic, CongestionControl::Reno] {
        let bottleneck = link(20_000_000, 40, 100_000);
        let shares = share(bottleneck, &[control; 2], millis(120_000));
        let sum = (shares[0] + shares[1]) as f64;
        let possible = 20e6 / 8.0 * 60.0 * 1448.0 / 1500.0;
        let ratio = shares[0] as f64 / sum;
        assert!((0.35..0.65).contains(&ratio), "{control:?} {shares:?}");
        assert!(sum > 0.93 * possible, "{control:?} {shares:?} of {possible}");
    }
}

#[test]
fn ten_flows_fill_the_link_and_none_starves() {
    let shares =
        share(link(50_000_000, 40, 250_000), &[CongestionControl::Cubic; 10], millis(60_000));
    let sum = shares.iter().sum::<usize>() as f64;
    assert!(sum > 0.93 * 50e6 / 8.0 * 30.0 * 1448.0 / 1500.0, "{shares:?}");
    assert!(shares.iter().all(|share| *share as f64 > sum / 40.0), "{shares:?}");
}
