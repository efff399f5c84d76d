# Helpers of run.

readonly PASSWORD='open sesame' OTHER_PASSWORD='carols secret'
done_count=0 skipped=()

fail() {
  echo "failed: $*" >&2
  exit 1
}

finish() {
  local status=$?
  if [[ -n $pid ]]; then kill "$pid" 2> /dev/null || true; fi
  if ((status == 0)); then rm -rf "$dir"; else echo "what there is stays in $dir" >&2; fi
}

passed() {
  echo "ok: $*"
  done_count=$((done_count + 1))
}

make_certificates() {
  "$OTTLA" certs --dir "$dir/certs" --client alice > /dev/null
  "$OTTLA" certs --dir "$dir/stranger" > /dev/null
  openssl req -new -newkey rsa:2048 -nodes -subj /CN=old -keyout "$dir/old.key" -out "$dir/old.csr" 2> /dev/null
  echo basicConstraints=CA:FALSE > "$dir/old.ext"
  local sign=(openssl x509 -req -in "$dir/old.csr" -CA "$dir/certs/ca.pem" -CAkey "$dir/certs/ca.key" -CAcreateserial
    -extfile "$dir/old.ext" -out "$dir/old.pem")
  "${sign[@]}" -not_before 20200101000000Z -not_after 20210101000000Z 2> /dev/null || "${sign[@]}" -days -1 2> /dev/null ||
    fail "openssl makes no certificate of the past"
}

start_broker() {
  (umask 077 && printf 'alice:%s\n' "$PASSWORD" > "$dir/users")
  cat > "$dir/server.properties" << P
listeners=PLAINTEXT://127.0.0.1:$PORT,SSL://127.0.0.1:$((PORT + 1)),SASL_PLAINTEXT://127.0.0.1:$((PORT + 2)),\
SASL_SSL://127.0.0.1:$((PORT + 3)),MUTUAL://127.0.0.1:$((PORT + 4)),FEW://127.0.0.1:$((PORT + 5))
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,MUTUAL:SSL,FEW:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location=$dir/certs/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=$dir/certs/ca.pem
listener.name.mutual.ssl.client.auth=required
listener.name.few.sasl.enabled.mechanisms=SCRAM-SHA-512
P
  OTTLA_LOG=debug "$OTTLA" --config "$dir/server.properties" --data-dir "$dir/data" --users-file "$dir/users" \
    > "$dir/broker.log" 2>&1 &
  pid=$!
  for _ in $(seq 1 100); do
    if grep -q 'ready: listening' "$dir/broker.log"; then return; fi
    kill -0 "$pid" 2> /dev/null || { cat "$dir/broker.log" >&2; fail "the broker did not start"; }
    sleep 0.1
  done
  fail "the broker is not ready"
}

stop_broker() {
  kill "$pid"
  wait "$pid" || fail "the broker did not stop cleanly"
  pid=
}

# Sets what the next client connects to and how: librdkafka's settings, and Java's in a file.
client() { # client USER PROTOCOL MECHANISM [PASSWORD]
  local user=$1 protocol=$2 mechanism=$3 password=${4:-$PASSWORD}
  local ca=$dir/certs/ca.pem security=$2
  rd=()
  java=()
  identity=
  case $protocol in
    PLAINTEXT) address=$plain ;;
    SSL) address=$ssl ;;
    SASL_PLAINTEXT) address=$sasl ;;
    SASL_SSL) address=$sasl_ssl ;;
    FEW) address=$few security=SASL_PLAINTEXT ;;
    MUTUAL) address=$mutual security=SSL identity=$dir/certs/alice ;;
    MUTUAL_EXPIRED) address=$mutual security=SSL identity=$dir/old ;;
    MUTUAL_NONE) address=$mutual security=SSL ;;
    SSL_UNTRUSTED) address=$ssl security=SSL ca=$dir/stranger/ca.pem ;;
    PLAIN_ON_SSL) address=$ssl security=PLAINTEXT ;;
    PLAIN_ON_SASL) address=$sasl security=PLAINTEXT ;;
    SSL_ON_PLAIN) address=$plain security=SSL ;;
  esac
  rd+=(-b "$address" -X "security.protocol=$security")
  java+=("security.protocol=$security")
  if [[ $security == *SSL ]]; then
    rd+=(-X "ssl.ca.location=$ca")
    java+=(ssl.truststore.type=PEM "ssl.truststore.location=$ca")
  fi
  if [[ -n $identity ]]; then
    local key=$identity.key certificate=$identity.pem
    rd+=(-X "ssl.key.location=$key" -X "ssl.certificate.location=$certificate")
    cat "$key" "$certificate" > "$dir/identity.pem"
    java+=(ssl.keystore.type=PEM "ssl.keystore.location=$dir/identity.pem")
  fi
  if [[ -n $mechanism ]]; then
    rd+=(-X "sasl.mechanism=$mechanism" -X "sasl.username=$user" -X "sasl.password=$password")
    local module=org.apache.kafka.common.security.scram.ScramLoginModule
    if [[ $mechanism == PLAIN ]]; then module=org.apache.kafka.common.security.plain.PlainLoginModule; fi
    java+=("sasl.mechanism=$mechanism" "sasl.jaas.config=$module required username=\"$user\" password=\"$password\";")
  fi
  printf '%s\n' "${java[@]}" > "$dir/client.properties"
}

# A record there and back, by every family of clients that there is.
round_trips() { # round_trips WHAT
  local topic="t$RANDOM$RANDOM" read
  echo "by librdkafka" | kcat "${rd[@]}" -P -t "$topic" || fail "$1: kcat does not produce"
  read=$(kcat "${rd[@]}" -C -t "$topic" -e -q) || fail "$1: kcat does not consume"
  [[ $read == "by librdkafka" ]] || fail "$1: kcat reads $read"
  passed "$1, librdkafka"
  if ((${#kafka_tool[@]})); then
    echo "by Java" | java_tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$address" --topic "$topic" \
      --producer.config "$dir/client.properties" || fail "$1: Java does not produce"
    read=$(java_tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$address" --topic "$topic" \
      --from-beginning --max-messages 2 --timeout-ms 20000 --consumer.config "$dir/client.properties" 2> /dev/null)
    [[ $read == $'by librdkafka\nby Java' ]] || fail "$1: Java reads $read"
    passed "$1, Java"
  fi
  if [[ -x $dir/franz ]]; then
    "$dir/franz" "$address" "$dir/client.properties" "$topic" || fail "$1: franz-go"
    passed "$1, franz-go"
  fi
}

java_tool() {
  timeout "$SECONDS_MAX" "${kafka_tool[@]}" "$@" 2>> "$dir/java.log"
}

# kafka-configs makes, changes and deletes a user, who gets in and does not accordingly.
users_are_altered() {
  if ! ((${#kafka_tool[@]})); then
    skipped+=("users by kafka-configs: KAFKA_TOOL is not set")
    return
  fi
  client alice SASL_SSL SCRAM-SHA-512
  cp "$dir/client.properties" "$dir/admin.properties"
  local alter=(kafka.admin.ConfigCommand --bootstrap-server "$sasl_ssl" --command-config "$dir/admin.properties" --alter
    --entity-type users --entity-name carol)
  java_tool "${alter[@]}" --add-config "SCRAM-SHA-256=[iterations=8192,password=$OTHER_PASSWORD]" > "$dir/alter.log" ||
    fail "kafka-configs does not make a user"
  client carol SASL_SSL SCRAM-SHA-256 "$OTHER_PASSWORD"
  kcat "${rd[@]}" -L > /dev/null || fail "carol does not get in"
  java_tool "${alter[@]}" --add-config "SCRAM-SHA-256=[password=changed]" >> "$dir/alter.log" || fail "no change of a password"
  is_refused 'a password that was changed' 'uthentication failed' 'user "carol": a wrong password'
  java_tool "${alter[@]}" --delete-config SCRAM-SHA-256 >> "$dir/alter.log" || fail "kafka-configs does not delete"
  client carol SASL_SSL SCRAM-SHA-256 changed
  is_refused 'a user that was deleted' 'uthentication failed' 'user "carol": no user of this name'
  passed "users by kafka-configs"
}

# The next client gets no answer but an error like the first pattern, and the log has a line like the second.
is_refused() { # is_refused WHAT CLIENT LOG
  local before said
  before=$(wc -l < "$dir/broker.log")
  said=$(timeout 15 kcat "${rd[@]}" -L -m 8 2>&1 || true)
  grep -qE "$2" <<< "$said" || fail "$1: the client is told: $said"
  ! grep -q '^ broker 1 at' <<< "$said" || fail "$1: the client gets in"
  tail -n "+$((before + 1))" "$dir/broker.log" | grep -qF "$3" || fail "$1: the log has no line with: $3"
  passed "$1"
}

# Neither the log, at level debug, nor the data has a password.
no_secret_is_told() {
  local secret
  for secret in "$PASSWORD" "$OTHER_PASSWORD"; do
    ! grep -qF "$secret" "$dir/broker.log" || fail "the log has a password"
    ! grep -rqaF "$secret" "$dir/data" || fail "the data directory has a password"
  done
  passed "no password in log and data"
}

report() {
  for what in "${skipped[@]}"; do echo "skipped: $what"; done
  echo "$done_count passed"
}

# Builds the client of franz-go, where there is Go.
if command -v go > /dev/null; then
  build_franz() { (cd tests/security/franz && go build -o "$dir/franz" .) || fail "franz-go does not build"; }
else
  build_franz() { skipped+=("franz-go: there is no Go"); }
fi
