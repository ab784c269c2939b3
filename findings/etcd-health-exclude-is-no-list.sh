#!/usr/bin/env bash
# etcd 3.7.3: `/health?exclude=NOSPACE` makes a server that is out of space healthy, so that a probe
# does not restart it. `exclude=NOSPACE,CORRUPT` and `exclude=nospace` do not: the value is one name,
# in upper case, and what is none is passed over without a word, so that the probe still gets 503.
# Two names are two parameters. The answer is JSON, and says that it is text/plain.
#
# Needs Go 1.26, curl; builds the server and etcdctl from their modules in a temporary folder.
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

url=http://127.0.0.1:23792
./etcd --data-dir data --listen-client-urls "$url" --advertise-client-urls "$url" \
    --listen-peer-urls http://127.0.0.1:0 --initial-advertise-peer-urls http://127.0.0.1:0 \
    --initial-cluster default=http://127.0.0.1:0 --quota-backend-bytes 200000 >log 2>&1 &
server=$!
for _ in $(seq 100); do
    ./etcdctl --endpoints "$url" endpoint health >/dev/null 2>&1 && break
    sleep 0.1
done
head -c 100000 /dev/zero | tr '\0' x >value
# The size counts once it is written to the database, every 100 ms.
refused=
for key in $(seq 50); do
    ./etcdctl --endpoints "$url" put "$key" <value >/dev/null 2>&1 || { refused=yes && break; }
    sleep 0.1
done
[ "$refused" = yes ]

status() {
    curl -s -o body -w '%{http_code} %{content_type}' "$url/health$1"
    echo " $(cat body)"
}
for query in '' '?exclude=NOSPACE' '?exclude=nospace' '?exclude=NOSPACE,CORRUPT' \
    '?exclude=CORRUPT&exclude=NOSPACE'; do
    answer=$(status "$query")
    echo "/health$query: $answer"
    case $query in
    '?exclude=NOSPACE' | '?exclude=CORRUPT&exclude=NOSPACE') [[ $answer == '200 text/plain'*'"true"'* ]] ;;
    *) [[ $answer == '503 text/plain'*'"false"'*NOSPACE* ]] ;;
    esac
done
echo "as described"
