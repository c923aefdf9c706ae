//! HTTP on simulated hosts, spoken by clients that write it byte for byte.

mod bad;
mod bodies;
mod client;
mod files;
mod requests;
mod watching;

use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_net::Host;
use weir_net::sim::World;
use weir_record::{Drain, Event, Level};

use crate::movie::stub;
use crate::{Hub, Library, Server, Settings};
use client::Client;

/// A server with a folder of movies and a client, 5 ms from each other.
struct Room {
    world: World,
    client: Host,
    server: Host,
    program: Server,
    address: SocketAddr,
    records: Drain,
    folder: Folder,
}

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("weir-http-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What every room has: a movie of 200,000 bytes and a little more.
const MOVIE: &str = "movie.mp4";

impl Room {
    fn new(name: &str) -> Room {
        Room::with(name, Settings::default(), weir_link::Settings::default(), |_| {})
    }

    /// Settings of the server and of the link to the client; `fill` adds files to the folder.
    fn with(
        name: &str,
        settings: Settings,
        link: weir_link::Settings,
        fill: impl Fn(&Path),
    ) -> Room {
        let folder = Folder::new(name);
        stub::write(&folder.0.join(MOVIE), &[20_000; 10]);
        fill(&folder.0);
        let world = World::new(7);
        let (server, client) = (world.host("server"), world.host("client"));
        let link = weir_link::Settings { delay: Duration::from_millis(5), ..link };
        world.join(&client, &server, link.clone(), link).unwrap();
        let (sink, records) = weir_record::queue(Level::Event, 100_000);
        let (host, root) = (server.clone(), folder.0.clone());
        let program = world.run(async move {
            let hub = Hub::new(Library::new(vec![root]), 8 << 20);
            Server::start(&host, &hub, settings, sink).unwrap()
        });
        let program = program.unwrap();
        let port = program.http_address().unwrap().port();
        let address = SocketAddr::new(server.addresses()[0], port);
        Room { world, client, server, program, address, records, folder }
    }

    /// The bytes of a file in its folder.
    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.0.join(name)).unwrap()
    }

    /// Runs what a client does.
    fn run<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        act: impl FnOnce(Client) -> F + 'static,
    ) -> T {
        let (host, address) = (self.client.clone(), self.address);
        let run = async move { act(Client::connect(&host, address).await).await };
        self.world.run(run).expect("the client comes to an end")
    }

    /// What was written down.
    fn records(&mut self) -> Vec<Event> {
        let mut records = Vec::new();
        self.records.take(&mut records);
        records.into_iter().map(|record| record.event).collect()
    }
}
