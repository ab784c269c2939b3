#!/usr/bin/env bash
# etcd 3.7.3: the usual way to find what was created last, a range sorted by create revision,
# descending, with limit 1 (`WithLastCreate` of the Go client), gives the *first* key in key order of
# what was created last, if one transaction created several: keys with equal create revisions keep
# their ascending order, also in a descending sort. A consumer that takes the answer for the last
# write of the transaction takes the wrong one. (Holds for answers of up to 12 keys, which Go's
# `sort.Sort` sorts by insertion; beyond that the order among equals is arbitrary.)
#
# Needs Go 1.26; builds the server and etcdctl from their modules in a temporary folder.
set -euo pipefail
work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || { kill "$server"; wait "$server" || true; } 2>/dev/null
    chmod -R u+w "$work"
    rm -rf "$work"
}
trap cleanup EXIT
cd "$work"
go mod init finding.test/etcd >/dev/null 2>&1
go get go.etcd.io/etcd/server/v3@v3.7.3 go.etcd.io/etcd/etcdctl/v3@v3.7.3 2>/dev/null
go build -o etcd go.etcd.io/etcd/server/v3
go build -o etcdctl go.etcd.io/etcd/etcdctl/v3

url=http://127.0.0.1:23790
./etcd --data-dir data --listen-client-urls "$url" --advertise-client-urls "$url" \
    --listen-peer-urls http://127.0.0.1:0 --initial-advertise-peer-urls http://127.0.0.1:0 \
    --initial-cluster default=http://127.0.0.1:0 >log 2>&1 &
server=$!
for _ in $(seq 100); do
    ./etcdctl --endpoints "$url" endpoint health >/dev/null 2>&1 && break
    sleep 0.1
done

./etcdctl --endpoints "$url" put job/0 before >/dev/null
# No conditions, six puts, and nothing otherwise.
printf '\nput job/a 1\nput job/b 2\nput job/c 3\nput job/d 4\nput job/e 5\nput job/f 6\n\n\n' |
    ./etcdctl --endpoints "$url" txn >/dev/null
last=$(./etcdctl --endpoints "$url" get --prefix job/ --sort-by create --order descend --limit 1 |
    head -n 1)
all=$(./etcdctl --endpoints "$url" get --prefix job/ --sort-by create --order descend --keys-only |
    grep . | tr '\n' ' ')
echo "descending by create revision: $all; with limit 1: $last"
[ "$last" = job/a ]
[ "$all" = "job/a job/b job/c job/d job/e job/f job/0 " ]
echo "as described"
