# What the cases share: brokers, clients, checks. Sourced by each; WORK is the case's own directory.
set -euo pipefail

read -ra kafka_tool <<< "$KAFKA_TOOL"
broker_pid=

trap stop_all EXIT
trap 'exit 143' TERM INT

# No process outlives its case.
stop_all() {
  local pids
  pids=$(jobs -p)
  [ -z "$pids" ] || kill -9 $pids 2> /dev/null || true
}

fail() {
  echo "failed: $*" >&2
  exit 1
}

# A line for the summary.
measured() {
  echo "measured: $*"
}

# start_broker DATA_DIR [ARGUMENT...]: starts a broker on a free port, or on $listen, and waits until it is ready. Sets
# broker, its address, and broker_pid.
start_broker() {
  local data=$1
  shift
  broker_log=$WORK/broker.$((++brokers_started)).log
  "$OTTLA" --listen "${listen:-127.0.0.1:0}" --data-dir "$data" "$@" 2> "$broker_log" &
  broker_pid=$!
  for _ in $(seq 1 300); do
    broker=$(sed -n 's/.*ready: listening on \([0-9.:]*\).*/\1/p' "$broker_log")
    [ -z "$broker" ] || return 0
    kill -0 "$broker_pid" 2> /dev/null || break
    sleep 0.1
  done
  cat "$broker_log" >&2
  fail "the broker did not start"
}
brokers_started=0

# Stops the broker cleanly; its exit code must be 0.
stop_broker() {
  kill -TERM "$broker_pid"
  wait "$broker_pid" || { cat "$broker_log" >&2; fail "the broker ended with $?"; }
}

kill_broker() {
  kill -9 "$broker_pid"
  wait "$broker_pid" 2> /dev/null || true
}

# tool CLASS [ARGUMENT...]: one of Apache Kafka's tools.
tool() {
  "${kafka_tool[@]}" "$@"
}

# topics [ARGUMENT...]: TopicCommand on the broker.
topics() {
  tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$broker" "$@"
}

create_topic() {
  local name=$1 partitions=$2
  shift 2
  topics --create --topic "$name" --partitions "$partitions" "$@"
}

# produce TOPIC [ARGUMENT...]: kcat writes each line of its input as a record to partition 0.
produce() {
  local topic=$1
  shift
  kcat -P -b "$broker" -t "$topic" -p 0 "$@"
}

# consume TOPIC [ARGUMENT...]: kcat reads partition 0 from its start to its end. Checks CRCs.
consume() {
  local topic=$1
  shift
  kcat -C -q -e -b "$broker" -t "$topic" -p 0 -o beginning -X check.crcs=true "$@"
}

# java_produce TOPIC CODEC: the Java producer writes each line of its input.
java_produce() {
  tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$broker" --topic "$1" --compression-codec "$2"
}

# java_consume TOPIC COUNT [ARGUMENT...]: the Java consumer reads COUNT records of partition 0 from its start.
java_consume() {
  local topic=$1 count=$2
  shift 2
  tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$broker" --topic "$topic" --partition 0 \
    --offset earliest --max-messages "$count" --timeout-ms 20000 "$@"
}

# numbered COUNT LENGTH: lines of LENGTH bytes, each with its number in front.
numbered() {
  awk -v count="$1" -v length_="$2" 'BEGIN {
    pad = sprintf("%*s", length_ - 10, ""); gsub(/ /, "x", pad)
    for (n = 0; n < count; n++) printf "%010d%s\n", n, pad
  }'
}

# check_numbered LENGTH: the input is what `numbered` wrote, from 0 on without a gap; prints how many lines there are.
check_numbered() {
  awk -v length_="$1" '
    BEGIN { pad = sprintf("%*s", length_ - 10, ""); gsub(/ /, "x", pad) }
    $0 != sprintf("%010d", NR - 1) pad { print "line " NR " is: " substr($0, 1, 60) > "/dev/stderr"; bad = 1; exit }
    END { if (bad) exit 1; print NR }'
}

# check_offsets: the input is the numbers from 0 on; prints how many there are.
check_offsets() {
  awk '$1 != NR - 1 { print "offset " $1 " where " NR - 1 " belongs" > "/dev/stderr"; bad = 1; exit }
    END { if (bad) exit 1; print NR }'
}

# expect WHAT EXPECTED ACTUAL
expect() {
  [ "$2" = "$3" ] || fail "$1: $3, not $2"
}

# dump FILES [ARGUMENT...]: DumpLogSegments on files with commas between; it must find no fault. Its output is in $WORK/dump.
dump() {
  local output=$WORK/dump files=$1
  shift
  tool kafka.tools.DumpLogSegments --files "$files" "$@" > "$output" 2>&1 || { tail -n 5 "$output"; fail "dump of $files"; }
  if grep -iE -m 5 'isvalid: false|invalid bytes|mismatch|exception|non-consecutive|not sane|out of order' "$output"; then
    fail "DumpLogSegments $* finds fault with $files"
  fi
}

# seconds_since STARTED: with STARTED an earlier $EPOCHREALTIME.
seconds_since() {
  awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'
}
