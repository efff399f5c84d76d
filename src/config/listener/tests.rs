use super::*;

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn without_protocols(endpoints: Vec<(Endpoint, SecurityProtocol)>) -> Vec<Endpoint> {
    endpoints.into_iter().map(|(endpoint, _)| endpoint).collect()
}

/// The listeners of `--listen` and `--advertise`, as the start line prints them.
fn of_flags(listen: &[&str], advertise: &[&str]) -> Result<Vec<String>, String> {
    endpoints_of_flags(&texts(listen))
        .and_then(|endpoints| advertise_in_order(without_protocols(endpoints), &texts(advertise)))
        .map(|listeners| listeners.iter().map(Listener::to_string).collect())
        .map_err(|error| error.to_string())
}

/// The listeners of Kafka's keys, as the start line prints them, with CONTROLLER as the controller's.
fn of_keys(listeners: &[&str], advertised: &[&str], protocols: &str) -> Result<Vec<String>, String> {
    let controllers = texts(&["CONTROLLER"]);
    endpoints_of_key(&texts(listeners))
        .and_then(|endpoints| without_controllers(endpoints, &controllers))
        .and_then(|endpoints| with_protocols(endpoints, protocols))
        .and_then(|endpoints| advertise_by_name(without_protocols(endpoints), &texts(advertised), &controllers))
        .map(|listeners| listeners.iter().map(Listener::to_string).collect())
        .map_err(|error| error.to_string())
}

const PROTOCOLS: &str = "PLAINTEXT:PLAINTEXT,A:PLAINTEXT,SSL:SSL,SECURE:SASL_SSL";

#[test]
fn flags_take_ipv4_ipv6_and_names() {
    let cases = [
        ("127.0.0.1:9092", "PLAINTEXT://127.0.0.1:9092 (advertises 127.0.0.1:9092)"),
        ("[::1]:9092", "PLAINTEXT://[::1]:9092 (advertises [::1]:9092)"),
        ("broker_1.example:0", "PLAINTEXT://broker_1.example:0 (advertises broker_1.example:0)"),
        ("0.0.0.0:65535", "PLAINTEXT://0.0.0.0:65535 (advertises the address that the client connects to)"),
        ("[::]:9092", "PLAINTEXT://[::]:9092 (advertises the address that the client connects to)"),
        (":9092", "PLAINTEXT://:9092 (advertises the address that the client connects to)"),
    ];
    for (text, expected) in cases {
        assert_eq!(of_flags(&[text], &[]), Ok(texts(&[expected])));
    }
}

#[test]
fn flags_refuse_what_is_no_address() {
    for text in
        ["", "9092", "localhost", "::1:9092", "[]:1", "[::1:1", "a b:1", "a:65536", "a:-1", "a:+1", "a:", "a:b:1"]
    {
        let expected = format!("{text} is not HOST:PORT, as in 127.0.0.1:9092, [::1]:9092 or broker.example:9092");
        assert_eq!(of_flags(&[text], &[]), Err(expected));
    }
}

#[test]
fn advertised_addresses_belong_to_listeners_in_order() {
    let listen = ["0.0.0.0:1", "127.0.0.1:2"];
    assert_eq!(
        of_flags(&listen, &["example:19092"]),
        Ok(texts(&[
            "PLAINTEXT://0.0.0.0:1 (advertises example:19092)",
            "PLAINTEXT_2://127.0.0.1:2 (advertises 127.0.0.1:2)",
        ]))
    );
    assert_eq!(
        of_flags(&["0.0.0.0:1"], &["a:1", "b:2"]),
        Err("2 advertised addresses for 1 listeners: the first belongs to the first, and so on".to_owned())
    );
    let nonroutable =
        "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.";
    assert_eq!(of_flags(&["0.0.0.0:1"], &["0.0.0.0:1"]), Err(nonroutable.to_owned()));
    assert!(of_flags(&["0.0.0.0:1"], &["example"]).is_err_and(|error| error.starts_with("example is not HOST:PORT")));
}

#[test]
fn kafkas_keys_are_read_without_the_controllers() {
    let listeners = ["PLAINTEXT://:9092", "controller://:9093", "a://::1:9094"];
    let advertised = ["A://example:19094", "CONTROLLER://example:19093"];
    assert_eq!(
        of_keys(&listeners, &advertised, PROTOCOLS),
        Ok(texts(&[
            "PLAINTEXT://:9092 (advertises the address that the client connects to)",
            "A://[::1]:9094 (advertises example:19094)",
        ]))
    );
    assert_eq!(
        of_keys(&["PLAINTEXT://127.0.0.1:9092"], &["PLAINTEXT://:9092"], PROTOCOLS),
        Ok(texts(&["PLAINTEXT://127.0.0.1:9092 (advertises the address that the client connects to)"]))
    );
}

#[test]
fn kafkas_keys_are_refused_as_kafka_refuses_them() {
    let same_port = |listeners: &str| {
        format!(
            "Each listener must have a different port unless exactly one listener has an IPv4 address and the other \
             IPv6 address, listeners: {listeners}, port: 1"
        )
    };
    let unparsable = |text: &str| {
        format!("Unable to parse {text} to a broker endpoint: it must be NAME://host:port, with a port from 0 to 65535")
    };
    let cases: [(&[&str], &[&str], String); 12] = [
        (&["h:1"], &[], unparsable("h:1")),
        (&["A://h:99999"], &[], unparsable("A://h:99999")),
        (&["A://h:-1"], &[], unparsable("A://h:-1")),
        (&["A://h h:1"], &[], unparsable("A://h h:1")),
        (&["://h:1"], &[], unparsable("://h:1")),
        (
            &["A://h:1", "a://h:2"],
            &[],
            "Each listener must have a different name, listeners: A://h:1,A://h:2".to_owned(),
        ),
        (&["A://127.0.0.1:1", "B://127.0.0.2:1"], &[], same_port("A://127.0.0.1:1,B://127.0.0.2:1")),
        (&["A://h:1", "CONTROLLER://:1"], &[], same_port("A://h:1,CONTROLLER://:1")),
        (
            &["B://h:1"],
            &[],
            "No security protocol defined for listener B: add B:PLAINTEXT to listener.security.protocol.map, or \
             another of SSL, SASL_PLAINTEXT, SASL_SSL"
                .to_owned(),
        ),
        (
            &["CONTROLLER://h:1"],
            &[],
            "There must be at least one listener that is not in controller.listener.names".to_owned(),
        ),
        (
            &["A://h:1"],
            &["C://h:1"],
            "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. \
             Found C. The valid options based on the current configuration are A"
                .to_owned(),
        ),
        (
            &["A://h:1"],
            &["A://:2"],
            "A://:2 has no host, and its port is not the listener's: clients need an address to connect to".to_owned(),
        ),
    ];
    for (listeners, advertised, expected) in cases {
        assert_eq!(of_keys(listeners, advertised, PROTOCOLS), Err(expected));
    }
}

#[test]
fn an_ipv4_and_an_ipv6_listener_may_share_a_port_and_port_zero_is_nobodys() {
    assert!(of_flags(&["127.0.0.1:1", "[::1]:1"], &[]).is_ok());
    assert!(of_flags(&["127.0.0.1:0", "127.0.0.1:0"], &[]).is_ok());
    assert!(of_flags(&["127.0.0.1:1", "[::1]:1", "example:1"], &[]).is_err());
}

#[test]
fn nobody_is_told_to_connect_to_every_interface() {
    for wildcard in ["0.0.0.0", "::"] {
        let advertised = advertise_by_name(
            without_protocols(endpoints_of_flags(&texts(&[":1"])).expect("valid")),
            &[format!("PLAINTEXT://[{wildcard}]:1")],
            &[],
        );
        assert_eq!(advertised, Err(ListenerError::Wildcard(wildcard.to_owned())));
    }
}

#[test]
fn the_protocol_map_is_checked() {
    let protocol = |name: &str, map: &str| {
        let endpoint = Endpoint { name: name.to_owned(), host: None, port: 1 };
        with_protocols(vec![endpoint], map).map(|known| known[0].1).map_err(|error| error.to_string())
    };
    let map = "plaintext:plaintext , FOO:SSL,b:Sasl_Ssl,C:SASL_PLAINTEXT";
    assert_eq!(protocol("PLAINTEXT", map), Ok(SecurityProtocol::Plaintext));
    assert_eq!(protocol("FOO", map), Ok(SecurityProtocol::Ssl));
    assert_eq!(protocol("B", map), Ok(SecurityProtocol::SaslSsl));
    assert_eq!(protocol("C", map), Ok(SecurityProtocol::SaslPlaintext));
    assert_eq!(
        protocol("PLAINTEXT", "PLAINTEXT:FOO"),
        Err("Invalid security protocol `FOO` defined in listener.security.protocol.map: allowed are PLAINTEXT, SSL, \
             SASL_PLAINTEXT, SASL_SSL"
            .to_owned())
    );
    assert_eq!(
        protocol("PLAINTEXT", "PLAINTEXT"),
        Err("PLAINTEXT in listener.security.protocol.map is not NAME:PROTOCOL".to_owned())
    );
}

#[test]
fn an_error_repeats_what_was_said_on_one_line() {
    for error in [ListenerError::HostPort("a\nb".into()), ListenerError::Endpoint("a\nb".into())] {
        let text = error.to_string();
        assert!(text.contains(r"a\nb") && !text.contains('\n'), "{text}");
    }
}
