//! A few threads for work that may block: file system and name lookups.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

type Job = Box<dyn FnOnce() + Send>;

/// The pool; threads are started when there is more work than threads, up to a bound, and end
/// after a while without any.
#[derive(Clone, Default)]
pub(crate) struct Blocking {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

const THREADS_MAX: usize = 4;
const IDLE_MAX: Duration = Duration::from_secs(10);

impl Blocking {
    /// Runs `work` on a thread of the pool.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let reply = Arc::new(Mutex::new(Reply { value: None, waker: None }));
        let answer = Arc::clone(&reply);
        self.push(Box::new(move || {
            let value = work();
            let mut reply = answer.lock().unwrap_or_else(PoisonError::into_inner);
            reply.value = Some(value);
            let waker = reply.waker.take();
            drop(reply);
            if let Some(waker) = waker {
                waker.wake();
            }
        }));
        poll_fn(move |cx| {
            let mut reply = reply.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn push(&self, job: Job) {
        let mut state = self.shared.lock();
        state.jobs.push_back(job);
        if state.idle > 0 {
            self.shared.work.notify_one();
        } else if state.threads < THREADS_MAX {
            state.threads += 1;
            drop(state);
            let shared = Arc::clone(&self.shared);
            let started =
                thread::Builder::new().name("weir-blocking".into()).spawn(move || shared.serve());
            if started.is_err() {
                // The system gives no more threads: whoever runs takes the job, and if nobody
                // does, it is done here.
                let mut state = self.shared.lock();
                state.threads -= 1;
                if state.threads == 0 {
                    let jobs = std::mem::take(&mut state.jobs);
                    drop(state);
                    jobs.into_iter().for_each(|job| job());
                }
            }
        }
    }
}

struct Reply<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl Shared {
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let (guard, waited) =
                self.work.wait_timeout(state, IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
