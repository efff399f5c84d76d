//! `ListTransactions` (key 66): the transactional ids of this broker, which are all, by state and producer; from version 1
//! on by duration, from 2 on by a pattern (KIP-1152).

use regex::{Regex, RegexBuilder};

use super::{context::Context, errors};
use crate::{
    auth::authorizer::{Operation, Resource},
    clock::{TimestampMs, wall_clock_ms},
    protocol::{
        error_code::ErrorCode,
        messages::{ListTransactionsRequest, ListTransactionsResponse, list_transactions_response::TransactionState},
        wire::StrBytes,
    },
    transactions::{state::State, transaction_metadata::TransactionMetadata},
};

/// Bytes that a pattern may become.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Stands for a time that is not there.
const NO_TIMESTAMP: TimestampMs = -1;

/// Answers with every transactional id that the client may see, or with none while any is still loaded.
pub async fn list_transactions(cx: &Context, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let filter = match Filter::new(&request, wall_clock_ms()) {
        Ok(filter) => filter,
        Err(error) => return refused(error),
    };
    let may_see = |id: &str| cx.authorize(Operation::Describe, Resource::TransactionalId(id)).is_ok();
    let mut transaction_states = Vec::new();
    let visited = cx.transactions().runtime().visit(|id, transaction| {
        let metadata = transaction.metadata().filter(|metadata| filter.has(metadata) && may_see(id));
        transaction_states.extend(metadata.map(entry));
    });
    if let Err(error) = visited {
        return refused(errors::coordinator(&error));
    }
    ListTransactionsResponse {
        unknown_state_filters: filter.unknown_states,
        transaction_states,
        ..ListTransactionsResponse::default()
    }
}

fn refused(error: ErrorCode) -> ListTransactionsResponse {
    ListTransactionsResponse { error_code: error.code(), ..ListTransactionsResponse::default() }
}

/// Which transactional ids are wanted; an empty list has no say.
struct Filter {
    has_states: bool,
    states: Vec<State>,
    unknown_states: Vec<StrBytes>,
    producer_ids: Vec<i64>,
    /// Those that began before this.
    before: Option<TimestampMs>,
    pattern: Option<Regex>,
}

impl Filter {
    fn new(request: &ListTransactionsRequest, now: TimestampMs) -> Result<Self, ErrorCode> {
        let named = request.state_filters.iter();
        let duration = Some(request.duration_filter).filter(|duration| *duration >= 0);
        let pattern = request.transactional_id_pattern.as_deref().filter(|pattern| !pattern.is_empty());
        Ok(Self {
            has_states: !request.state_filters.is_empty(),
            states: named.clone().filter_map(|name| State::from_name(name)).collect(),
            unknown_states: named.filter(|name| State::from_name(name).is_none()).cloned().collect(),
            producer_ids: request.producer_id_filters.clone(),
            before: duration.map(|duration| now.saturating_sub(duration)),
            pattern: pattern.map(whole).transpose()?,
        })
    }

    fn has(&self, metadata: &TransactionMetadata) -> bool {
        let started_at = metadata.started_at.unwrap_or(NO_TIMESTAMP);
        (self.producer_ids.is_empty() || self.producer_ids.contains(&metadata.producer.id))
            && (!self.has_states || self.states.contains(&metadata.state))
            && self.before.is_none_or(|before| started_at < before)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(&metadata.id))
    }
}

/// A pattern that has to match an id from beginning to end.
fn whole(pattern: &str) -> Result<Regex, ErrorCode> {
    // By itself first: what is put around it must not make it one.
    let compiled = |text: &str| RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
    let whole = compiled(pattern).and_then(|_| compiled(&format!("^(?:{pattern})$")));
    whole.map_err(|_| ErrorCode::InvalidRegularExpression)
}

fn entry(metadata: &TransactionMetadata) -> TransactionState {
    TransactionState {
        transactional_id: StrBytes::from(&*metadata.id),
        producer_id: metadata.producer.id,
        transaction_state: StrBytes::from_static(metadata.state.name()),
        ..TransactionState::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ids::ProducerIdAndEpoch;

    fn has(request: &ListTransactionsRequest) -> bool {
        let metadata = TransactionMetadata {
            started_at: Some(1000),
            state: State::Ongoing,
            ..TransactionMetadata::new("orders-7", ProducerIdAndEpoch { id: 5, epoch: 0 }, 60_000, 1000)
        };
        Filter::new(request, 3000).expect("a good filter").has(&metadata)
    }

    #[test]
    fn each_filter_has_its_say() {
        let all = ListTransactionsRequest { duration_filter: -1, ..ListTransactionsRequest::default() };
        assert!(has(&all));
        for (names, expected) in [(&["Ongoing"][..], true), (&["Empty"], false), (&["ongoing"], false)] {
            let state_filters = names.iter().map(|name| (*name).into()).collect();
            assert_eq!(has(&ListTransactionsRequest { state_filters, ..all.clone() }), expected, "{names:?}");
        }
        for (ids, expected) in [(vec![5, 6], true), (vec![6], false)] {
            assert_eq!(has(&ListTransactionsRequest { producer_id_filters: ids, ..all.clone() }), expected);
        }
        for (duration_filter, expected) in [(0, true), (1999, true), (2000, false)] {
            assert_eq!(has(&ListTransactionsRequest { duration_filter, ..all.clone() }), expected, "{duration_filter}");
        }
        for (pattern, expected) in [("", true), ("orders-.*", true), ("orders", false), ("x|orders-7", true)] {
            let transactional_id_pattern = Some(pattern.into());
            assert_eq!(
                has(&ListTransactionsRequest { transactional_id_pattern, ..all.clone() }),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["(", "a)(b", "[", "(?P<a>.){1000}{1000}"] {
            assert_eq!(whole(pattern).err(), Some(ErrorCode::InvalidRegularExpression), "{pattern}");
        }
    }

    #[test]
    fn names_of_states_that_there_are_not_are_told() {
        let request = ListTransactionsRequest {
            state_filters: vec!["Ongoing".into(), "Asleep".into()],
            ..ListTransactionsRequest::default()
        };
        assert_eq!(Filter::new(&request, 0).expect("a good filter").unknown_states, ["Asleep"]);
    }
}
