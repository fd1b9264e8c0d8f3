//! What is read of the topics of an event stream: messages in batches, each with its place.
//!
//! A batch says from which offset it was read and where the next one begins. The ledger takes it
//! only from the offset that it holds itself, and takes words and offset together: whoever reads,
//! and however often, each message comes into the log once.

use crate::{alert::Word, name::Name};
use serde::{Deserialize, Serialize};

/// The most bytes of a reason that are kept.
const REASON_BYTES_MAX: usize = 300;

/// What was read of one partition, from one offset to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Of which stream.
    pub stream: Name,
    /// The topic that it was read from: another topic has other offsets.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset that it begins at; nothing where the ledger held none, and this is the first.
    pub from: Option<u64>,
    /// The offset that the next one begins at.
    pub next: u64,
    /// What its messages say, in their order.
    pub words: Vec<Word>,
    /// Whether the words say since when it is so. Where they do not, the log dates them.
    pub timed: bool,
    /// Messages and events that could not be used.
    pub skipped: u64,
    /// Why the last of them could not be used, and where it stands.
    pub because: Option<String>,
    /// The broker does not have what stands at the offset any more (or again): it is read on from
    /// the earliest message that there is.
    pub out_of_range: bool,
}

impl Batch {
    /// A batch without a word, which says nothing but where to read on.
    pub const fn place(stream: Name, topic: String, partition: u32, next: u64) -> Self {
        Self {
            stream,
            topic,
            partition,
            from: None,
            next,
            words: Vec::new(),
            timed: false,
            skipped: 0,
            because: None,
            out_of_range: false,
        }
    }

    /// Notes that something could not be used.
    pub fn skip(&mut self, why: &str) {
        let mut end = why.len().min(REASON_BYTES_MAX);
        while !why.is_char_boundary(end) {
            end -= 1;
        }
        self.skipped = self.skipped.saturating_add(1);
        self.because = Some(why[..end].to_owned());
    }

    /// What is wrong with it in itself, if anything is.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let is_empty = self.words.is_empty() && self.skipped == 0;
        let long = self.because.as_ref().is_some_and(|why| why.len() > REASON_BYTES_MAX);
        match self.from {
            None if !is_empty || self.out_of_range => Some("the first one only says where it is"),
            Some(_) if self.out_of_range && !is_empty => {
                Some("what is not there any more has no words")
            }
            Some(from) if !self.out_of_range && self.next <= from => {
                Some("it ends before it has begun")
            }
            None | Some(_) if long => Some("its reason is too long"),
            None | Some(_) => None,
        }
    }
}
