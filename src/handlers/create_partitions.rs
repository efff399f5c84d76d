//! `CreatePartitions` (key 37).

use std::sync::Arc;

use super::{context::Context, errors, refusal::Refusal, repeated::each_once};
use crate::{
    auth::authorizer::{Operation, Resource},
    metadata::growth::Growth,
    protocol::{
        error_code::ErrorCode,
        messages::{
            CreatePartitionsRequest, CreatePartitionsResponse, create_partitions_request::CreatePartitionsTopic,
            create_partitions_response::CreatePartitionsTopicResult,
        },
        wire::StrBytes,
    },
};

/// A topic's name, and what it is to get unless that is refused.
type Asked = (StrBytes, Result<Growth, Refusal>);

/// Adds partitions to all topics in one commit; one that is refused leaves the others alone.
pub async fn create_partitions(cx: &Context, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let (asking, validate_only) = (cx.clone(), request.validate_only);
    // However little each of them asks for, a request may name very many.
    let asked = cx.heavy_work().run(move || asked_of(&asking, &request)).await;
    let growths = asked.iter().filter_map(|(_, growth)| growth.as_ref().ok().cloned()).collect();
    let mut outcomes = grow(cx, growths, validate_only).await.into_iter();
    let results = asked.into_iter().map(|(name, asked)| {
        let outcome = asked.and_then(|_| outcomes.next().expect("each topic that was asked for has an outcome"));
        result(name, outcome)
    });
    CreatePartitionsResponse { results: results.collect(), ..CreatePartitionsResponse::default() }
}

fn asked_of(cx: &Context, request: &CreatePartitionsRequest) -> Vec<Asked> {
    // One that is named more than once is answered once, for all.
    let named = each_once(&request.topics, |topic| &topic.name).into_iter();
    let asked = named.map(|(topic, is_repeated)| {
        if is_repeated {
            let refusal = Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned());
            return (topic.name.clone(), Err(refusal));
        }
        (topic.name.clone(), asked(cx, topic))
    });
    asked.collect()
}

fn asked(cx: &Context, topic: &CreatePartitionsTopic) -> Result<Growth, Refusal> {
    let denied = |_| Refusal::wordless(ErrorCode::TopicAuthorizationFailed);
    cx.authorize(Operation::Alter, Resource::Topic(&topic.name)).map_err(denied)?;
    let assignment = topic.assignments.as_ref();
    Ok(Growth {
        topic: topic.name.to_string(),
        count: topic.count,
        assignment: assignment.map(|all| all.iter().map(|partition| partition.broker_ids.clone()).collect()),
    })
}

/// What becomes of each topic.
async fn grow(cx: &Context, growths: Vec<Growth>, validate_only: bool) -> Vec<Result<(), Refusal>> {
    if validate_only {
        let broker = Arc::clone(&cx.broker);
        let decided = cx.heavy_work().run(move || broker.validate_growth(&growths)).await;
        let refusal = |error| Refusal::new(errors::growth(&error), error.to_string());
        return decided.into_iter().map(|decided| decided.map_err(refusal)).collect();
    }
    let count = growths.len();
    match cx.broker.add_partitions(growths).await {
        Ok(outcomes) => {
            let refusal = |failure| Refusal::new(errors::growth_failure(&failure), failure.to_string());
            outcomes.into_iter().map(|outcome| outcome.map_err(refusal)).collect()
        }
        Err(error) => (0..count).map(|_| Err(Refusal::new(errors::commit(&error), error.to_string()))).collect(),
    }
}

fn result(name: StrBytes, outcome: Result<(), Refusal>) -> CreatePartitionsTopicResult {
    let (error_code, error_message) = Refusal::answer(outcome);
    CreatePartitionsTopicResult { name, error_code, error_message, ..CreatePartitionsTopicResult::default() }
}
