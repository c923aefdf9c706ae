//! Clients that come and go, and nothing that stays behind.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use weir_net::Host;
use weir_record::Event;
use weir_time::Random;

use super::Room;
use super::client::{Client, handout};
use crate::shard::Census;

const CLIENTS: u64 = 200;

/// One client of the crowd: it comes at a random moment, does random things, and goes in a
/// random way, mostly without a good-bye.
async fn visit(host: Host, address: SocketAddr, seed: u64, images: Rc<Cell<u64>>) {
    let mut random = Random::new(seed);
    let mut below = move |bound: u64| random.next_u64() % bound;
    host.sleep(Duration::from_millis(below(40_000))).await;
    let mut client = Client::connect(&host, address).await;
    match below(10) {
        0 => return,
        1 => return client.write("SETUP movie.Mj").await,
        2 => {
            client.ask(&client.setup("movie.Mjpeg")).await;
            return;
        }
        _ => {}
    }
    let session = client.play().await;
    let mut cseq = 2;
    for _ in 0..below(4) {
        let came = client.watch_for(below(3_000)).await;
        images.set(images.get() + came.len() as u64);
        for method in ["PAUSE", "PLAY"] {
            cseq += 1;
            assert_eq!(client.ask(&handout(method, cseq, session)).await.0, 200);
            host.sleep(Duration::from_millis(below(500))).await;
        }
    }
    if below(3) == 0 {
        assert_eq!(client.ask(&handout("TEARDOWN", cseq + 1, session)).await.0, 200);
    }
}

#[test]
fn two_hundred_clients_come_and_go_and_nothing_stays_behind() {
    let mut room = Room::new(11, &[7_000; 400]);
    let images = Rc::new(Cell::new(0));
    for number in 0..CLIENTS {
        let seed = weir_time::hash([11, number]);
        let visit = visit(room.client.clone(), room.address, seed, Rc::clone(&images));
        room.client.spawn(visit);
    }
    let busy = room.census_after(Duration::from_secs(20));
    assert!(busy.viewers > 10 && busy.timers > 10, "{busy:?}");
    // Time for a first half line to be given up, too.
    let after = room.census_after(Duration::from_secs(120));
    let places = after.places;
    assert_eq!(after, Census { places, ..Census::default() });
    assert!(places < 200, "places are used again: {places}");
    assert!(images.get() > 5_000, "{}", images.get());
    let events = room.events();
    let joined = events.iter().filter(|event| matches!(event, Event::ViewerJoined(_))).count();
    let left = events.iter().filter(|event| matches!(event, Event::ViewerLeft(_))).count();
    assert!(joined > 150, "{joined}");
    assert_eq!(joined, left);
    let seconds = events.iter().filter_map(|event| match event {
        Event::StreamSecond(second) => Some(second.viewers),
        _ => None,
    });
    let seconds: Vec<u64> = seconds.collect();
    assert!(seconds.iter().any(|viewers| *viewers > 10), "{seconds:?}");
    assert_eq!(seconds.last(), Some(&0));
}

#[test]
fn a_client_whose_control_connection_dies_gets_nothing_more() {
    let mut room = Room::new(12, &[7_000; 400]);
    let (host, address) = (room.client.clone(), room.address);
    room.world.run(async move {
        let mut client = Client::connect(&host, address).await;
        client.play().await;
        client.watch_for(500).await;
        // The port for media stays open.
        let udp = client.hang_up();
        let mut buffer = weir_net::DatagramBuffer::new();
        host.sleep(Duration::from_millis(20)).await;
        while weir_net::timeout(&host, Duration::ZERO, udp.receive(&mut buffer)).await.is_some() {}
        let more = udp.receive(&mut buffer);
        assert!(weir_net::timeout(&host, Duration::from_secs(3), more).await.is_none());
    });
    let left = room.events().into_iter().find_map(|event| match event {
        Event::ViewerLeft(left) => Some((left.reason.to_string(), left.lasted_ns)),
        _ => None,
    });
    let (reason, lasted_ns) = left.expect("it is cleaned up");
    assert_eq!(reason, "closed");
    assert!(lasted_ns < 600_000_000, "at once: {lasted_ns}");
}
