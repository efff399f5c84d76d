//! The table: what is asked, and where the answers may differ.

mod administration;
mod fetch;
mod framing;
mod metadata;
mod offsets;
mod produce;
mod records;
mod topics;

use anyhow::Result;

use crate::probe::Probe;

/// A question to both brokers.
pub(crate) struct Row {
    /// What is asked.
    pub(crate) name: &'static str,
    /// Asks it.
    pub(crate) ask: fn(&mut Probe) -> Result<()>,
    /// Why the answers differ, where they are meant to.
    pub(crate) differs_because: Option<&'static str>,
}

/// Every row.
pub(crate) fn rows() -> Vec<Row> {
    let parts = [
        produce::rows(),
        fetch::rows(),
        offsets::rows(),
        metadata::rows(),
        topics::rows(),
        administration::rows(),
        framing::rows(),
    ];
    parts.into_iter().flatten().collect()
}

fn row(name: &'static str, ask: fn(&mut Probe) -> Result<()>) -> Row {
    Row { name, ask, differs_because: None }
}

impl Row {
    /// The answers differ on purpose.
    fn differs(mut self, because: &'static str) -> Self {
        self.differs_because = Some(because);
        self
    }
}
