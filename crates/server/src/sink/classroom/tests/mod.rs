//! The classroom dialect on simulated hosts, spoken by clients that write it byte for byte.

mod client;
mod crowd;
mod dialogue;
mod media;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use weir_net::Host;
use weir_net::sim::World;
use weir_record::{Drain, Event, Level};

use crate::movie::stub;
use crate::shard::Census;
use crate::{Hub, Library, Server, Settings};

/// A server and a client, 5 ms from each other.
struct Room {
    world: World,
    server: Host,
    client: Host,
    hub: Arc<Hub>,
    program: Server,
    address: SocketAddr,
    records: Drain,
}

impl Room {
    /// Serves `movie.Mjpeg` with images of these sizes.
    fn new(seed: u64, sizes: &[usize]) -> Room {
        let world = World::new(seed);
        let (server, client) = (world.host("server"), world.host("client"));
        let link = weir_link::Settings {
            delay: Duration::from_millis(5),
            ..weir_link::Settings::default()
        };
        world.join(&client, &server, link.clone(), link).unwrap();
        let address = SocketAddr::new(server.addresses()[0], 8554);
        let (sink, records) = weir_record::queue(Level::Second, 100_000);
        let hub = Hub::new(Library::new(Vec::new()), 8 << 20);
        let sizes = sizes.to_vec();
        let (host, offered) = (server.clone(), Arc::clone(&hub));
        let program = world.run(async move {
            let movie = stub::images(&host, "movie.Mjpeg", &sizes).await;
            offered.offer(movie);
            Server::start(&host, &offered, Settings::default(), sink).unwrap()
        });
        let program = program.unwrap();
        Room { world, server, client, hub, program, address, records }
    }

    /// Lets the world run for so long, and says what the server's shard then holds.
    fn census_after(&self, span: Duration) -> Census {
        let clock = self.server.clone();
        self.world.run(async move { clock.sleep(span).await }).unwrap();
        let census = self.program.census();
        let clock = self.server.clone();
        self.world.run(async move { clock.sleep(Duration::from_millis(1)).await }).unwrap();
        *census.lock().unwrap()
    }

    /// What the server has recorded since the last time.
    fn events(&mut self) -> Vec<Event> {
        let mut records = Vec::new();
        self.records.take(&mut records);
        records.into_iter().map(|record| record.event).collect()
    }
}
