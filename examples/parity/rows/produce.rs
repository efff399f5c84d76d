//! Produce: what is written, what is refused, and with which code.

use anyhow::Result;
use bytes::Bytes;
use ottla::protocol::{
    messages::{
        ProduceRequest,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    records::{Records, compression::Compression},
};
use uuid::Uuid;

use super::{
    Row,
    records::{
        FIRST_TIMESTAMP, KeyValue, at, batch, compressed, of_records, old_format, overwritten, patched, with_payload,
    },
    row,
};
use crate::probe::{Probe, Topic};

const VERSION: i16 = 9;
const OLD_FORMAT: &str = "the code says what is wrong: the format, which no producer since Kafka 0.11 writes";
const NO_SUCH_CODEC: &str = "the code says what is wrong, instead of an unknown server error";

pub(crate) fn data(index: i32, records: Option<Bytes>) -> PartitionProduceData {
    PartitionProduceData { index, records: records.map(Records::Bytes), ..Default::default() }
}

pub(crate) fn request(topic: &Topic, partition_data: Vec<PartitionProduceData>) -> ProduceRequest {
    let topic_data = vec![TopicProduceData { name: topic.name.clone(), partition_data, ..Default::default() }];
    ProduceRequest { acks: -1, timeout_ms: 5000, topic_data, ..Default::default() }
}

/// Writes records to partition 0, as a preparation.
pub(crate) fn fill(p: &mut Probe, topic: &Topic, records: Bytes) -> Result<()> {
    let answer = p.ask_quietly(VERSION, &request(topic, vec![data(0, Some(records))]))?;
    let partition = &answer.response()["responses"][0]["partitionResponses"][0];
    anyhow::ensure!(partition["errorCode"] == 0, "nothing was written: {partition}");
    Ok(())
}

/// Writes to a new topic, and then a good batch: whether the first left something behind shows in its offset.
fn write(p: &mut Probe, configs: &[(&str, &str)], records: Option<Bytes>) -> Result<()> {
    write_at(p, VERSION, configs, records)
}

fn write_at(p: &mut Probe, version: i16, configs: &[(&str, &str)], records: Option<Bytes>) -> Result<()> {
    let topic = p.topic(1, configs)?;
    p.ask(version, &request(&topic, vec![data(0, records)]))?;
    p.ask(version, &request(&topic, vec![data(0, Some(batch(1)?))]))?;
    Ok(())
}

/// A batch that differs from a good one in a few bytes.
fn write_patched(p: &mut Probe, count: usize, patches: &[(usize, &[u8])]) -> Result<()> {
    write(p, &[], Some(patched(&batch(count)?, patches)))
}

/// A batch with the header of a good one and other records.
fn write_payload(p: &mut Probe, count: usize, codec: Compression, payload: &[u8]) -> Result<()> {
    write(p, &[], Some(with_payload(&compressed(count, codec)?, payload)?))
}

fn by_id(p: &mut Probe, id: Uuid) -> Result<()> {
    let topic = TopicProduceData { topic_id: id, partition_data: vec![data(0, Some(batch(1)?))], ..Default::default() };
    p.ask(13, &ProduceRequest { acks: -1, timeout_ms: 5000, topic_data: vec![topic], ..Default::default() })?;
    Ok(())
}

/// To partitions of a topic with two; without an answer being waited for where `acks` is 0.
fn to_partitions(p: &mut Probe, acks: i16, partitions: &[i32]) -> Result<()> {
    let topic = p.topic(2, &[])?;
    let mut written = Vec::new();
    for index in partitions {
        written.push(data(*index, Some(batch(1)?)));
    }
    p.ask(VERSION, &ProduceRequest { acks, ..request(&topic, written) })?;
    Ok(())
}

fn unknown(name: &str) -> Topic {
    Topic { name: name.into(), id: Uuid::nil() }
}

pub(crate) fn rows() -> Vec<Row> {
    [good(), headers(), contents(), by_config(), whole_requests()].into_iter().flatten().collect()
}

fn good() -> Vec<Row> {
    vec![
        row("produce: one record", |p| write(p, &[], Some(batch(1)?))),
        row("produce: three records", |p| write(p, &[], Some(batch(3)?))),
        row("produce: version 3", |p| write_at(p, 3, &[], Some(batch(3)?))),
        row("produce: version 7", |p| write_at(p, 7, &[], Some(batch(3)?))),
        row("produce: version 12", |p| write_at(p, 12, &[], Some(batch(3)?))),
        row("produce: gzip", |p| write(p, &[], Some(compressed(3, Compression::Gzip)?))),
        row("produce: snappy", |p| write(p, &[], Some(compressed(3, Compression::Snappy)?))),
        row("produce: lz4", |p| write(p, &[], Some(compressed(3, Compression::Lz4)?))),
        row("produce: zstd", |p| write(p, &[], Some(compressed(3, Compression::Zstd)?))),
        row("produce: zstd in version 3", |p| write_at(p, 3, &[], Some(compressed(3, Compression::Zstd)?))),
        row("produce: zstd in version 6", |p| write_at(p, 6, &[], Some(compressed(3, Compression::Zstd)?))),
        row("produce: null key and value", |p| {
            write(p, &[], Some(of_records(&[(None, None)], FIRST_TIMESTAMP, Compression::None)?))
        }),
    ]
}

fn headers() -> Vec<Row> {
    vec![
        row("batch: null", |p| write(p, &[], None))
            .differs("Kafka never answers, and the producer waits until its time is over"),
        row("batch: empty", |p| write(p, &[], Some(Bytes::new()))),
        row("batch: bad CRC", |p| write(p, &[], Some(overwritten(&batch(1)?, &[(at::CRC, &[1, 2, 3, 4])]).into()))),
        row("batch: flipped record", |p| {
            let good = batch(1)?;
            write(p, &[], Some(overwritten(&good, &[(good.len() - 2, b"w")]).into()))
        }),
        row("batch: length below the header", |p| {
            write(p, &[], Some(overwritten(&batch(1)?, &[(at::LENGTH, &[0, 0, 0, 20])]).into()))
        }),
        row("batch: length negative", |p| {
            write(p, &[], Some(overwritten(&batch(1)?, &[(at::LENGTH, &[0xff; 4])]).into()))
        }),
        row("batch: cut short", |p| write(p, &[], Some(batch(3)?.slice(..70)))),
        row("batch: cut within the header", |p| write(p, &[], Some(batch(3)?.slice(..30)))),
        row("batch: ten bytes", |p| write(p, &[], Some(batch(3)?.slice(..10)))),
        row("batch: magic 0", |p| write(p, &[], Some(old_format(0)))).differs(OLD_FORMAT),
        row("batch: magic 1", |p| write(p, &[], Some(old_format(1)))).differs(OLD_FORMAT),
        row("batch: magic 0 in version 3", |p| write_at(p, 3, &[], Some(old_format(0)))).differs(OLD_FORMAT),
        row("batch: magic 3", |p| write(p, &[], Some(overwritten(&batch(1)?, &[(at::MAGIC, &[3])]).into()))),
        row("batch: magic -1", |p| write(p, &[], Some(overwritten(&batch(1)?, &[(at::MAGIC, &[255])]).into()))),
        row("batch: two", |p| write(p, &[], Some([batch(1)?, batch(1)?].concat().into()))),
        row("batch: bytes behind it", |p| write(p, &[], Some([&batch(1)?[..], b"more"].concat().into())))
            .differs("Kafka drops them without a word; a producer that sends them has lost count"),
        row("batch: base offset 5", |p| write_patched(p, 1, &[(0, &5_i64.to_be_bytes())])),
        row("batch: base offset -1", |p| write_patched(p, 1, &[(0, &[0xff; 8])])),
        row("batch: leader epoch 9", |p| write_patched(p, 1, &[(12, &9_i32.to_be_bytes())])),
        row("batch: last offset delta too large", |p| write_patched(p, 2, &[(at::LAST_OFFSET_DELTA, &[0, 0, 0, 5])])),
        row("batch: last offset delta too small", |p| write_patched(p, 2, &[(at::LAST_OFFSET_DELTA, &[0, 0, 0, 0])])),
        row("batch: last offset delta negative", |p| write_patched(p, 2, &[(at::LAST_OFFSET_DELTA, &[0xff; 4])])),
        row("batch: count 0", |p| write_patched(p, 1, &[(at::RECORD_COUNT, &[0; 4])])),
        row("batch: count -1", |p| write_patched(p, 1, &[(at::RECORD_COUNT, &[0xff; 4])])),
        row("batch: count 0 and no records", |p| {
            let empty = with_payload(&batch(1)?, &[])?;
            let patches: &[(usize, &[u8])] = &[(at::RECORD_COUNT, &[0; 4]), (at::LAST_OFFSET_DELTA, &[0; 4])];
            write(p, &[], Some(patched(&empty, patches)))
        }),
        row("batch: control", |p| write_patched(p, 1, &[(at::ATTRIBUTES, &[0, 0x20])])),
        row("batch: delete horizon", |p| write_patched(p, 1, &[(at::ATTRIBUTES, &[0, 0x40])]))
            .differs("delete horizons are the log cleaner's: a client's would make it drop records"),
        row("batch: unknown attribute bit", |p| write_patched(p, 1, &[(at::ATTRIBUTES, &[0, 0x80])]))
            .differs("what the bit will mean is not known, so it is not stored"),
        row("batch: LogAppendTime set by the client", |p| write_patched(p, 1, &[(at::ATTRIBUTES, &[0, 8])]))
            .differs("the client's own time would pass for the broker's"),
        row("batch: codec 5", |p| write_patched(p, 1, &[(at::ATTRIBUTES, &[0, 5])])).differs(NO_SUCH_CODEC),
        row("batch: codec 7", |p| write_patched(p, 1, &[(at::ATTRIBUTES, &[0, 7])])).differs(NO_SUCH_CODEC),
        row("batch: max timestamp too large", |p| {
            write_patched(p, 2, &[(at::MAX_TIMESTAMP, &(FIRST_TIMESTAMP + 1000).to_be_bytes())])
        }),
        row("batch: base timestamp -1", |p| write_patched(p, 1, &[(at::BASE_TIMESTAMP, &[0xff; 8])])),
        row("batch: base timestamp -5", |p| write_patched(p, 1, &[(at::BASE_TIMESTAMP, &(-5_i64).to_be_bytes())])),
        row("batch: transactional without a producer", |p| write_patched(p, 1, &[(at::ATTRIBUTES, &[0, 0x10])])),
        row("batch: transactional without a transactional id", |p| {
            let producer: &[(usize, &[u8])] =
                &[(at::ATTRIBUTES, &[0, 0x10]), (at::PRODUCER_ID, &7_i64.to_be_bytes()), (at::PRODUCER_EPOCH, &[0; 6])];
            write_patched(p, 1, producer)
        }),
        row("batch: producer without a sequence", |p| {
            let producer: &[(usize, &[u8])] = &[(at::PRODUCER_ID, &7_i64.to_be_bytes()), (at::PRODUCER_EPOCH, &[0; 2])];
            write_patched(p, 1, producer)
        }),
    ]
}

fn contents() -> Vec<Row> {
    // A record: its length, attributes, timestamp delta, offset delta, key, value, headers; all but attributes varints.
    const PLAIN: Compression = Compression::None;
    vec![
        row("records: fewer than the count", |p| write_payload(p, 3, PLAIN, b"\x10\0\0\0\x02k\x02v\0")),
        row("records: more than the count", |p| {
            write_payload(p, 1, PLAIN, b"\x10\0\0\0\x02k\x02v\0\x10\0\0\x02\x02k\x02v\0")
        }),
        row("records: bytes left over in the batch", |p| write_payload(p, 1, PLAIN, b"\x10\0\0\0\x02k\x02v\0xyz")),
        row("records: length beyond the batch", |p| write_payload(p, 1, PLAIN, b"\x7e\0\0\0\x02k\x02v\0")),
        row("records: length too short", |p| write_payload(p, 1, PLAIN, b"\x0e\0\0\0\x02k\x02v\0")),
        row("records: length negative", |p| write_payload(p, 1, PLAIN, b"\x0f\0\0\0\x02k\x02v\0")),
        row("records: length of 2 GiB, compressed", |p| {
            write_payload(p, 1, Compression::Snappy, &snappy(b"\xfe\xff\xff\xff\x0f\0\0\0\x02k\x02v\0")?)
        }),
        row("records: key length -2", |p| write_payload(p, 1, PLAIN, b"\x0e\0\0\0\x03\x02v\0"))
            .differs("a length of -1 is a null key; Kafka takes any below zero for one, so that damage passes"),
        row("records: key beyond the record", |p| write_payload(p, 1, PLAIN, b"\x10\0\0\0\x7ek\x02v\0")),
        row("records: header count negative", |p| write_payload(p, 1, PLAIN, b"\x10\0\0\0\x02k\x02v\x01")),
        row("records: header count too large", |p| write_payload(p, 1, PLAIN, b"\x10\0\0\0\x02k\x02v\x7e")),
        row("records: null header key", |p| write_payload(p, 1, PLAIN, b"\x14\0\0\0\x02k\x02v\x02\x01\x01")),
        row("records: varint of six bytes", |p| {
            write_payload(p, 1, PLAIN, b"\x90\x80\x80\x80\x80\x00\0\0\0\x02k\x02v\0")
        })
        .differs("the bytes are no record: INVALID_RECORD instead of an unknown server error"),
        row("records: offset deltas 0, 2", |p| {
            write_payload(p, 2, PLAIN, b"\x10\0\0\0\x02k\x02v\0\x10\0\0\x04\x02k\x02v\0")
        })
        .differs("a consumer would see an offset that the batch does not have"),
        row("records: offset deltas 0, 0, compressed", |p| {
            let records = snappy(b"\x10\0\0\0\x02k\x02v\0\x10\0\0\0\x02k\x02v\0")?;
            write_payload(p, 2, Compression::Snappy, &records)
        })
        .differs("Kafka gives them other offsets by rewriting the batch; a producer that miscounts is told so"),
        row("records: no gzip at all", |p| write_payload(p, 1, Compression::Gzip, b"not gzip"))
            .differs("the bytes are not what the producer meant: CORRUPT_MESSAGE instead of an unknown server error"),
        row("records: no lz4 at all", |p| write_payload(p, 1, Compression::Lz4, b"not lz4 at all"))
            .differs("the bytes are not what the producer meant: CORRUPT_MESSAGE instead of an unknown server error"),
        row("records: no zstd at all", |p| write_payload(p, 1, Compression::Zstd, b"not zstd at all"))
            .differs("the bytes are not what the producer meant: CORRUPT_MESSAGE instead of an unknown server error"),
        row("records: no snappy at all", |p| write_payload(p, 1, Compression::Snappy, b"\xff\xff\xff\xff\xff\xff\xff"))
            .differs("the bytes are not what the producer meant: CORRUPT_MESSAGE instead of an unknown server error"),
        row("records: gzip cut short", |p| {
            let whole = compressed(50, Compression::Gzip)?;
            write_payload(p, 50, Compression::Gzip, &whole[61..whole.len() - 12])
        })
        .differs("the bytes are not what the producer meant: CORRUPT_MESSAGE instead of an unknown server error"),
    ]
}

/// A raw snappy block.
fn snappy(records: &[u8]) -> Result<Vec<u8>> {
    use ottla::protocol::records::compression::compress;

    Ok(compress(Compression::Snappy, None, &Bytes::copy_from_slice(records))?.to_vec())
}

fn by_config() -> Vec<Row> {
    vec![
        row("config: null key in a compacted topic", |p| {
            let keyless = of_records(&[(None, Some(b"v"))], FIRST_TIMESTAMP, Compression::None)?;
            write(p, &[("cleanup.policy", "compact")], Some(keyless))
        }),
        row("config: one null key among others, compacted", |p| {
            let records: &[KeyValue<'_>] =
                &[(Some(b"k"), Some(b"v")), (None, Some(b"v")), (Some(b"k"), None), (None, None)];
            let some = of_records(records, FIRST_TIMESTAMP, Compression::None)?;
            write(p, &[("cleanup.policy", "compact,delete")], Some(some))
        }),
        row("config: null keys, compacted, lz4", |p| {
            let keyless = of_records(&[(None, Some(&b"v"[..])); 3], FIRST_TIMESTAMP, Compression::Lz4)?;
            write(p, &[("cleanup.policy", "compact")], Some(keyless))
        }),
        row("config: LogAppendTime", |p| write(p, &[("message.timestamp.type", "LogAppendTime")], Some(batch(3)?))),
        row("config: LogAppendTime, gzip", |p| {
            write(p, &[("message.timestamp.type", "LogAppendTime")], Some(compressed(3, Compression::Gzip)?))
        }),
        row("config: timestamp too old", |p| write(p, &[("message.timestamp.before.max.ms", "1000")], Some(batch(3)?))),
        row("config: timestamp too new", |p| {
            let late = of_records(&[(None, Some(&b"v"[..])); 2], 9_000_000_000_000, Compression::None)?;
            write(p, &[("message.timestamp.after.max.ms", "1000")], Some(late))
        }),
        row("config: timestamp far ahead, by default", |p| {
            write(p, &[], Some(of_records(&[(None, Some(b"v"))], 9_000_000_000_000, Compression::None)?))
        }),
        row("config: batch over max.message.bytes", |p| write(p, &[("max.message.bytes", "100")], Some(batch(10)?))),
        row("config: compressed batch under it", |p| {
            write(p, &[("max.message.bytes", "200")], Some(compressed(100, Compression::Gzip)?))
        }),
        row("config: compressed batch that grows over it", |p| {
            let configs = [("max.message.bytes", "200"), ("compression.type", "uncompressed")];
            write(p, &configs, Some(compressed(100, Compression::Gzip)?))
        }),
        row("config: batch over segment.bytes", |p| {
            let value = vec![b'v'; 2 << 20];
            let large = of_records(&[(None, Some(&value))], FIRST_TIMESTAMP, Compression::None)?;
            write(p, &[("segment.bytes", "1048576"), ("max.message.bytes", "4194304")], Some(large))
        }),
    ]
}

fn whole_requests() -> Vec<Row> {
    vec![
        row("acks: 1", |p| to_partitions(p, 1, &[0, 1])),
        row("acks: 2", |p| to_partitions(p, 2, &[0])),
        row("acks: -2", |p| to_partitions(p, -2, &[0])),
        row("acks: 0", |p| to_partitions(p, 0, &[0])),
        row("acks: 0 with an error", |p| to_partitions(p, 0, &[9])),
        row("acks: 0 with an error and a success", |p| to_partitions(p, 0, &[0, 9])),
        row("partition that is not there", |p| to_partitions(p, -1, &[2])),
        row("partition -1", |p| to_partitions(p, -1, &[-1])),
        row("one partition good, one not", |p| to_partitions(p, -1, &[0, 9])),
        row("partition named twice", |p| to_partitions(p, -1, &[0, 0]))
            .differs("Kafka drops the first batch without a word"),
        row("topic named twice", |p| {
            let topic = p.topic(2, &[])?;
            let mut both = request(&topic, vec![data(0, Some(batch(1)?))]);
            both.topic_data.extend(request(&topic, vec![data(1, Some(batch(1)?))]).topic_data);
            p.ask(VERSION, &both)?;
            Ok(())
        })
        .differs("each entry of the request has its own in the answer"),
        row("topic that is not there", |p| {
            p.ask(VERSION, &request(&unknown("parity-not-there"), vec![data(0, Some(batch(1)?))]))?;
            Ok(())
        }),
        row("topic with an invalid name", |p| {
            p.ask(VERSION, &request(&unknown("not/valid"), vec![data(0, Some(batch(1)?))]))?;
            Ok(())
        }),
        row("topic by id", |p| {
            let topic = p.topic(1, &[])?;
            by_id(p, topic.id)
        }),
        row("topic by an id that is not there", |p| by_id(p, Uuid::from_u128(0x77))),
        row("topic by the zero id", |p| by_id(p, Uuid::nil())),
        row("no topics", |p| {
            p.ask(VERSION, &ProduceRequest { acks: -1, timeout_ms: 100, ..Default::default() })?;
            Ok(())
        }),
        row("no partitions", |p| {
            let topic = p.topic(1, &[])?;
            p.ask(VERSION, &request(&topic, Vec::new()))?;
            Ok(())
        })
        .differs("each entry of the request has its own in the answer"),
        row("time-out of -1", |p| {
            let topic = p.topic(1, &[])?;
            p.ask(VERSION, &ProduceRequest { timeout_ms: -1, ..request(&topic, vec![data(0, Some(batch(1)?))]) })?;
            Ok(())
        }),
        row("bad batch beside a good one", |p| {
            let topic = p.topic(2, &[])?;
            let bad = overwritten(&batch(1)?, &[(at::CRC, &[1, 2, 3, 4])]).into();
            p.ask(VERSION, &request(&topic, vec![data(0, Some(batch(2)?)), data(1, Some(bad))]))?;
            Ok(())
        }),
    ]
}
