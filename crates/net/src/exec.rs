//! The single-threaded executor under every host: tasks, wakers and timers.
//!
//! Tasks run first in, first out, and timers fire in order of their time and then of their
//! registration, so that a run depends on nothing but its inputs. Wakers may be used from other
//! threads; the executor itself stays on one.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use weir_time::Instant;

type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;
/// Work that another thread brings.
pub(crate) type Injected = Box<dyn FnOnce() + Send>;

/// The tasks and timers of one thread.
pub(crate) struct Executor {
    tasks: RefCell<Vec<Option<Task>>>,
    free: RefCell<Vec<usize>>,
    ready: Arc<Ready>,
    pub(crate) timers: Timers,
    batch: RefCell<VecDeque<usize>>,
}

struct Task {
    /// Taken out while the task is being polled.
    future: Option<LocalFuture>,
    waker: Arc<TaskWaker>,
}

impl Executor {
    /// An executor whose sleeping thread is woken by `unpark`.
    pub(crate) fn new(unpark: Option<Box<dyn Fn() + Send + Sync>>) -> Self {
        Executor {
            tasks: RefCell::default(),
            free: RefCell::default(),
            ready: Arc::new(Ready {
                queue: Mutex::default(),
                asleep: AtomicBool::new(false),
                unpark,
            }),
            timers: Timers::default(),
            batch: RefCell::default(),
        }
    }

    /// What other threads use to reach this executor.
    pub(crate) fn ready(&self) -> &Arc<Ready> {
        &self.ready
    }

    /// Adds a task; it runs at the next [`Executor::run_ready`].
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let id = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut tasks = self.tasks.borrow_mut();
            tasks.push(None);
            tasks.len() - 1
        });
        let waker = Arc::new(TaskWaker {
            id,
            queued: AtomicBool::new(true),
            done: AtomicBool::new(false),
            ready: Arc::clone(&self.ready),
        });
        self.tasks.borrow_mut()[id] = Some(Task { future: Some(Box::pin(future)), waker });
        self.ready.lock().tasks.push_back(id);
    }

    /// Polls each task that is ready now, in order; those woken meanwhile wait for the next call.
    /// Says whether anything ran.
    pub(crate) fn run_ready(&self) -> bool {
        let mut batch = self.batch.take();
        let injected = {
            let mut queue = self.ready.lock();
            std::mem::swap(&mut batch, &mut queue.tasks);
            std::mem::take(&mut queue.injected)
        };
        let ran = !batch.is_empty() || !injected.is_empty();
        for work in injected {
            work();
        }
        for id in batch.drain(..) {
            self.poll_task(id);
        }
        self.batch.replace(batch);
        ran
    }

    fn poll_task(&self, id: usize) {
        let Some((mut future, waker)) = self.tasks.borrow_mut().get_mut(id).and_then(|slot| {
            let task = slot.as_mut()?;
            Some((task.future.take()?, Arc::clone(&task.waker)))
        }) else {
            return;
        };
        // Cleared before the poll: a wake during it queues the task again.
        waker.queued.store(false, Ordering::Release);
        let as_waker = Waker::from(Arc::clone(&waker));
        let poll = future.as_mut().poll(&mut Context::from_waker(&as_waker));
        if poll.is_ready() {
            waker.done.store(true, Ordering::Release);
            // Dropping a future may spawn or wake: no borrow is held over it.
            drop(future);
            self.tasks.borrow_mut()[id] = None;
            // A stale wake of the old task may still name this place in the queue; `done`
            // keeps it from being queued from here on, and one more poll does no harm.
            self.free.borrow_mut().push(id);
        } else if let Some(task) = &mut self.tasks.borrow_mut()[id] {
            task.future = Some(future);
        }
    }

    /// Drops every task, in order of their places.
    pub(crate) fn clear(&self) {
        loop {
            let tasks: Vec<_> =
                self.tasks.borrow_mut().iter_mut().filter_map(Option::take).collect();
            if tasks.is_empty() {
                return;
            }
            for task in tasks {
                task.waker.done.store(true, Ordering::Release);
                drop(task);
            }
        }
    }
}

/// The queue of ready tasks, which any thread may add to.
pub(crate) struct Ready {
    queue: Mutex<Queue>,
    asleep: AtomicBool,
    unpark: Option<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<usize>,
    injected: Vec<Injected>,
}

impl Ready {
    /// Runs `work` on the executor's thread.
    pub(crate) fn inject(&self, work: Injected) {
        self.lock().injected.push(work);
        self.unpark();
    }

    /// Says that the thread is about to sleep; `false` if there is work, so that it must not.
    pub(crate) fn prepare_sleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let queue = self.lock();
        let idle = queue.tasks.is_empty() && queue.injected.is_empty();
        drop(queue);
        if !idle {
            self.asleep.store(false, Ordering::SeqCst);
        }
        idle
    }

    /// Says that the thread is awake.
    pub(crate) fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    fn unpark(&self) {
        let was_asleep = self.asleep.swap(false, Ordering::SeqCst);
        if let Some(unpark) = self.unpark.as_ref().filter(|_| was_asleep) {
            unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue holds plain values: it is whole whatever panicked while it was held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TaskWaker {
    id: usize,
    queued: AtomicBool,
    done: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.done.load(Ordering::Acquire) || self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        self.ready.lock().tasks.push_back(self.id);
        self.ready.unpark();
    }
}

/// Timers in order of their time, then of their registration.
#[derive(Default)]
pub(crate) struct Timers {
    queue: RefCell<BTreeMap<(Instant, u64), Waker>>,
    next: Cell<u64>,
}

impl Timers {
    /// When the earliest timer is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.queue.borrow().first_key_value().map(|((at, _), _)| *at)
    }

    /// Wakes every timer that is due.
    pub(crate) fn fire(&self, now: Instant) {
        loop {
            let waker = {
                let mut queue = self.queue.borrow_mut();
                match queue.first_entry() {
                    Some(entry) if entry.key().0 <= now => entry.remove(),
                    _ => return,
                }
            };
            waker.wake();
        }
    }

    fn add(&self, at: Instant, waker: Waker) -> u64 {
        let id = self.next.get();
        self.next.set(id + 1);
        self.queue.borrow_mut().insert((at, id), waker);
        id
    }

    fn update(&self, at: Instant, id: u64, waker: &Waker) {
        if let Some(old) = self.queue.borrow_mut().get_mut(&(at, id)) {
            old.clone_from(waker);
        }
    }

    fn remove(&self, at: Instant, id: u64) {
        self.queue.borrow_mut().remove(&(at, id));
    }
}

/// Gives out the timers and the time of a host.
pub(crate) trait Clock {
    fn now(&self) -> Instant;
    fn timers(&self) -> &Timers;
}

/// A future that is ready once the host's clock has reached a moment.
pub(crate) struct Timer {
    pub(crate) clock: Rc<dyn Clock>,
    pub(crate) at: Instant,
    pub(crate) id: Option<u64>,
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.at {
            return Poll::Ready(());
        }
        match self.id {
            Some(id) => self.clock.timers().update(self.at, id, cx.waker()),
            None => self.id = Some(self.clock.timers().add(self.at, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.clock.timers().remove(self.at, id);
        }
    }
}
