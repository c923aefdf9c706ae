//! The links of one run.

use weir_link::{Change, Counters, Direction, Error, LinkId, Pipe, Schedule, Settings};
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
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Its name, such as `s1-s2`.
    pub name: String,
    /// From the first end to the second.
    pub up: Settings,
    /// From the second end to the first.
    pub down: Settings,
    /// What changes from the first end to the second while time passes, from the start on.
    pub up_schedule: Option<Schedule>,
    /// What changes from the second end to the first.
    pub down_schedule: Option<Schedule>,
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
pub struct Links<P: Wire + Clone> {
    seed: u64,
    links: Vec<Link<P>>,
    tap: Option<Box<dyn Tap>>,
}

struct Link<P> {
    name: String,
    up: Pipe<P>,
    down: Pipe<P>,
}

impl<P: Wire + Clone> Links<P> {
    /// No links yet. Fates follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Links { seed, links: Vec::new(), tap: None }
    }

    /// One more link. Its number in records and in fates is its place: the first is 0.
    pub fn add(&mut self, plan: Plan) -> Result<LinkIndex, Error> {
        let index = LinkIndex(self.links.len());
        let id = LinkId(index.0 as u64);
        let mut up = Pipe::new(self.seed, id, Direction::Up, plan.up)?;
        let mut down = Pipe::new(self.seed, id, Direction::Down, plan.down)?;
        for (pipe, schedule) in [(&mut up, plan.up_schedule), (&mut down, plan.down_schedule)] {
            if let Some(schedule) = schedule {
                pipe.follow(Instant::ZERO, &schedule);
            }
        }
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
        if let Some(tap) = &mut self.tap {
            tap.queued(link, direction, pipe.queue_packets(), pipe.queue_bytes());
        }
        self.tell(link, direction);
    }

    /// The next packet that has come out by `now`: of one direction in order.
    pub fn poll(&mut self, now: Instant) -> Option<Exit<P>> {
        self.poll_as_of(now, now)
    }

    /// The next packet that has come out by `as_of`, taken out at `now`: for drivers that catch up
    /// on what they missed, each thing at its own time.
    pub fn poll_as_of(&mut self, as_of: Instant, now: Instant) -> Option<Exit<P>> {
        for number in 0..self.links.len() {
            for direction in DIRECTIONS {
                let link = LinkIndex(number);
                let pipe = self.links[number].pipe(direction);
                let delivery = pipe.poll(as_of);
                self.tell(link, direction);
                let Some(mut delivery) = delivery else { continue };
                if let Some(random) = delivery.corrupt {
                    delivery.payload.corrupt(random);
                }
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
            .flat_map(|link| [&link.up, &link.down])
            // Changes by a schedule are told when they are made.
            .flat_map(|pipe| [pipe.next_timeout(), pipe.next_change()])
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
        let asked = |each: &Direction| direction.is_none_or(|only| only == *each);
        // Both or none.
        for each in DIRECTIONS.into_iter().filter(asked) {
            let mut settings = self.links[link.0].pipe(each).settings().to_owned();
            change.apply(&mut settings);
            settings.check()?;
        }
        for each in DIRECTIONS.into_iter().filter(asked) {
            // What happened before is told first: it belongs to the settings of before.
            self.links[link.0].pipe(each).advance(now);
            self.tell(link, each);
            let pipe = self.links[link.0].pipe(each);
            let mut settings = pipe.settings().to_owned();
            change.apply(&mut settings);
            pipe.set(now, settings.clone())?;
            if let Some(tap) = &mut self.tap {
                tap.changed(link, each, now, &settings);
            }
            self.tell(link, each);
        }
        Ok(())
    }

    /// A figure that the driver alone knows, for whoever watches: see [`Tap::gauge`].
    pub fn gauge(&mut self, link: LinkIndex, name: &'static str, value: u64, at: Instant) {
        if let Some(tap) = &mut self.tap {
            tap.gauge(link, name, value, at);
        }
    }

    /// A second has gone by for whoever watches.
    pub fn tick(&mut self, now: Instant) {
        for number in 0..self.links.len() {
            for direction in DIRECTIONS {
                self.links[number].pipe(direction).advance(now);
                self.tell(LinkIndex(number), direction);
            }
        }
        self.count();
        if let Some(tap) = &mut self.tap {
            tap.tick(now);
        }
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
            settings: pipe.settings().clone(),
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
            Command::Tick => {
                self.tick(now);
                Reply::Links(Vec::new())
            }
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
        // What happened before a change belongs to the settings of before.
        let mut passage = pipe.take_passage();
        while let Some((at, settings)) = pipe.take_change() {
            while let Some(before) =
                passage.take_if(|one| one.left_queue.unwrap_or(one.entered) < at)
            {
                tap.passed(link, direction, &before);
                passage = pipe.take_passage();
            }
            tap.changed(link, direction, at, &settings);
        }
        while let Some(one) = passage {
            tap.passed(link, direction, &one);
            passage = pipe.take_passage();
        }
    }
}

impl<P: Wire + Clone> Links<P> {
    /// Tells the totals.
    fn count(&mut self) {
        let Some(tap) = &mut self.tap else { return };
        for (number, link) in self.links.iter_mut().enumerate() {
            for direction in DIRECTIONS {
                tap.counted(LinkIndex(number), direction, link.pipe(direction).counters());
            }
        }
    }
}

impl<P: Wire + Clone> Drop for Links<P> {
    /// Whoever watches learns the last totals.
    fn drop(&mut self) {
        self.count();
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
