use super::*;

fn variables(list: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    list.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect::<Vec<_>>().into_iter()
}

#[test]
fn variables_are_spelled_as_kafkas_image_spells_them() {
    let cases = [
        ("KAFKA_NUM_PARTITIONS", Some("num.partitions")),
        ("KAFKA_A__B_C___D", Some("a_b.c-d")),
        ("KAFKA_NODE_ID", Some("node.id")),
        ("OTTLA_DURABILITY", Some("ottla.durability")),
        ("OTTLA_PARTITIONS_MAX", Some("ottla.partitions.max")),
        ("KAFKA_OTTLA_DURABILITY", Some("ottla.durability")),
        ("OTTLA_LOG", None),
        ("OTTLA_SERVICE_HOST", None),
        ("OTTLA_PORT_9092_TCP", None),
        ("KAFKA_PORT", None),
        ("OTTLA", None),
        ("KAFKA_OPTS", None),
        ("KAFKA_HEAP_OPTS", None),
        ("KAFKA_LOG4J_ROOT_LOGLEVEL", None),
        ("KAFKA_JMX_PORT", None),
        ("PATH", None),
        ("kafka_node_id", None),
    ];
    for (variable, expected) in cases {
        assert_eq!(key_of_variable(variable).as_deref(), expected, "{variable}");
    }
}

#[test]
fn unknown_variables_are_reported_in_order() {
    let environment = [("OTTLA_DURABLITY", "1"), ("KAFKA_ZZZ", "1"), ("KAFKA_FOO_BAR", "2"), ("KAFKA_OPTS", "-x")];
    let environment = variables(&environment);
    let (settings, warning) = gather(&CommandLine::default(), environment).expect("only a warning");
    assert_eq!(settings.iter().count(), 0);
    let expected = "ignored, because no such configuration is known: KAFKA_FOO_BAR, KAFKA_ZZZ, OTTLA_DURABLITY";
    assert_eq!(warning.expect("three are unknown").to_string(), expected);
}

#[test]
fn an_empty_cluster_id_in_the_environment_is_none() {
    let of = |text| gather(&CommandLine::default(), variables(&[("CLUSTER_ID", text)])).expect("valid").0.cluster_id;
    assert_eq!(of(""), None);
    assert_eq!(of("abc").expect("set").text, "abc");
}

#[test]
fn the_nearest_key_is_suggested() {
    let cases = [
        ("num.partition", "num.partitions"),
        ("nmu.partitions", "num.partitions"),
        ("Node.Id", "node.id"),
        ("log.retention.hour", "log.retention.hours"),
        ("auto.create.topic.enable", "auto.create.topics.enable"),
        ("retention.ms", "log.retention.ms"),
        ("max.message.bytes", "message.max.bytes"),
    ];
    for (typed, expected) in cases {
        assert_eq!(nearest_key(typed), expected, "{typed}");
    }
}

#[test]
fn the_edit_distance_counts_changes() {
    let cases =
        [("", "", 0), ("abc", "abc", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("abc", "acb", 2), ("ä", "a", 1)];
    for (from, to, expected) in cases {
        assert_eq!(edit_distance(from, to), expected, "{from} {to}");
        assert_eq!(edit_distance(to, from), expected, "{to} {from}");
    }
}

#[test]
fn the_last_override_of_a_key_counts() {
    let overrides = ["num.partitions=2", "num.partitions = 3"].map(str::to_owned).to_vec();
    let command_line = CommandLine { overrides, ..CommandLine::default() };
    let (settings, _) = gather(&command_line, std::iter::empty()).expect("valid");
    assert_eq!(settings.get("num.partitions").expect("set").text, " 3");
}
