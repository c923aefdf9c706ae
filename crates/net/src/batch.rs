//! The batch: everything that a shard has to send, handed to the network at once.

use std::marker::PhantomData;
use std::net::SocketAddr;

use crate::host::Body;
use crate::{Host, TcpStream, UdpSocket};

/// What became of one message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The system took this many bytes: any prefix of a TCP message, whole datagrams of a UDP
    /// one.
    Bytes(usize),
    /// The socket is full: nothing was taken.
    Blocked,
    /// The connection is over, or the address cannot be reached; the system's error number.
    Failed(i32),
}

/// The memory of a batch, kept from one batch to the next so that sending allocates nothing.
#[derive(Default)]
pub struct BatchStorage {
    pub(crate) messages: Vec<Message>,
    pub(crate) slices: Vec<libc::iovec>,
    headers: Headers,
    pub(crate) results: Vec<Sent>,
    pub(crate) os: crate::os::BatchScratch,
}

// SAFETY: the raw pointers in `slices` and in the system's scratch are dead outside the life of
// a `Batch`, which borrows the storage: `begin` clears them before they are used again.
unsafe impl Send for BatchStorage {}

/// One message: its socket and its slices.
pub(crate) struct Message {
    pub(crate) target: Target,
    pub(crate) slices_from: usize,
    pub(crate) len: usize,
}

/// Sockets stand here by pointer; they are borrowed for the life of the batch.
pub(crate) enum Target {
    Tcp(*const TcpStream),
    Udp { socket: *const UdpSocket, to: SocketAddr, segment_len: usize },
}

impl BatchStorage {
    /// Empty storage.
    pub fn new() -> Self {
        BatchStorage::default()
    }

    /// Starts a batch.
    pub fn begin<'a>(&mut self) -> Batch<'_, 'a> {
        self.messages.clear();
        self.slices.clear();
        self.results.clear();
        self.headers.clear();
        Batch { storage: self, borrowed: PhantomData }
    }
}

/// Messages for many sockets, gathered from shared bytes and from headers of their own.
///
/// `'a` is the life of the sockets and of the shared bytes: both stay borrowed until
/// [`Batch::submit`], so nothing is copied.
///
/// ```
/// # use weir_net::{BatchStorage, Sent, UdpOptions, sim::World};
/// # let world = World::new(1);
/// # let host = world.host("a");
/// # let address = std::net::SocketAddr::new(host.addresses()[0], 5004);
/// let shared = b"payload that many viewers get";
/// let socket = host.udp_bind(address, &UdpOptions::default()).unwrap();
/// let mut storage = BatchStorage::new();
/// let mut batch = storage.begin();
/// batch.udp(&socket, address, 1400);
/// batch.header(&[0x80, 96, 0, 1]);
/// batch.slice(shared);
/// assert_eq!(batch.submit(&host), [Sent::Bytes(33)]);
/// ```
pub struct Batch<'s, 'a> {
    storage: &'s mut BatchStorage,
    borrowed: PhantomData<&'a [u8]>,
}

/// The most slices that one message may have: the system's own bound for one call.
pub const SLICES_MAX: usize = 1024;

impl<'s, 'a> Batch<'s, 'a> {
    /// Begins a message on a TCP connection.
    pub fn tcp(&mut self, stream: &'a TcpStream) {
        self.begin_message(Target::Tcp(stream));
    }

    /// Begins a message to a UDP address: one datagram, or a train of datagrams of
    /// `segment_len` bytes each, of which the last may be shorter.
    pub fn udp(&mut self, socket: &'a UdpSocket, to: SocketAddr, segment_len: usize) {
        self.begin_message(Target::Udp { socket, to, segment_len });
    }

    fn begin_message(&mut self, target: Target) {
        let slices_from = self.storage.slices.len();
        self.storage.messages.push(Message { target, slices_from, len: 0 });
    }

    /// Adds bytes that belong to this message alone; they are copied.
    pub fn header(&mut self, bytes: &[u8]) {
        let base = self.storage.headers.push(bytes);
        self.push(base, bytes.len());
    }

    /// Adds shared bytes; they are not copied.
    pub fn slice(&mut self, bytes: &'a [u8]) {
        self.push(bytes.as_ptr(), bytes.len());
    }

    /// How many slices the current message can still take.
    pub fn slices_left(&self) -> usize {
        let from = self.storage.messages.last().map_or(0, |message| message.slices_from);
        SLICES_MAX - (self.storage.slices.len() - from)
    }

    fn push(&mut self, base: *const u8, len: usize) {
        if len == 0 {
            return;
        }
        let message =
            self.storage.messages.last_mut().expect("a message is begun before its bytes");
        message.len += len;
        self.storage.slices.push(libc::iovec { iov_base: base.cast_mut().cast(), iov_len: len });
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.storage.messages.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.storage.messages.is_empty()
    }

    /// Hands everything to the network; a result for each message, in order.
    pub fn submit(self, host: &Host) -> &'s [Sent] {
        let storage = self.storage;
        match &host.body {
            Body::Os(_) => crate::os::submit(storage),
            Body::Sim(_) => crate::sim::submit(storage),
        }
        debug_assert_eq!(storage.results.len(), storage.messages.len());
        &storage.results
    }
}

impl BatchStorage {
    /// The slices of message `index`.
    pub(crate) fn slices_of(&self, index: usize) -> &[libc::iovec] {
        let from = self.messages[index].slices_from;
        let to = self.messages.get(index + 1).map_or(self.slices.len(), |next| next.slices_from);
        &self.slices[from..to]
    }
}

/// Header bytes at addresses that do not move while the batch lives.
#[derive(Default)]
struct Headers {
    chunks: Vec<Box<[u8]>>,
    chunk: usize,
    used: usize,
}

const CHUNK_BYTES: usize = 64 * 1024;

impl Headers {
    fn clear(&mut self) {
        self.chunk = 0;
        self.used = 0;
    }

    fn push(&mut self, bytes: &[u8]) -> *const u8 {
        assert!(bytes.len() <= CHUNK_BYTES, "a header is small");
        if self.used + bytes.len() > CHUNK_BYTES {
            self.chunk += 1;
            self.used = 0;
        }
        if self.chunk == self.chunks.len() {
            self.chunks.push(vec![0; CHUNK_BYTES].into_boxed_slice());
        }
        let place = &mut self.chunks[self.chunk][self.used..self.used + bytes.len()];
        place.copy_from_slice(bytes);
        self.used += bytes.len();
        place.as_ptr()
    }
}
