#!/usr/bin/env bash
# Turns this machine's Debian package index into a file that the example `registry` imports.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: scripts/debian-packages.sh [FILE]

Writes one line of JSON for each package that apt knows of: {"name": .., "service": {..}}.
FILE is debian-packages.jsonl if left out, and - is standard output. Then:

  cargo run --release --example registry -- --import FILE
TEXT
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

case ${1:-} in
-h | --help)
    usage
    exit
    ;;
-?*)
    usage >&2
    exit 2
    ;;
esac
file=${1:-debian-packages.jsonl}

command -v apt-cache >/dev/null 2>&1 || die "there is no apt-cache: this is no Debian, nor one of \
its relatives. Run this script on one (a container will do) and copy the file; or write your own, \
a line for each service: {\"name\": \"web\", \"service\": {\"version\": \"1.0\"}}"

# To a file beside the target first, so that an interrupted run leaves no half of one.
if [ "$file" = - ]; then
    part=$(mktemp)
else
    part=$file.part
fi
trap 'rm -f "$part"' EXIT

# The first record of a name is kept: apt lists one for each architecture.
apt-cache dumpavail | LC_ALL=C awk '
    function text(value) {
        gsub(/\\/, "\\\\", value)
        gsub(/"/, "\\\"", value)
        gsub(/[\001-\037]/, " ", value)
        return "\"" value "\""
    }
    function add(key, value) {
        return value == "" ? "" : ", \"" key "\": " text(value)
    }
    function flush_record(    tags, list, count, i) {
        if (field["Package"] != "" && !seen[field["Package"]]++) {
            count = split(field["Tag"], list, /, */)
            for (i = 1; i <= count; i++) {
                tags = tags (i > 1 ? ", " : "") text(list[i])
            }
            printf "{\"name\": %s, \"service\": {\"version\": %s", \
                text(field["Package"]), text(field["Version"])
            printf "%s", add("description", field["Description"])
            printf "%s", count ? ", \"tags\": [" tags "]" : ""
            printf "%s", add("maintainer", field["Maintainer"])
            printf "%s", add("homepage", field["Homepage"])
            printf "%s}}\n", field["Size"] == "" ? "" : ", \"size\": " field["Size"] + 0
        }
        split("", field)
        name = ""
    }
    /^$/ { flush_record(); next }
    # A field goes on in lines that begin with a space. The long description is left out.
    /^[ \t]/ {
        if (name == "Tag") {
            sub(/^[ \t]+/, " ")
            field[name] = field[name] $0
        }
        next
    }
    {
        colon = index($0, ":")
        name = substr($0, 1, colon - 1)
        value = substr($0, colon + 1)
        sub(/^[ \t]+/, "", value)
        field[name] = value
    }
    END { flush_record() }
' >"$part"

count=$(wc -l <"$part")
[ "$count" -gt 0 ] || die "apt's package index is empty on this machine: fetch it with \
'apt-get update' (as root) and run this again"
if [ "$file" = - ]; then
    cat "$part"
else
    mv "$part" "$file"
fi
printf '%d packages%s\n' "$count" "$([ "$file" = - ] || printf ' in %s' "$file")" >&2
