//! Sending: pieces of memory and parts of files, as fast as the peer takes them.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, Bytes};
use weir_net::{TcpStream, timeout};
use weir_proto::http::ByteRange;

use super::answer::{Body, FileBody};
use super::sessions::SessionId;
use crate::shard::Shard;

/// How long a peer may take nothing at all.
const SEND_LIMIT: Duration = Duration::from_secs(60);
/// What is sent of a file before other tasks of the shard get their turn.
const FILE_PIECE_BYTES: u64 = 1 << 20;
/// What is brought into memory at once where it is not there.
const PREFETCH_BYTES: u64 = 4 << 20;
/// Pieces in one write.
const SLICES_MAX: usize = 8;

/// The sending side of a connection.
pub(super) struct Sender<'a> {
    pub(super) shard: &'a Shard,
    pub(super) stream: &'a TcpStream,
    pub(super) session: Option<SessionId>,
}

impl Sender<'_> {
    /// Sends a head and what follows it.
    ///
    /// # Errors
    /// What ended the connection; `UnexpectedEof` when a file is shorter than it was, and
    /// `TimedOut` when the peer took nothing for too long.
    pub(super) async fn send(&self, head: Bytes, body: Body) -> io::Result<()> {
        match body {
            Body::Pieces(mut pieces) => {
                pieces.push_front(head);
                self.pieces(pieces).await
            }
            Body::File(body) => self.file(head, body).await,
        }
    }

    async fn file(&self, head: Bytes, body: FileBody) -> io::Result<()> {
        let mut before = VecDeque::from([head]);
        for (part_head, range) in body.parts {
            before.push_back(part_head);
            self.pieces(std::mem::take(&mut before)).await?;
            self.part(&body.file, range).await?;
        }
        before.push_back(body.end);
        self.pieces(before).await
    }

    async fn pieces(&self, mut pieces: VecDeque<Bytes>) -> io::Result<()> {
        loop {
            while pieces.front().is_some_and(Bytes::is_empty) {
                pieces.pop_front();
            }
            if pieces.is_empty() {
                return Ok(());
            }
            let mut slices = [&[][..]; SLICES_MAX];
            let used = pieces.len().min(SLICES_MAX);
            slices.iter_mut().zip(&pieces).for_each(|(slice, piece)| *slice = piece);
            match self.stream.try_write_vectored(&slices[..used]) {
                Ok(sent) => {
                    self.count(sent);
                    advance(&mut pieces, sent);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.room().await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn part(&self, file: &weir_net::File, range: ByteRange) -> io::Result<()> {
        let host = &self.shard.host;
        let (mut at, end) = (range.first, range.last + 1);
        let mut in_memory = at;
        while at < end {
            if at >= in_memory {
                let bytes = (end - at).min(PREFETCH_BYTES);
                file.prefetch(host, at, bytes).await;
                in_memory = at + bytes;
            }
            let bytes = (in_memory - at).min(FILE_PIECE_BYTES);
            match self.stream.try_send_file(file, at, usize::try_from(bytes).unwrap_or(1 << 20)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(sent) => {
                    self.count(sent);
                    at += sent as u64;
                    if sent as u64 == FILE_PIECE_BYTES && at < end {
                        host.yield_now().await;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.room().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the peer has taken something.
    async fn room(&self) -> io::Result<()> {
        let host = &self.shard.host;
        let mut waiting = self.stream.unacknowledged_bytes();
        while timeout(host, SEND_LIMIT, self.stream.writable()).await.is_none() {
            // A slow peer needs long until the system calls the socket writable again.
            let before = std::mem::replace(&mut waiting, self.stream.unacknowledged_bytes());
            if waiting >= before {
                self.shard.context.http.counters.stalled.fetch_add(1, Ordering::Relaxed);
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }

    fn count(&self, sent: usize) {
        let http = &self.shard.context.http;
        http.counters.bytes.fetch_add(sent as u64, Ordering::Relaxed);
        if let Some(session) = self.session {
            http.sessions().sent(session, sent as u64, self.shard.host.now());
        }
    }
}

fn advance(pieces: &mut VecDeque<Bytes>, mut sent: usize) {
    while let Some(front) = pieces.front_mut()
        && sent > 0
    {
        let bytes = sent.min(front.len());
        front.advance(bytes);
        sent -= bytes;
        if front.is_empty() {
            pieces.pop_front();
        }
    }
}
