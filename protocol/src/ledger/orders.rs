//! How an operator's signed order changes the ledger.

use super::{Context, Effect, Freeze, Ledger, Outcome, Token, Window};
use crate::{
    order::{Action, SignedOrder},
    refusal::Refusal,
};

/// The longest reason that is kept, in bytes.
pub const REASON_BYTES_MAX: usize = 1_000;

impl Ledger {
    pub(super) fn order(&mut self, context: &Context, signed: &SignedOrder) -> Outcome {
        let mesh = self.mesh.as_ref().ok_or(Refusal::NotFounded)?;
        let order = &signed.order;
        if order.mesh != mesh.root_fingerprint || !signed.is_authorised(&mesh.trust) {
            return Err(Refusal::OrderNotSigned);
        }
        if context.at > order.expires {
            return Err(Refusal::OrderExpired { expired: order.expires });
        }
        if self.spent_orders.contains_key(&order.nonce) {
            return Err(Refusal::OrderSpent);
        }
        let effect = self.carry_out(context, &order.action, signed.signature.key)?;
        // An order that has expired is refused for that; its number need not be kept.
        self.spent_orders.retain(|_, expires| *expires >= context.at);
        self.spent_orders.insert(order.nonce, order.expires);
        Ok(effect)
    }

    /// Whether the order with this number was carried out, and may not have expired yet.
    pub fn has_carried_out(&self, nonce: u64) -> bool {
        self.spent_orders.contains_key(&nonce)
    }

    fn carry_out(&mut self, context: &Context, action: &Action, operator: [u8; 32]) -> Outcome {
        match action {
            Action::CreateToken(grant) => {
                // A used token is remembered until it expires, so that its refusal can say so.
                self.tokens.retain(|_, token| token.grant.expires >= context.at);
                self.tokens.insert(grant.id, Token { grant: grant.clone(), used: 0 });
                Ok(Effect::Done)
            }
            Action::RemovePeer { peer } => self.roster.remove(context.at, *peer),
            Action::Freeze { reason } => {
                let reason = bounded(reason)?;
                // Who stopped it first knows why it stands still; a second one changes nothing.
                self.frozen.get_or_insert(Freeze { since: context.at, reason });
                Ok(Effect::Done)
            }
            Action::Thaw => {
                self.frozen = None;
                self.thaw_the_brake(context);
                Ok(Effect::Done)
            }
            Action::Close { incident, reason } => {
                let reason = bounded(reason)?;
                self.close(context, *incident, &reason)
            }
            Action::Approve { incident } => self.approve(context, *incident, operator),
            Action::Deny { incident, reason } => {
                let reason = bounded(reason)?;
                self.deny(context, *incident, operator, &reason)
            }
            Action::Acknowledge { incident } => self.acknowledge(context, *incident, operator),
            Action::StartMaintenance { name, peers, selector, until, reason } => {
                let window = Window {
                    peers: peers.clone(),
                    selector: selector.clone(),
                    since: context.at,
                    until: *until,
                    reason: bounded(reason)?,
                };
                self.windows.retain(|_, window| window.until > context.at);
                self.windows.insert(name.clone(), window);
                Ok(Effect::Done)
            }
            Action::EndMaintenance { name } => match self.windows.remove(name) {
                Some(_) => Ok(Effect::Done),
                None => Err(Refusal::UnknownMaintenance { name: name.clone() }),
            },
            Action::RunRunbook { runbook, peer, reason } => {
                let reason = bounded(reason)?;
                self.run_runbook(context, runbook, *peer, &reason)
            }
            Action::EndAlert { alert, reason } => {
                let reason = bounded(reason)?;
                self.end_alert(context, *alert, operator, &reason)
            }
        }
    }
}

fn bounded(reason: &str) -> Result<String, Refusal> {
    if reason.len() > REASON_BYTES_MAX {
        let limit_bytes = u64::try_from(REASON_BYTES_MAX).unwrap_or(u64::MAX);
        return Err(Refusal::TooLarge { what: "the reason".to_owned(), limit_bytes });
    }
    Ok(reason.to_owned())
}
