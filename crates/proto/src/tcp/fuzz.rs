//! Entries for fuzzing.

use core::time::Duration;

use bytes::Bytes;
use weir_time::Instant;

use super::{Connection, Flags, Output, SackBlocks, Segment, Settings, Timestamps};

/// Plays a hostile peer: arbitrary segments, some of them near what the connection expects, with
/// calls of the application's side between them.
pub fn fuzz_segments(data: &[u8]) {
    let mut input = Input { data };
    let settings = Settings {
        send_buffer_bytes: 20_000,
        receive_buffer_bytes: 20_000,
        receive_window_initial_bytes: 10_000,
        ..Settings::default()
    };
    let mut now = Instant::from_millis(1);
    let mut connection = if input.byte() & 1 == 0 {
        Connection::connect(now, 1, settings)
    } else {
        Connection::accept(now, 1, settings, &input.segment(0, 0))
    };
    let (mut sent_end, mut acknowledged) = (0, 0);
    while !input.data.is_empty() {
        match input.byte() % 8 {
            0 => connection.handle(now, input.segment(acknowledged, sent_end)),
            1 => {
                now += Duration::from_micros(u64::from(input.number(3)));
                connection.timer(now);
            }
            2 => {
                connection.send(Bytes::from(vec![7; input.number(2) as usize]));
            }
            3 => {
                connection.recv(input.number(2) as usize);
            }
            4 if input.byte() == 0 => connection.shutdown(),
            5 if input.byte() == 0 => connection.close(),
            6 if input.byte() == 0 => connection.abort(),
            _ => connection.handle(now, input.segment(acknowledged, sent_end)),
        }
        let mut outputs = 0;
        loop {
            match connection.poll(now) {
                Output::Send(segment) => {
                    sent_end = sent_end.max(segment.seq + segment.seq_len());
                    acknowledged = segment.ack;
                }
                Output::Event(_) => {}
                Output::Timeout(at) => {
                    assert!(at.is_none_or(|at| at > now), "a timer in the past never ends");
                    break;
                }
            }
            outputs += 1;
            assert!(outputs < OUTPUTS_MAX, "it never rests");
        }
        assert!(connection.receive_ready_bytes() <= 20_000);
        assert!(connection.not_sent_bytes() + connection.unacknowledged_bytes() <= 20_000);
    }
}

struct Input<'a> {
    data: &'a [u8],
}

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.data.split_first() else {
            return 0;
        };
        self.data = rest;
        *first
    }

    fn number(&mut self, bytes: u32) -> u32 {
        (0..bytes).fold(0, |number, _| number << 8 | u32::from(self.byte()))
    }

    /// Numbers near those that matter, or anywhere.
    fn position(&mut self, near: u64) -> u64 {
        match self.byte() {
            0..=99 => near,
            100..=199 => near.wrapping_add(u64::from(self.number(2))),
            200..=249 => near.wrapping_sub(u64::from(self.number(2))),
            _ => u64::from(self.number(4)) << 32 | u64::from(self.number(4)),
        }
    }

    fn segment(&mut self, expected: u64, sent_end: u64) -> Segment {
        let bits = self.byte();
        let mut sack = SackBlocks::default();
        for _ in 0..bits >> 6 {
            sack.push(self.position(sent_end), self.position(sent_end));
        }
        Segment {
            seq: self.position(expected),
            ack: self.position(sent_end),
            flags: Flags {
                syn: bits & 7 == 7,
                ack: bits & 8 == 0,
                fin: bits & 0x30 == 0x30,
                rst: bits & 0x1f == 0x1e,
            },
            window: self.number(2),
            sack,
            timestamps: Timestamps { value_us: self.number(2), echo_us: self.number(2) },
            mss_bytes: (bits & 0x20 == 0).then(|| self.number(2)),
            ip_header_bytes: 20,
            payload: Bytes::from(vec![9; self.number(2) as usize % 3000]),
        }
    }
}

/// More than there are segments of the least size in the send buffer.
const OUTPUTS_MAX: usize = 1000;
