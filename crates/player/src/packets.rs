//! The list of packets: one line of CSV for each RTP packet that came.

use std::cell::RefCell;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use weir_net::Host;
use weir_proto::rtp::Packet;
use weir_time::Instant;

use crate::file_queue::FileQueue;

/// Writes a line for each RTP packet that a player takes in, in the order in which it takes them,
/// duplicates and packets of other sources too. Independent of the records; the clock is theirs.
///
/// Handles share one file: one stands in the player's settings, another one ends the file. Lines
/// wait in a bounded queue for a task that writes them; what finds no room is left out, and
/// counted.
#[derive(Clone)]
pub struct PacketList {
    shared: Rc<RefCell<Shared>>,
}

struct Shared {
    file: Option<FileQueue>,
    text: String,
    text_lines: u64,
    lines: u64,
    lines_dropped: u64,
}

/// What became of a list of packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Packets in it.
    pub packets: u64,
    /// Packets left out because the disk was too slow.
    pub packets_dropped: u64,
    /// Why it is not whole.
    pub failed: Option<String>,
}

/// The first line. `t_ns` is when the packet reached the machine (for TCP: when the player read
/// it), in nanoseconds on the records' clock; `seq` is the number on the wire; `bytes` are those of
/// the payload; `ip_bytes` is empty where the transport hides it.
pub const HEADER: &str = "t_ns,track,ssrc,seq,rtp_timestamp,payload_type,marker,bytes,ip_bytes\n";
/// Text is handed over in pieces of about this size.
const CHUNK_BYTES: usize = 64 << 10;

impl PacketList {
    /// Makes the file, or empties the one that is there, and writes the header.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub async fn create(host: &Host, path: &Path) -> io::Result<Self> {
        let file = FileQueue::create(host, path).await?;
        let shared = Shared {
            file: Some(file),
            text: HEADER.to_owned(),
            text_lines: 0,
            lines: 0,
            lines_dropped: 0,
        };
        Ok(PacketList { shared: Rc::new(RefCell::new(shared)) })
    }

    /// Adds a packet; what is no RTP is passed over.
    pub(crate) fn push(&self, at: Instant, track: u8, data: &[u8], ip_bytes: Option<u32>) {
        let Ok(packet) = Packet::parse(data) else {
            return;
        };
        let shared = &mut *self.shared.borrow_mut();
        let header = packet.header;
        let _ = write!(
            shared.text,
            "{},{track},{},{},{},{},{},{},",
            at.as_nanos(),
            header.ssrc.0,
            header.sequence.0,
            header.time.0,
            header.payload_type,
            u8::from(header.marker),
            packet.payload.len(),
        );
        if let Some(bytes) = ip_bytes {
            let _ = write!(shared.text, "{bytes}");
        }
        shared.text.push('\n');
        shared.text_lines += 1;
        if shared.text.len() >= CHUNK_BYTES {
            shared.hand_over();
        }
    }

    /// Hands over what has come: nobody waits long for it.
    pub(crate) fn flush(&self) {
        self.shared.borrow_mut().hand_over();
    }

    /// Writes what is left, and waits until all is written. Packets that come later are not
    /// listed.
    pub async fn finish(&self) -> Listed {
        let file = {
            let mut shared = self.shared.borrow_mut();
            shared.hand_over();
            shared.file.take()
        };
        let failed = match file {
            Some(file) => file.finish().await.failed,
            None => None,
        };
        let shared = self.shared.borrow();
        Listed { packets: shared.lines, packets_dropped: shared.lines_dropped, failed }
    }

    /// Packets left out so far.
    pub(crate) fn packets_dropped(&self) -> u64 {
        self.shared.borrow().lines_dropped
    }
}

impl Shared {
    fn hand_over(&mut self) {
        let (text, lines) = (std::mem::take(&mut self.text), std::mem::take(&mut self.text_lines));
        let Some(file) = self.file.as_mut().filter(|_| !text.is_empty()) else {
            return;
        };
        match file.put(Bytes::from(text)) {
            true => self.lines += lines,
            false => self.lines_dropped += lines,
        }
    }
}

impl std::fmt::Debug for PacketList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PacketList")
    }
}
