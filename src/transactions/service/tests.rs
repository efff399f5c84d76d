//! Transactions on a simulated disk: whatever a process dies of, what was decided is carried out, and nothing else.

mod client;
mod crashes;
mod history;
mod limits;
mod markers;
mod world;
