//! Where axum's handlers, which may be on any thread, have their work done on the shard.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use weir_net::Doorbell;

use crate::shard::Shard;

type Work = Pin<Box<dyn Future<Output = ()>>>;
type Job = Box<dyn FnOnce(Rc<Shard>) -> Work + Send>;

/// Takes work for a shard. Handlers must be able to cross threads, and nothing of a shard can:
/// so they leave a closure here, and wait for what it gives.
///
/// Each connection waits for one answer at a time, which bounds the jobs.
#[derive(Clone, Default)]
pub(super) struct Desk {
    jobs: Arc<Mutex<Vec<Job>>>,
    bell: Doorbell,
}

struct Reply<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl Desk {
    /// Does what comes, for ever; each job as a task of its own.
    pub(super) async fn serve(self, shard: Rc<Shard>) {
        let mut keys = Vec::new();
        loop {
            self.bell.rung(&mut keys).await;
            let jobs = std::mem::take(&mut *lock(&self.jobs));
            for job in jobs {
                shard.host.spawn(job(Rc::clone(&shard)));
            }
        }
    }

    /// Has `work` done on the shard.
    pub(super) async fn call<T, F>(&self, work: impl FnOnce(Rc<Shard>) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
    {
        let reply = Arc::new(Mutex::new(Reply { value: None, waker: None }));
        let answer = Arc::clone(&reply);
        let job = move |shard| -> Work {
            let work = work(shard);
            Box::pin(async move {
                let value = work.await;
                let mut reply = lock(&answer);
                reply.value = Some(value);
                let waker = reply.waker.take();
                drop(reply);
                if let Some(waker) = waker {
                    waker.wake();
                }
            })
        };
        lock(&self.jobs).push(Box::new(job));
        self.bell.ring(0);
        poll_fn(|cx| {
            let mut reply = lock(&reply);
            match reply.value.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    reply.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
