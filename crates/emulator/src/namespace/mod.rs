//! Networks of namespaces: any program behind emulated links (Linux).
//!
//! A [`Topology`] names hosts, switches and links. [`Network::make`] gives each host namespaces of
//! its own, with a TUN device for each of its links; [`Network::start`] begins to carry packets
//! between them over [`Links`](crate::Links), on a thread of its own. A [`Supervisor`] runs
//! commands on the hosts, and [`exec`] joins a network that runs already.
//!
//! Namespaces and devices are held by descriptors of this process alone, so that they are gone
//! when it is, however it ends. The machine's own network is not changed: the way out is ordinary
//! sockets of this process.

mod cut;
mod driver;
mod enter;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod layout;
mod netlink;
mod network;
mod packet;
mod port;
mod run_directory;
mod space;
mod supervise;
mod topology;
mod user;
mod way_out;

pub use driver::Counters;
pub use enter::exec;
pub use error::Error;
pub use network::{HostAddress, Network, Running};
pub use supervise::{Outcome, Supervisor};
pub use topology::{Host, INTERNET, Link, Publish, Run, Topology};
