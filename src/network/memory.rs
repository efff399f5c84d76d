//! What a request takes beside its frame.

use std::{future::poll_fn, sync::Arc};

use super::{Refusal, budget::Account};

/// What a request may take beside its frame without being charged.
const FREE: usize = 16 << 10;

/// The memory that a request may take beside its frame: what it decodes to. It is asked for before it is taken.
#[derive(Debug)]
pub struct RequestMemory {
    account: Arc<Account>,
    charged: usize,
}

impl RequestMemory {
    pub(super) fn new(account: Arc<Account>) -> Self {
        Self { account, charged: 0 }
    }

    /// How many bytes it may take so far.
    #[must_use]
    pub fn granted(&self) -> usize {
        FREE + self.charged
    }

    /// Waits until it may take `needed` bytes in all, or twice as many as before. More than all requests may take
    /// together is refused.
    pub async fn grow(&mut self, needed: usize) -> Result<(), Refusal> {
        let limit = self.account.budget().limit();
        if needed > limit {
            return Err(Refusal::new(format!("a request that takes {needed} bytes of memory, more than {limit}")));
        }
        let more = needed.max(2 * self.granted()).min(limit).saturating_sub(self.granted());
        poll_fn(|cx| self.account.poll_grow(more, cx)).await;
        self.charged += more;
        Ok(())
    }

    /// What it holds of the budget.
    pub(super) fn charged(&self) -> usize {
        self.charged
    }
}

impl Drop for RequestMemory {
    fn drop(&mut self) {
        self.account.shrink(self.charged);
    }
}
