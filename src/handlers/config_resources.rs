//! How many resources one request about configurations may name. Each costs an answer, however few bytes name it.

use super::refusal::Refusal;
use crate::protocol::{error_code::ErrorCode, wire::StrBytes};

/// As many topics as a cluster of this size has, and Kafka's tools ask of all at once.
pub const RESOURCES_MAX: usize = 10_000;

/// Why none of so many resources is looked at, if that is so. It is the same text for each, without a copy.
pub fn refusal_of_all(resources: usize) -> Option<Refusal> {
    let message = StrBytes::from_static("One request may name no more than 10000 resources.");
    (resources > RESOURCES_MAX).then(|| Refusal::new(ErrorCode::InvalidRequest, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_there_may_be_is_too_many() {
        assert_eq!(refusal_of_all(RESOURCES_MAX), None);
        let (error, message) = Refusal::answer(Err(refusal_of_all(RESOURCES_MAX + 1).expect("too many")));
        assert_eq!(error, ErrorCode::InvalidRequest.code());
        assert!(message.expect("it says why").contains(&RESOURCES_MAX.to_string()));
    }
}
