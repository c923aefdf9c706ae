//! Many sends in one system call, by io_uring.
//!
//! All sends are asked for with `MSG_DONTWAIT`, so that the kernel does each of them within the
//! call, or says at once that the socket is full: when the call returns, all are done.

use std::io;

use io_uring::{IoUring, opcode, types};

use crate::batch::{BatchStorage, Sent, Target};
use crate::tcp::StreamBody;

/// Sends of one call.
const SENDS_MAX: usize = 256;
/// Below this a plain call for each is as cheap.
pub(crate) const SENDS_WORTH_IT: usize = 4;

/// A ring, if the system has them; asked for once.
#[derive(Default)]
pub(crate) enum Uring {
    #[default]
    Untried,
    Ready(Box<Ready>),
    Refused,
}

pub(crate) struct Ready {
    ring: IoUring,
    headers: Vec<libc::msghdr>,
    results: Vec<i32>,
}

impl Uring {
    /// The ring, made at the first call. A system without io_uring, or one that forbids it, has
    /// none.
    pub(crate) fn get(&mut self) -> Option<&mut Ready> {
        if matches!(self, Uring::Untried) {
            *self = match Ready::new() {
                Ok(ready) => Uring::Ready(Box::new(ready)),
                Err(error) => {
                    tracing::debug!("sends go one by one: no io_uring here ({error})");
                    Uring::Refused
                }
            };
        }
        match self {
            Uring::Ready(ready) => Some(ready),
            Uring::Untried | Uring::Refused => None,
        }
    }
}

impl Ready {
    fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(SENDS_MAX as u32)
            // Kernels before 6.1 do not know these two.
            .or_else(|_| IoUring::new(SENDS_MAX as u32))?;
        Ok(Ready { ring, headers: Vec::new(), results: Vec::new() })
    }

    /// Sends the TCP messages `from..from + count` of a batch; pushes a result for each. Gives
    /// how many were taken: at most [`SENDS_MAX`].
    ///
    /// # Errors
    /// When the kernel refuses the call; nothing was sent then.
    pub(crate) fn send(
        &mut self,
        storage: &mut BatchStorage,
        from: usize,
        count: usize,
    ) -> io::Result<usize> {
        let count = count.min(SENDS_MAX);
        self.fill_headers(storage, from, count);
        for (index, header) in self.headers.iter().enumerate() {
            let stream = stream_of(storage, from + index);
            let send = opcode::SendMsg::new(types::Fd(stream.raw_fd()), header)
                .flags((libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as u32)
                .build()
                .user_data(index as u64);
            // SAFETY: headers and slices stay in place until all is done, below.
            let pushed = unsafe { self.ring.submission().push(&send) };
            pushed.expect("the ring has room for a whole call");
        }
        self.wait_for_all(count)?;
        for (index, result) in self.results.iter().enumerate() {
            let message = from + index;
            let stream = stream_of(storage, message);
            let sent = match *result {
                bytes if bytes >= 0 => Sent::Bytes(bytes as usize),
                error if [libc::EAGAIN, libc::ENOBUFS].contains(&-error) => Sent::Blocked,
                error => Sent::Failed(-error),
            };
            if sent != Sent::Bytes(storage.messages[message].len) {
                stream.note_full();
            }
            storage.results.push(sent);
        }
        Ok(count)
    }

    fn fill_headers(&mut self, storage: &BatchStorage, from: usize, count: usize) {
        self.headers.clear();
        for index in from..from + count {
            let slices = storage.slices_of(index);
            // SAFETY: all zeroes is a valid msghdr.
            let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
            header.msg_iov = slices.as_ptr().cast_mut();
            header.msg_iovlen = slices.len();
            self.headers.push(header);
        }
    }

    fn wait_for_all(&mut self, count: usize) -> io::Result<()> {
        self.results.clear();
        self.results.resize(count, -libc::EAGAIN);
        let mut done = 0;
        while done < count {
            match self.ring.submit_and_wait(count - done) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The kernel has taken none of them: they are taken back.
                Err(error) if done == 0 => {
                    *self = Ready::new()?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
            for completion in self.ring.completion() {
                if let Some(result) = self.results.get_mut(completion.user_data() as usize) {
                    *result = completion.result();
                    done += 1;
                }
            }
        }
        Ok(())
    }
}

fn stream_of(storage: &BatchStorage, index: usize) -> &super::TcpStream {
    let Target::Tcp(stream) = storage.messages[index].target else {
        unreachable!("the run holds messages of connections alone")
    };
    // SAFETY: the batch keeps its streams borrowed until it is done.
    match unsafe { &(*stream).body } {
        StreamBody::Os(stream) => stream,
        StreamBody::Sim(_) => unreachable!("a host of the system sends on its own sockets"),
    }
}
