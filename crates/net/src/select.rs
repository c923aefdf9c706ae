//! Waiting for the first of two things, always in the same order.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::Host;

/// Which of two futures was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first.
    First(A),
    /// The second.
    Second(B),
}

/// Waits for the first of two futures; when both are ready, the first one wins, so that a
/// simulated run is the same each time.
pub async fn select<A, B>(
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> Either<A, B> {
    let mut first = pin!(first);
    let mut second = pin!(second);
    poll_fn(|cx| {
        if let Poll::Ready(out) = first.as_mut().poll(cx) {
            return Poll::Ready(Either::First(out));
        }
        second.as_mut().poll(cx).map(Either::Second)
    })
    .await
}

/// What `future` gives, or `None` if it takes longer than `limit`.
pub async fn timeout<T>(
    host: &Host,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    match select(future, host.sleep(limit)).await {
        Either::First(out) => Some(out),
        Either::Second(()) => None,
    }
}
