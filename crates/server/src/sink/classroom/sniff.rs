//! Which dialect a connection speaks.

use std::time::Duration;

use weir_net::{TcpStream, timeout};
use weir_proto::classroom::{Looks, looks_classroom};

use crate::shard::Shard;

/// The first bytes of a connection.
pub(crate) enum First {
    /// They are of the classroom dialect.
    Classroom(Vec<u8>),
    /// They are something else, or did not tell in time: real RTSP's to judge.
    Other(Vec<u8>),
}

/// The timer `sniff`: as long as a connection without a session lives.
const SNIFF_MAX: Duration = Duration::from_secs(60);

/// Reads until the first bytes tell which dialect it is: a few hundred at the most, or a bound
/// after which it is real RTSP's matter. Nothing is answered meanwhile, as real RTSP answers
/// nothing either before a head has come to its end.
pub(crate) async fn sniff(shard: &Shard, stream: &TcpStream) -> First {
    let mut bytes = Vec::new();
    let look = async {
        loop {
            match looks_classroom(&bytes) {
                Looks::Yes => return true,
                Looks::No => return false,
                Looks::NotYet => {}
            }
            let take = |data: &[u8]| {
                bytes.extend_from_slice(data);
                !data.is_empty()
            };
            if !matches!(stream.read_with(&shard.scratch, take).await, Ok(true)) {
                return false;
            }
        }
    };
    match timeout(&shard.host, SNIFF_MAX, look).await {
        Some(true) => First::Classroom(bytes),
        Some(false) | None => First::Other(bytes),
    }
}
