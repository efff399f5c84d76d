//! librdkafka's producer, consumers and admin client, each API that the Rust binding has about once.
//!
//! `cargo run --example capture_librdkafka -- BOOTSTRAP`; `tests/captures/README.md` says what for.

use std::{env, time::Duration};

use anyhow::{Context, Result, ensure};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
        TopicReplication,
    },
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};

const PLAIN: &str = "librdkafka-plain";
const TRANSACTED: &str = "librdkafka-transacted";
const GROUP: &str = "librdkafka-group";
const TIMEOUT: Duration = Duration::from_secs(20);
/// How often a consumer polls for what has to come.
const POLLS: usize = 200;

type Settings<'a> = &'a [(&'a str, &'a str)];

#[tokio::main]
async fn main() -> Result<()> {
    let bootstrap = env::args().nth(1).context("usage: capture_librdkafka BOOTSTRAP")?;
    let client = Client { bootstrap };
    let admin: AdminClient<DefaultClientContext> = client.config(&[]).create()?;
    create_topics(&admin).await?;
    produce(&client)?;
    consume_assigned(&client)?;
    consume_in_groups(&client)?;
    transactions(&client)?;
    configs(&admin).await?;
    groups(&client, &admin).await?;
    delete_things(&admin).await
}

struct Client {
    bootstrap: String,
}

impl Client {
    fn config(&self, settings: Settings<'_>) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("client.id", "librdkafka").set("linger.ms", "20");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config
    }

    fn consumer(&self, group: &str, settings: Settings<'_>) -> Result<BaseConsumer> {
        let mut config = self.config(settings);
        config.set("group.id", group).set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "100");
        Ok(config.create()?)
    }
}

async fn create_topics(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    let topics = [
        NewTopic::new(PLAIN, 2, TopicReplication::Fixed(1)).set("segment.bytes", "1048576"),
        NewTopic::new(TRANSACTED, 2, TopicReplication::Variable(&[&[1], &[1]])),
    ];
    let only_checked = AdminOptions::new().validate_only(true);
    admin.create_topics(&topics, &only_checked).await?;
    for created in admin.create_topics(&topics, &options).await? {
        ensure!(created.is_ok(), "{created:?}");
    }
    report("create a topic again", &admin.create_topics(&topics[..1], &options).await?);
    admin.create_partitions(&[NewPartitions::new(PLAIN, 3)], &options).await?;
    Ok(())
}

/// Shows results some of which are errors of the broker's: their bytes are wanted too.
fn report(name: &str, results: &impl std::fmt::Debug) {
    println!("{name}: {results:?}");
}

fn produce(client: &Client) -> Result<()> {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        for acks in ["0", "1", "all"] {
            produce_some(client, &[("compression.codec", codec), ("acks", acks)])?;
        }
        produce_some(client, &[("compression.codec", codec), ("enable.idempotence", "true")])?;
    }
    Ok(())
}

fn produce_some(client: &Client, settings: Settings<'_>) -> Result<()> {
    let producer: BaseProducer = client.config(settings).create()?;
    producer.client().fetch_metadata(Some(PLAIN), TIMEOUT)?;
    for number in 0..6 {
        let value = format!("the same old value, number {number}");
        let headers = OwnedHeaders::new()
            .insert(Header { key: "header", value: Some("of a record") })
            .insert(Header { key: "null", value: None::<&str> });
        let record = BaseRecord::to(PLAIN).partition(number % 2).payload(&value);
        let record = if number < 2 { record } else { record.key("key").headers(headers) };
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(TIMEOUT)?;
    Ok(())
}

fn consume_assigned(client: &Client) -> Result<()> {
    for isolation in ["read_uncommitted", "read_committed"] {
        let consumer = client.consumer("librdkafka-assigned", &[("isolation.level", isolation)])?;
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(PLAIN, 0, Offset::Beginning)?;
        partitions.add_partition_offset(PLAIN, 1, Offset::OffsetTail(2))?;
        consumer.assign(&partitions)?;
        poll(&consumer, 10)?;
        consumer.seek(PLAIN, 0, Offset::Offset(100_000), TIMEOUT)?;
        consumer.fetch_watermarks(PLAIN, 0, TIMEOUT)?;
        consumer.offsets_for_timestamp(1_000, TIMEOUT)?;
        consumer.fetch_metadata(None, TIMEOUT)?;
        consumer.commit(&partitions_at(7)?, CommitMode::Sync)?;
        consumer.committed_offsets(partitions_at(0)?, TIMEOUT)?;
        consumer.poll(Duration::from_millis(500)).transpose()?;
    }
    Ok(())
}

fn partitions_at(offset: i64) -> Result<TopicPartitionList> {
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(PLAIN, 0, Offset::Offset(offset))?;
    Ok(partitions)
}

/// Polls until `records` have come.
fn poll(consumer: &BaseConsumer, records: usize) -> Result<()> {
    let mut seen = 0;
    for _ in 0..POLLS {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            message?.payload().context("every value is set")?;
            seen += 1;
            if seen == records {
                return Ok(());
            }
        }
    }
    anyhow::bail!("{seen} records have come, {records} were to come")
}

fn consume_in_groups(client: &Client) -> Result<()> {
    for assignor in ["range", "roundrobin", "cooperative-sticky"] {
        consume_together(client, &format!("librdkafka-{assignor}"), &[("partition.assignment.strategy", assignor)])?;
    }
    consume_together(client, "librdkafka-kip-848", &[("group.protocol", "consumer")])?;
    let member = client.consumer(GROUP, &[("group.instance.id", "static")])?;
    member.subscribe(&[PLAIN])?;
    poll(&member, 5)?;
    Ok(member.commit(&partitions_at(1)?, CommitMode::Sync)?)
}

/// Two members: the second one joins, so that the first has to give partitions up.
fn consume_together(client: &Client, group: &str, settings: Settings<'_>) -> Result<()> {
    let (first, second) = (client.consumer(group, settings)?, client.consumer(group, settings)?);
    first.subscribe(&[PLAIN])?;
    poll(&first, 5)?;
    second.subscribe(&[PLAIN, TRANSACTED])?;
    for _ in 0..POLLS {
        first.poll(Duration::from_millis(50)).transpose()?;
        second.poll(Duration::from_millis(50)).transpose()?;
        if second.assignment()?.count() > 0 {
            break;
        }
    }
    report("commit", &first.commit(&partitions_at(1)?, CommitMode::Sync));
    first.committed(TIMEOUT)?;
    first.unsubscribe();
    second.poll(Duration::from_secs(1)).transpose()?;
    Ok(())
}

fn transactions(client: &Client) -> Result<()> {
    let consumer = client.consumer("librdkafka-transactional", &[("enable.auto.commit", "false")])?;
    consumer.subscribe(&[PLAIN])?;
    poll(&consumer, 5)?;
    let producer: BaseProducer = client.config(&[("transactional.id", "librdkafka-transactional")]).create()?;
    producer.init_transactions(TIMEOUT)?;
    for commit in [true, false, true] {
        producer.begin_transaction()?;
        for partition in 0..2 {
            let record = BaseRecord::to(TRANSACTED).partition(partition).key("key").payload("of a transaction");
            producer.send(record).map_err(|(error, _)| error)?;
        }
        if commit {
            let group = consumer.group_metadata().context("a member")?;
            producer.send_offsets_to_transaction(&consumer.position()?, &group, TIMEOUT)?;
            producer.commit_transaction(TIMEOUT)?;
        } else {
            producer.flush(TIMEOUT)?;
            producer.abort_transaction(TIMEOUT)?;
        }
    }
    let committed = client.consumer("librdkafka-committed", &[("isolation.level", "read_committed")])?;
    committed.subscribe(&[TRANSACTED])?;
    poll(&committed, 4)
}

async fn configs(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let options = AdminOptions::new();
    let resources = [ResourceSpecifier::Topic(PLAIN), ResourceSpecifier::Broker(1)];
    for resource in resources {
        admin.describe_configs([&resource], &options).await?;
    }
    report("no such topic", &admin.describe_configs([&ResourceSpecifier::Topic("librdkafka-none")], &options).await?);
    let alter = AlterConfig::new(ResourceSpecifier::Topic(PLAIN)).set("retention.ms", "100000000");
    admin.alter_configs([&alter], &options).await?;
    let bad = AlterConfig::new(ResourceSpecifier::Topic(PLAIN)).set("retention.ms", "soon");
    let altered: Vec<Result<OwnedResourceSpecifier, _>> = admin.alter_configs([&bad], &options).await?;
    report("a bad value", &altered);
    Ok(())
}

async fn groups(client: &Client, admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let member = client.consumer(GROUP, &[])?;
    member.subscribe(&[PLAIN])?;
    for _ in 0..POLLS {
        member.poll(Duration::from_millis(50)).transpose()?;
        if member.assignment()?.count() > 0 {
            break;
        }
    }
    member.fetch_group_list(None, TIMEOUT)?;
    member.fetch_group_list(Some(GROUP), TIMEOUT)?;
    let options = AdminOptions::new();
    report("a group in use", &admin.delete_groups(&[GROUP], &options).await?);
    report("delete groups", &admin.delete_groups(&["librdkafka-range", "librdkafka-none"], &options).await?);
    Ok(())
}

async fn delete_things(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    admin.delete_records(&partitions_at(2)?, &options).await?;
    report("too many records", &admin.delete_records(&partitions_at(1_000_000)?, &options).await?);
    report("delete topics", &admin.delete_topics(&[PLAIN, TRANSACTED, "librdkafka-none"], &options).await?);
    Ok(())
}
