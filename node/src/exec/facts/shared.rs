//! A slot for something that is dear to find out and that many ask for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Mutex, task::JoinHandle};

/// Something that was found out, and the task that is finding it out anew.
#[derive(Debug)]
pub(super) struct Shared<T>(Mutex<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    known: Option<(Instant, Arc<T>)>,
    /// Kept here and not with who asked first, whose time may run out.
    under_way: Option<(Instant, JoinHandle<T>)>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::new(Slot { known: None, under_way: None }))
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// What is known, if that was begun at most `fresh` ago and after `changed`; else what a new
    /// look finds, or one that is under way. Nothing when the look came to nothing.
    pub(super) async fn get<F: Future<Output = T> + Send + 'static>(
        &self,
        fresh: Duration,
        changed: Option<Instant>,
        collect: impl FnOnce() -> F,
    ) -> Option<Arc<T>> {
        let mut slot = self.0.lock().await;
        let counts = |began: Instant| changed.is_none_or(|changed| began >= changed);
        if let Some((began, known)) = &slot.known
            && counts(*began)
            && began.elapsed() < fresh
        {
            return Some(Arc::clone(known));
        }
        if let Some(found) = slot.finish().await?
            && counts(found.0)
        {
            return Some(found.1);
        }
        slot.under_way = Some((Instant::now(), tokio::spawn(collect())));
        slot.finish().await?.map(|(_, known)| known)
    }
}

impl<T> Slot<T> {
    /// Waits for what is under way, if anything is.
    async fn finish(&mut self) -> Option<Option<(Instant, Arc<T>)>> {
        let Some((began, task)) = &mut self.under_way else { return Some(None) };
        let began = *began;
        let found = task.await;
        self.under_way = None;
        let known = Arc::new(found.ok()?);
        self.known = Some((began, Arc::clone(&known)));
        Some(Some((began, known)))
    }
}
