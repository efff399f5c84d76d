//! `DescribeLogDirs` (key 35): what the data directory holds, and how much room there is around it.

use std::{
    collections::{HashMap, HashSet},
    path::{self, Path},
    sync::Arc,
};

use super::context::Context;
use crate::{
    auth::authorizer::{Operation, Resource},
    config::topic_name::CLUSTER_METADATA_TOPIC,
    log::{log_dir::LogDir, partition_log::PartitionLog},
    protocol::{
        error_code::ErrorCode,
        messages::{
            DescribeLogDirsRequest, DescribeLogDirsResponse,
            describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic},
        },
    },
};

/// Which partitions are meant.
enum Asked {
    All,
    Named(HashMap<String, HashSet<i32>>),
}

/// Answers for all partitions or the named ones; those that are not there are left out.
pub async fn describe_log_dirs(cx: &Context, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    if cx.authorize(Operation::Describe, Resource::Cluster).is_err() {
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        return DescribeLogDirsResponse { error_code, ..DescribeLogDirsResponse::default() };
    }
    let asked = asked(request);
    let broker = Arc::clone(&cx.broker);
    // The file system is asked, and every log.
    let result = cx.heavy_work().run(move || describe(broker.logs(), &asked)).await;
    DescribeLogDirsResponse { results: vec![result], ..DescribeLogDirsResponse::default() }
}

fn asked(request: DescribeLogDirsRequest) -> Asked {
    let Some(topics) = request.topics else { return Asked::All };
    let mut named: HashMap<_, HashSet<_>> = HashMap::new();
    for topic in topics {
        named.entry(topic.topic.to_string()).or_default().extend(topic.partitions);
    }
    Asked::Named(named)
}

impl Asked {
    fn includes(&self, log: &PartitionLog) -> bool {
        let name = log.topic_partition();
        // Kafka's broker does not count the metadata log among its own either.
        name.topic.as_ref() != CLUSTER_METADATA_TOPIC
            && match self {
                Self::All => true,
                Self::Named(named) => {
                    named.get(name.topic.as_ref()).is_some_and(|partitions| partitions.contains(&name.partition))
                }
            }
    }
}

fn describe(logs: &LogDir, asked: &Asked) -> DescribeLogDirsResult {
    let log_dir = absolute(logs.path()).into();
    let failed = |log_dir| {
        let error_code = ErrorCode::KafkaStorageError.code();
        DescribeLogDirsResult { error_code, log_dir, ..DescribeLogDirsResult::default() }
    };
    if logs.group_commit().failure().is_some() {
        return failed(log_dir);
    }
    let room = match logs.disk().room(logs.path()) {
        Ok(room) => room,
        Err(error) => {
            tracing::warn!(%error, "the file system does not say how much room it has");
            return failed(log_dir);
        }
    };
    let all = logs.partitions();
    let mut result = DescribeLogDirsResult { log_dir, topics: topics(&all, asked), ..DescribeLogDirsResult::default() };
    if let Some(room) = room {
        result.total_bytes = i64::try_from(room.total_bytes).unwrap_or(i64::MAX);
        result.usable_bytes = i64::try_from(room.free_bytes).unwrap_or(i64::MAX);
    }
    result
}

/// `logs` are in the order of their names.
fn topics(logs: &[Arc<PartitionLog>], asked: &Asked) -> Vec<DescribeLogDirsTopic> {
    let mut topics: Vec<DescribeLogDirsTopic> = Vec::new();
    for log in logs.iter().filter(|log| asked.includes(log)) {
        let name = log.topic_partition();
        if topics.last().is_none_or(|last| last.name.as_str() != name.topic.as_ref()) {
            topics.push(DescribeLogDirsTopic { name: name.topic.as_ref().into(), ..DescribeLogDirsTopic::default() });
        }
        let partition = DescribeLogDirsPartition {
            partition_index: name.partition,
            partition_size: i64::try_from(log.size()).unwrap_or(i64::MAX),
            // No replica is behind this one.
            offset_lag: 0,
            ..DescribeLogDirsPartition::default()
        };
        topics.last_mut().expect("one was pushed").partitions.push(partition);
    }
    topics
}

fn absolute(path: &Path) -> String {
    path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        log::{disk::sim::SimDisk, log_config::LogConfig, log_dir::LogDirSettings, partition_log::test_batches::batch},
        protocol::{ids::TopicPartition, messages::describe_log_dirs_request::DescribableLogDirTopic},
    };

    fn log_dir(disk: &SimDisk) -> LogDir {
        let open = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), &LogDirSettings::for_tests(), 0);
        let logs = open.expect("opened");
        for (topic, partition) in [("b", 1), ("a", 0), ("b", 0), (CLUSTER_METADATA_TOPIC, 0)] {
            let name = TopicPartition::new(topic, partition);
            let log = logs.create_partition(&name, Uuid::from_u128(1), LogConfig::default(), 0, 0).expect("created");
            log.append(&batch(1, 0, 39 + usize::try_from(partition).expect("an index")), 0, 0).expect("appended");
        }
        logs
    }

    fn named(topics: &[(&str, &[i32])]) -> Asked {
        let topics = topics.iter().map(|(topic, partitions)| DescribableLogDirTopic {
            topic: (*topic).into(),
            partitions: partitions.to_vec(),
            ..DescribableLogDirTopic::default()
        });
        asked(DescribeLogDirsRequest { topics: Some(topics.collect()), ..DescribeLogDirsRequest::default() })
    }

    fn sizes(result: &DescribeLogDirsResult) -> Vec<(String, i64)> {
        let partitions = result.topics.iter().flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|p| (format!("{}-{}", topic.name, p.partition_index), p.partition_size))
        });
        partitions.collect()
    }

    #[test]
    fn partitions_are_told_with_their_sizes_and_the_room_around_them() {
        let disk = SimDisk::new(1);
        disk.set_capacity(1 << 30, 1000);
        let logs = log_dir(&disk);
        let all = describe(&logs, &Asked::All);
        let size = |name: &str| logs.partition(&TopicPartition::new(name, 0)).expect("there").size().cast_signed();
        let expected = [("a-0", size("a")), ("b-0", size("b")), ("b-1", size("b") + 1)];
        assert_eq!(sizes(&all), expected.map(|(name, size)| (name.to_owned(), size)));
        assert_eq!((all.log_dir.as_str(), all.error_code, all.total_bytes), ("/data", 0, 1 << 30));
        assert!(0 < all.usable_bytes && all.usable_bytes < 1 << 30);
        let some = describe(&logs, &named(&[("b", &[1, 7]), ("c", &[0]), ("b", &[1]), (CLUSTER_METADATA_TOPIC, &[0])]));
        assert_eq!(sizes(&some), [("b-1".to_owned(), size("b") + 1)]);
        assert!(describe(&logs, &named(&[])).topics.is_empty());
    }

    #[test]
    fn a_directory_that_failed_says_so() {
        let disk = SimDisk::new(1);
        let logs = log_dir(&disk);
        assert_eq!(describe(&logs, &Asked::All).total_bytes, -1, "the file system does not tell");
        disk.fail_nth(1, 5);
        let log = logs.partition(&TopicPartition::new("a", 0)).expect("there");
        log.commit_now().expect_err("the sync fails");
        let failed = describe(&logs, &Asked::All);
        assert_eq!(failed.error_code, ErrorCode::KafkaStorageError.code());
        assert_eq!((failed.topics.len(), failed.log_dir.as_str()), (0, "/data"));
    }
}
