import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.*;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.*;

/** The Java client's producer, consumers and admin client, each API of theirs about once. Run with {@code java -cp kafka-clients… Captures.java BOOTSTRAP}. */
public class Captures {
    static final String PLAIN = "java-plain";
    static final String COMPACTED = "java-compacted";
    static final String TRANSACTED = "java-transacted";
    static final String GROUP = "java-group";

    static String bootstrap;
    static Admin admin;

    interface Step {
        void run() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        admin = Admin.create(common("admin"));
        createTopics();
        produce();
        consumeAssigned();
        consumeInGroups();
        listOffsets();
        groups();
        transactions();
        describeProducersAndTransactions();
        configs();
        cluster();
        refused();
        shareGroup();
        deleteThings();
        admin.close();
    }

    /** A step that may end in an error of the broker's: its bytes are wanted too. */
    static void attempt(String name, Step step) throws Exception {
        try {
            step.run();
        } catch (ExecutionException | KafkaException e) {
            System.out.println(name + ": " + e);
        }
    }

    static Properties common(String name) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("client.id", "java-" + name);
        return p;
    }

    // Topics

    static void createTopics() throws Exception {
        NewTopic manual = new NewTopic("java-manual", Map.of(0, List.of(1), 1, List.of(1)));
        admin.createTopics(List.of(new NewTopic("java-checked", 1, (short) 1)), new CreateTopicsOptions().validateOnly(true)).all().get();
        admin.createTopics(List.of(
            new NewTopic(PLAIN, Optional.of(2), Optional.empty()),
            new NewTopic(COMPACTED, 1, (short) 1).configs(Map.of("cleanup.policy", "compact")),
            new NewTopic(TRANSACTED, 1, (short) 1),
            manual)).all().get();
        admin.createPartitions(Map.of(
            PLAIN, NewPartitions.increaseTo(3),
            "java-manual", NewPartitions.increaseTo(3, List.of(List.of(1))))).all().get();
        admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get();
        Uuid id = admin.describeTopics(List.of(PLAIN, COMPACTED)).allTopicNames().get().get(PLAIN).topicId();
        admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get();
        attempt("describe a topic that is not there", () -> admin.describeTopics(List.of("java-none")).allTopicNames().get());
        attempt("create a topic again", () -> admin.createTopics(List.of(new NewTopic(PLAIN, 1, (short) 1))).all().get());
    }

    // Produce

    static KafkaProducer<String, String> producer(String name, Map<String, String> settings) {
        Properties p = common(name);
        p.putAll(settings);
        p.put("linger.ms", "20");
        return new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
    }

    static void produce() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            for (String acks : List.of("0", "1", "all")) {
                produceSome("produce-" + acks, Map.of("compression.type", codec, "acks", acks, "enable.idempotence", "false"));
            }
            produceSome("idempotent", Map.of("compression.type", codec));
        }
    }

    static void produceSome(String name, Map<String, String> settings) throws Exception {
        try (KafkaProducer<String, String> producer = producer(name, settings)) {
            producer.partitionsFor(PLAIN);
            for (int i = 0; i < 5; i++) {
                ProducerRecord<String, String> record = new ProducerRecord<>(PLAIN, i % 2, i == 0 ? null : "key " + i, "the same old value, number " + i);
                if (i == 1) {
                    record.headers().add("header", "of a record".getBytes()).add("null", null);
                }
                producer.send(record);
            }
            producer.send(new ProducerRecord<>(COMPACTED, "key", null));
            producer.flush();
        }
    }

    // Consume

    static KafkaConsumer<String, String> consumer(String name, Map<String, String> settings) {
        Properties p = common(name);
        p.put("auto.offset.reset", "earliest");
        p.put("fetch.max.wait.ms", "100");
        p.putAll(settings);
        return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
    }

    static int poll(Consumer<String, String> consumer, int times) {
        int records = 0;
        for (int i = 0; i < times; i++) {
            records += consumer.poll(Duration.ofMillis(200)).count();
        }
        return records;
    }

    static void consumeAssigned() {
        for (String isolation : List.of("read_uncommitted", "read_committed")) {
            try (KafkaConsumer<String, String> consumer = consumer("assigned", Map.of("isolation.level", isolation))) {
                TopicPartition first = new TopicPartition(PLAIN, 0);
                TopicPartition second = new TopicPartition(PLAIN, 1);
                consumer.assign(List.of(first));
                consumer.seekToBeginning(List.of(first));
                poll(consumer, 3);
                consumer.assign(List.of(first, second));
                poll(consumer, 3);
                consumer.assign(List.of(second));
                poll(consumer, 2);
                consumer.seek(second, 100000);
                poll(consumer, 2);
                consumer.beginningOffsets(List.of(first, second));
                consumer.endOffsets(List.of(first, second));
                consumer.offsetsForTimes(Map.of(first, 1000L, second, System.currentTimeMillis() + 1000000));
                consumer.listTopics();
            }
        }
    }

    static void consumeInGroups() {
        for (String assignor : List.of("RangeAssignor", "CooperativeStickyAssignor", "RoundRobinAssignor", "StickyAssignor")) {
            consumeTogether("java-" + assignor, Map.of("group.protocol", "classic",
                "partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor));
        }
        consumeTogether(GROUP, Map.of("group.protocol", "classic", "group.instance.id", "static"));
        consumeTogether("java-kip-848", Map.of("group.protocol", "consumer"));
        consumeTogether("java-kip-848-assignor", Map.of("group.protocol", "consumer", "group.remote.assignor", "range"));
    }

    /** Two members: the second one joins, so that the first has to give partitions up. */
    static void consumeTogether(String group, Map<String, String> settings) {
        Map<String, String> mine = new HashMap<>(settings);
        mine.put("group.id", group);
        if (settings.get("group.protocol").equals("classic")) {
            mine.put("heartbeat.interval.ms", "300");
        }
        Map<String, String> others = new HashMap<>(mine);
        others.computeIfPresent("group.instance.id", (key, id) -> id + "-too");
        try (KafkaConsumer<String, String> first = consumer(group, mine); KafkaConsumer<String, String> second = consumer(group, others)) {
            first.subscribe(List.of(PLAIN, COMPACTED));
            for (int i = 0; i < 50 && first.assignment().isEmpty(); i++) {
                poll(first, 1);
            }
            second.subscribe(List.of(PLAIN, COMPACTED));
            for (int i = 0; i < 50 && second.assignment().isEmpty(); i++) {
                poll(first, 1);
                poll(second, 1);
            }
            first.commitSync();
            first.commitSync(Map.of(new TopicPartition(PLAIN, 0), new OffsetAndMetadata(2, Optional.of(0), "some metadata")));
            first.committed(Set.of(new TopicPartition(PLAIN, 0), new TopicPartition(PLAIN, 2)));
            first.enforceRebalance("to see the reason");
            poll(first, 5);
            poll(second, 2);
            first.unsubscribe();
        }
    }

    // Offsets and groups

    static void listOffsets() throws Exception {
        List<OffsetSpec> specs = List.of(OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.maxTimestamp(), OffsetSpec.forTimestamp(1000),
            OffsetSpec.earliestLocal(), OffsetSpec.latestTiered(), OffsetSpec.earliestPendingUpload());
        for (OffsetSpec spec : specs) {
            attempt("list offsets", () -> admin.listOffsets(Map.of(new TopicPartition(PLAIN, 0), spec, new TopicPartition(PLAIN, 1), spec)).all().get());
        }
        admin.listOffsets(Map.of(new TopicPartition(PLAIN, 0), OffsetSpec.latest()), new ListOffsetsOptions(IsolationLevel.READ_COMMITTED)).all().get();
        attempt("list offsets of none", () -> admin.listOffsets(Map.of(new TopicPartition("java-none", 0), OffsetSpec.latest()), new ListOffsetsOptions(IsolationLevel.READ_UNCOMMITTED).timeoutMs(2000)).all().get());
    }

    static void groups() throws Exception {
        TopicPartition partition = new TopicPartition(PLAIN, 0);
        try (KafkaConsumer<String, String> member = consumer("member", Map.of("group.id", GROUP)); KafkaConsumer<String, String> newer = consumer("newer", Map.of("group.id", "java-kip-848", "group.protocol", "consumer"))) {
            member.subscribe(List.of(COMPACTED));
            newer.subscribe(List.of(COMPACTED));
            for (int i = 0; i < 50 && (member.assignment().isEmpty() || newer.assignment().isEmpty()); i++) {
                poll(member, 1);
                poll(newer, 1);
            }
            admin.listGroups().all().get();
            admin.listGroups(ListGroupsOptions.forConsumerGroups()).all().get();
            admin.listGroups(new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE)).withTypes(Set.of(GroupType.CLASSIC))).all().get();
            admin.describeClassicGroups(List.of(GROUP)).all().get();
            admin.describeConsumerGroups(List.of(GROUP, "java-kip-848"), new DescribeConsumerGroupsOptions().includeAuthorizedOperations(true)).all().get();
            attempt("describe no group", () -> admin.describeConsumerGroups(List.of("java-no-group")).all().get());
            admin.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata().get();
            admin.listConsumerGroupOffsets(Map.of(
                GROUP, new ListConsumerGroupOffsetsSpec().topicPartitions(List.of(partition)),
                "java-kip-848", new ListConsumerGroupOffsetsSpec())).all().get();
            attempt("delete a group in use", () -> admin.deleteConsumerGroups(List.of(GROUP)).all().get());
            admin.deleteConsumerGroupOffsets("java-RoundRobinAssignor", Set.of(partition)).all().get();
            attempt("delete offsets in use", () -> admin.deleteConsumerGroupOffsets(GROUP, Set.of(new TopicPartition(COMPACTED, 0))).all().get());
            admin.removeMembersFromConsumerGroup(GROUP, new RemoveMembersFromConsumerGroupOptions()).all().get();
        }
        admin.alterConsumerGroupOffsets("java-reset", Map.of(partition, new OffsetAndMetadata(1))).all().get();
        admin.alterConsumerGroupOffsets("java-RangeAssignor", Map.of(partition, new OffsetAndMetadata(0, Optional.of(0), "reset"))).all().get();
        admin.deleteConsumerGroups(List.of("java-reset")).all().get();
        attempt("delete no group", () -> admin.deleteConsumerGroups(List.of("java-no-group")).all().get());
    }

    // Transactions

    static void transactions() throws Exception {
        for (String version : List.of("2", "1", "0")) {
            UpdateFeaturesOptions options = new UpdateFeaturesOptions();
            FeatureUpdate.UpgradeType way = version.equals("2") ? FeatureUpdate.UpgradeType.UPGRADE : FeatureUpdate.UpgradeType.SAFE_DOWNGRADE;
            attempt("transaction.version=" + version, () -> admin.updateFeatures(Map.of("transaction.version", new FeatureUpdate(Short.parseShort(version), way)), options).all().get());
            transact(version);
        }
        attempt("transaction.version=2", () -> admin.updateFeatures(Map.of("transaction.version", new FeatureUpdate((short) 2, FeatureUpdate.UpgradeType.UPGRADE)), new UpdateFeaturesOptions()).all().get());
        try (KafkaConsumer<String, String> consumer = consumer("committed", Map.of("isolation.level", "read_committed"))) {
            consumer.assign(List.of(new TopicPartition(TRANSACTED, 0)));
            System.out.println("records of committed transactions: " + poll(consumer, 5));
        }
    }

    static void transact(String version) throws Exception {
        Map<String, String> settings = Map.of("transactional.id", "java-transactional-" + version, "transaction.timeout.ms", "30000");
        try (KafkaProducer<String, String> producer = producer("transactional", settings);
             KafkaConsumer<String, String> consumer = consumer("transactional", Map.of("group.id", "java-transactional-" + version, "enable.auto.commit", "false"))) {
            consumer.subscribe(List.of(PLAIN));
            for (int i = 0; i < 50 && consumer.assignment().isEmpty(); i++) {
                poll(consumer, 1);
            }
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(TRANSACTED, "key", "committed"));
            producer.send(new ProducerRecord<>(PLAIN, 0, "key", "committed"));
            producer.sendOffsetsToTransaction(Map.of(new TopicPartition(PLAIN, 0), new OffsetAndMetadata(3, "of a transaction")), consumer.groupMetadata());
            producer.commitTransaction();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(TRANSACTED, "key", "aborted"));
            producer.flush();
            producer.abortTransaction();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(TRANSACTED, "key", "committed again"));
            producer.commitTransaction();
        }
    }

    static void describeProducersAndTransactions() throws Exception {
        try (KafkaProducer<String, String> open = producer("open", Map.of("transactional.id", "java-open"))) {
            open.initTransactions();
            open.beginTransaction();
            open.send(new ProducerRecord<>(TRANSACTED, "key", "open")).get();
            admin.describeProducers(List.of(new TopicPartition(TRANSACTED, 0), new TopicPartition(PLAIN, 0))).all().get();
            admin.listTransactions().all().get();
            admin.listTransactions(new ListTransactionsOptions().filterStates(List.of(TransactionState.ONGOING)).filterOnDuration(0)).all().get();
            admin.listTransactions(new ListTransactionsOptions().filterOnTransactionalIdPattern("java-.*").filterProducerIds(List.of(7L))).all().get();
            admin.describeTransactions(List.of("java-open", "java-transactional-2")).all().get();
            attempt("describe no transaction", () -> admin.describeTransactions(List.of("java-none")).all().get());
            admin.fenceProducers(List.of("java-open")).all().get();
            attempt("fenced", open::commitTransaction);
        }
    }

    // Configs and the cluster

    static void configs() throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, PLAIN);
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
        admin.describeConfigs(List.of(topic), new DescribeConfigsOptions().includeSynonyms(true)).all().get();
        admin.describeConfigs(List.of(topic), new DescribeConfigsOptions().includeDocumentation(true)).all().get();
        admin.describeConfigs(List.of(broker)).all().get();
        admin.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.BROKER_LOGGER, "1"))).all().get();
        admin.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.GROUP, GROUP))).all().get();
        attempt("describe no topic", () -> admin.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.TOPIC, "java-none"))).all().get());
        admin.incrementalAlterConfigs(Map.of(topic, List.of(
            new AlterConfigOp(new ConfigEntry("retention.ms", "100000000"), AlterConfigOp.OpType.SET),
            new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND),
            new AlterConfigOp(new ConfigEntry("segment.bytes", null), AlterConfigOp.OpType.DELETE)))).all().get();
        admin.incrementalAlterConfigs(Map.of(topic, List.of(
            new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.SUBTRACT))), new AlterConfigsOptions().validateOnly(true)).all().get();
        attempt("alter to a bad value", () -> admin.incrementalAlterConfigs(Map.of(topic, List.of(
            new AlterConfigOp(new ConfigEntry("retention.ms", "soon"), AlterConfigOp.OpType.SET)))).all().get());
        attempt("describe config resources", () -> admin.listConfigResources().all().get());
    }

    static void cluster() throws Exception {
        admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true)).nodes().get();
        admin.describeFeatures().featureMetadata().get();
        admin.describeLogDirs(List.of(1)).allDescriptions().get();
        admin.describeReplicaLogDirs(List.of(new TopicPartitionReplica(PLAIN, 0, 1))).all().get();
        admin.describeMetadataQuorum().quorumInfo().get();
        attempt("describe SCRAM users", () -> admin.describeUserScramCredentials().all().get());
        attempt("alter SCRAM users", () -> admin.alterUserScramCredentials(List.of(
            new UserScramCredentialUpsertion("java", new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "a password"))).all().get());
        attempt("describe SCRAM users", () -> admin.describeUserScramCredentials(List.of("java", "nobody")).all().get());
        attempt("elect leaders", () -> admin.electLeaders(ElectionType.PREFERRED, Set.of(new TopicPartition(PLAIN, 0))).all().get());
        attempt("elect all leaders", () -> admin.electLeaders(ElectionType.PREFERRED, null).all().get());
        attempt("describe quotas", () -> admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get());
        attempt("alter quotas", () -> admin.alterClientQuotas(List.of(new ClientQuotaAlteration(
            new ClientQuotaEntity(new HashMap<>(Map.of(ClientQuotaEntity.USER, "java"))), List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e6))))).all().get());
        attempt("describe quotas", () -> admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get());
        attempt("reassignments", () -> admin.listPartitionReassignments().reassignments().get());
        attempt("reassign", () -> admin.alterPartitionReassignments(Map.of(new TopicPartition(PLAIN, 0), Optional.of(new NewPartitionReassignment(List.of(1))))).all().get());
        attempt("move log dirs", () -> admin.alterReplicaLogDirs(Map.of(new TopicPartitionReplica(PLAIN, 0, 1), "/nowhere")).all().get());
    }

    /** What the broker refuses with its default settings. */
    static void refused() throws Exception {
        attempt("describe ACLs", () -> admin.describeAcls(AclBindingFilter.ANY).values().get());
        attempt("create ACLs", () -> admin.createAcls(List.of(new AclBinding(
            new ResourcePattern(ResourceType.TOPIC, PLAIN, PatternType.LITERAL),
            new AccessControlEntry("User:java", "*", AclOperation.READ, AclPermissionType.ALLOW)))).all().get());
        attempt("delete ACLs", () -> admin.deleteAcls(List.of(AclBindingFilter.ANY)).all().get());
        attempt("delegation token", () -> admin.createDelegationToken().delegationToken().get());
        attempt("delegation tokens", () -> admin.describeDelegationToken().delegationTokens().get());
        attempt("unregister a broker", () -> admin.unregisterBroker(99).all().get());
    }

    static void shareGroup() throws Exception {
        Properties p = common("share");
        p.put("group.id", "java-share");
        p.put("share.acknowledgement.mode", "explicit");
        attempt("share group", () -> {
            admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, "java-share"), List.of(
                new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET)))).all().get();
            try (KafkaShareConsumer<String, String> consumer = new KafkaShareConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
                consumer.subscribe(List.of(PLAIN));
                for (int i = 0, seen = 0; i < 50 && seen == 0; i++) {
                    for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                        consumer.acknowledge(record);
                        seen++;
                    }
                }
                consumer.commitSync();
                admin.describeShareGroups(List.of("java-share")).all().get();
                admin.listShareGroupOffsets(Map.of("java-share", new ListShareGroupOffsetsSpec())).all().get();
            }
        });
    }

    static void deleteThings() throws Exception {
        admin.deleteRecords(Map.of(new TopicPartition(PLAIN, 0), RecordsToDelete.beforeOffset(2), new TopicPartition(PLAIN, 1), RecordsToDelete.beforeOffset(-1))).all().get();
        attempt("delete too many records", () -> admin.deleteRecords(Map.of(new TopicPartition(PLAIN, 0), RecordsToDelete.beforeOffset(1000000))).all().get());
        Uuid id = admin.describeTopics(List.of("java-manual")).allTopicNames().get().get("java-manual").topicId();
        admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
        admin.deleteTopics(List.of(PLAIN, COMPACTED)).all().get();
        attempt("delete no topic", () -> admin.deleteTopics(List.of("java-none")).all().get());
    }
}
