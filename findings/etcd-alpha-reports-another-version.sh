#!/usr/bin/env bash
# etcd 3.8.0-alpha.0 as Go modules: a build that requires `go.etcd.io/etcd/server/v3` at
# v3.8.0-alpha.0, and nothing else, calls itself 3.7.0-beta.0, on the command line and in every
# Status: the version is a constant of `go.etcd.io/etcd/api/v3`, and the published go.mod of the
# server still asks for an older api (the `replace` lines that hide this inside etcd's repository
# do not count for who depends on it). It is 3.8.0-alpha.0 only if api is required at that version
# as well. Releases such as 3.7.3 need no such care.
#
# Needs Go 1.26; builds the server from its modules in a temporary folder (a minute or two).
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

# Builds the server with these requirements, and prints the version that it tells.
version_of() {
    rm -rf "$work/module"
    mkdir "$work/module"
    cd "$work/module"
    go mod init finding.test/etcd >/dev/null 2>&1
    go get "$@" 2>/dev/null
    go build -o etcd go.etcd.io/etcd/server/v3
    ./etcd --version | sed -n 's/^etcd Version: //p'
}

server=go.etcd.io/etcd/server/v3
api=go.etcd.io/etcd/api/v3
alone=$(version_of "$server@v3.8.0-alpha.0")
with_api=$(version_of "$server@v3.8.0-alpha.0" "$api@v3.8.0-alpha.0")
release=$(version_of "$server@v3.7.3")
echo "server 3.8.0-alpha.0 alone: $alone; with api 3.8.0-alpha.0: $with_api; server 3.7.3 alone: $release"
[ "$alone" = 3.7.0-beta.0 ]
[ "$with_api" = 3.8.0-alpha.0 ]
[ "$release" = 3.7.3 ]
echo "as described"
