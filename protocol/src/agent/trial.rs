//! A check run once because somebody wants to see what it does.

use super::{Agent, output::Variables, variables};
use crate::{
    document::{Check, Document},
    name::Name,
};

/// Why a check is not tried here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTrial {
    /// There is no such check.
    #[error("there is no check \"{check}\": `hearten check list` names them")]
    Unknown {
        /// Which.
        check: Name,
    },
    /// It is for other peers.
    #[error("check \"{check}\" is not for this peer: it is for those with {selector}")]
    NotMeant {
        /// Which.
        check: Name,
        /// For whom it is.
        selector: String,
    },
    /// This host has not verified that enough operators signed it.
    #[error("check \"{check}\" is not signed by operators that this host trusts")]
    NotAuthorised {
        /// Which.
        check: Name,
    },
}

impl Agent {
    /// A check in force and what its program is told, to be run here once. What holds for a check's
    /// turn holds here as well: it is meant for this peer, and operators signed it.
    ///
    /// # Errors
    /// [`NoTrial`], which says why not.
    pub fn trial(&self, name: &Name) -> Result<(Check, Variables), NoTrial> {
        let library = self.ledger.library();
        let unknown = || NoTrial::Unknown { check: name.clone() };
        let check = library.check(name).ok_or_else(unknown)?;
        if !check.selector.fits(&self.card.labels) {
            let selector = check.selector.to_string();
            return Err(NoTrial::NotMeant { check: name.clone(), selector });
        }
        let document = Document::Check(check.clone());
        let origin = library.origin(&document.key()).unwrap_or(0);
        if !self.is_authorised(&document, origin) {
            return Err(NoTrial::NotAuthorised { check: name.clone() });
        }
        Ok((check.clone(), variables::for_check(self, check)))
    }
}
