//! Runs a scenario in both worlds.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use weir_net::sim::World;
use weir_net::{Host, os};

/// Runs `scenario` on two hosts: one thread of this machine twice, then two simulated hosts
/// joined by a link that asks nothing.
pub(crate) fn in_both<F>(scenario: impl Fn(Pair) -> F)
where
    F: Future<Output = ()> + 'static,
{
    let settings = os::Settings { shards: Some(1) };
    os::run(&settings, |host| {
        scenario(Pair { server: host.clone(), client: host, ip: Ipv4Addr::LOCALHOST.into() })
    })
    .unwrap();
    let world = World::new(1);
    let (server, client) = (world.host("server"), world.host("client"));
    world.join(&client, &server, Default::default(), Default::default()).unwrap();
    let ip = server.addresses()[0];
    world.run(scenario(Pair { server, client, ip })).expect("the scenario comes to its end");
}

/// Two hosts that reach each other.
pub(crate) struct Pair {
    pub(crate) server: Host,
    pub(crate) client: Host,
    ip: IpAddr,
}

impl Pair {
    /// An address of the server with any free port.
    pub(crate) fn any_port(&self) -> SocketAddr {
        SocketAddr::new(self.ip, 0)
    }
}
