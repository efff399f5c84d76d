"""Fills compacted topics with keys that come again and again: produce.py BOOTSTRAP."""

import random
import sys

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP = sys.argv[1]
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RECORDS = 40_000
KEYS = 3_000
CONFIG = {
    "cleanup.policy": "compact",
    "internal.segment.bytes": "300000",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "86400000",
}


def create(names):
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    futures = admin.create_topics([NewTopic(name, 1, 1, config=CONFIG) for name in names])
    for future in futures.values():
        future.result(30)


def record(number, tombstones):
    key = f"key-{random.randrange(KEYS)}"
    is_tombstone = tombstones and random.random() < 0.2
    value = None if is_tombstone else f"{number} " + "v" * random.randrange(150)
    return {"key": key, "value": value, "timestamp": 1_790_000_000_000 + number * 7}


def produce(topic, tombstones=False, **settings):
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 5, **settings})
    for number in range(RECORDS):
        while True:
            try:
                producer.produce(topic, **record(number, tombstones))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(60)


def produce_transactions(topic):
    producers = [
        Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": f"id-{n}", "linger.ms": 5}) for n in range(3)
    ]
    for producer in producers:
        producer.init_transactions(30)
    number = 0
    while number < RECORDS:
        for producer in producers:
            producer.begin_transaction()
        for _ in range(random.randrange(1, 60)):
            random.choice(producers).produce(topic, **record(number, True))
            number += 1
        for producer in producers:
            producer.flush(60)
            if random.random() < 0.4:
                producer.abort_transaction(30)
            else:
                producer.commit_transaction(30)


random.seed(7)
create(["plain", "tombstones", "transactions", "idempotent"] + [f"codec-{codec}" for codec in CODECS])
produce("plain")
produce("tombstones", tombstones=True)
produce("idempotent", tombstones=True, **{"enable.idempotence": True, "batch.num.messages": 50})
for codec in CODECS:
    produce(f"codec-{codec}", tombstones=True, **{"compression.type": codec})
produce_transactions("transactions")
