//! How listeners let clients in.

use std::net::IpAddr;

use super::*;
use crate::config::{
    authorizer::{Allowed, AuthorizerConfig},
    listener::ListenerLimits,
    security::{CipherSuite, ClientAuth, Identity, Pem, SaslMechanism, SecurityProtocol, TlsConfig, TlsVersion},
};

/// A key store in PEM.
const STORE: &str = "ssl.keystore.type=PEM\nssl.keystore.location=/server.pem\n";
/// A secret that must not be told.
const PLANTED: &str = "hunter2";

fn tls(config: &BrokerConfig) -> &TlsConfig {
    config.listeners[0].security.tls.as_ref().expect("a listener with TLS")
}

fn mechanisms(config: &BrokerConfig) -> &[SaslMechanism] {
    &config.listeners[0].security.sasl.as_ref().expect("a listener with SASL").mechanisms
}

/// What is said of a file that sets up one listener of this protocol on the loopback interface.
fn refused(protocol: &str, rest: &str) -> String {
    Start::file(&format!("{rest}\nlisteners={protocol}://127.0.0.1:9093\n")).error()
}

#[test]
fn each_listener_has_its_protocol() {
    let file = format!(
        "listeners=PLAINTEXT://127.0.0.1:1,IN://127.0.0.1:2,OUT://:3,USERS://127.0.0.1:4\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,IN:ssl,OUT:SASL_SSL,USERS:SASL_PLAINTEXT\n\
         sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN\n{STORE}"
    );
    let (config, warnings) = Start::file(&file).load().expect("valid");
    assert_eq!(warnings, owned(&[]));
    let protocols: Vec<_> = config.listeners.iter().map(|listener| listener.security.protocol).collect();
    assert_eq!(
        protocols,
        SecurityProtocol::ALL.map(|protocol| match protocol {
            SecurityProtocol::SaslPlaintext => SecurityProtocol::SaslSsl,
            SecurityProtocol::SaslSsl => SecurityProtocol::SaslPlaintext,
            other => other,
        })
    );
    for Listener { security, .. } in &config.listeners {
        assert_eq!(security.tls.is_some(), security.protocol.has_tls());
        assert_eq!(security.sasl.is_some(), security.protocol.has_sasl());
    }
    let sasl = config.listeners[2].security.sasl.as_ref().expect("it has SASL");
    assert_eq!(sasl.mechanisms, [SaslMechanism::ScramSha512, SaslMechanism::Plain]);
    assert_eq!((sasl.max_reauth, sasl.max_receive_size), (None, 65_536));
}

#[test]
fn tls_has_the_defaults_of_kafka() {
    let config = Start::file(&format!("listeners=SSL://127.0.0.1:9093\n{STORE}")).config();
    let tls = tls(&config);
    assert_eq!(tls.identity, Identity::Store(Pem::File("/server.pem".into())));
    assert_eq!((&tls.trusted, tls.client_auth), (&None, ClientAuth::None));
    assert_eq!(tls.protocols, [TlsVersion::V12, TlsVersion::V13]);
    assert_eq!(tls.cipher_suites, []);
}

#[test]
fn what_is_said_for_a_listener_goes_before_what_is_said_for_all() {
    let file = format!(
        "listeners=A://127.0.0.1:1,B_B://127.0.0.1:2\n\
         listener.security.protocol.map=A:SSL,B_B:SASL_SSL\n{STORE}\
         ssl.enabled.protocols=TLSv1.3\n\
         sasl.enabled.mechanisms=PLAIN\n\
         connections.max.reauth.ms=1000\n\
         max.connections=9\n\
         listener.name.a.ssl.keystore.location=/a.pem\n\
         listener.name.a.max.connections=3\n\
         listener.name.b_b.ssl.truststore.type=PEM\n\
         listener.name.b_b.ssl.truststore.location=/clients.pem\n\
         listener.name.b_b.ssl.client.auth=requested\n\
         listener.name.b_b.sasl.enabled.mechanisms=SCRAM-SHA-256\n\
         listener.name.b_b.sasl.server.max.receive.size=100\n\
         listener.name.b_b.connections.max.reauth.ms=2000\n"
    );
    let environment = [("KAFKA_LISTENER_NAME_B__B_MAX_CONNECTION_CREATION_RATE", "5")];
    let start = Start { environment: &environment, ..Start::file(&file) };
    let (config, warnings) = start.load().expect("valid");
    assert_eq!(warnings, owned(&[]));
    let [a, b] = &config.listeners[..] else { panic!("two listeners") };
    let tls = a.security.tls.as_ref().expect("it has TLS");
    assert_eq!(tls.identity, Identity::Store(Pem::File("/a.pem".into())));
    assert_eq!((&tls.protocols[..], tls.client_auth), (&[TlsVersion::V13][..], ClientAuth::None));
    assert_eq!(a.limits, ListenerLimits { connections_max: Some(3), connection_creation_rate_max: None });
    let tls = b.security.tls.as_ref().expect("it has TLS");
    assert_eq!(tls.trusted, Some(Pem::File("/clients.pem".into())));
    assert_eq!(tls.client_auth, ClientAuth::Requested);
    let sasl = b.security.sasl.as_ref().expect("it has SASL");
    assert_eq!(sasl.mechanisms, [SaslMechanism::ScramSha256]);
    assert_eq!((sasl.max_reauth, sasl.max_receive_size), (Some(Duration::from_secs(2)), 100));
    assert_eq!(b.limits, ListenerLimits { connections_max: None, connection_creation_rate_max: Some(5) });
    assert_eq!(config.max_connections, 9);
}

#[test]
fn a_key_of_a_listener_that_is_not_there_stops_the_start() {
    let file = "listeners=A://127.0.0.1:1,C://127.0.0.1:3,CONTROLLER://:2\n\
                listener.security.protocol.map=A:PLAINTEXT,C:PLAINTEXT\ncontroller.listener.names=CONTROLLER\n";
    let of_controller = "listener.name.controller.ssl.keystore.type=PEM\n\
                         listener.name.controller.ssl.key.password=x\n\
                         listener.name.controller.plain.sasl.jaas.config=x user_a\n\
                         listener.name.CONTROLLER.no.such=x\n";
    let (_, warnings) = Start::file(&format!("{file}{of_controller}")).load().expect("only a warning");
    let expected = "ignored, because no such configuration is known: listener.name.CONTROLLER.no.such (FILE:7)";
    assert_eq!(warnings, [expected]);
    assert_eq!(
        Start::file(&format!("{file}listener.name.b.ssl.client.auth=required")).error(),
        "FILE:4: listener.name.b.ssl.client.auth: no listener B is opened, only A, C"
    );
    let environment = [("KAFKA_LISTENER_NAME_SSL_SSL_CLIENT_AUTH", "required")];
    assert_eq!(
        Start::environment(&environment).error(),
        "KAFKA_LISTENER_NAME_SSL_SSL_CLIENT_AUTH: listener.name.ssl.ssl.client.auth: no listener SSL is opened, only \
         PLAINTEXT"
    );
}

#[test]
fn a_mistyped_key_about_who_gets_in_stops_the_start() {
    let cases = [
        ("ssl.client.auht", "did you mean ssl.client.auth?"),
        ("sasl.enabled.mechanism", "did you mean sasl.enabled.mechanisms?"),
        ("SSL.client.auth", "write it in lower case: ssl.client.auth"),
        ("listener.name.plaintext.ssl.client_auth", "did you mean listener.name.plaintext.ssl.client.auth?"),
        ("listener.name.PLAINTEXT.ssl.client.auth", "write it in lower case: listener.name.plaintext.ssl.client.auth"),
        ("listener.name.plaintext.num.partitions", "did you mean listener.name.plaintext.max.connections?"),
    ];
    for (key, meant) in cases {
        let expected = format!("FILE:1: {key}: unknown configuration; {meant}");
        assert_eq!(Start::file(&format!("{key}={PLANTED}")).error(), expected);
        let expected = format!("--override {key}: unknown configuration; {meant}");
        assert_eq!(Start::overrides(&[&format!("{key}={PLANTED}")]).error(), expected);
    }
    let environment = [("KAFKA_SSL_CLIENT_AUHT", "required")];
    let expected = "KAFKA_SSL_CLIENT_AUHT: ssl.client.auht: unknown configuration; did you mean ssl.client.auth?";
    assert_eq!(Start::environment(&environment).error(), expected);
}

#[test]
fn keys_of_a_listener_are_checked_as_those_of_all() {
    assert_eq!(
        Start::file("listener.name.plaintext.max.connections=x").error(),
        "FILE:1: Invalid value x for configuration listener.name.plaintext.max.connections: Not a number of type INT \
         (allowed: INT [0,...])"
    );
    assert_eq!(
        Start::file("listener.name.plaintext.principal.builder.class=X").error(),
        "FILE:1: listener.name.plaintext.principal.builder.class=X is refused: no Java classes are loaded"
    );
    assert_eq!(
        Start::file("listener.name.plaintext.plain.sasl.server.callback.handler.class=X").error(),
        "FILE:1: listener.name.plaintext.plain.sasl.server.callback.handler.class=X is refused: no Java classes are \
         loaded"
    );
}

#[test]
fn a_listener_with_tls_needs_a_certificate_and_its_key_in_pem() {
    assert_eq!(
        refused("SSL", ""),
        "FILE:2: listener SSL uses TLS and has no certificate: --tls FILE gives it one, or ssl.keystore.type=PEM and \
         ssl.keystore.location=FILE; `ottla certs` makes one for a try-out"
    );
    let inline = format!("ssl.keystore.certificate.chain={PLANTED}\nssl.keystore.key={PLANTED}\n");
    let cases = [
        (format!("{STORE}ssl.keystore.password={PLANTED}"), "ssl.keystore.password: a store in PEM has no password"),
        (format!("{STORE}{inline}"), "ssl.keystore.location and ssl.keystore.key are both set"),
        (inline.clone(), "ssl.keystore.type=JKS: a store has to be in PEM; set ssl.keystore.type=PEM"),
        (
            format!("ssl.keystore.type=PEM\nssl.keystore.certificate.chain={PLANTED}"),
            "ssl.keystore.certificate.chain is set and ssl.keystore.key is not",
        ),
        (
            format!("ssl.keystore.type=PEM\nssl.keystore.key={PLANTED}"),
            "ssl.keystore.key is set and ssl.keystore.certificate.chain is not",
        ),
        (format!("{STORE}ssl.truststore.location=/clients.jks"), "ssl.truststore.type=JKS: a store has to be in PEM"),
    ];
    for (settings, expected) in cases {
        let said = refused("SSL", &settings);
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains(PLANTED) && said.starts_with("FILE:") && !said.contains('\n'), "{said}");
    }
    let config = Start::file(&format!("ssl.keystore.type=PEM\n{inline}listeners=SSL://127.0.0.1:9093")).config();
    let Identity::Parts { chain: Pem::Inline(chain), key: Pem::Inline(key) } = &tls(&config).identity else {
        panic!("not {:?}", tls(&config).identity)
    };
    assert_eq!((chain.expose(), key.expose()), (PLANTED, PLANTED));
    assert!(!format!("{config:?}").contains(PLANTED));
}

#[test]
fn the_password_of_a_key_is_that_of_the_listener() {
    let password = |settings: &str| {
        let config = Start::file(&format!("{STORE}{settings}\nlisteners=SSL://127.0.0.1:9093")).config();
        assert!(!format!("{config:?}").contains(PLANTED));
        tls(&config).key_password.as_ref().map(|password| password.expose().to_owned())
    };
    let of_listener = format!("ssl.key.password=other\nlistener.name.ssl.ssl.key.password={PLANTED}");
    assert_eq!(password(&format!("ssl.key.password={PLANTED}")).as_deref(), Some(PLANTED));
    assert_eq!(password(&of_listener).as_deref(), Some(PLANTED));
    assert_eq!(password(""), None);
    assert_eq!(password("ssl.key.password="), None);
}

#[test]
fn how_a_store_of_java_becomes_pem_is_told() {
    let jks = format!("ssl.key.password={PLANTED}\nssl.keystore.password={PLANTED}\nssl.keystore.location=/s.jks");
    assert_eq!(
        refused("SSL", &jks),
        "FILE:3: ssl.keystore.type=JKS: a store has to be in PEM; `keytool -importkeystore -srckeystore server.jks \
         -destkeystore server.p12 -deststoretype PKCS12` and then `openssl pkcs12 -in server.p12 -nodes -out server.pem` \
         convert it; then set ssl.keystore.type=PEM and ssl.keystore.location=server.pem, and delete \
         ssl.keystore.password and ssl.key.password"
    );
    let pkcs12 = "listener.name.ssl.ssl.keystore.type=PKCS12\nssl.keystore.location=/server.p12";
    assert_eq!(
        refused("SSL", pkcs12),
        "FILE:1: listener.name.ssl.ssl.keystore.type=PKCS12: a store has to be in PEM; `openssl pkcs12 -in server.p12 \
         -nodes -out server.pem` converts it; then set listener.name.ssl.ssl.keystore.type=PEM and \
         ssl.keystore.location=server.pem"
    );
    let trust = format!("{STORE}ssl.truststore.type=PKCS12\nssl.truststore.location=/t\nssl.truststore.password=x");
    assert_eq!(
        refused("SSL", &trust),
        "FILE:3: ssl.truststore.type=PKCS12: a store has to be in PEM; `openssl pkcs12 -in trust.p12 -nokeys -out \
         ca.pem` converts it; then set ssl.truststore.type=PEM and ssl.truststore.location=ca.pem, and delete \
         ssl.truststore.password"
    );
    let lower = refused("SSL", "ssl.keystore.type=pem\nssl.keystore.location=/server.pem");
    assert_eq!(lower, "FILE:1: ssl.keystore.type=pem: write it PEM");
}

#[test]
fn a_trust_store_that_nobody_uses_is_reported() {
    let file = format!("{STORE}ssl.truststore.type=PEM\nssl.truststore.location=/ca.pem\n");
    let warnings = |rest: &str| Start::file(&format!("{file}{rest}")).load().expect("only a warning").1;
    let two = "listeners=A://127.0.0.1:1,B://127.0.0.1:2\nlistener.security.protocol.map=A:SSL,B:SSL\n";
    let expected = "there is a trust store, and no listener asks clients for certificates: ssl.client.auth=required \
                    does, for a listener with SASL listener.name.NAME.ssl.client.auth=required";
    assert_eq!(warnings(two), [expected]);
    assert_eq!(warnings(&format!("{two}listener.name.b.ssl.client.auth=requested")), owned(&[]));
    assert_eq!(warnings("listeners=PLAINTEXT://127.0.0.1:1"), owned(&[]));
}

#[test]
fn what_tls_cannot_do_is_refused() {
    let refused = |settings: &str| refused("SSL", &format!("{STORE}{settings}"));
    assert_eq!(
        refused("ssl.enabled.protocols=TLSv1.2,TLSv1.1"),
        "FILE:3: ssl.enabled.protocols=TLSv1.1: there is no such version of TLS, allowed are TLSv1.2 and TLSv1.3"
    );
    assert!(refused("ssl.enabled.protocols=").contains("allowed are TLSv1.2 and TLSv1.3"));
    let suite = refused("ssl.cipher.suites=TLS_RSA_WITH_AES_128_CBC_SHA");
    assert!(suite.contains("no such cipher suite, allowed are TLS_AES_128_GCM_SHA256, TLS_AES_256"), "{suite}");
    let other = "ssl.enabled.protocols=TLSv1.3\nssl.cipher.suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
    assert!(refused(other).contains("none of them belongs to a version of ssl.enabled.protocols"));
    assert_eq!(
        refused("ssl.client.auth=required"),
        "FILE:3: ssl.client.auth=required needs the certificates by which those of clients are checked: \
         ssl.truststore.type=PEM and ssl.truststore.location=FILE"
    );
    let suites = format!("{STORE}listeners=SSL://127.0.0.1:1\nssl.cipher.suites=TLS_AES_256_GCM_SHA384");
    let config = Start::file(&suites).config();
    assert_eq!(tls(&config).cipher_suites.iter().map(|suite| suite.code()).collect::<Vec<_>>(), [0x1302]);
}

#[test]
fn cipher_suites_are_those_of_rustls() {
    let of_rustls: Vec<_> = rustls::crypto::ring::ALL_CIPHER_SUITES.iter().collect();
    let (mut known, mut ours) = (of_rustls.iter().map(|suite| u16::from(suite.suite())).collect::<Vec<_>>(), vec![]);
    for suite in CipherSuite::ALL {
        let same = of_rustls.iter().find(|other| u16::from(other.suite()) == suite.code()).expect("rustls has it");
        let is_13 = same.version().version == rustls::ProtocolVersion::TLSv1_3;
        assert_eq!(suite.version() == TlsVersion::V13, is_13);
        ours.push(suite.code());
    }
    known.sort_unstable();
    ours.sort_unstable();
    assert_eq!(known, ours);
}

#[test]
fn mechanisms_have_to_be_named() {
    assert_eq!(
        refused("SASL_PLAINTEXT", ""),
        "FILE:2: listener SASL_PLAINTEXT uses SASL: set sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512 (allowed: \
         PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; its default in Kafka is GSSAPI, which is not among them), or give it users \
         with --users-file FILE"
    );
    for name in ["GSSAPI", "OAUTHBEARER", "scram-sha-256"] {
        assert_eq!(
            refused("SASL_PLAINTEXT", &format!("sasl.enabled.mechanisms=PLAIN,{name}")),
            format!(
                "FILE:1: sasl.enabled.mechanisms={name}: there is no such SASL mechanism, allowed are PLAIN, \
                 SCRAM-SHA-256, SCRAM-SHA-512"
            )
        );
    }
    assert!(refused("SASL_PLAINTEXT", "sasl.enabled.mechanisms=").contains("uses SASL: set sasl.enabled.mechanisms="));
    let size = refused("SASL_PLAINTEXT", "sasl.enabled.mechanisms=PLAIN\nsasl.server.max.receive.size=-1");
    assert!(size.starts_with("FILE:2: Invalid value -1 for configuration sasl.server.max.receive.size"), "{size}");
    let reauth = "sasl.enabled.mechanisms=PLAIN\nlistener.name.sasl_plaintext.plain.connections.max.reauth.ms=1";
    assert!(refused("SASL_PLAINTEXT", reauth).contains("cannot be set for one mechanism: set it for the listener"));
}

#[test]
fn passwords_do_not_go_over_a_network_in_the_clear() {
    let on = |host: &str, settings: &str| {
        Start::file(&format!("listeners=SASL_PLAINTEXT://{host}:1\nsasl.enabled.mechanisms={settings}")).load()
    };
    let said = on("10.0.0.1", "SCRAM-SHA-256,PLAIN").expect_err("PLAIN over a network");
    let expected = "FILE:2: listener SASL_PLAINTEXT://10.0.0.1:1 would send passwords in the clear over a network: use \
                    SASL_SSL for it, or SCRAM instead of PLAIN, or a loopback address; ottla.plaintext.passwords=true \
                    allows it";
    assert_eq!(said, expected);
    for host in ["", "0.0.0.0", "[::]", "example", "[::ffff:10.0.0.1]"] {
        assert!(on(host, "PLAIN").is_err(), "{host}");
        assert!(on(host, "SCRAM-SHA-512").is_ok(), "{host}");
        assert!(on(host, "PLAIN\nottla.plaintext.passwords=true").is_ok(), "{host}");
    }
    for host in ["127.0.0.1", "127.8.8.8", "[::1]", "localhost", "[::ffff:127.0.0.1]"] {
        assert_eq!(mechanisms(&on(host, "PLAIN").expect(host).0), [SaslMechanism::Plain]);
    }
    let file = format!("{STORE}listeners=SASL_SSL://:1\nsasl.enabled.mechanisms=PLAIN");
    assert_eq!(mechanisms(&Start::file(&file).config()), [SaslMechanism::Plain]);
}

#[test]
fn certificates_that_are_asked_for_of_all_are_not_asked_for_beside_users() {
    let file = format!(
        "{STORE}ssl.truststore.type=PEM\nssl.truststore.location=/ca.pem\nssl.client.auth=required\n\
         listeners=SASL_SSL://:1\nsasl.enabled.mechanisms=PLAIN"
    );
    let (config, warnings) = Start::file(&file).load().expect("only a warning");
    assert_eq!(tls(&config).client_auth, ClientAuth::None);
    let expected = "FILE:5: ssl.client.auth=required does not hold for listener SASL_SSL, whose clients authenticate \
                    themselves by SASL: listener.name.sasl_ssl.ssl.client.auth does";
    assert_eq!(warnings, [expected]);
    let file = format!("{file}\nlistener.name.sasl_ssl.ssl.client.auth=required");
    let (config, warnings) = Start::file(&file).load().expect("valid");
    assert_eq!((tls(&config).client_auth, warnings.len()), (ClientAuth::Required, 0));
}

#[test]
fn a_listener_that_lets_anybody_in_is_reported() {
    let warnings = |file: &str| Start::file(file).load().expect("only a warning").1;
    let open = "listeners=PLAINTEXT://:1,TLS://10.0.0.1:2,SSL://127.0.0.1:3\n\
                listener.security.protocol.map=PLAINTEXT:PLAINTEXT,TLS:SSL,SSL:SSL\n";
    let open = format!("{open}{STORE}");
    assert_eq!(
        warnings(&open),
        ["anybody who reaches PLAINTEXT://:1, TLS://10.0.0.1:2 (SSL) may do everything: SASL, or SSL with \
          ssl.client.auth=required, asks who somebody is"]
    );
    let asked = "listener.name.tls.ssl.truststore.type=PEM\nlistener.name.tls.ssl.truststore.location=/ca.pem\n\
                 listener.name.tls.ssl.client.auth=required";
    assert!(warnings(&format!("{open}{asked}"))[0].starts_with("anybody who reaches PLAINTEXT://:1 may do"));
    let standard = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer";
    assert_eq!(warnings(&format!("{open}{standard}")), owned(&[]));
    assert_eq!(warnings(&format!("{open}{standard}\nsuper.users=User:ANONYMOUS")).len(), 1);
}

#[test]
fn flags_make_listeners_with_tls() {
    let with = |listen: &[&str], client_ca: Option<&str>| {
        let (tls, client_ca) = (Some("/s.pem".to_owned()), client_ca.map(str::to_owned));
        let command_line = CommandLine { listen: owned(listen), tls, client_ca, ..CommandLine::default() };
        Start { command_line, ..Start::default() }
    };
    let config = with(&["ssl://127.0.0.1:1", "127.0.0.1:2", "SSL://[::1]:3"], Some("/ca.pem")).config();
    let names: Vec<_> = config.listeners.iter().map(|listener| listener.endpoint.to_string()).collect();
    assert_eq!(names, ["SSL://127.0.0.1:1", "PLAINTEXT://127.0.0.1:2", "SSL_2://[::1]:3"]);
    assert_eq!(tls(&config).identity, Identity::Store(Pem::File("/s.pem".into())));
    assert_eq!(tls(&config).trusted, Some(Pem::File("/ca.pem".into())));
    assert_eq!(tls(&config).client_auth, ClientAuth::Required);
    assert_eq!(
        with(&["127.0.0.1:1"], None).error(),
        "--tls: no listener uses TLS: --listen SSL://HOST:PORT makes one that does, SASL_SSL://HOST:PORT one with users"
    );
    let command_line = CommandLine { client_ca: Some("/ca.pem".to_owned()), ..CommandLine::default() };
    let said = Start { command_line, ..Start::default() }.error();
    assert!(said.starts_with("--client-ca: no listener uses TLS: "), "{said}");
    assert_eq!(
        with(&["TLS://127.0.0.1:1"], None).error(),
        "--listen: TLS://127.0.0.1:1: a protocol before :// is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, as in \
         SSL://127.0.0.1:9093"
    );
}

#[test]
fn the_authorizer_is_none_or_kafkas_own() {
    let config = |file: &str| Start::file(file).config().authorizer;
    assert_eq!(
        config(""),
        AuthorizerConfig { allowed: Allowed::Everybody, is_by_lists: false, super_users: Vec::new() }
    );
    let standard = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer";
    let set = config(&format!("{standard}\nsuper.users=User:a; User:CN=b,O=c:d ;"));
    let super_users = owned(&["a", "CN=b,O=c:d"]);
    assert_eq!(set, AuthorizerConfig { allowed: Allowed::SuperUsers, is_by_lists: true, super_users });
    let open = config(&format!("{standard}\nallow.everyone.if.no.acl.found=TRUE"));
    assert_eq!((open.allowed, open.is_by_lists), (Allowed::Everybody, true));
    let (_, warnings) = Start::file("super.users=User:a").load().expect("only a warning");
    assert_eq!(
        warnings,
        [
            "FILE:1: super.users=User:a has no effect: authorizer.class.name is not set, so whoever got in may do everything"
        ]
    );
    assert_eq!(
        Start::file("authorizer.class.name=com.example.Own").error(),
        "FILE:1: authorizer.class.name=com.example.Own: no such authorizer; allowed are none at all and \
         org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    );
    for entry in ["a", "Group:a", "User:"] {
        assert_eq!(
            Start::file(&format!("super.users=User:x;{entry}")).error(),
            format!("FILE:1: super.users: {entry} is not User:NAME, as in super.users=User:alice;User:bob")
        );
    }
}

#[test]
fn clients_have_limits() {
    let clients = |overrides: &[&str]| Start::overrides(overrides).config().clients;
    let default = clients(&[]);
    let [delay, handshake, header, request, response] = [
        default.failed_authentication_delay,
        default.handshake_timeout,
        default.request_header_timeout,
        default.request_timeout,
        default.response_timeout,
    ];
    assert_eq!(delay, Duration::from_millis(100));
    assert_eq!([handshake, header, request, response].map(|time| time.as_secs()), [10, 10, 30, 60]);
    assert_eq!((default.requests_in_flight_max, default.transfer_rate_min), (16, 65_536));
    assert_eq!((default.arrivals_max, default.requests_memory_max, default.plaintext_passwords), (None, None, false));
    assert_eq!(default.request_elements_max, 250_000);
    assert_eq!((default.connections_per_ip_max, default.connection_creation_rate_max), (2_147_483_647, 2_147_483_647));
    let set = clients(&[
        "queued.max.request.bytes=104857600",
        "ottla.requests.memory.max=1073741824",
        "max.connections.per.ip=0",
        "max.connections.per.ip.overrides=127.0.0.1:5, [::1]:6,2001:db8::1:7",
    ]);
    let limits =
        |address: &str| set.connections_per_ip_overrides.get(&address.parse::<IpAddr>().expect(address)).copied();
    assert_eq!((set.arrivals_max, set.requests_memory_max), (Some(104_857_600), Some(1 << 30)));
    assert_eq!(set.connections_per_ip_max, 0);
    assert_eq!(["127.0.0.1", "::1", "2001:db8::1"].map(limits), [Some(5), Some(6), Some(7)]);
    assert_eq!(
        Start::overrides(&["max.connections.per.ip=0"]).error(),
        "--override: Invalid value 0 for configuration max.connections.per.ip: it can be set to zero only if \
         max.connections.per.ip.overrides is set"
    );
    assert_eq!(
        Start::file("socket.request.max.bytes=100\nqueued.max.request.bytes=99").error(),
        "FILE:2: queued.max.request.bytes=99 must not be less than socket.request.max.bytes=100"
    );
    assert_eq!(
        Start::file("ottla.requests.memory.max=104857599").error(),
        "FILE:1: ottla.requests.memory.max=104857599 must not be less than socket.request.max.bytes=104857600"
    );
    for value in ["0", "-2"] {
        assert_eq!(
            Start::overrides(&[&format!("ottla.requests.memory.max={value}")]).error(),
            format!(
                "--override: Invalid value {value} for configuration ottla.requests.memory.max: Value must be between 1 and \
                 9223372036854775807 or equal to -1 (allowed: LONG [1,...,9223372036854775807] or -1)"
            )
        );
    }
    assert_eq!(clients(&["queued.max.request.bytes=0"]).arrivals_max, None);
    assert_eq!(
        Start::file("connections.max.idle.ms=100").error(),
        "FILE:1: connection.failed.authentication.delay.ms=100 must be less than connections.max.idle.ms=100"
    );
    assert_eq!(Start::file("connections.max.idle.ms=-1").config().connections_max_idle, None);
    for entry in ["localhost:1", "127.0.0.1", "127.0.0.1:-1", "127.0.0.1:2147483648", "[::1:1"] {
        let error = Start::overrides(&[&format!("max.connections.per.ip.overrides={entry}")]).error();
        assert!(error.contains("is not ADDRESS:LIMIT, as in 192.0.2.1:100"), "{error}");
    }
}
