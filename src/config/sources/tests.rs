use super::*;
use crate::config::broker::BROKER_KEYS;

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
        ("KAFKA_SERVICE_PORT_CLIENTS", None),
        ("KAFKA_SSL_SERVICE_HOST", None),
        ("KAFKA_SASL_SSL_PORT", None),
        ("KAFKA_SSL_PORT_9093_TCP_ADDR", None),
        ("KAFKA_SSL_KEYSTORE_TYPE", Some("ssl.keystore.type")),
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
fn no_key_is_spelled_as_a_variable_of_others() {
    for row in BROKER_KEYS {
        let spelled = row.key.name.replace('_', "__").replace('-', "___").replace('.', "_").to_uppercase();
        let variable =
            spelled.strip_prefix("OTTLA_").map_or_else(|| format!("KAFKA_{spelled}"), |name| format!("OTTLA_{name}"));
        assert_eq!(key_of_variable(&variable).as_deref(), Some(row.key.name), "{variable}");
    }
}

#[test]
fn unknown_variables_are_kept_in_order() {
    let environment = [("OTTLA_DURABLITY", "1"), ("KAFKA_ZZZ", "1"), ("KAFKA_FOO_BAR", "2"), ("KAFKA_OPTS", "-x")];
    let environment = variables(&environment);
    let settings = gather(&CommandLine::default(), environment).expect("valid");
    assert_eq!(settings.iter().count(), 0);
    let unknown: Vec<_> = settings.unknown.iter().map(|(key, setting)| format!("{} {key}", setting.origin)).collect();
    assert_eq!(unknown, ["KAFKA_FOO_BAR foo.bar", "KAFKA_ZZZ zzz", "OTTLA_DURABLITY ottla.durablity"]);
}

#[test]
fn an_empty_cluster_id_in_the_environment_is_none() {
    let of = |text| gather(&CommandLine::default(), variables(&[("CLUSTER_ID", text)])).expect("valid").cluster_id;
    assert_eq!(of(""), None);
    assert_eq!(of("abc").expect("set").text, "abc");
}

#[test]
fn the_last_override_of_a_key_counts() {
    let overrides = ["num.partitions=2", "num.partitions = 3"].map(str::to_owned).to_vec();
    let command_line = CommandLine { overrides, ..CommandLine::default() };
    let settings = gather(&command_line, std::iter::empty()).expect("valid");
    assert_eq!(settings.get("num.partitions").expect("set").text, " 3");
}
