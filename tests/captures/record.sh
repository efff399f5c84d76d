#!/usr/bin/env bash
# Records the fixture of one client: tests/fixtures/captures/CLIENT.tsv.gz. It runs the client through the proxy.
#
#   tests/captures/record.sh java|java-sasl|librdkafka|confluent|confluent-sasl|kcat
#
# UPSTREAM  the broker behind the proxy (default 127.0.0.1:29092), fresh, and advertising LISTEN
# LISTEN    the proxy's address (default 127.0.0.1:19092)
# JARS      java…: the class path of the Java client and the codecs it uses, e.g. '/opt/kafka/libs/*'
# PYTHON    confluent…: a Python that has confluent-kafka (default python3)
set -euo pipefail
cd "$(dirname "$0")/../.."

client=${1:?which client?}
upstream=${UPSTREAM:-127.0.0.1:29092}
listen=${LISTEN:-127.0.0.1:19092}
clients=tests/captures/clients
recorded=$(mktemp --suffix=.tsv.gz)
target=${CARGO_TARGET_DIR:-target}/debug/examples

cargo build --quiet --example capture
"$target/capture" --listen "$listen" --upstream "$upstream" --out "$recorded" &
proxy=$!
trap 'kill $proxy 2>/dev/null || true; rm -f "$recorded"' EXIT
until (exec 3<>"/dev/tcp/${listen%:*}/${listen##*:}") 2>/dev/null; do kill -0 $proxy; sleep 0.1; done

run_java() { java -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "${JARS:?the class path of the Java client}" "$@"; }

case $client in
java) run_java $clients/Captures.java "$listen" ;;
java-sasl) run_java $clients/Sasl.java "$listen" ;;
librdkafka) cargo run --quiet --example capture_librdkafka -- "$listen" ;;
confluent) "${PYTHON:-python3}" $clients/confluent.py "$listen" ;;
confluent-sasl) "${PYTHON:-python3}" $clients/confluent_sasl.py "$listen" ;;
kcat) $clients/kcat.sh "$listen" ;;
*) echo "record.sh: no client $client" >&2; exit 2 ;;
esac

kill $proxy
wait $proxy
cp "$recorded" "tests/fixtures/captures/$client.tsv.gz"
