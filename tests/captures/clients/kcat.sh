#!/usr/bin/env bash
# kcat, as a person at a prompt uses it: kcat.sh BOOTSTRAP
set -euo pipefail
topic=kcat-topic

for codec in none gzip snappy lz4 zstd; do
  printf 'key:the same old value %d\n' 1 2 3 | kcat -b "$1" -P -t $topic -K: -z $codec -H header=value
done
kcat -b "$1" -L > /dev/null
kcat -b "$1" -L -t $topic > /dev/null
kcat -b "$1" -Q -t $topic:0:-1 -t $topic:0:-2 -t $topic:0:1000
kcat -b "$1" -C -t $topic -e -o beginning -f '%o %h %k %s\n' > /dev/null
kcat -b "$1" -C -t $topic -e -o -2 > /dev/null
timeout 20 kcat -b "$1" -G kcat-group -X auto.offset.reset=earliest -e $topic > /dev/null
