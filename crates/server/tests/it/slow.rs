//! Slow viewers hurt nobody.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use weir_link::{Rate, Settings};
use weir_net::Host;
use weir_net::sim::World;
use weir_record::{Event, Level};
use weir_time::Instant;

use crate::raw::{Arrival, Raw};
use crate::stream::serve_live;

const FRAME_BYTES: usize = 11_000;
const GOOD_VIEWERS: usize = 6;

/// What a run brought: the packets of each good viewer, of the one that stopped for 30 s, and
/// the skips that the server recorded.
struct Run {
    good: Vec<Vec<Arrival>>,
    stopped: Vec<Arrival>,
    skips: Vec<weir_record::event::ViewerSkipped>,
}

fn run(with_slow: bool) -> Run {
    let world = World::new(5);
    let server = world.host("server");
    let address = SocketAddr::new(server.addresses()[0], 8554);
    let (sink, mut drain) = weir_record::queue(Level::Event, 1000);
    serve_live(&server, FRAME_BYTES, sink);
    let link = Settings {
        rate: Rate::bits_per_second(100_000_000),
        delay: Duration::from_millis(10),
        ..Settings::default()
    };
    let join = |name: &str| -> Host {
        let host = world.host(name);
        world.join(&host, &server, link.clone(), link.clone()).unwrap();
        host
    };
    let good: Vec<_> =
        (0..GOOD_VIEWERS).map(|n| watch(join(&format!("good{n}")), address)).collect();
    let slow: Vec<_> = ["stops", "never"].map(join).into();
    let stopped = Rc::new(RefCell::new(Vec::new()));
    if with_slow {
        let out = Rc::clone(&stopped);
        let host = slow[0].clone();
        slow[0].spawn(async move {
            let mut viewer = play(&host, address).await;
            viewer.watch(Instant::from_millis(10_000)).await;
            host.sleep_until(Instant::from_millis(40_000)).await;
            viewer.watch(Instant::from_millis(60_000)).await;
            out.borrow_mut().append(&mut viewer.packets);
        });
        let host = slow[1].clone();
        slow[1].spawn(async move {
            let viewer = play(&host, address).await;
            host.sleep(Duration::from_secs(3600)).await;
            drop(viewer);
        });
    }
    let clock = server.clone();
    world.run(async move { clock.sleep_until(Instant::from_millis(61_000)).await }).unwrap();
    let mut records = Vec::new();
    drain.take(&mut records);
    let skips = records.into_iter().filter_map(|record| match record.event {
        Event::ViewerSkipped(skipped) => Some(skipped),
        _ => None,
    });
    Run {
        good: good.iter().map(|packets| packets.borrow().clone()).collect(),
        stopped: stopped.take(),
        skips: skips.collect(),
    }
}

async fn play(host: &Host, address: SocketAddr) -> Raw {
    let mut viewer = Raw::connect(host, address).await;
    viewer.play_live(&format!("rtsp://{address}/live")).await;
    viewer
}

fn watch(host: Host, address: SocketAddr) -> Rc<RefCell<Vec<Arrival>>> {
    let out = Rc::new(RefCell::new(Vec::new()));
    let packets = Rc::clone(&out);
    let viewer = host.clone();
    host.spawn(async move {
        let mut viewer = play(&viewer, address).await;
        viewer.watch(Instant::from_millis(60_000)).await;
        packets.borrow_mut().append(&mut viewer.packets);
    });
    out
}

/// The 99th percentile of the times between the ends of two frames, in milliseconds.
fn p99_ms(packets: &[Arrival]) -> f64 {
    let ends: Vec<Instant> = packets.iter().filter(|p| p.marker).map(|p| p.at).collect();
    let mut gaps: Vec<Duration> = ends.windows(2).map(|two| two[1].since(two[0])).collect();
    gaps.sort();
    gaps[gaps.len() * 99 / 100].as_secs_f64() * 1e3
}

#[test]
fn viewers_that_stop_reading_change_nothing_for_the_others() {
    let (alone, beside) = (run(false), run(true));
    for (alone, beside) in alone.good.iter().zip(&beside.good) {
        assert!(alone.len() > 50 * 30, "{} packets", alone.len());
        let (alone, beside) = (p99_ms(alone), p99_ms(beside));
        assert!((alone - beside).abs() < 5.0, "{alone} ms alone, {beside} ms beside slow ones");
    }
}

#[test]
fn a_viewer_that_skips_sees_no_gap_in_the_numbers_and_goes_on_at_a_key_frame() {
    let run = run(true);
    let numbers: Vec<u16> = run.stopped.iter().map(|packet| packet.seq).collect();
    for two in numbers.windows(2) {
        assert_eq!(two[1], two[0].wrapping_add(1));
    }
    let last = run.stopped.last().unwrap();
    assert!(last.at > Instant::from_millis(59_000), "it is served to the end: {last:?}");
    // The frame after the jump is a key frame: every 60th of a stream of 3,000 ticks a frame.
    let first = run.stopped[0].time;
    let jumps: Vec<_> = run
        .stopped
        .windows(2)
        .filter(|two| two[1].time.wrapping_sub(two[0].time) > 90_000)
        .collect();
    assert!(!jumps.is_empty());
    for jump in jumps {
        assert_eq!(jump[1].time.wrapping_sub(first) % (60 * 3_000), 0);
    }
    let skip = run.skips.first().expect("the skip is recorded");
    assert!(skip.frames_skipped > 0 && skip.to_pts_ns > skip.from_pts_ns);
    let needed = skip.stream_rate_bps.unwrap();
    assert!((2_000_000..3_500_000).contains(&needed), "{needed}");
}
