//! The links of one run.

use weir_link::{Change, Counters, Direction, Error, LinkId, Pipe, Settings};
use weir_time::Instant;

use crate::inbox::{Command, Reply};
use crate::tap::Tap;

/// What stands for a packet on emulated links.
pub trait Wire {
    /// Its length as an IP packet, in bytes.
    fn ip_bytes(&self) -> u32;

    /// Appends the IP packet to `out`, at most `bytes_max` bytes of it: its headers, made up where
    /// the driver has none, and its payload.
    fn write_ip(&self, out: &mut Vec<u8>, bytes_max: usize);

    /// Changes one bit of its payload, chosen by `random`.
    fn corrupt(&mut self, random: u64);
}

/// One link as it is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name, such as `s1-s2`.
    pub name: String,
    /// From the first end to the second.
    pub up: Settings,
    /// From the second end to the first.
    pub down: Settings,
}

/// A link of [`Links`]: its number, from 0, in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkIndex(pub usize);

/// A packet that came out of a link.
#[derive(Debug)]
pub struct Exit<P> {
    /// The link.
    pub link: LinkIndex,
    /// Which way it went.
    pub direction: Direction,
    /// When it came out, exactly: not later than the time of the call.
    pub at: Instant,
    /// The packet.
    pub packet: P,
}

/// A link as it stands.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// Its name.
    pub name: String,
    /// From the first end to the second.
    pub up: DirectionStatus,
    /// From the second end to the first.
    pub down: DirectionStatus,
}

/// One direction of a link as it stands.
#[derive(Clone, Debug)]
pub struct DirectionStatus {
    /// What is asked now.
    pub settings: Settings,
    /// Totals since the start.
    pub counters: Counters,
    /// Packets that wait.
    pub queue_packets: usize,
    /// Bytes that wait.
    pub queue_bytes: u64,
}

/// The links of one run, both directions of each, with the packets inside.
pub struct Links<P> {
    seed: u64,
    links: Vec<Link<P>>,
    tap: Option<Box<dyn Tap>>,
}

struct Link<P> {
    name: String,
    up: Pipe<P>,
    down: Pipe<P>,
}

impl<P: Wire> Links<P> {
    /// No links yet. Fates follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Links { seed, links: Vec::new(), tap: None }
    }

    /// One more link. Its number in records and in fates is its place: the first is 0.
    pub fn add(&mut self, plan: Plan) -> Result<LinkIndex, Error> {
        let index = LinkIndex(self.links.len());
        let id = LinkId(index.0 as u64);
        let up = Pipe::new(self.seed, id, Direction::Up, plan.up)?;
        let down = Pipe::new(self.seed, id, Direction::Down, plan.down)?;
        self.links.push(Link { name: plan.name, up, down });
        Ok(index)
    }

    /// Whoever watches from here on.
    pub fn watch(&mut self, now: Instant, mut tap: Box<dyn Tap>) {
        for (number, link) in self.links.iter_mut().enumerate() {
            for direction in DIRECTIONS {
                let pipe = link.pipe(direction);
                pipe.observe(PASSAGES_MAX);
                tap.changed(LinkIndex(number), direction, now, pipe.settings());
            }
        }
        self.tap = Some(tap);
    }

    /// A packet arrives at a link. Whether it was dropped at once is the tap's business.
    pub fn offer(&mut self, now: Instant, link: LinkIndex, direction: Direction, packet: P) {
        let pipe = self.links[link.0].pipe(direction);
        if let Some(tap) = &mut self.tap {
            let index = pipe.counters().offered_packets;
            tap.entered(link, direction, index, now, &packet);
        }
        // A refusal is in the pipe's counters and in its passages.
        let _ = pipe.offer(now, packet.ip_bytes(), packet);
        self.tell(link, direction);
    }

    /// The next packet that has come out by `now`: of one direction in order.
    pub fn poll(&mut self, now: Instant) -> Option<Exit<P>> {
        for number in 0..self.links.len() {
            for direction in DIRECTIONS {
                let link = LinkIndex(number);
                let pipe = self.links[number].pipe(direction);
                let delivery = pipe.poll(now);
                self.tell(link, direction);
                let Some(delivery) = delivery else { continue };
                if let Some(tap) = &mut self.tap {
                    tap.left(link, direction, delivery.index, delivery.at, now);
                }
                return Some(Exit { link, direction, at: delivery.at, packet: delivery.payload });
            }
        }
        None
    }

    /// When to poll next, if nothing is offered before.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.links
            .iter()
            .flat_map(|link| [link.up.next_timeout(), link.down.next_timeout()])
            .flatten()
            .min()
    }

    /// Changes what is asked of a link, in one direction or in both. What is in flight stays.
    pub fn set(
        &mut self,
        now: Instant,
        link: LinkIndex,
        direction: Option<Direction>,
        change: &Change,
    ) -> Result<(), Error> {
        for each in DIRECTIONS {
            if direction.is_some_and(|only| only != each) {
                continue;
            }
            let pipe = self.links[link.0].pipe(each);
            let mut settings = *pipe.settings();
            change.apply(&mut settings);
            pipe.set(now, settings)?;
            if let Some(tap) = &mut self.tap {
                tap.changed(link, each, now, &settings);
            }
            self.tell(link, each);
        }
        Ok(())
    }

    /// The link of this name.
    pub fn find(&self, name: &str) -> Option<LinkIndex> {
        self.links.iter().position(|link| link.name == name).map(LinkIndex)
    }

    /// Whether nothing is asked of a direction of a link: packets pass at once, and none is lost.
    pub fn asks_nothing(&self, link: LinkIndex, direction: Direction) -> bool {
        let Some(Link { up, down, .. }) = self.links.get(link.0) else { return true };
        let settings = match direction {
            Direction::Up => up.settings(),
            Direction::Down => down.settings(),
        };
        // Without a rate nothing ever waits, whatever the queue would hold.
        let queue = settings.queue;
        *settings == Settings { queue, ..Settings::default() }
    }

    /// Whether nothing is asked of any link.
    pub fn ask_nothing(&self) -> bool {
        let mut all = (0..self.links.len()).map(LinkIndex);
        all.all(|link| DIRECTIONS.iter().all(|direction| self.asks_nothing(link, *direction)))
    }

    /// All links as they stand.
    pub fn status(&self) -> Vec<LinkStatus> {
        let status = |pipe: &Pipe<P>| DirectionStatus {
            settings: *pipe.settings(),
            counters: *pipe.counters(),
            queue_packets: pipe.queue_packets(),
            queue_bytes: pipe.queue_bytes(),
        };
        let links = self.links.iter();
        links
            .map(|link| LinkStatus {
                name: link.name.clone(),
                up: status(&link.up),
                down: status(&link.down),
            })
            .collect()
    }

    /// Does what somebody outside asked for.
    pub fn command(&mut self, now: Instant, command: Command) -> Reply {
        match command {
            Command::Show => Reply::Links(self.status()),
            Command::Set { link, direction, change } => {
                let found = match &link {
                    Some(name) => self.find(name),
                    None if self.links.len() == 1 => Some(LinkIndex(0)),
                    None => None,
                };
                let Some(found) = found else { return Reply::Refused(self.no_such_link(link)) };
                match self.set(now, found, direction, &change) {
                    Ok(()) => Reply::Links(self.status()),
                    Err(error) => Reply::Refused(error.to_string()),
                }
            }
        }
    }

    fn no_such_link(&self, asked: Option<String>) -> String {
        let names: Vec<&str> = self.links.iter().map(|link| link.name.as_str()).collect();
        let names = names.join(", ");
        match asked {
            Some(name) => format!("there is no link {name:?}; there are: {names}"),
            None => format!("which link? There are: {names}"),
        }
    }

    fn tell(&mut self, link: LinkIndex, direction: Direction) {
        let Some(tap) = &mut self.tap else { return };
        let pipe = self.links[link.0].pipe(direction);
        while let Some(passage) = pipe.take_passage() {
            tap.passed(link, direction, &passage);
        }
    }
}

impl<P> Link<P> {
    fn pipe(&mut self, direction: Direction) -> &mut Pipe<P> {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

const DIRECTIONS: [Direction; 2] = [Direction::Up, Direction::Down];
/// Taken after each call, so that only what one call makes certain must fit.
const PASSAGES_MAX: usize = 1 << 16;
