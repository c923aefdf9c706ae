//! N viewers in one process that count what they get and throw it away.

use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::Transport;
use crate::count::{Counts, Interleaved, RtpStream};
use crate::greeting;
use crate::rtsp::{self, Session, Wish};
use crate::sys::{self, DatagramDrain, Epoll};

/// Without `--seconds` the receivers obey lines on standard input: `add N`, `mark`, `quit`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `rtsp://HOST:PORT/PATH`, or `floor://HOST:PORT` for the bare sender
    url: String,
    #[arg(long, value_enum)]
    transport: Transport,
    /// UDP: take several datagrams as one where the kernel can
    #[arg(long)]
    gro: bool,
    /// UDP: asked size of each socket's receive buffer
    #[arg(long, default_value_t = 1 << 20)]
    receive_buffer_bytes: i32,
    /// Movies: begin at places spread over so many seconds, each viewer at its own
    #[arg(long)]
    spread_seconds: Option<f64>,
    /// Look for what has come at this interval in microseconds; without, wake up for it, which the
    /// sender pays for on loopback
    #[arg(long)]
    poll_us: Option<u64>,
    /// Viewers to begin with
    #[arg(long, default_value_t = 0)]
    viewers: usize,
    /// Count for so long once all viewers have joined and 3 s have passed, then end
    #[arg(long)]
    seconds: Option<u64>,
}

/// Runs until told to end.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    sys::raise_file_limit()?;
    sys::end_with_parent()?;
    let (inbox, post) = inbox()?;
    if args.viewers > 0 {
        post.send(Input::Add(args.viewers));
    }
    let wish = Wish {
        url: args.url.clone(),
        transport: args.transport,
        gro: args.gro,
        receive_buffer_bytes: args.receive_buffer_bytes,
        from_s: None,
    };
    let mut receivers = Receivers {
        epoll: Epoll::new()?,
        viewers: Vec::new(),
        sources: Vec::new(),
        datagrams: DatagramDrain::new(),
        buffer: vec![0; TCP_READ_BYTES_MAX],
        mark: Mark::now(),
        asked: 0,
        poll: args.poll_us.map(Duration::from_micros),
        spread_seconds: args.spread_seconds,
        wish,
    };
    match args.seconds {
        Some(seconds) => receivers.run(&inbox, &post, Some(Duration::from_secs(seconds))),
        None => {
            let commands = post.try_clone()?;
            thread::spawn(move || read_commands(&commands));
            receivers.run(&inbox, &post, None)
        }
    }
}

/// What the loop is told by its other threads.
enum Input {
    Add(usize),
    Joined(anyhow::Result<Joined>),
    Mark,
    Quit,
}

/// A viewer whose media has been asked for.
enum Joined {
    Rtsp(Session),
    FloorTcp(TcpStream),
    FloorUdp(Vec<UdpSocket>),
}

struct Viewer {
    /// What came since the mark.
    counts: Counts,
    joined: Joined,
    keep_alive_due: Instant,
    closed: bool,
}

enum Kind {
    /// The bare sender's bytes.
    Bytes,
    /// RTP interleaved with RTSP.
    Interleaved(Interleaved),
    /// The RTSP connection of a UDP viewer: replies, which are not media.
    Control,
    /// The bare sender's datagrams.
    Datagrams,
    Rtp(RtpStream),
    Rtcp,
}

/// One socket that is drained.
struct Source {
    fd: RawFd,
    viewer: usize,
    kind: Kind,
}

struct Receivers {
    epoll: Epoll,
    viewers: Vec<Viewer>,
    /// By epoll token.
    sources: Vec<Source>,
    datagrams: DatagramDrain,
    buffer: Vec<u8>,
    mark: Mark,
    /// Viewers asked for so far.
    asked: usize,
    /// How long to sleep between looks, rather than until something comes.
    poll: Option<Duration>,
    /// Over how much of the movie the viewers' places are spread.
    spread_seconds: Option<f64>,
    wish: Wish,
}

/// The place of a viewer in a movie: the fractional parts of the multiples of the golden ratio
/// lie evenly, however many there are.
fn place(viewer: usize, span_s: f64) -> f64 {
    (viewer as f64 * 0.618_033_988_75).fract() * span_s
}

struct Mark {
    at: Instant,
    /// Sockets found readable since.
    reads: u64,
}

impl Mark {
    fn now() -> Mark {
        Mark { at: Instant::now(), reads: 0 }
    }
}

impl Receivers {
    fn run(&mut self, inbox: &Inbox, post: &Post, seconds: Option<Duration>) -> anyhow::Result<()> {
        self.epoll.add_readable(&inbox.wake, WAKE)?;
        let mut ready = Vec::new();
        let mut keep_alive_due = Instant::now() + KEEP_ALIVE_TICK;
        loop {
            let now = Instant::now();
            let wait = match self.poll {
                Some(interval) => {
                    thread::sleep(interval);
                    Duration::ZERO
                }
                None => keep_alive_due - now.min(keep_alive_due),
            };
            self.epoll.wait(Some(wait), &mut ready)?;
            for event in &ready {
                if event.token != WAKE {
                    self.drain(event.token as usize, event.hang_up)?;
                } else if !self.obey(inbox, post, seconds)? {
                    return Ok(());
                }
            }
            if Instant::now() >= keep_alive_due {
                self.keep_alive();
                keep_alive_due = Instant::now() + KEEP_ALIVE_TICK;
            }
        }
    }

    /// Takes all that the inbox holds; false when told to quit.
    fn obey(
        &mut self,
        inbox: &Inbox,
        post: &Post,
        seconds: Option<Duration>,
    ) -> anyhow::Result<bool> {
        let _ = (&inbox.wake).read(&mut [0; 256])?;
        while let Ok(input) = inbox.receiver.try_recv() {
            match input {
                Input::Add(count) => {
                    let first = self.asked;
                    self.asked += count;
                    let (mut wish, post) = (self.wish.clone(), post.try_clone()?);
                    let spread = self.spread_seconds;
                    thread::spawn(move || {
                        for viewer in first..first + count {
                            wish.from_s = spread.map(|span| place(viewer, span));
                            post.send(Input::Joined(join(&wish, viewer)));
                        }
                    });
                }
                Input::Joined(joined) => {
                    self.add(joined.context("a viewer cannot join")?)?;
                    if self.viewers.len() == self.asked {
                        println!("{{\"event\":\"joined\",\"viewers\":{}}}", self.asked);
                        self.schedule(post, seconds)?;
                    }
                }
                Input::Mark => self.print_mark(),
                Input::Quit => {
                    self.leave();
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// With a time given, marks after the settling, and marks and quits at the end.
    fn schedule(&self, post: &Post, seconds: Option<Duration>) -> anyhow::Result<()> {
        let Some(seconds) = seconds else {
            return Ok(());
        };
        let post = post.try_clone()?;
        thread::spawn(move || {
            thread::sleep(SETTLE);
            post.send(Input::Mark);
            thread::sleep(seconds);
            post.send(Input::Mark);
            post.send(Input::Quit);
        });
        Ok(())
    }

    fn add(&mut self, mut joined: Joined) -> anyhow::Result<()> {
        let viewer = self.viewers.len();
        let mut counts = Counts::default();
        match &mut joined {
            Joined::Rtsp(session) if session.sockets.is_empty() => {
                let mut interleaved = Interleaved::default();
                interleaved.take(&std::mem::take(&mut session.left_over), &mut counts);
                self.watch(session.stream.as_raw_fd(), viewer, Kind::Interleaved(interleaved))?;
            }
            Joined::Rtsp(session) => {
                self.watch(session.stream.as_raw_fd(), viewer, Kind::Control)?;
                for (index, socket) in session.sockets.iter().enumerate() {
                    let kind = match index % 2 {
                        0 => Kind::Rtp(RtpStream::default()),
                        _ => Kind::Rtcp,
                    };
                    self.watch(socket.as_raw_fd(), viewer, kind)?;
                }
            }
            Joined::FloorTcp(stream) => self.watch(stream.as_raw_fd(), viewer, Kind::Bytes)?,
            Joined::FloorUdp(sockets) => {
                for socket in sockets {
                    self.watch(socket.as_raw_fd(), viewer, Kind::Datagrams)?;
                }
            }
        }
        self.viewers.push(Viewer {
            counts,
            joined,
            keep_alive_due: Instant::now() + KEEP_ALIVE_INTERVAL,
            closed: false,
        });
        Ok(())
    }

    fn watch(&mut self, fd: RawFd, viewer: usize, kind: Kind) -> anyhow::Result<()> {
        self.epoll.add_readable(&fd, self.sources.len() as u64)?;
        self.sources.push(Source { fd, viewer, kind });
        Ok(())
    }

    fn drain(&mut self, token: usize, hang_up: bool) -> anyhow::Result<()> {
        let Some(source) = self.sources.get_mut(token) else {
            return Ok(());
        };
        let Some(viewer) = self.viewers.get_mut(source.viewer) else {
            return Ok(());
        };
        self.mark.reads += 1;
        let counts = &mut viewer.counts;
        let received = match &mut source.kind {
            Kind::Bytes | Kind::Interleaved(_) | Kind::Control => {
                sys::receive_tcp(source.fd, &mut self.buffer)
            }
            kind => {
                let received = self.datagrams.receive(source.fd, |come| match kind {
                    Kind::Rtp(stream) => stream.take(&come, counts),
                    Kind::Rtcp => counts.rtcp_packets += come.count as u64,
                    _ => counts.add_packets(come.count, come.bytes),
                });
                // An ICMP error of a datagram sent earlier says nothing about what is received.
                received.map(|()| 1).or_else(|error| if hang_up { Err(error) } else { Ok(1) })
            }
        };
        match received {
            Ok(0) => viewer.closed = true,
            Ok(bytes) => {
                let come = self.buffer.get(..bytes).unwrap_or(&[]);
                match &mut source.kind {
                    Kind::Bytes => counts.bytes += bytes as u64,
                    Kind::Interleaved(interleaved) => interleaved.take(come, counts),
                    _ => {}
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => viewer.closed = true,
        }
        if viewer.closed {
            self.epoll.remove(&source.fd)?;
        }
        Ok(())
    }

    fn keep_alive(&mut self) {
        let now = Instant::now();
        let due = |viewer: &&mut Viewer| !viewer.closed && viewer.keep_alive_due <= now;
        for viewer in self.viewers.iter_mut().filter(due) {
            viewer.keep_alive_due = now + KEEP_ALIVE_INTERVAL;
            if let Joined::Rtsp(session) = &mut viewer.joined
                && session.keep_alive().is_err()
            {
                viewer.closed = true;
            }
        }
    }

    fn leave(&mut self) {
        for viewer in self.viewers.iter_mut().filter(|viewer| !viewer.closed) {
            if let Joined::Rtsp(session) = &mut viewer.joined {
                // The connection is closed next in any case.
                let _ = session.teardown();
            }
        }
    }

    /// Prints what came since the mark before, and begins again.
    fn print_mark(&mut self) {
        let seconds = self.mark.at.elapsed().as_secs_f64();
        let sum = |count: fn(&Counts) -> u64| {
            self.viewers.iter().map(|viewer| count(&viewer.counts)).sum::<u64>()
        };
        let bytes = || self.viewers.iter().map(|viewer| viewer.counts.bytes);
        let is_rtsp = !self.wish.url.starts_with("floor://");
        // What this receiver cannot see is null: packets in a bare byte stream, sequence numbers
        // where there are none.
        let (sees_packets, sees_rtp) = (is_rtsp || self.wish.transport == Transport::Udp, is_rtsp);
        let seen =
            |seen: bool, count: u64| seen.then_some(count).map_or("null".into(), |c| c.to_string());
        println!(
            "{{\"event\":\"mark\",\"seconds\":{seconds:.6},\"viewers\":{},\"closed\":{},\"bytes\":{},\
             \"viewer_bytes_min\":{},\"viewer_bytes_max\":{},\"packets\":{},\"packets_missing\":{},\
             \"packets_disordered\":{},\"rtcp_packets\":{},\"reads\":{}}}",
            self.viewers.len(),
            self.viewers.iter().filter(|viewer| viewer.closed).count(),
            bytes().sum::<u64>(),
            bytes().min().unwrap_or(0),
            bytes().max().unwrap_or(0),
            seen(sees_packets, sum(|counts| counts.packets)),
            seen(sees_rtp, sum(|counts| counts.packets_missing)),
            seen(sees_rtp, sum(|counts| counts.packets_disordered)),
            seen(sees_rtp, sum(|counts| counts.rtcp_packets)),
            self.mark.reads,
        );
        for viewer in &mut self.viewers {
            viewer.counts = Counts::default();
        }
        self.mark = Mark::now();
    }
}

const WAKE: u64 = u64::MAX;
const TCP_READ_BYTES_MAX: usize = 1 << 18;
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(45);
const KEEP_ALIVE_TICK: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_secs(3);

struct Inbox {
    receiver: Receiver<Input>,
    /// Readable when the inbox holds something.
    wake: UnixStream,
}

struct Post {
    sender: Sender<Input>,
    wake: UnixStream,
}

impl Post {
    fn send(&self, input: Input) {
        // Both fail only once the loop has ended, when nobody is left to tell.
        let _ = self.sender.send(input);
        let _ = (&self.wake).write(&[1]);
    }

    fn try_clone(&self) -> std::io::Result<Post> {
        Ok(Post { sender: self.sender.clone(), wake: self.wake.try_clone()? })
    }
}

fn inbox() -> std::io::Result<(Inbox, Post)> {
    let (sender, receiver) = mpsc::channel();
    let (wake, waker) = UnixStream::pair()?;
    let post = Post { sender, wake: waker };
    Ok((Inbox { receiver, wake }, post))
}

fn read_commands(post: &Post) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let mut words = line.split_whitespace();
        match (words.next(), words.next().map(str::parse)) {
            (Some("add"), Some(Ok(count))) => post.send(Input::Add(count)),
            (Some("mark"), None) => post.send(Input::Mark),
            (Some("quit"), None) => break,
            _ => println!("{{\"event\":\"error\",\"expected\":\"add N, mark or quit\"}}"),
        }
    }
    post.send(Input::Quit);
}

fn join(wish: &Wish, viewer: usize) -> anyhow::Result<Joined> {
    let Some(address) = wish.url.strip_prefix("floor://") else {
        return Session::play(wish).map(Joined::Rtsp);
    };
    let address: SocketAddr =
        address.parse().with_context(|| format!("{}: expected floor://ADDRESS:PORT", wish.url))?;
    match wish.transport {
        Transport::Tcp => {
            let mut stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            sys::pin_cubic(&stream).context("cannot pin CUBIC")?;
            greeting::ask(&mut stream)?;
            Ok(Joined::FloorTcp(stream))
        }
        Transport::Udp => {
            let mut sockets = Vec::new();
            for track in 0..2_u32 {
                let socket = rtsp::bind_media(0, wish)?;
                let mut hello = (viewer as u32).to_be_bytes().to_vec();
                hello.extend(track.to_be_bytes());
                if socket.send_to(&hello, address)? != hello.len() {
                    bail!("a hello was cut short");
                }
                sockets.push(socket);
            }
            Ok(Joined::FloorUdp(sockets))
        }
    }
}
