//! The server: a hub of named streams, rings and packed movies, delivery shards, and a source or
//! sink for each protocol.
//!
//! [`Hub`] holds the streams; [`Server`] opens the ports and starts a delivery shard on each of
//! its host's threads. It runs on real hosts and on simulated ones alike.
//!
//! ```
//! use std::time::Duration;
//! use weir_net::sim::World;
//! use weir_record::Sink;
//! use weir_server::{Hub, Library, Server, Settings};
//!
//! let world = World::new(1);
//! let host = world.host("server");
//! let port = world.run(async move {
//!     let hub = Hub::new(Library::new(Vec::new()), 64 << 20);
//!     let server = Server::start(&host, &hub, Settings::default(), Sink::none()).unwrap();
//!     server.drain(&host, Duration::from_secs(1)).await;
//!     server.rtsp_address().port()
//! });
//! assert_eq!(port, Some(8554));
//! ```
#![forbid(unsafe_code)]

pub mod access;
mod cache;
mod error;
pub mod hub;
mod library;
mod live;
mod movie;
mod package;
mod packing;
mod report;
mod ring;
mod server;
mod settings;
mod shard;
mod sink;
mod source;

pub use error::Error;
pub use hub::{Hub, Stream};
pub use library::{Library, Listing};
pub use live::{Live, Publisher};
pub use movie::Movie;
pub(crate) use server::Context;
pub use server::{Server, StartError};
pub use settings::{Settings, Start};
pub use source::live_file::LiveFile;
pub use source::pattern::{LivePattern, PatternSettings};
