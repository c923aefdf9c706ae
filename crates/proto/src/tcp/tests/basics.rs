//! Opening, closing, windows, acknowledgements.

use std::time::Duration;

use bytes::Bytes;
use weir_link::Settings as LinkSettings;
use weir_time::Instant;

use super::world::{World, link, millis};
use crate::tcp::{Connection, Event, Output, Segment, Settings};

fn segments(tcp: &mut Connection, now: Instant) -> (Vec<Segment>, Vec<Event>) {
    let (mut segments, mut events) = (Vec::new(), Vec::new());
    loop {
        match tcp.poll(now) {
            Output::Send(segment) => segments.push(segment),
            Output::Event(event) => events.push(event),
            Output::Timeout(_) => return (segments, events),
        }
    }
}

/// A connected pair, and nothing on the way.
fn pair() -> (Connection, Connection) {
    pair_with(Settings::default())
}

fn pair_with(settings: Settings) -> (Connection, Connection) {
    let now = Instant::ZERO;
    let mut client = Connection::connect(now, 1, settings.clone());
    let syn = segments(&mut client, now).0.remove(0);
    let mut server = Connection::accept(now, 2, settings, &syn);
    client.handle(now, segments(&mut server, now).0.remove(0));
    for segment in segments(&mut client, now).0 {
        server.handle(now, segment);
    }
    assert_eq!(segments(&mut server, now), (vec![], vec![Event::Connected]));
    (client, server)
}

fn world() -> World {
    World::new(1, link(20_000_000, 80, 200_000), Settings::default())
}

#[test]
fn a_connection_opens_carries_both_ways_and_ends_in_order() {
    let mut world = world();
    for end in &mut world.ends {
        end.write_max = 300_000;
        end.finish = true;
    }
    world.run_until(millis(10_000), |world| world.ends.iter().all(|end| end.tcp.is_closed()));
    for end in &world.ends {
        assert_eq!(end.read, 300_000);
        let order: Vec<Event> = end
            .events
            .iter()
            .filter(|event| !matches!(event, Event::Readable | Event::Writable))
            .copied()
            .collect();
        assert_eq!(order, [Event::Connected, Event::PeerFinished, Event::Closed]);
        assert_eq!(end.tcp.counters().retransmitted, 0);
    }
}

#[test]
fn one_direction_goes_on_after_the_other_has_ended() {
    let mut world = world();
    world.ends[0].finish = true;
    world.ends[1].write_max = 500_000;
    world.run_until(millis(5_000), |world| world.ends[0].read == 500_000);
    assert!(world.ends[1].events.contains(&Event::PeerFinished));
    assert!(!world.ends[1].events.contains(&Event::Closed));
    world.ends[1].finish = true;
    let now = world.now;
    world.ends[1].act(now, &mut world.paths[1]);
    world.run_until(millis(9_000), |world| world.ends.iter().all(|end| end.tcp.is_closed()));
}

#[test]
fn an_unanswered_syn_is_sent_six_times_and_then_given_up() {
    let mut tcp = Connection::connect(Instant::ZERO, 1, Settings::default());
    let mut times = Vec::new();
    let mut now = Instant::ZERO;
    loop {
        match tcp.poll(now) {
            Output::Send(segment) => {
                assert!(segment.flags.syn && !segment.flags.ack);
                times.push(now.as_nanos() / 1_000_000_000);
            }
            Output::Event(event) => {
                assert_eq!(event, Event::TimedOut);
                break;
            }
            Output::Timeout(at) => {
                now = at.expect("it does not give up without a word");
                tcp.timer(now);
            }
        }
    }
    assert_eq!(times, [0, 1, 3, 7, 15, 31]);
    assert!(tcp.is_closed() && now == millis(63_000));
}

#[test]
fn a_refused_connection_is_reset() {
    let mut tcp = Connection::connect(Instant::ZERO, 1, Settings::default());
    let syn = segments(&mut tcp, Instant::ZERO).0.remove(0);
    tcp.handle(millis(10), syn.refusal().expect("a SYN is answered"));
    assert_eq!(segments(&mut tcp, millis(10)), (vec![], vec![Event::Reset]));
    assert!(tcp.is_closed());
}

#[test]
fn an_abort_resets_the_peer_and_says_nothing_to_its_caller() {
    let (mut client, mut server) = pair();
    client.abort();
    let (sent, events) = segments(&mut client, millis(1));
    assert!(sent.len() == 1 && sent[0].flags.rst && events.is_empty() && client.is_closed());
    server.handle(millis(1), sent[0].clone());
    assert_eq!(segments(&mut server, millis(1)), (vec![], vec![Event::Reset]));
}

#[test]
fn data_for_an_application_that_has_let_go_is_answered_by_a_reset() {
    let (mut client, mut server) = pair();
    client.close();
    server.send(Bytes::from_static(b"anybody?"));
    for segment in segments(&mut server, millis(1)).0 {
        client.handle(millis(1), segment);
    }
    let (sent, _) = segments(&mut client, millis(1));
    assert!(sent.iter().any(|segment| segment.flags.rst) && client.is_closed());
}

#[test]
fn the_first_flight_is_ten_segments_and_every_second_is_acknowledged_later() {
    let settings = Settings { receive_window_initial_bytes: 1 << 20, ..Settings::default() };
    let (mut client, mut server) = pair_with(settings);
    client.send(Bytes::from(vec![0; 1_000_000]));
    let (flight, _) = segments(&mut client, millis(1));
    assert_eq!(flight.len(), 10);
    assert!(flight.iter().all(|segment| segment.ip_bytes() == 1500));
    let mut acks = 0;
    let mut now = millis(1);
    let mut flight = flight;
    for _ in 0..3 {
        let mut back = Vec::new();
        for segment in flight {
            server.handle(now, segment);
            while server.recv(10_000).is_some() {}
            back.extend(segments(&mut server, now).0);
        }
        acks = back.len();
        now += Duration::from_millis(20);
        flight = Vec::new();
        for segment in back {
            client.handle(now, segment);
            flight.extend(segments(&mut client, now).0);
        }
    }
    assert_eq!((flight.len(), acks), (80, 20));
}

#[test]
fn a_lone_segment_is_acknowledged_within_40_ms() {
    let (mut client, mut server) = pair();
    let mut now = millis(1);
    // Past the first segments, which are acknowledged at once.
    for _ in 0..20 {
        client.send(Bytes::from_static(b"frame"));
        for segment in segments(&mut client, now).0 {
            server.handle(now, segment);
        }
        while server.recv(10).is_some() {}
        for segment in segments(&mut server, now).0 {
            client.handle(now, segment);
        }
        now += Duration::from_millis(50);
        server.timer(now);
        for segment in segments(&mut server, now).0 {
            client.handle(now, segment);
        }
    }
    client.send(Bytes::from_static(b"one more"));
    now = millis(2_000);
    for segment in segments(&mut client, now).0 {
        server.handle(now, segment);
    }
    let Output::Event(Event::Readable) = server.poll(now) else { panic!("there is data") };
    assert_eq!(server.poll(now), Output::Timeout(Some(millis(2_040))));
    server.timer(millis(2_040));
    assert_eq!(segments(&mut server, millis(2_040)).0.len(), 1);
}

#[test]
fn a_reader_that_stops_stalls_the_sender_with_bounded_memory_and_goes_on() {
    let settings = Settings {
        send_buffer_bytes: 100_000,
        receive_buffer_bytes: 200_000,
        receive_window_initial_bytes: 200_000,
        ..Settings::default()
    };
    let mut world = World::new(3, link(50_000_000, 20, 100_000), settings);
    world.ends[0].write_max = 5_000_000;
    world.ends[1].reading = false;
    world.run_to(millis(60_000));
    let sender = &world.ends[0];
    assert!(sender.written <= 300_000, "{}", sender.written);
    assert_eq!(world.ends[1].tcp.receive_ready_bytes(), 200_000);
    // 0.22 s and its doubles.
    assert!((6..=9).contains(&sender.tcp.counters().window_probes));
    assert!(!sender.events.contains(&Event::TimedOut));
    world.ends[1].reading = true;
    let now = world.now;
    world.ends[1].act(now, &mut world.paths[1]);
    world.run_until(millis(63_000), |world| world.ends[1].read == 5_000_000);
}

#[test]
fn a_lost_window_update_is_made_good_by_a_probe() {
    let settings = Settings { receive_buffer_bytes: 20_000, ..Settings::default() };
    let mut world = World::new(3, link(50_000_000, 20, 100_000), settings);
    world.ends[0].write_max = 200_000;
    world.ends[1].reading = false;
    world.run_to(millis(2_000));
    // The application reads, and all that its end says about it is lost.
    world.paths[1].cut = true;
    world.ends[1].reading = true;
    let now = world.now;
    world.ends[1].act(now, &mut world.paths[1]);
    world.paths[1].cut = false;
    world.run_until(millis(20_000), |world| world.ends[1].read == 200_000);
}

#[test]
fn a_vanished_peer_ends_in_a_time_out() {
    let mut world = world();
    world.ends[0].write_max = usize::MAX;
    world.run_to(millis(1_000));
    world.paths.iter_mut().for_each(|path| path.cut = true);
    world.run_until(millis(2_000_000), |world| world.ends[0].events.contains(&Event::TimedOut));
    assert!(world.ends[0].tcp.is_closed());
    assert_eq!(world.ends[0].tcp.counters().timeouts, 16);
    assert!(world.now > millis(600_000), "{:?}", world.now);
}

#[test]
fn room_is_told_once_half_of_what_was_queued_has_gone() {
    let settings = Settings { send_buffer_bytes: 60_000, ..Settings::default() };
    let mut world = World::new(1, LinkSettings::default(), settings);
    world.ends[0].write_max = 1_000_000;
    world.run_until(millis(1_000), |world| world.ends[1].read == 1_000_000);
    assert!(world.ends[0].events.contains(&Event::Writable));
}

#[test]
fn the_low_water_mark_keeps_what_is_not_sent_small() {
    let settings = Settings { not_sent_low_water_bytes: 30_000, ..Settings::default() };
    let mut world = World::new(1, link(5_000_000, 50, 100_000), settings);
    world.ends[0].write_max = 3_000_000;
    let mut most = 0;
    world.run_until(millis(20_000), |world| {
        most = most.max(world.ends[0].tcp.not_sent_bytes());
        world.ends[1].read == 3_000_000
    });
    assert!(most <= 30_000, "{most}");
}

#[test]
fn a_loss_at_the_tail_does_not_wait_for_a_time_out() {
    let mut world = world();
    world.ends[0].write_max = 100_000;
    world.run_to(millis(5_000));
    // Two segments, and nothing after them to tell that they are missing.
    world.ends[0].write_max += 2 * 1448;
    world.paths[0].cut = true;
    world.ends[0].act(millis(5_000), &mut world.paths[0]);
    world.paths[0].cut = false;
    world.run_until(millis(5_400), |world| world.ends[1].read == 100_000 + 2 * 1448);
    let counters = world.ends[0].tcp.counters();
    assert_eq!((counters.tail_loss_probes, counters.timeouts), (1, 0));
}

#[test]
fn the_last_acknowledgement_is_repeated_if_it_was_lost() {
    let (mut client, mut server) = pair();
    client.shutdown();
    for segment in segments(&mut client, millis(1)).0 {
        server.handle(millis(1), segment);
    }
    server.shutdown();
    for segment in segments(&mut server, millis(1)).0 {
        client.handle(millis(1), segment);
    }
    let (lost, events) = segments(&mut client, millis(1));
    assert_eq!((lost.len(), events), (1, vec![Event::PeerFinished, Event::Closed]));
    server.timer(millis(300));
    let (again, events) = segments(&mut server, millis(300));
    assert!(again[0].flags.fin && events.is_empty());
    client.handle(millis(300), again[0].clone());
    server.handle(millis(300), segments(&mut client, millis(300)).0.remove(0));
    assert_eq!(segments(&mut server, millis(300)).1, [Event::Closed]);
}

#[test]
fn a_reader_that_vanishes_behind_a_closed_window_ends_in_a_time_out() {
    let settings =
        Settings { receive_buffer_bytes: 20_000, retransmissions_max: 5, ..Settings::default() };
    let mut world = World::new(3, link(50_000_000, 20, 100_000), settings);
    world.ends[0].write_max = 200_000;
    world.ends[1].reading = false;
    world.run_to(millis(2_000));
    assert!(!world.ends[0].events.contains(&Event::TimedOut));
    world.paths[1].cut = true;
    world.run_until(millis(200_000), |world| world.ends[0].events.contains(&Event::TimedOut));
}

#[test]
fn a_peer_that_neither_reads_nor_ends_is_given_up_after_the_application_has_let_go() {
    let settings = Settings { receive_buffer_bytes: 20_000, ..Settings::default() };
    let mut world = World::new(3, link(50_000_000, 20, 100_000), settings);
    world.ends[0].write_max = 200_000;
    world.ends[1].reading = false;
    world.run_to(millis(2_000));
    world.ends[0].tcp.close();
    world.run_until(millis(600_000), |world| world.ends[0].tcp.is_closed());
}

#[test]
fn a_reader_that_never_reads_holds_little_and_one_that_keeps_up_is_given_room() {
    let mut world = World::new(3, link(50_000_000, 100, 600_000), Settings::default());
    world.ends[0].write_max = usize::MAX;
    world.ends[1].reading = false;
    world.run_to(millis(5_000));
    assert_eq!(world.ends[1].tcp.receive_ready_bytes(), 65_535);
    world.ends[1].reading = true;
    world.ends[1].act(millis(5_000), &mut world.paths[1]);
    world.run_to(millis(15_000));
    let before = world.ends[1].read;
    world.run_to(millis(16_000));
    assert!(world.ends[1].read - before > 5_500_000, "{}", world.ends[1].read - before);
    world.ends[1].reading = false;
    world.run_to(millis(30_000));
    let held = world.ends[1].tcp.receive_ready_bytes();
    assert!((1_250_000..=6_291_456).contains(&held), "{held}");
}
