"""librdkafka through confluent-kafka: the admin APIs that the Rust binding lacks, and what they need to have something to show.

Run with `python3 confluent.py BOOTSTRAP`.
"""

import sys
import time

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    ElectionType,
    IsolationLevel,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

BOOTSTRAP = sys.argv[1]
TOPIC = "confluent-plain"
GROUP = "confluent-group"
FIRST = TopicPartition(TOPIC, 0)

admin = AdminClient({"bootstrap.servers": BOOTSTRAP, "client.id": "confluent-admin"})


def settle(futures):
    """Waits for results. An error of the broker's is shown: its bytes are wanted too."""
    for future in futures.values() if isinstance(futures, dict) else [futures]:
        try:
            future.result()
        except Exception as error:
            print(error)


def produce():
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "client.id": "confluent-producer"})
    for number in range(10):
        producer.produce(TOPIC, f"the same old value, number {number}", key="key", partition=number % 2, headers={"header": b"of a record"})
    producer.flush()


def member(group, **settings):
    """A member that has its assignment."""
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group, "auto.offset.reset": "earliest", **settings})
    consumer.subscribe([TOPIC])
    until = time.monotonic() + 20
    while not consumer.assignment() and time.monotonic() < until:
        consumer.poll(0.1)
    consumer.commit(offsets=[TopicPartition(TOPIC, 0, 2, metadata="some metadata")], asynchronous=False)
    return consumer


def topics():
    settle(admin.create_topics([NewTopic(TOPIC, num_partitions=2, config={"retention.ms": "100000000"})]))
    settle(admin.create_partitions([NewPartitions(TOPIC, 3)]))
    admin.list_topics(timeout=10)
    settle(admin.describe_topics(TopicCollection([TOPIC, "confluent-none"]), include_authorized_operations=True))
    settle(admin.describe_cluster(include_authorized_operations=True))


def offsets():
    for spec in [OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.max_timestamp(), OffsetSpec.for_timestamp(1000)]:
        settle(admin.list_offsets({FIRST: spec, TopicPartition(TOPIC, 1): spec}, isolation_level=IsolationLevel.READ_COMMITTED))
    settle(admin.list_offsets({TopicPartition("confluent-none", 0): OffsetSpec.latest()}))


def groups():
    members = [
        member(GROUP),
        member("confluent-static", **{"group.instance.id": "static"}),
        member("confluent-kip-848", **{"group.protocol": "consumer", "group.remote.assignor": "range"}),
    ]
    settle(admin.list_consumer_groups())
    settle(admin.list_consumer_groups(states={ConsumerGroupState.STABLE}, types={ConsumerGroupType.CLASSIC}))
    for group in [GROUP, "confluent-kip-848", "confluent-none"]:
        settle(admin.describe_consumer_groups([group], include_authorized_operations=True))
    settle(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)]))
    settle(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, [FIRST])]))
    for consumer in members:
        consumer.close()
    settle(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, [TopicPartition(TOPIC, 0, 1)])]))
    settle(admin.delete_consumer_groups([GROUP, "confluent-none"]))


def configs():
    resource = ConfigResource(ConfigResource.Type.TOPIC, TOPIC)
    settle(admin.describe_configs([resource]))
    entries = [
        ConfigEntry("retention.ms", "200000000", incremental_operation=AlterConfigOpType.SET),
        ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND),
        ConfigEntry("segment.bytes", None, incremental_operation=AlterConfigOpType.DELETE),
    ]
    for entry in entries:
        settle(admin.incremental_alter_configs([ConfigResource(ConfigResource.Type.TOPIC, TOPIC, incremental_configs=[entry])]))


def users_and_acls():
    settle(admin.describe_user_scram_credentials())
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    settle(admin.alter_user_scram_credentials([UserScramCredentialUpsertion("confluent", info, b"a password")]))
    settle(admin.describe_user_scram_credentials(["confluent", "nobody"]))
    settle(admin.describe_acls(AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY)))
    acl = AclBinding(ResourceType.TOPIC, TOPIC, ResourcePatternType.LITERAL, "User:confluent", "*", AclOperation.READ, AclPermissionType.ALLOW)
    settle(admin.create_acls([acl]))


def rest():
    settle(admin.elect_leaders(ElectionType.PREFERRED, [FIRST]))
    settle(admin.delete_records([TopicPartition(TOPIC, 0, 2)]))
    settle(admin.delete_topics([TOPIC, "confluent-none"]))


topics()
produce()
offsets()
groups()
configs()
users_and_acls()
rest()
