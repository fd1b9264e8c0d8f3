//! Room that many senders share: connections, words that wait, large bodies.
//!
//! Nobody has more of it than is still free. So one who is alone may have half, two who want all
//! they can get a third each, and whoever comes next finds as much as each of them has.

use super::sender::Sender;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Why there is no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRoom {
    /// The sender has as much as it may.
    #[error("{sender} has {has} of {whole} already, which is its share")]
    Share {
        /// Who.
        sender: Sender,
        /// As many.
        has: usize,
        /// For all.
        whole: usize,
    },
    /// All of it is taken.
    #[error("all {whole} are taken")]
    Full {
        /// As many.
        whole: usize,
    },
}

/// The room, and who has how much of it.
#[derive(Debug)]
struct Taken {
    whole: usize,
    free: usize,
    by: BTreeMap<Sender, usize>,
}

impl Taken {
    fn take(&mut self, sender: &Sender, count: usize) -> Result<(), NoRoom> {
        let whole = self.whole;
        let has = self.by.get(sender).copied().unwrap_or_default();
        let free = self.free.checked_sub(count).ok_or(NoRoom::Full { whole })?;
        if has + count > free && has > 0 {
            return Err(NoRoom::Share { sender: sender.clone(), has, whole });
        }
        // Who has nothing may have the last that is free: what stays so is of use to nobody.
        self.free = free;
        *self.by.entry(sender.clone()).or_default() += count;
        Ok(())
    }

    fn give_back(&mut self, sender: &Sender, count: usize) {
        self.free += count;
        if let Some(has) = self.by.get_mut(sender) {
            *has -= count;
            if *has == 0 {
                self.by.remove(sender);
            }
        }
    }
}

/// Room for all.
#[derive(Debug, Clone)]
pub(super) struct Shares(Arc<Mutex<Taken>>);

impl Shares {
    /// So much room.
    pub(super) fn of(whole: usize) -> Self {
        Self(Arc::new(Mutex::new(Taken { whole, free: whole, by: BTreeMap::new() })))
    }

    /// Some of it, for as long as the answer is kept.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub(super) fn take(&self, sender: &Sender, count: usize) -> Result<Share, NoRoom> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(sender, count)?;
        Ok(Share { of: self.clone(), sender: sender.clone(), count })
    }
}

/// A part of the room; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    of: Shares,
    sender: Sender,
    count: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.give_back(&self.sender, self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(number: u8) -> Sender {
        Sender::at([10, 0, 0, number].into())
    }

    /// As many as a sender gets who takes all he can.
    fn all(shares: &Shares, number: u8) -> Vec<Share> {
        std::iter::from_fn(|| shares.take(&sender(number), 1).ok()).collect()
    }

    #[test]
    fn one_has_half_and_leaves_the_rest_to_the_others() {
        let shares = Shares::of(256);
        let first = all(&shares, 1);
        assert_eq!(first.len(), 128);
        let why = shares.take(&sender(1), 1).unwrap_err();
        assert_eq!(why, NoRoom::Share { sender: sender(1), has: 128, whole: 256 });
        assert_eq!(why.to_string(), "10.0.0.1 has 128 of 256 already, which is its share");
        let second = all(&shares, 2);
        assert_eq!(second.len(), 64);
        assert_eq!(all(&shares, 3).len(), 32);
        // What one gives back is everybody's, and he has more than his share as it is.
        let first = &mut first.into_iter();
        drop(first.take(14).collect::<Vec<_>>());
        assert!(shares.take(&sender(1), 1).is_err());
        assert_eq!(all(&shares, 2).len(), 7);
        drop(second);
    }

    #[test]
    fn what_is_given_back_is_there_again_and_nothing_is_kept_of_who_is_gone() {
        let shares = Shares::of(4);
        let many: Vec<Share> = (1..=4).map(|n| shares.take(&sender(n), 1).unwrap()).collect();
        assert_eq!(shares.take(&sender(5), 1).unwrap_err(), NoRoom::Full { whole: 4 });
        drop(many);
        assert_eq!(all(&shares, 5).len(), 2);
        assert!(shares.0.lock().unwrap().by.is_empty());
        assert!(shares.take(&sender(5), 5).is_err(), "more than there is");
    }
}
