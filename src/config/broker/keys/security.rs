//! The keys that grant, limit or encrypt access: those of TLS, of SASL, of authorisation, and of what a client may take.
//!
//! None of them is accepted without being honoured. One that this broker cannot honour, and that would let fewer in or
//! encrypt more if it could, stops the start.

use super::{BrokerKey, ONE_BROKER, broker};
use crate::config::key::{
    ConfigType::{Boolean, Class, Double, Int, List, Long, Password, Short, String as Text},
    Importance::{High, Low, Medium},
    Validator::{Any, AtLeast, Between, BetweenOr, OneOf, OneOfIgnoringCase},
};

/// The keys, by name.
pub(super) const SECURITY_KEYS: &[BrokerKey] = &[
    broker("allow.everyone.if.no.acl.found", Boolean, Some("false"), Any, Low).doc(
        "With the StandardAuthorizer, whether whoever got in may do everything, as long as there are no \
         access control lists.",
    ),
    broker("authorizer.class.name", Text, Some(""), Any, Low).doc(
        "Who decides what a client may do. Empty: whoever got in may do everything. \
         org.apache.kafka.metadata.authorizer.StandardAuthorizer: only super.users may, for there are no \
         access control lists yet, unless allow.everyone.if.no.acl.found is true.",
    ),
    broker("connection.failed.authentication.delay.ms", Int, Some("100"), AtLeast(0), Low)
        .doc("How long the answer to a failed authentication, and the end of its connection, are held back."),
    broker("connections.max.reauth.ms", Long, Some("0"), Any, Medium).doc(
        "How long a client may go on once it has authenticated itself by SASL before it has to do so again; \
         0 for as long as it likes.",
    ),
    broker("delegation.token.expiry.check.interval.ms", Long, Some("3600000"), AtLeast(1), Low)
        .doc("How often delegation tokens are looked at that may have expired.")
        .without_effect(NO_TOKENS),
    broker("delegation.token.expiry.time.ms", Long, Some("86400000"), AtLeast(1), Medium)
        .doc("How long a delegation token holds unless it is renewed.")
        .without_effect(NO_TOKENS),
    broker("delegation.token.max.lifetime.ms", Long, Some("604800000"), AtLeast(1), Medium)
        .doc("How long a delegation token can be renewed.")
        .without_effect(NO_TOKENS),
    broker("delegation.token.secret.key", Password, None, Any, Medium)
        .doc("The secret that delegation tokens are made of.")
        .refused(NO_TOKENS),
    broker("max.connection.creation.rate", Int, Some("2147483647"), AtLeast(0), Medium)
        .doc("The most new connections in a second, of all listeners or of one.")
        .cluster_wide(),
    broker("max.connections.per.ip", Int, Some("2147483647"), AtLeast(0), Medium)
        .doc("The most connections from one address at a time.")
        .cluster_wide(),
    broker("max.connections.per.ip.overrides", Text, Some(""), Any, Medium)
        .doc("Addresses with another limit than max.connections.per.ip, as ADDRESS:LIMIT with commas between them.")
        .cluster_wide(),
    broker("ottla.handshake.timeout.ms", Int, Some("10000"), AtLeast(1), Low)
        .doc("How long a client may take to say who it is, for the handshakes of TLS and SASL together."),
    broker("ottla.landlock", Boolean, Some("true"), Any, Low).doc(
        "Whether the process shuts itself in, where the kernel offers Landlock: no files but those of log.dirs and \
         certificates, no ports but those of listeners, no connections to others.",
    ),
    broker("ottla.plaintext.passwords", Boolean, Some("false"), Any, Medium).doc(
        "Whether passwords may be sent in the clear over a network: SASL/PLAIN on a listener without TLS, \
         and passwords of SCRAM users that are altered on one.",
    ),
    broker("ottla.request.elements.max", Int, Some("250000"), AtLeast(1), Medium).doc(
        "The most elements of all arrays of a request together: each topic, each partition, each configuration. \
         A request with more is not read, and its connection is closed. The default is two for each of \
         100,000 partitions of as many topics, and some.",
    ),
    broker("ottla.request.header.timeout.ms", Int, Some("10000"), AtLeast(1), Low)
        .doc("How long the size of a request may take to arrive from its first byte on."),
    broker("ottla.request.timeout.ms", Int, Some("30000"), AtLeast(1), Low)
        .doc("How long a request may take to arrive, beside what its size earns at ottla.transfer.rate.min."),
    broker("ottla.requests.in.flight.max", Int, Some("16"), AtLeast(1), Low)
        .doc("Requests of a connection that may be unanswered before no more is read from it."),
    broker("ottla.requests.memory.max", Long, Some("-1"), BetweenOr(1, i64::MAX, -1), Medium).doc(
        "The most bytes that all connections may hold together for requests that take effect, what they decode \
         to, and responses; long polls may hold as much again. A request that would decode to more is not \
         read. At least socket.request.max.bytes; -1 for 128 MiB, or that if it is more.",
    ),
    broker("ottla.response.timeout.ms", Int, Some("60000"), AtLeast(1), Low).doc(
        "How long a client may take for a response that is ready, beside what the bytes that it takes earn \
         at ottla.transfer.rate.min.",
    ),
    broker("ottla.transfer.rate.min", Int, Some("65536"), AtLeast(1), Low)
        .doc("The slowest that a client may send and take bytes, in bytes a second."),
    broker(
        "principal.builder.class",
        Class,
        Some("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"),
        Any,
        Medium,
    )
    .doc("What makes a principal of what a client proved.")
    .by_restart_only()
    .refused(NO_JAVA),
    broker("sasl.client.callback.handler.class", Class, None, Any, Medium)
        .doc("What answers questions when a broker authenticates itself to another.")
        .without_effect(ONE_BROKER),
    broker("sasl.enabled.mechanisms", List, Some("GSSAPI"), Any, Medium)
        .doc(
            "The SASL mechanisms of a listener: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512. Kafka's default, GSSAPI, \
             is not among them: where first users are given, it is those that they can use, else they have to \
             be named.",
        )
        .by_restart_only(),
    broker("sasl.jaas.config", Password, None, Any, Medium)
        .doc(
            "What brokers say of themselves to each other. First users come from \
             listener.name.NAME.plain.sasl.jaas.config.",
        )
        .by_restart_only()
        .only_default(ONE_BROKER),
    broker("sasl.kerberos.kinit.cmd", Text, Some("/usr/bin/kinit"), Any, Medium)
        .doc("The command that gets tickets.")
        .by_restart_only()
        .without_effect(NO_KERBEROS),
    broker("sasl.kerberos.min.time.before.relogin", Long, Some("60000"), Any, Medium)
        .doc("The wait before new tickets are asked for.")
        .by_restart_only()
        .without_effect(NO_KERBEROS),
    broker("sasl.kerberos.principal.to.local.rules", List, Some("DEFAULT"), Any, Medium)
        .doc("How Kerberos names become names of users.")
        .by_restart_only()
        .without_effect(NO_KERBEROS),
    broker("sasl.kerberos.service.name", Text, None, Any, Medium)
        .doc("The Kerberos name of brokers.")
        .by_restart_only()
        .without_effect(NO_KERBEROS),
    broker("sasl.kerberos.ticket.renew.jitter", Double, Some("0.05"), Any, Medium)
        .doc("A random part of the time of renewal.")
        .by_restart_only()
        .without_effect(NO_KERBEROS),
    broker("sasl.kerberos.ticket.renew.window.factor", Double, Some("0.8"), Any, Medium)
        .doc("When tickets are renewed, as a part of their time.")
        .by_restart_only()
        .without_effect(NO_KERBEROS),
    broker("sasl.login.callback.handler.class", Class, None, Any, Medium)
        .doc("What a login asks.")
        .without_effect(ONE_BROKER),
    broker("sasl.login.class", Class, None, Any, Medium).doc("What logs a broker in.").without_effect(ONE_BROKER),
    broker("sasl.login.connect.timeout.ms", Int, None, Any, Low)
        .doc("How long a connection to a token's issuer may take.")
        .without_effect(NO_OAUTH),
    broker("sasl.login.read.timeout.ms", Int, None, Any, Low)
        .doc("How long a token's issuer may take to answer.")
        .without_effect(NO_OAUTH),
    broker("sasl.login.refresh.buffer.seconds", Short, Some("300"), Any, Medium)
        .doc("How long before a token ends it is renewed at the latest.")
        .by_restart_only()
        .without_effect(NO_OAUTH),
    broker("sasl.login.refresh.min.period.seconds", Short, Some("60"), Any, Medium)
        .doc("How long a token is kept at least.")
        .by_restart_only()
        .without_effect(NO_OAUTH),
    broker("sasl.login.refresh.window.factor", Double, Some("0.8"), Any, Medium)
        .doc("When tokens are renewed, as a part of their time.")
        .by_restart_only()
        .without_effect(NO_OAUTH),
    broker("sasl.login.refresh.window.jitter", Double, Some("0.05"), Any, Medium)
        .doc("A random part of the time of renewal.")
        .by_restart_only()
        .without_effect(NO_OAUTH),
    broker("sasl.login.retry.backoff.max.ms", Long, Some("10000"), Any, Low)
        .doc("The longest wait before a token's issuer is asked again.")
        .without_effect(NO_OAUTH),
    broker("sasl.login.retry.backoff.ms", Long, Some("100"), Any, Low)
        .doc("The wait before a token's issuer is asked again.")
        .without_effect(NO_OAUTH),
    broker("sasl.mechanism.controller.protocol", Text, Some("GSSAPI"), Any, High)
        .doc("The mechanism between brokers and controllers.")
        .without_effect(ONE_BROKER),
    broker("sasl.mechanism.inter.broker.protocol", Text, Some("GSSAPI"), Any, Medium)
        .doc("The mechanism between brokers.")
        .by_restart_only()
        .without_effect(ONE_BROKER),
    broker("sasl.oauthbearer.allow.unverified.audience", Boolean, Some("false"), Any, Medium)
        .doc("Whether tokens for anybody are accepted.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.allow.unverified.issuer", Boolean, Some("false"), Any, Medium)
        .doc("Whether tokens of any issuer are accepted.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.assertion.algorithm", Text, Some("RS256"), OneOfIgnoringCase(&["ES256", "RS256"]), Medium)
        .doc("How an assertion is signed.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.assertion.claim.aud", Text, None, Any, Medium)
        .doc("Whom an assertion is for.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.assertion.claim.exp.seconds", Int, Some("300"), Between(0, 86400), Low)
        .doc("How long an assertion holds.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.assertion.claim.iss", Text, None, Any, Medium)
        .doc("Who issues an assertion.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.assertion.claim.jti.include", Boolean, Some("false"), Any, Medium)
        .doc("Whether an assertion has an id.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.assertion.claim.nbf.seconds", Int, Some("60"), Between(0, 3600), Low)
        .doc("How long before now an assertion begins to hold.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.assertion.claim.sub", Text, None, Any, Medium)
        .doc("Whom an assertion is about.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.assertion.file", Text, None, Any, Medium)
        .doc("A file with an assertion.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.assertion.private.key.file", Text, None, Any, Medium)
        .doc("A file with the key that signs assertions.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.assertion.private.key.passphrase", Password, None, Any, Medium)
        .doc("The password of that key.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.assertion.template.file", Text, None, Any, Medium)
        .doc("A file with more claims.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.client.credentials.client.id", Text, None, Any, Medium)
        .doc("The id of a client that gets tokens.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.client.credentials.client.secret", Password, None, Any, Medium)
        .doc("The secret of a client that gets tokens.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.clock.skew.seconds", Int, Some("30"), Any, Low)
        .doc("How far clocks may be apart.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.expected.audience", List, Some(""), Any, High)
        .doc("Whom a token has to be for.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.expected.issuer", Text, None, Any, High)
        .doc("Who has to have issued a token.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.jwks.endpoint.refresh.ms", Long, Some("3600000"), Any, Low)
        .doc("How often the keys of the issuer are fetched.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Long, Some("10000"), Any, Low)
        .doc("The longest wait before they are fetched again.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Long, Some("100"), Any, Low)
        .doc("The wait before they are fetched again.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.jwks.endpoint.url", Text, None, Any, Medium)
        .doc("Where the keys of the issuer are.")
        .without_effect(NO_OAUTH),
    broker(
        "sasl.oauthbearer.jwt.retriever.class",
        Class,
        Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"),
        Any,
        Medium,
    )
    .doc("What gets tokens.")
    .without_effect(NO_OAUTH),
    broker(
        "sasl.oauthbearer.jwt.validator.class",
        Class,
        Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"),
        Any,
        Medium,
    )
    .doc("What checks tokens.")
    .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.scope", Text, None, Any, Medium)
        .doc("The scope that is asked for.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.scope.claim.name", Text, Some("scope"), Any, Low)
        .doc("The claim with the scope.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.sub.claim.name", Text, Some("sub"), Any, Low)
        .doc("The claim with the name of the user.")
        .without_effect(NO_OAUTH),
    broker("sasl.oauthbearer.token.endpoint.url", Text, None, Any, Medium)
        .doc("Where tokens are issued.")
        .without_effect(NO_OAUTH),
    broker("sasl.server.callback.handler.class", Class, None, Any, Medium)
        .doc("What checks the credentials of clients.")
        .refused(NO_JAVA),
    broker("sasl.server.max.receive.size", Int, Some("65536"), Any, Medium)
        .doc("The most bytes of a request before a client has authenticated itself."),
    broker(
        "security.inter.broker.protocol",
        Text,
        Some("PLAINTEXT"),
        OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
        Medium,
    )
    .doc("The protocol between brokers.")
    .without_effect(ONE_BROKER),
    broker("security.providers", Text, None, Any, Low)
        .doc("Java classes that provide security algorithms.")
        .without_effect(NO_JAVA),
    broker("ssl.allow.dn.changes", Boolean, Some("false"), Any, Low)
        .doc("Whether a certificate that is changed while the broker runs may have another subject.")
        .without_effect(CERTIFICATES_CHANGE),
    broker("ssl.allow.san.changes", Boolean, Some("false"), Any, Low)
        .doc("Whether a certificate that is changed while the broker runs may lack names.")
        .without_effect(CERTIFICATES_CHANGE),
    broker("ssl.cipher.suites", List, Some(""), Any, Medium)
        .doc("The cipher suites of TLS, by their standard names; empty for all that there are.")
        .by_restart_only(),
    broker("ssl.client.auth", Text, Some("none"), OneOf(&["required", "requested", "none"]), Medium)
        .doc("Whether a client needs a certificate (required), may have one (requested), or is not asked (none).")
        .by_restart_only(),
    broker("ssl.enabled.protocols", List, Some("TLSv1.2,TLSv1.3"), Any, Medium)
        .doc("The versions of TLS: TLSv1.2, TLSv1.3 or both. There is no older one.")
        .by_restart_only(),
    broker("ssl.endpoint.identification.algorithm", Text, Some("https"), Any, Low)
        .doc("How a broker checks the name of a server that it connects to.")
        .by_restart_only()
        .without_effect(ONE_BROKER),
    broker("ssl.engine.factory.class", Class, None, Any, Low)
        .doc("What sets up TLS.")
        .by_restart_only()
        .refused(NO_JAVA),
    broker("ssl.key.password", Password, None, Any, Medium)
        .doc(
            "The password of an encrypted private key, which is in PKCS#8 by PBES2 with AES, as `openssl pkcs8 -topk8 \
             -v2 aes-256-cbc` writes it.",
        )
        .by_restart_only(),
    broker("ssl.keymanager.algorithm", Text, Some("SunX509"), Any, Medium)
        .doc("How Java chooses a key.")
        .by_restart_only()
        .without_effect(NO_JAVA),
    broker("ssl.keystore.certificate.chain", Password, None, Any, Medium)
        .doc("The certificate of the broker and those that vouch for it, in PEM.")
        .by_restart_only(),
    broker("ssl.keystore.key", Password, None, Any, Medium)
        .doc("The private key of the broker, in PEM.")
        .by_restart_only(),
    broker("ssl.keystore.location", Text, None, Any, Medium)
        .doc(
            "A file with the private key of the broker, its certificate and those that vouch for it, in PEM. It \
             is read again when it changes.",
        )
        .by_restart_only(),
    broker("ssl.keystore.password", Password, None, Any, Medium)
        .doc("The password of a key store; one in PEM has none.")
        .by_restart_only(),
    broker("ssl.keystore.type", Text, Some("JKS"), Any, Medium)
        .doc("The form of the key store. It has to be set to PEM, the only one there is.")
        .by_restart_only(),
    broker("ssl.principal.mapping.rules", Text, Some("DEFAULT"), Any, Low)
        .doc("How the subject of a client's certificate becomes the name of a user."),
    broker("ssl.protocol", Text, Some("TLSv1.3"), Any, Medium)
        .doc("The protocol that Java's TLS is made for.")
        .by_restart_only()
        .only_default("ssl.enabled.protocols says which versions there are"),
    broker("ssl.provider", Text, None, Any, Medium)
        .doc("Which implementation of TLS Java uses.")
        .by_restart_only()
        .without_effect(NO_JAVA),
    broker("ssl.secure.random.implementation", Text, None, Any, Low)
        .doc("Where Java's TLS gets random numbers.")
        .by_restart_only()
        .without_effect(NO_JAVA),
    broker("ssl.trustmanager.algorithm", Text, Some("PKIX"), Any, Medium)
        .doc("How Java checks certificates.")
        .by_restart_only()
        .without_effect(NO_JAVA),
    broker("ssl.truststore.certificates", Password, None, Any, Medium)
        .doc("The certificates by which those of clients are checked, in PEM.")
        .by_restart_only(),
    broker("ssl.truststore.location", Text, None, Any, Medium)
        .doc(
            "A file with the certificates by which those of clients are checked, in PEM. It is read again when \
             it changes.",
        )
        .by_restart_only(),
    broker("ssl.truststore.password", Password, None, Any, Medium)
        .doc("The password of a trust store; one in PEM has none.")
        .by_restart_only(),
    broker("ssl.truststore.type", Text, Some("JKS"), Any, Medium)
        .doc("The form of the trust store. It has to be set to PEM, the only one there is.")
        .by_restart_only(),
    broker("super.users", Text, Some(""), Any, Low)
        .doc("With the StandardAuthorizer, who may do everything, as User:NAME with semicolons between them."),
];

/// Why keys have no effect, or are refused.
const CERTIFICATES_CHANGE: &str = "whoever may replace the file may replace the certificate";
const NO_JAVA: &str = "no Java classes are loaded";
const NO_KERBEROS: &str = "GSSAPI is not among the mechanisms";
const NO_OAUTH: &str = "OAUTHBEARER is not among the mechanisms";
const NO_TOKENS: &str = "there are no delegation tokens";
