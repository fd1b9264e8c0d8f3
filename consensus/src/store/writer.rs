//! The one writer of the log: a thread that takes orders in turn and makes them durable in groups.
//!
//! sled blocks, and so does `fdatasync`; neither may run on the runtime's threads. Orders that
//! arrive while a barrier is under way share the next one. The order of things is always the same:
//! sled is told, the barrier is passed, the witness is told, the promise is given. Only a
//! truncation, which takes promises back, tells the witness first.
//!
//! After a failure nothing more is written: which pages the kernel has dropped is not known.

use crate::{
    disk::Disk,
    group::{Group, LogId, Vote},
    store::{
        fault::{Fault, guarded},
        record::Meta,
        shelf::{Changes, Shelf},
        witness::Witness,
    },
};
use openraft::storage::LogFlushed;
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};

/// How long the writer waits for more before it makes the commit index durable, which nobody
/// waits for.
const IDLE: Duration = Duration::from_millis(200);
/// Orders that share a barrier at most, so that the first of them is not kept waiting for ever.
const GROUP_MAX: usize = 256;

pub(crate) type Done = oneshot::Sender<Result<(), Fault>>;

/// What the writer can be asked to do.
pub(crate) enum Order {
    /// Add entries: `readable` is told when they can be read, `flushed` when they are durable.
    Append { entries: Vec<(LogId, Vec<u8>)>, readable: Done, flushed: LogFlushed<Group> },
    /// Remember a vote.
    Vote { vote: Vote, done: Done },
    /// Remember how far the log is committed; durable some time later.
    Committed { committed: Option<LogId>, done: Done },
    /// Remove the entries from this index on.
    Truncate { since: u64, done: Done },
    /// Remove the entries up to this one.
    Purge { upto: LogId, done: Done },
    /// Make everything durable and end.
    Stop { done: Done },
}

/// Where the log begins and ends, for those who ask without reading sled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    pub(crate) purged: Option<LogId>,
    pub(crate) last: Option<LogId>,
}

/// The extent, shared with readers.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedExtent(Arc<Mutex<Extent>>);

impl SharedExtent {
    pub(crate) fn get(&self) -> Extent {
        *self.lock()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Extent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where orders are given.
#[derive(Debug, Clone)]
pub(crate) enum Orders {
    /// To the thread.
    Thread(mpsc::Sender<Order>),
    /// To the task that writes on a disk that is not the host's own.
    Task(UnboundedSender<Order>),
}

impl Orders {
    /// Gives one; whether there is still somebody to take it.
    pub(crate) fn give(&self, order: Order) -> bool {
        match self {
            Self::Thread(orders) => orders.send(order).is_ok(),
            Self::Task(orders) => orders.send(order).is_ok(),
        }
    }
}

/// The writer's state.
pub(crate) struct Writer {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) witness: Witness,
    pub(crate) extent: SharedExtent,
    /// Why nothing is written any more.
    pub(crate) broken: Option<String>,
}

enum Promise {
    Flushed(LogFlushed<Group>),
    Done(Done),
}

impl Writer {
    /// Starts the thread, or a task where the disk is not the host's own; it ends with
    /// [`Order::Stop`] or when nobody can give orders any more.
    pub(crate) fn start(self, disk: Option<Arc<dyn Disk>>) -> Result<Orders, Fault> {
        if let Some(disk) = disk {
            let (orders, taken) = unbounded_channel();
            drop(tokio::spawn(self.run_on(disk, taken)));
            return Ok(Orders::Task(orders));
        }
        let (orders, taken) = mpsc::channel();
        thread::Builder::new()
            .name("consensus-log".to_owned())
            .spawn(move || self.run(&taken))
            .map_err(|error| Fault::io("starting the log's writer", &error))?;
        Ok(Orders::Thread(orders))
    }

    /// As [`run`](Self::run), on the runtime and with that disk's barriers.
    async fn run_on(mut self, disk: Arc<dyn Disk>, mut orders: UnboundedReceiver<Order>) {
        while let Some(first) = orders.recv().await {
            let mut promises = Vec::new();
            let mut vote = None;
            let mut next = Some(first);
            let mut stops = false;
            while let Some(order) = next {
                stops |= matches!(order, Order::Stop { .. });
                self.take(order, &mut promises, &mut vote);
                let more = promises.len() < GROUP_MAX && !stops;
                next = if more { orders.try_recv().ok() } else { None };
            }
            if promises.is_empty() {
                continue;
            }
            if let Err(error) = disk.barrier().await {
                self.broken.get_or_insert_with(|| format!("the disk's barrier: {error}"));
            }
            self.settle(promises, vote);
            disk.passed();
            if stops {
                return;
            }
        }
    }

    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        let mut lazy = false;
        loop {
            let first = if lazy {
                match orders.recv_timeout(IDLE) {
                    Ok(order) => order,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        lazy = false;
                        self.settle(Vec::new(), None);
                        continue;
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
            } else {
                match orders.recv() {
                    Ok(order) => order,
                    Err(mpsc::RecvError) => break,
                }
            };
            let mut promises = Vec::new();
            let mut vote = None;
            let mut next = Some(first);
            while let Some(order) = next {
                if let Order::Stop { done } = order {
                    promises.push(Promise::Done(done));
                    self.settle(promises, vote);
                    return;
                }
                lazy |= self.take(order, &mut promises, &mut vote);
                next = if promises.len() < GROUP_MAX { orders.try_recv().ok() } else { None };
            }
            if !promises.is_empty() {
                lazy = false;
                self.settle(promises, vote);
            }
        }
        // Whoever dropped the store without stopping it still gets what he was promised lazily.
        self.settle(Vec::new(), None);
    }

    /// Does one order in sled; returns whether something is left that nobody waits for.
    fn take(
        &mut self,
        order: Order,
        promises: &mut Vec<Promise>,
        vote_given: &mut Option<Vote>,
    ) -> bool {
        match order {
            Order::Append { entries, readable, flushed } => {
                let written = self.attempt("appending", |writer| writer.append(&entries));
                let failed = written.clone().err();
                answer(readable, written);
                match failed {
                    None => promises.push(Promise::Flushed(flushed)),
                    Some(fault) => flushed.log_io_completed(Err(io::Error::other(fault))),
                }
                false
            }
            Order::Vote { vote, done } => {
                let written = self.attempt("saving a vote", |writer| {
                    let mut changes = Changes::default();
                    changes.set(Meta::Vote, &vote)?;
                    writer.shelf.apply(changes)
                });
                match written {
                    Ok(()) => {
                        *vote_given = Some(vote);
                        promises.push(Promise::Done(done));
                    }
                    Err(fault) => answer(done, Err(fault)),
                }
                false
            }
            Order::Committed { committed, done } => {
                let written = self.attempt("saving the commit index", |writer| {
                    let mut changes = Changes::default();
                    changes.set(Meta::Committed, &committed)?;
                    writer.shelf.apply(changes)
                });
                answer(done, written);
                true
            }
            Order::Truncate { since, done } => {
                let written = self.attempt("truncating", |writer| writer.truncate(since));
                match written {
                    Ok(()) => promises.push(Promise::Done(done)),
                    Err(fault) => answer(done, Err(fault)),
                }
                false
            }
            Order::Purge { upto, done } => {
                let written = self.attempt("purging", |writer| writer.purge(upto));
                match written {
                    Ok(()) => promises.push(Promise::Done(done)),
                    Err(fault) => answer(done, Err(fault)),
                }
                false
            }
            // Handled by the caller, who has to end.
            Order::Stop { done } => {
                promises.push(Promise::Done(done));
                false
            }
        }
    }

    fn append(&self, entries: &[(LogId, Vec<u8>)]) -> Result<(), Fault> {
        let mut changes = Changes::default();
        let mut last = self.extent.get().last;
        for (id, bytes) in entries {
            // A hole in the log could never be told from a loss later on.
            let follows = last.is_none_or(|last| last.index + 1 == id.index);
            if self.shelf.is_strict() && !follows {
                return Err(Fault::damage(format!("entry {id} does not follow {last:?}")));
            }
            changes.entry(id.index, bytes)?;
            last = Some(*id);
        }
        self.shelf.apply(changes)?;
        self.extent.lock().last = last;
        Ok(())
    }

    fn truncate(&mut self, since: u64) -> Result<(), Fault> {
        let extent = self.extent.get();
        let kept = match since.checked_sub(1) {
            Some(before) => self.shelf.entries(before..since, 0)?.first().map(|entry| entry.log_id),
            None => None,
        };
        let last = kept.or(extent.purged);
        let mut promises = self.witness.promises().clone();
        if promises.last > last {
            promises.last = last;
            self.witness.promise(promises)?;
        }
        self.shelf.remove(since..u64::MAX, true, Changes::default())?;
        self.extent.lock().last = last;
        Ok(())
    }

    fn purge(&self, upto: LogId) -> Result<(), Fault> {
        {
            // Readers are told first: what they miss from now on was removed, not lost.
            let mut extent = self.extent.lock();
            extent.purged = Some(upto);
            extent.last = extent.last.max(Some(upto));
        }
        let mut changes = Changes::default();
        changes.set(Meta::Purged, &Some(upto))?;
        self.shelf.remove(0..upto.index + 1, false, changes)
    }

    /// Makes a group durable and gives its promises.
    fn settle(&mut self, promises: Vec<Promise>, vote: Option<Vote>) {
        let settled = self.attempt("making the log durable", |writer| {
            writer.shelf.barrier()?;
            let mut given = writer.witness.promises().clone();
            given.last = writer.extent.get().last;
            given.vote = vote.or(given.vote);
            writer.witness.promise(given)
        });
        for promise in promises {
            match promise {
                Promise::Flushed(flushed) => {
                    flushed.log_io_completed(settled.clone().map_err(io::Error::other));
                }
                Promise::Done(done) => answer(done, settled.clone()),
            }
        }
    }

    fn attempt(
        &mut self,
        doing: &str,
        work: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if let Some(why) = &self.broken {
            return Err(Fault::GivenUp(why.clone()));
        }
        let done = guarded(doing, || work(self));
        if let Err(fault) = &done {
            tracing::error!(%fault, doing, "the log can no longer be written");
            self.broken = Some(fault.to_string());
        }
        done
    }
}

fn answer(done: Done, result: Result<(), Fault>) {
    // Who no longer waits has been cancelled; the work itself is done.
    drop(done.send(result));
}
