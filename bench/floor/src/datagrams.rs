//! Numbered and dated datagrams at a steady rate, and whoever counts them.

use std::io::{self, BufRead};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::sys;

/// Sends datagrams at a steady rate.
#[derive(clap::Args)]
pub(crate) struct LoadArgs {
    /// Where to
    target: SocketAddr,
    /// Datagrams a second
    #[arg(long)]
    rate: f64,
    /// Payload of each
    #[arg(long, default_value_t = 1200)]
    bytes: usize,
    /// How many go in one call, all due at once
    #[arg(long, default_value_t = 1)]
    burst: usize,
    /// The calls are one datagram each that the kernel cuts
    #[arg(long)]
    offload: bool,
    /// For how long
    #[arg(long)]
    seconds: f64,
}

/// Counts datagrams, and says how much later they came than a link of this rate and delay asks.
///
/// Each line on standard input has it print what came since the last one; its end ends it.
#[derive(clap::Args)]
pub(crate) struct SinkArgs {
    /// Where to listen; port 0 is any free one, which is printed
    listen: SocketAddr,
    /// The rate of the link between, in IP bits a second; none, if 0
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// The delay of the link between
    #[arg(long, default_value_t = 0)]
    delay_ns: u64,
    /// Take several as one where the kernel can
    #[arg(long)]
    gro: bool,
}

/// Sends, and says how many.
pub(crate) fn load(args: &LoadArgs) -> anyhow::Result<()> {
    sys::end_with_parent()?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(args.target)?;
    if args.offload {
        let bytes = i32::try_from(args.bytes)?;
        sys::set_option(&socket, libc::SOL_UDP, libc::UDP_SEGMENT, bytes)?;
    }
    let mut payload = vec![0_u8; args.bytes.max(HEAD_BYTES) * args.burst];
    let mut messages = Messages::new(&mut payload, args.bytes.max(HEAD_BYTES));
    let interval = Duration::from_secs_f64(args.burst as f64 / args.rate);
    let (began, mut sent, mut calls) = (Instant::now(), 0_u64, 0_u32);
    while began.elapsed().as_secs_f64() < args.seconds {
        let due = began + interval * calls;
        // Short gaps are spun through, so that the pace is even.
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            if left > SPIN {
                thread::sleep(left - SPIN);
            }
        }
        calls += 1;
        for datagram in payload.chunks_mut(args.bytes.max(HEAD_BYTES)) {
            datagram[..8].copy_from_slice(&sent.to_be_bytes());
            datagram[8..16].copy_from_slice(&utc_ns().to_be_bytes());
            sent += 1;
        }
        if args.offload {
            // What is refused is missing at the sink.
            let _ = socket.send(&payload);
        } else {
            messages.send(&socket);
        }
    }
    println!("{{\"event\":\"loaded\",\"datagrams\":{sent}}}");
    Ok(())
}

/// Headers that cut a payload into datagrams.
struct Messages {
    _vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

impl Messages {
    /// `payload` must stay in place as long as these are sent.
    fn new(payload: &mut [u8], bytes: usize) -> Messages {
        let mut vectors: Vec<libc::iovec> = payload
            .chunks_mut(bytes)
            .map(|part| libc::iovec { iov_base: part.as_mut_ptr().cast(), iov_len: part.len() })
            .collect();
        let headers = vectors
            .iter_mut()
            .map(|vector| {
                // SAFETY: an mmsghdr is integers and pointers, for which zero is a value.
                let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
                header.msg_hdr.msg_iov = vector;
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        Messages { _vectors: vectors, headers }
    }

    fn send(&mut self, socket: &UdpSocket) {
        let count = self.headers.len() as libc::c_uint;
        // SAFETY: the headers point to vectors of this struct and to the payload, which stay in
        // place; what is refused is missing at the sink.
        unsafe { libc::sendmmsg(socket.as_raw_fd(), self.headers.as_mut_ptr(), count, 0) };
    }
}

/// Counts until standard input ends.
pub(crate) fn sink(args: &SinkArgs) -> anyhow::Result<()> {
    sys::end_with_parent()?;
    let socket = UdpSocket::bind(args.listen)?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 16 << 20)
        .or_else(|_| sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 16 << 20))?;
    sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    if args.gro {
        sys::set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 1)?;
    }
    println!("{{\"event\":\"listening\",\"address\":\"{}\"}}", socket.local_addr()?);
    let marks = marks();
    let mut drain = Drain::new();
    let mut asked = Asked { rate: args.rate, delay_ns: args.delay_ns, free_ns: 0 };
    let (mut datagrams, mut bytes, mut late_ns) = (0_u64, 0_u64, Vec::new());
    loop {
        match marks.try_recv() {
            Ok(()) => {
                print_mark(datagrams, bytes, &mut late_ns);
                (datagrams, bytes) = (0, 0);
            }
            Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
            Err(mpsc::TryRecvError::Empty) => {}
        }
        drain.receive(&socket, |came| {
            datagrams += came.count;
            bytes += came.bytes;
            if let Some(sent_ns) = came.sent_ns
                && late_ns.len() < SAMPLES_MAX
            {
                let due_ns = asked.due_ns(sent_ns, came.bytes / came.count.max(1));
                late_ns.push(came.at_ns as i64 - due_ns as i64);
            }
        })?;
    }
}

fn marks() -> Receiver<()> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for _ in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn print_mark(datagrams: u64, bytes: u64, late_ns: &mut Vec<i64>) {
    late_ns.sort_unstable();
    let at = |share: f64| {
        let place = (late_ns.len() as f64 * share) as usize;
        late_ns.get(place.min(late_ns.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    println!(
        "{{\"event\":\"mark\",\"datagrams\":{datagrams},\"bytes\":{bytes},\"samples\":{},\"late_ns\":{{\
         \"p1\":{},\"p50\":{},\"p90\":{},\"p99\":{},\"p999\":{},\"max\":{}}}}}",
        late_ns.len(),
        at(0.01),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    late_ns.clear();
}

/// When a link of a rate and a delay would let each datagram out.
struct Asked {
    rate: u64,
    delay_ns: u64,
    /// When the sender of the link is free again.
    free_ns: u64,
}

impl Asked {
    fn due_ns(&mut self, sent_ns: u64, bytes: u64) -> u64 {
        let span_ns = ((bytes + 28) * 8_000_000_000).checked_div(self.rate).unwrap_or(0);
        self.free_ns = self.free_ns.max(sent_ns) + span_ns;
        self.free_ns + self.delay_ns
    }
}

/// Receives many at a time, with the kernel's time of arrival.
struct Drain {
    buffers: Vec<Vec<u8>>,
    controls: Vec<[u64; 16]>,
}

/// Datagrams of one length that came together.
struct Came {
    count: u64,
    bytes: u64,
    at_ns: u64,
    /// The date in the first of them.
    sent_ns: Option<u64>,
}

impl Drain {
    fn new() -> Drain {
        Drain { buffers: vec![vec![0; HEAD_BYTES]; BATCH], controls: vec![[0; 16]; BATCH] }
    }

    /// Waits for at least one, for a while.
    fn receive(&mut self, socket: &UdpSocket, mut tell: impl FnMut(Came)) -> io::Result<()> {
        let mut vectors: Vec<libc::iovec> = self
            .buffers
            .iter_mut()
            .map(|buffer| libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            })
            .collect();
        let mut headers: Vec<libc::mmsghdr> = vectors
            .iter_mut()
            .zip(&mut self.controls)
            .map(|(vector, control)| {
                // SAFETY: an mmsghdr is integers and pointers, for which zero is a value.
                let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
                header.msg_hdr.msg_iov = vector;
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_control = control.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = size_of_val(control) as _;
                header
            })
            .collect();
        let (fd, start) = (socket.as_raw_fd(), headers.as_mut_ptr());
        // With MSG_TRUNC a message's length is the datagram's, however little was copied.
        let flags = libc::MSG_WAITFORONE | libc::MSG_TRUNC;
        // SAFETY: headers, vectors, buffers and controls live and stay in place over the call.
        let count =
            unsafe { libc::recvmmsg(fd, start, BATCH as libc::c_uint, flags, ptr::null_mut()) };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            let nothing = matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::TimedOut
            );
            return if nothing { Ok(()) } else { Err(error) };
        };
        for (header, buffer) in headers.iter().zip(&self.buffers).take(count) {
            let bytes = u64::from(header.msg_len);
            let (at_ns, segment) = control(&header.msg_hdr);
            let stamp = buffer.get(8..16).and_then(|stamp| stamp.try_into().ok());
            let segment = segment.unwrap_or(bytes).max(1);
            tell(Came {
                count: bytes.div_ceil(segment).max(1),
                bytes,
                at_ns: at_ns.unwrap_or_else(utc_ns),
                sent_ns: stamp.map(u64::from_be_bytes).filter(|_| bytes >= HEAD_BYTES as u64),
            });
        }
        Ok(())
    }
}

/// Time of arrival and length of merged datagrams.
fn control(message: &libc::msghdr) -> (Option<u64>, Option<u64>) {
    let (mut at_ns, mut segment) = (None, None);
    // SAFETY: the kernel has filled in the control messages that these macros walk over.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            let data = libc::CMSG_DATA(header);
            match ((*header).cmsg_level, (*header).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let stamp = data.cast::<libc::timespec>().read_unaligned();
                    at_ns = Some(stamp.tv_sec as u64 * 1_000_000_000 + stamp.tv_nsec as u64);
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    segment = u64::try_from(data.cast::<libc::c_int>().read_unaligned()).ok();
                }
                _ => {}
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    (at_ns, segment)
}

fn utc_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64
}

const BATCH: usize = 64;
/// A number and a date.
const HEAD_BYTES: usize = 16;
const SPIN: Duration = Duration::from_micros(150);
const SAMPLES_MAX: usize = 1 << 22;
