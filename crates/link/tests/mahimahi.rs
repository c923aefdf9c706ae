//! Trace-driven links depart exactly as the definition of Mahimahi's links says.

use proptest::prelude::*;
use weir_link::{Direction, Fate, LinkId, Pipe, Queue, Rate, Settings, Trace};
use weir_time::Instant;

/// The definition, opportunity by opportunity: at each of the trace's moments 1500 bytes may leave. They
/// go to the packet on its way and to those that wait behind it; what nobody uses is lost. A packet
/// has left when its last byte has. The trace begins again at its last moment.
///
/// Packets are (nanosecond of arrival, bytes), in order; the result is when each has left.
fn definition(trace_ms: &[u64], packets: &[(u64, u32)]) -> Vec<u64> {
    let mut left: Vec<u64> = Vec::new();
    // Bytes of the first packet that has not left which still have to go.
    let mut remaining = packets.first().map_or(0, |packet| packet.1);
    let mut base_ms = 0;
    loop {
        for moment_ms in trace_ms {
            let moment = (base_ms + moment_ms) * 1_000_000;
            let mut bytes = 1500;
            while let Some((arrival, _)) = packets.get(left.len())
                && *arrival < moment
                && bytes > 0
            {
                let sent = bytes.min(remaining);
                bytes -= sent;
                remaining -= sent;
                if remaining == 0 {
                    left.push(moment);
                    remaining = packets.get(left.len()).map_or(0, |packet| packet.1);
                }
            }
            if left.len() == packets.len() {
                return left;
            }
        }
        base_ms += trace_ms.last().expect("a trace has a last moment");
    }
}

fn model(trace_ms: &[u64], packets: &[(u64, u32)]) -> Vec<u64> {
    let text: String = trace_ms.iter().map(|milli| format!("{milli}\n")).collect();
    let trace = Trace::read("trace", &text).expect("it is a trace");
    let settings = Settings {
        rate: Rate::Trace(trace.into()),
        queue: Queue::Packets(100_000),
        ..Settings::default()
    };
    let mut pipe = Pipe::new(1, LinkId(0), Direction::Up, settings).expect("possible");
    pipe.observe(100_000);
    for (number, (arrival, bytes)) in packets.iter().enumerate() {
        pipe.offer(Instant::from_nanos(*arrival), *bytes, number).expect("there is room");
    }
    while let Some(at) = pipe.next_timeout() {
        while pipe.poll(at).is_some() {}
    }
    let passages = std::iter::from_fn(|| pipe.take_passage());
    passages
        .map(|passage| match passage.fate {
            Fate::Delivered(at) => at.as_nanos(),
            Fate::Dropped(reason) => panic!("nothing is dropped: {reason:?}"),
        })
        .collect()
}

fn any_trace() -> impl Strategy<Value = Vec<u64>> {
    let gaps =
        prop::collection::vec(prop_oneof![3 => Just(0_u64), 5 => 0_u64..4, 1 => 0_u64..60], 1..60);
    let times = gaps.prop_map(|gaps| {
        let times = gaps.iter().scan(0, |at, gap| {
            *at += gap;
            Some(*at)
        });
        times.collect::<Vec<_>>()
    });
    times.prop_filter("it lasts no time", |times| times.last() > Some(&0))
}

fn any_packets() -> impl Strategy<Value = Vec<(u64, u32)>> {
    // On the millisecond, where opportunities are, and anywhere.
    let gap = prop_oneof![
        3 => Just(0_u64),
        3 => (0_u64..5).prop_map(|millis| millis * 1_000_000),
        3 => 0_u64..3_000_000,
        1 => 0_u64..200_000_000,
    ];
    let bytes = prop_oneof![3 => Just(1500_u32), 3 => 1_u32..1500, 1 => 1501_u32..9000];
    prop::collection::vec((gap, bytes), 1..120).prop_map(|packets| {
        let mut now = 0;
        let packets = packets.into_iter().map(|(gap, bytes)| {
            now += gap;
            (now, bytes)
        });
        packets.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn packets_leave_when_the_definition_says(trace in any_trace(), packets in any_packets()) {
        prop_assert_eq!(model(&trace, &packets), definition(&trace, &packets));
    }
}

#[test]
fn small_packets_share_an_opportunity_and_large_ones_span_several() {
    let trace = [2, 3, 3, 7];
    let packets = [(0, 500), (0, 500), (0, 500), (0, 3000), (0, 100), (0, 1500)];
    let left: Vec<u64> = model(&trace, &packets).iter().map(|nanos| nanos / 1_000_000).collect();
    // 2: three of 500. 3: half, and the rest of the large one. 7: 100 and 1400; 9: the last 100.
    assert_eq!(left, [2, 2, 2, 3, 7, 9]);
    assert_eq!(model(&trace, &packets), definition(&trace, &packets));
}

#[test]
fn an_opportunity_that_nobody_uses_is_lost() {
    // At 5 ms nothing had arrived; a packet that comes at 10 ms sharp is too late for that one too.
    assert_eq!(model(&[5, 10, 15], &[(10_000_000, 1500)]), [15_000_000]);
}
