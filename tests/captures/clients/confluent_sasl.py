"""librdkafka logs in: PLAIN, both SCRAM mechanisms, and with a wrong password. Run with `python3 confluent_sasl.py BOOTSTRAP`."""

import sys

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion


def client(mechanism, user, password):
    return AdminClient({
        "bootstrap.servers": sys.argv[1],
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.username": user,
        "sasl.password": password,
        "log_level": 0,
    })


admin = client("PLAIN", "admin", "admin-secret")
for mechanism in [ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512]:
    info = ScramCredentialInfo(mechanism, 4096)
    for future in admin.alter_user_scram_credentials([UserScramCredentialUpsertion("user", info, b"a password")]).values():
        future.result()
for name in ["SCRAM-SHA-256", "SCRAM-SHA-512"]:
    client(name, "user", "a password").list_topics(timeout=10)
for name in ["PLAIN", "SCRAM-SHA-256"]:
    try:
        client(name, "user", "another password").list_topics(timeout=3)
    except KafkaException as error:
        print(error)
