#!/usr/bin/env bash
# etcdctl 3.6.16 and 3.7.3: `etcdctl snapshot status FILE`, which 3.5 still runs (deprecated), is
# gone, and so is `snapshot restore`. They are not refused as unknown: without a flag of their own
# they print the help of `snapshot` and exit 0, whatever FILE is, so that a script which checks its
# backups by the exit code goes on with a file that is not there. `etcdutl snapshot status` exits 1.
#
# Needs Go 1.26; builds the tools from their modules in a temporary folder (a minute).
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
for version in 3.6.16 3.7.3; do
    mkdir "$version"
    cd "$version"
    go mod init finding.test/etcdctl >/dev/null 2>&1
    go get "go.etcd.io/etcd/etcdctl/v3@v$version" "go.etcd.io/etcd/etcdutl/v3@v$version" 2>/dev/null
    go build -o etcdctl go.etcd.io/etcd/etcdctl/v3
    go build -o etcdutl go.etcd.io/etcd/etcdutl/v3
    for command in status restore; do
        code=0
        ./etcdctl snapshot "$command" "$work/no-such-backup.db" >out 2>&1 || code=$?
        echo "etcdctl $version: snapshot $command of no file: exit $code: $(head -n 1 out)"
        [ "$code" -eq 0 ]
        grep -qi 'Manages etcd node snapshots' out
        code=0
        ./etcdutl snapshot "$command" "$work/no-such-backup.db" >out 2>&1 || code=$?
        echo "etcdutl $version: snapshot $command of no file: exit $code"
        [ "$code" -ne 0 ]
    done
    cd ..
done
echo "as described"
