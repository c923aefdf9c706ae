//! The bare sender: frames of a trace at their times, one thread, no protocol.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::Transport;
use crate::greeting;
use crate::sys::{self, Epoll, Ready, Trains};
use crate::trace::{Batch, Packets, Sound, Trace};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// CSV of `time_ns,track,bytes,parameter_sets_bytes` lines, sent again and again
    #[arg(long)]
    trace: PathBuf,
    /// Address to listen on; the port that was taken is printed
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddrV4,
    #[arg(long, value_enum)]
    transport: Transport,
    /// Whether sound rides along with pictures
    #[arg(long, value_enum, default_value = "ride")]
    sound: Sound,
    /// Seconds to run; without, until standard input ends
    #[arg(long)]
    seconds: Option<u64>,
}

/// Sends until the time is over or standard input ends, then prints its counts.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    sys::raise_file_limit()?;
    sys::end_with_parent()?;
    let trace = Trace::read(&args.trace, args.sound)?;
    let mut sender = Sender::bind(args)?;
    let mut epoll = Epoll::new()?;
    match &sender {
        Sender::Tcp { listener, .. } => epoll.add_readable(listener, JOIN)?,
        Sender::Udp { socket, .. } => epoll.add_readable(socket, JOIN)?,
    }
    if args.seconds.is_none() {
        epoll.add_readable(&io::stdin(), STDIN)?;
    }

    let start = Instant::now();
    let end = args.seconds.map(|seconds| start + Duration::from_secs(seconds));
    let mut counts = Counts::default();
    let mut ready: Vec<Ready> = Vec::new();
    for pass in 0_u32.. {
        for batch in &trace.batches {
            let due = start + trace.period * pass + batch.due;
            loop {
                let now = Instant::now();
                if now >= due {
                    counts.late.push((now - due).as_micros() as u32);
                    break;
                }
                epoll.wait(Some(due - now), &mut ready)?;
                if !sender.serve(&mut epoll, &ready, &mut counts)? {
                    counts.print();
                    return Ok(());
                }
            }
            if end.is_some_and(|end| due >= end) {
                counts.print();
                return Ok(());
            }
            sender.send(batch, &epoll, &mut counts)?;
        }
    }
    Ok(())
}

/// Epoll tokens; a TCP viewer's is its place in the list.
const JOIN: u64 = u64::MAX;
const STDIN: u64 = u64::MAX - 1;

/// More than this unsent, and a viewer's frames are dropped.
const PENDING_BYTES_MAX: usize = 1 << 20;
/// The payload: its content means nothing, its pages are shared by every frame.
const PAYLOAD_BYTES: usize = 1 << 20;

/// What is printed when the sender ends.
#[derive(Default)]
struct Counts {
    /// How late each frame was begun, in microseconds.
    late: Vec<u32>,
    /// Packets and bytes for each viewer that was there all the time, without TCP's framing.
    packets: u64,
    bytes: u64,
    calls: u64,
    partial_writes: u64,
    /// TCP frames dropped for a full viewer, UDP messages that the kernel refused.
    dropped: u64,
}

impl Counts {
    fn print(&mut self) {
        self.late.sort_unstable();
        let at = |share: usize| {
            let index = self.late.len().saturating_sub(1) * share / 100;
            self.late.get(index).copied().unwrap_or(0)
        };
        println!(
            "{{\"event\":\"sent\",\"frames\":{},\"late_us_p50\":{},\"late_us_p99\":{},\
             \"packets\":{},\"bytes\":{},\"calls\":{},\"partial_writes\":{},\"dropped\":{}}}",
            self.late.len(),
            at(50),
            at(99),
            self.packets,
            self.bytes,
            self.calls,
            self.partial_writes,
            self.dropped,
        );
    }
}

struct TcpViewer {
    stream: TcpStream,
    /// Bytes of earlier frames that the socket had no room for.
    pending_bytes: usize,
    /// The other side is gone.
    gone: bool,
}

enum Sender {
    Tcp {
        listener: TcpListener,
        viewers: Vec<TcpViewer>,
        payload: Vec<u8>,
    },
    Udp {
        socket: UdpSocket,
        /// A viewer's addresses for pictures and for sound, by the number in its hello.
        viewers: Vec<[Option<SocketAddrV4>; 2]>,
        trains: Trains,
        payload: Vec<u8>,
    },
}

impl Sender {
    fn bind(args: &Args) -> anyhow::Result<Sender> {
        let failed = || format!("cannot listen on {}", args.listen);
        let payload = vec![0x5a_u8; PAYLOAD_BYTES];
        let (sender, address) = match args.transport {
            Transport::Tcp => {
                let listener = TcpListener::bind(args.listen).with_context(failed)?;
                listener.set_nonblocking(true)?;
                sys::pin_cubic(&listener).context("cannot pin CUBIC")?;
                let address = listener.local_addr()?;
                let viewers = Vec::new();
                let sender = Sender::Tcp { listener, viewers, payload };
                (sender, address)
            }
            Transport::Udp => {
                let socket = UdpSocket::bind(args.listen).with_context(failed)?;
                let address = socket.local_addr()?;
                let sender =
                    Sender::Udp { socket, viewers: Vec::new(), trains: Trains::default(), payload };
                (sender, address)
            }
        };
        println!("{{\"event\":\"listening\",\"address\":\"{address}\"}}");
        Ok(sender)
    }

    /// Serves what is ready; false when standard input has ended.
    fn serve(
        &mut self,
        epoll: &mut Epoll,
        ready: &[Ready],
        counts: &mut Counts,
    ) -> anyhow::Result<bool> {
        for event in ready {
            match event.token {
                STDIN => {
                    if io::stdin().read(&mut [0; 64])? == 0 {
                        return Ok(false);
                    }
                }
                JOIN => self.join()?,
                token => self.flush(epoll, token as usize, counts)?,
            }
        }
        Ok(true)
    }

    fn join(&mut self) -> anyhow::Result<()> {
        match self {
            Sender::Tcp { listener, viewers, .. } => {
                let (mut stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                greeting::answer(&mut stream)?;
                stream.set_nonblocking(true)?;
                viewers.push(TcpViewer { stream, pending_bytes: 0, gone: false });
            }
            Sender::Udp { socket, viewers, trains, .. } => {
                let mut hello = [0_u8; 16];
                let (bytes, from) = socket.recv_from(&mut hello)?;
                let (&[viewer, track], SocketAddr::V4(from)) =
                    (parse_hello(hello.get(..bytes).unwrap_or(&[])).as_slice(), from)
                else {
                    return Ok(());
                };
                if viewers.len() <= viewer {
                    viewers.resize(viewer + 1, [None; 2]);
                }
                if let Some(slot) = viewers.get_mut(viewer).and_then(|of| of.get_mut(track)) {
                    *slot = Some(from);
                }
                let whole = || viewers.iter().filter(|of| of.iter().all(Option::is_some));
                let of_track = |track: usize| whole().filter_map(move |of| of[track]);
                let destinations: Vec<_> = of_track(0).chain(of_track(1)).collect();
                trains.set_destinations(&destinations);
            }
        }
        Ok(())
    }

    fn send(&mut self, batch: &Batch, epoll: &Epoll, counts: &mut Counts) -> anyhow::Result<()> {
        match self {
            Sender::Tcp { viewers, payload, .. } => {
                let frame = payload.get(..batch.interleaved_bytes()).unwrap_or(payload);
                for (index, viewer) in viewers.iter_mut().enumerate() {
                    viewer.send(frame, counts);
                    if viewer.pending_bytes > 0 && !viewer.gone {
                        // A viewer that waited already is known to epoll: that it is there is fine.
                        let _ = epoll.add_writable(&viewer.stream, index as u64);
                    }
                }
            }
            Sender::Udp { socket, trains, payload, .. } => {
                let cut =
                    |run: &Packets| (payload.get(..run.bytes).unwrap_or(payload), run.packet_bytes);
                let pictures = batch.picture.iter().map(cut);
                let sounds = batch.sound.iter().map(cut);
                let (calls, refused) = trains.send(socket, pictures, sounds);
                counts.calls += calls;
                counts.dropped += refused;
            }
        }
        counts.packets += batch.packets() as u64;
        counts.bytes += batch.bytes() as u64;
        Ok(())
    }

    fn flush(&mut self, epoll: &Epoll, index: usize, counts: &mut Counts) -> anyhow::Result<()> {
        let Sender::Tcp { viewers, payload, .. } = self else {
            return Ok(());
        };
        if let Some(viewer) = viewers.get_mut(index) {
            let rest = viewer.pending_bytes.min(payload.len());
            viewer.pending_bytes -= rest;
            viewer.write(payload.get(..rest).unwrap_or(&[]), counts);
            if viewer.pending_bytes == 0 || viewer.gone {
                epoll.remove(&viewer.stream)?;
            }
        }
        Ok(())
    }
}

impl TcpViewer {
    fn send(&mut self, frame: &[u8], counts: &mut Counts) {
        if self.gone {
        } else if self.pending_bytes + frame.len() > PENDING_BYTES_MAX {
            counts.dropped += 1;
        } else if self.pending_bytes > 0 {
            self.pending_bytes += frame.len();
        } else {
            self.write(frame, counts);
        }
    }

    fn write(&mut self, frame: &[u8], counts: &mut Counts) {
        counts.calls += 1;
        match self.stream.write_vectored(&[IoSlice::new(frame)]) {
            Ok(written) => self.pending_bytes += frame.len() - written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.pending_bytes += frame.len();
            }
            Err(_) => self.gone = true,
        }
        counts.partial_writes += u64::from(self.pending_bytes > 0);
    }
}

/// A hello is the viewer's number and the track's, each 4 bytes in network order.
fn parse_hello(hello: &[u8]) -> Vec<usize> {
    let number = |bytes: &[u8]| {
        let bytes = <[u8; 4]>::try_from(bytes).ok()?;
        Some(u32::from_be_bytes(bytes) as usize)
    };
    let numbers: Option<Vec<usize>> = hello.chunks(4).map(number).collect();
    numbers
        .filter(|numbers| numbers.first().is_some_and(|&viewer| viewer < VIEWERS_MAX))
        .unwrap_or_default()
}

const VIEWERS_MAX: usize = 10_000;
