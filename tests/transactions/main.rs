//! Transactions as clients see them: histories, and a checker of what they show.

mod checker;
#[path = "../crash/random.rs"]
mod random;
