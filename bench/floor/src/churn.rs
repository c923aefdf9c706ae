//! Viewers that come, take a few packets and go.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::Transport;
use crate::rtsp::{Session, Wish};
use crate::sys;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// `rtsp://HOST:PORT/PATH`
    url: String,
    #[arg(long, value_enum, default_value = "both")]
    transport: Choice,
    /// Viewers in all
    #[arg(long, default_value_t = 10_000)]
    count: usize,
    /// Viewers at a time
    #[arg(long, default_value_t = 4)]
    parallel: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    Tcp,
    Udp,
    /// TCP and UDP in turn.
    Both,
}

/// Connects `count` times and prints how that went; every other viewer leaves by TEARDOWN, the
/// rest close their sockets without a word.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    sys::raise_file_limit()?;
    sys::end_with_parent()?;
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let first_error = std::sync::Mutex::new(None);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..args.parallel.max(1) {
            scope.spawn(|| {
                loop {
                    let viewer = next.fetch_add(1, Ordering::Relaxed);
                    if viewer >= args.count {
                        break;
                    }
                    if let Err(error) = visit(args, viewer) {
                        failed.fetch_add(1, Ordering::Relaxed);
                        if let Ok(mut first) = first_error.lock() {
                            first.get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    let (failed, seconds) = (failed.into_inner(), start.elapsed().as_secs_f64());
    println!(
        "{{\"event\":\"churned\",\"viewers\":{},\"failed\":{failed},\"seconds\":{seconds:.3}}}",
        args.count
    );
    match first_error.into_inner() {
        Ok(Some(error)) => {
            Err(error).context(format!("{failed} of {} viewers failed, the first", args.count))
        }
        _ => Ok(()),
    }
}

fn visit(args: &Args, viewer: usize) -> anyhow::Result<()> {
    let transport = match args.transport {
        Choice::Tcp => Transport::Tcp,
        Choice::Udp => Transport::Udp,
        Choice::Both if (viewer / 2).is_multiple_of(2) => Transport::Tcp,
        Choice::Both => Transport::Udp,
    };
    let wish = Wish {
        url: args.url.clone(),
        transport,
        gro: false,
        receive_buffer_bytes: 1 << 16,
        from_s: None,
    };
    let mut session = Session::play(&wish)?;
    let mut scratch = [0_u8; 4096];
    match session.sockets.first() {
        Some(socket) => {
            socket.set_read_timeout(Some(MEDIA_WAIT_MAX))?;
            for _ in 0..PACKETS {
                socket.recv(&mut scratch).context("no datagram came")?;
            }
        }
        None => {
            let mut bytes = session.left_over.len();
            while bytes < PACKETS * PACKET_BYTES {
                match session.stream.read(&mut scratch).context("no media came")? {
                    0 => bail!("the server closed the connection"),
                    more => bytes += more,
                }
            }
        }
    }
    if viewer.is_multiple_of(2) {
        session.teardown()?;
        // Until the end of the stream or a quiet moment, so that the reply is taken.
        session.stream.set_read_timeout(Some(GOODBYE_WAIT_MAX))?;
        while matches!(session.stream.read(&mut scratch), Ok(bytes) if bytes > 0) {
            if scratch.windows(8).any(|window| window == b"RTSP/1.0") {
                break;
            }
        }
    }
    Ok(())
}

/// Packets that a viewer takes before it goes.
const PACKETS: usize = 4;
const PACKET_BYTES: usize = 1000;
const MEDIA_WAIT_MAX: Duration = Duration::from_secs(5);
const GOODBYE_WAIT_MAX: Duration = Duration::from_millis(200);
