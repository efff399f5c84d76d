//! The signal that the process is to end. It is given once and never taken back.

use std::sync::Arc;

use tokio::sync::watch;

/// A handle to the signal: clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown {
    begun: Arc<watch::Sender<bool>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { begun: Arc::new(watch::Sender::new(false)) }
    }
}

impl Shutdown {
    /// Gives the signal. Further calls change nothing.
    pub fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// Whether it was given.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Returns once it is given, at once if it was.
    pub async fn begun(&self) {
        // The only error is that the sender is gone, and it lives in `self`.
        drop(self.begun.subscribe().wait_for(|begun| *begun).await);
    }
}
