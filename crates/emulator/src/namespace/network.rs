//! A network of namespaces: made, run, ended.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use super::driver::{Counters, Driver, LinkPort, SPIN};
use super::error::{Error, doing, last};
use super::layout::{Layout, NodeIndex, NodeKind, Step};
use super::netlink::{DeviceIndex, Netlink, Pair, Route, device};
use super::port::{HARDWARE_HOST, HARDWARE_PEER, Port, Tun, Veth};
use super::run_directory::{Description, HostDescription, RunDirectory};
use super::space::{Names, Space, hosts_file};
use super::supervise::{Outcome, Supervisor};
use super::topology::Topology;
use super::user::{self, User};
use super::way_out::{MACHINE, MACHINE_NAME, Map, Published, WayOut};
use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::links::{Links, Plan};
use crate::tap::Tap;
use crate::wait::Waiter;

/// A network whose hosts and devices are there, and whose packets do not flow yet.
pub struct Network {
    topology: Topology,
    layout: Layout,
    directory: RunDirectory,
    user: Option<User>,
    /// Of each host, in their order.
    spaces: Vec<Space>,
    outside: Option<Arc<Space>>,
    /// Where the far ends of pairs of devices are, if there are such.
    far: Option<Space>,
    ports: Vec<LinkPort>,
    map: Map,
}

/// A network whose packets flow.
pub struct Running {
    network: Network,
    stop: Arc<OwnedFd>,
    ended: OwnedFd,
    thread: Option<JoinHandle<Result<Counters, Error>>>,
}

/// A host and its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// The host's name.
    pub name: String,
    /// Its address, the same on all of its devices.
    pub address: Ipv4Addr,
}

/// What a host's side of a link is made of.
struct Made {
    port: Option<Box<dyn Port>>,
    step: Step,
    peer_name: String,
}

/// The way out before it is open.
struct Opening {
    clock: Clock,
    way_out: Option<WayOut>,
    published: Vec<Published>,
}

impl Opening {
    fn open(mut self, waiter: &Waiter) -> Result<Option<WayOut>, Error> {
        if let Some(way_out) = &mut self.way_out {
            for port in self.published {
                way_out.publish(waiter, self.clock.now(), port)?;
            }
        }
        Ok(self.way_out)
    }
}

impl Network {
    /// Makes the namespaces of a topology. This process must have one thread: where it may make
    /// no namespaces, it moves into a user namespace of its own, in which it may.
    ///
    /// `name` says to others what the network was made from.
    pub fn make(topology: Topology, name: &str) -> Result<Self, Error> {
        topology.check()?;
        let layout = Layout::new(&topology);
        let directory = RunDirectory::make()?;
        let user = user::enter_if_needed()?;
        let mut network = Network {
            far: None,
            map: Map::of_this_machine(),
            spaces: Vec::new(),
            outside: None,
            ports: Vec::new(),
            topology,
            layout,
            directory,
            user,
        };
        if OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_err() {
            network.far = Some(Space::make(None, || Ok(()))?.0);
        }
        for number in 0..network.layout.nodes.len() {
            let node = NodeIndex(number);
            match network.layout.node(node).kind {
                NodeKind::Switch => {}
                NodeKind::Host => {
                    let space = network.make_node(node)?;
                    network.spaces.push(space);
                }
                NodeKind::Internet => network.outside = Some(Arc::new(network.make_node(node)?)),
            }
        }
        network.describe(name)?;
        Ok(network)
    }

    /// The links, as they are asked for.
    pub fn plans(&self) -> Vec<Plan> {
        self.topology.links.iter().map(|link| link.plan.clone()).collect()
    }

    /// The hosts, and the machine itself where there is a way out.
    pub fn addresses(&self) -> Vec<HostAddress> {
        let hosts = self.layout.hosts();
        let machine = self.layout.internet.map(|_| (MACHINE_NAME, MACHINE));
        hosts
            .chain(machine)
            .map(|(name, address)| HostAddress { name: name.to_owned(), address })
            .collect()
    }

    /// What was made from.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// In which ways this network differs from one of cables: sentences for people.
    pub fn fidelity(&self) -> Vec<String> {
        let mut said = vec![
            "Hosts have the kernel's own TCP and UDP; packets cross the links as real IPv4 packets."
                .to_owned(),
        ];
        if self.far.is_some() {
            said.push(
                "Hosts are joined by pairs of Ethernet devices, because /dev/net/tun may not be \
                 opened here; super-packets are cut by weir itself."
                    .to_owned(),
            );
        }
        if self.outside.is_some() {
            said.push(
                "The way out ends TCP and UDP: the kernel's TCP acts on the emulated links, and \
                 another connection goes on from this machine. Time to live, IP options, ICMP \
                 other than ping, and IPv6 do not pass it."
                    .to_owned(),
            );
        }
        said
    }

    /// Lets packets flow. `tap` is told of each.
    pub fn start(
        mut self,
        clock: Clock,
        seed: u64,
        tap: Option<Box<dyn Tap>>,
        inbox: Inbox,
        may_offload: bool,
    ) -> Result<Running, Error> {
        let mut links = Links::new(seed);
        for plan in self.plans() {
            let link = plan.name.clone();
            links.add(plan).map_err(|source| Error::Link { link, source: Box::new(source) })?;
        }
        if let Some(tap) = tap {
            links.watch(clock.now(), tap);
        }
        let (stop, ended) = (Arc::new(event()?), event()?);
        let bell = ended.try_clone().map_err(doing("starting the driver"))?;
        let mut port_of = vec![[None; 2]; self.topology.links.len()];
        for (place, port) in self.ports.iter().enumerate() {
            let (link, direction) = port.step;
            port_of[link.0][direction as usize] = Some(place);
        }
        let (ports, layout) = (std::mem::take(&mut self.ports), self.layout.clone());
        let opening = self.opening(clock)?;
        let their_stop = Arc::clone(&stop);
        let (started, has_started) = mpsc::channel();
        // What waits for packets is made by the thread that waits.
        let run = move || -> Result<Counters, Error> {
            let made = Waiter::new(SPIN)
                .map_err(doing("starting the driver"))
                .and_then(|waiter| Ok((opening.open(&waiter)?, waiter)));
            let (way_out, waiter) = match made {
                Ok(made) => made,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return Ok(Counters::default());
                }
            };
            let _ = started.send(Ok(()));
            let (cuts, counters, stop) = (true, Counters::default(), their_stop);
            let settled = clock.now();
            Driver {
                clock,
                waiter,
                links,
                inbox,
                layout,
                ports,
                port_of,
                way_out,
                stop,
                may_offload,
                settled,
                cuts,
                counters,
            }
            .run()
        };
        let thread = std::thread::Builder::new().name("weir-link".to_owned());
        let thread = thread.spawn(move || {
            let result = run();
            ring(&bell);
            result
        });
        let thread = Some(thread.map_err(doing("starting the driver"))?);
        let running = Running { network: self, stop, ended, thread };
        let outcome = has_started.recv();
        outcome.unwrap_or_else(|_| Err(last("starting the driver"))).map(|()| running)
    }

    /// What the driver's thread opens when it begins.
    fn opening(&self, clock: Clock) -> Result<Opening, Error> {
        let mut published = Vec::new();
        for publish in &self.topology.publish {
            let host = match &publish.host {
                Some(name) => self.topology.host(name)?,
                None => 0,
            };
            let address = self.layout.node(NodeIndex(host)).address;
            let address = address.expect("hosts come first, and have addresses");
            let to = SocketAddrV4::new(address, publish.host_port);
            published.push(Published { udp: publish.udp, port: publish.port, to });
        }
        let way_out = self.outside.as_ref();
        let way_out = way_out.map(|space| WayOut::new(Arc::clone(space), self.map.clone()));
        Ok(Opening { clock, way_out, published })
    }

    fn describe(&self, name: &str) -> Result<(), Error> {
        let hosts = self.layout.hosts().zip(&self.spaces);
        let hosts = hosts.map(|((name, address), space)| HostDescription {
            name: name.to_owned(),
            address,
            network_fd: space.network.as_raw_fd(),
            mounts_fd: space.mounts.as_raw_fd(),
            name_fd: space.name.as_raw_fd(),
        });
        self.directory.describe(&Description {
            pid: std::process::id(),
            topology: name.to_owned(),
            user_fd: self.user.as_ref().map(|user| user.space.as_raw_fd()),
            hosts: hosts.collect(),
        })
    }

    /// Makes the namespaces of one node, with its devices.
    fn make_node(&mut self, node: NodeIndex) -> Result<Space, Error> {
        let names = self.names(node)?;
        let this = &*self;
        let (space, made) = Space::make(names.as_ref(), || this.set_up(node))?;
        for one in made {
            let port = match (one.port, &self.far) {
                (Some(port), _) => port,
                (None, Some(far)) => far.within(|| open_far(&one.peer_name))?,
                (None, None) => continue,
            };
            self.ports.push(LinkPort { port, step: one.step });
        }
        Ok(space)
    }

    /// The files of names of a host; nobody looks names up at the way out.
    fn names(&self, node: NodeIndex) -> Result<Option<Names>, Error> {
        let own = self.layout.node(node);
        if own.kind != NodeKind::Host {
            return Ok(None);
        }
        let reaches_out =
            self.layout.internet.is_some_and(|out| self.layout.step_to(node, out).is_some());
        let machine = reaches_out.then_some((MACHINE_NAME, MACHINE));
        let hosts = hosts_file(self.layout.hosts().chain(machine));
        let resolver = match reaches_out {
            true => self.map.resolver_file(),
            false => "# No way leads out of this network.\n".to_owned(),
        };
        Ok(Some(Names {
            host: own.name.clone(),
            hosts_file: self.directory.write(&format!("{}.hosts", own.name), &hosts)?,
            resolver_file: self.directory.write(&format!("{}.resolv.conf", own.name), &resolver)?,
        }))
    }

    /// Devices, addresses and routes of a node, in whose namespace the thread stands.
    fn set_up(&self, node: NodeIndex) -> Result<Vec<Made>, Error> {
        let own = self.layout.node(node);
        let setting_up = || format!("setting up {}", own.name);
        let mut netlink = Netlink::open().map_err(doing(setting_up()))?;
        let loopback = device("lo").map_err(doing(setting_up()))?;
        netlink.up(loopback, None, None).map_err(doing(setting_up()))?;
        let (mut made, mut devices) = (Vec::new(), Vec::new());
        for (number, step) in self.layout.links_of(node).into_iter().enumerate() {
            let (one, device) = self.set_up_device(&mut netlink, node, number, step)?;
            made.push(one);
            devices.push((step, device));
        }
        if let Some(address) = own.address
            && let Some((_, first)) = devices.first()
        {
            // One address for the host, whichever way its packets take.
            netlink.address(*first, address).map_err(doing(setting_up()))?;
        }
        self.set_up_routes(&mut netlink, node, loopback, &devices)?;
        Ok(made)
    }

    fn set_up_device(
        &self,
        netlink: &mut Netlink,
        node: NodeIndex,
        number: usize,
        step: Step,
    ) -> Result<(Made, DeviceIndex), Error> {
        let name = format!("eth{number}");
        let what = || format!("making {name} of {}", self.layout.node(node).name);
        let peer_name = format!("n{}e{number}", node.0);
        let port: Option<Box<dyn Port>> = match &self.far {
            None => Some(Box::new(Tun::open(&name).map_err(doing(what()))?)),
            Some(far) => {
                let pair = Pair {
                    name: &name,
                    hardware: HARDWARE_HOST,
                    peer_name: &peer_name,
                    peer_hardware: HARDWARE_PEER,
                    peer_space: far.network.as_fd(),
                };
                netlink.pair(&pair).map_err(doing(what()))?;
                None
            }
        };
        let index = device(&name).map_err(doing(what()))?;
        if port.is_none() {
            netlink.without_arp(index).map_err(doing(what()))?;
        }
        let mtu = self.topology.mtu_bytes;
        netlink.up(index, Some(mtu), Some(WAITING_PACKETS)).map_err(doing(what()))?;
        Ok((Made { port, step, peer_name }, index))
    }

    fn set_up_routes(
        &self,
        netlink: &mut Netlink,
        node: NodeIndex,
        loopback: DeviceIndex,
        devices: &[(Step, DeviceIndex)],
    ) -> Result<(), Error> {
        let own = self.layout.node(node);
        let is_out = own.kind == NodeKind::Internet;
        let congestion = match is_out {
            true => self.topology.congestion.as_deref(),
            false => self.topology.hosts[node.0].congestion.as_deref(),
        };
        let any = Ipv4Addr::UNSPECIFIED;
        let everywhere = Route {
            to: any,
            prefix_bits: 0,
            device: loopback,
            from: own.address,
            is_local: is_out,
            is_first: is_out,
            congestion: None,
        };
        let mut routes = Vec::new();
        for (number, other) in self.layout.nodes.iter().enumerate() {
            let Some(step) = self.layout.step_to(node, NodeIndex(number)) else { continue };
            let found = devices.iter().find(|(own, _)| *own == step);
            let Some((_, device)) = found else { continue };
            let there = Route { device: *device, congestion, ..everywhere };
            let there = Route { is_local: false, ..there };
            match (other.kind, other.address) {
                (NodeKind::Host, Some(to)) => routes.push(Route { to, prefix_bits: 32, ..there }),
                (NodeKind::Internet, _) => routes.push(there),
                _ => {}
            }
        }
        if is_out {
            routes.push(everywhere);
        }
        for route in &routes {
            netlink.route(route).map_err(|source| match congestion {
                Some(name) if !is_known(name) => Error::Topology(format!(
                    "congestion = {name:?}: this kernel does not have it; it has {}",
                    known_congestion()
                )),
                _ => doing(format!("adding a route on {}", own.name))(source),
            })?;
        }
        Ok(())
    }
}

impl Running {
    /// The hosts, and the machine itself where there is a way out.
    pub fn addresses(&self) -> Vec<HostAddress> {
        self.network.addresses()
    }

    /// Runs what the topology says and, in front, `command` on the host `on` (the first, if
    /// absent), until they end. Then all that runs on the hosts is ended.
    pub fn supervise(
        &self,
        supervisor: &mut Supervisor,
        on: Option<&str>,
        command: &[String],
    ) -> Result<Outcome, Error> {
        let topology = &self.network.topology;
        let has_front = !command.is_empty();
        let started = (|| {
            for run in &topology.runs {
                let space = self.space(&run.host)?;
                supervisor.start(&run.host, space, &run.command, false, !has_front)?;
            }
            let front = on.unwrap_or(&topology.hosts[0].name);
            supervisor.start(front, self.space(front)?, command, true, true)
        })();
        let outcome = started.and_then(|()| supervisor.wait(has_front, self.ended.as_fd()));
        let mut spaces: Vec<&Space> = self.network.spaces.iter().collect();
        spaces.extend(self.network.outside.as_deref());
        supervisor.end_all(&spaces);
        outcome
    }

    /// Stops the driver. Hosts and devices are gone after this.
    pub fn finish(mut self) -> Result<Counters, Error> {
        // Devices, with their counters, go with the driver.
        let spaces = self.network.spaces.iter().chain(self.network.outside.as_deref());
        let by_devices: u64 = spaces.map(Space::dropped_on_sending).sum();
        let counters = self.stop_driver().unwrap_or_else(|| Ok(Counters::default()))?;
        Ok(Counters { not_sent: counters.not_sent + by_devices, ..counters })
    }

    fn space(&self, host: &str) -> Result<&Space, Error> {
        let place = self.network.topology.host(host)?;
        Ok(&self.network.spaces[place])
    }

    fn stop_driver(&mut self) -> Option<Result<Counters, Error>> {
        ring(&self.stop);
        let thread = self.thread.take()?;
        Some(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() && !std::thread::panicking() {
            let _ = self.stop_driver();
        }
    }
}

/// The far end of a pair of devices, in whose namespace the thread stands.
fn open_far(name: &str) -> Result<Box<dyn Port>, Error> {
    let what = || format!("opening the device {name}");
    let index = device(name).map_err(doing(what()))?;
    let mut netlink = Netlink::open().map_err(doing(what()))?;
    netlink.without_arp(index).map_err(doing(what()))?;
    netlink.up(index, Some(FAR_MTU_BYTES), None).map_err(doing(what()))?;
    Ok(Box::new(Veth::open(index).map_err(doing(what()))?))
}

fn event() -> Result<OwnedFd, Error> {
    // SAFETY: eventfd takes no pointers; a result of 0 or more is a new descriptor of our own.
    unsafe {
        let fd = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
        if fd < 0 { Err(last("making an event")) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

fn ring(event: &OwnedFd) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: eight bytes, as an eventfd takes them. It is full only if it rings already.
    unsafe { libc::write(event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

fn is_known(congestion: &str) -> bool {
    known_congestion().split_whitespace().any(|known| known == congestion)
}

fn known_congestion() -> String {
    let path = "/proc/sys/net/ipv4/tcp_available_congestion_control";
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

/// Packets that may wait in a host's device until the driver takes them.
const WAITING_PACKETS: u32 = 4096;
/// The driver sends no larger packets than hosts do, but the device must not be in the way.
const FAR_MTU_BYTES: u16 = 9000;
