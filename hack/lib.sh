# Shared by the scripts under hack/: where the cache is, and how progress is shown.
# shellcheck shell=bash
cache=${ORO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/openstack-release-operator}

# step TITLE COMMAND...: runs the command with one progress line (a spinner on a terminal), keeps its output in the
# cache and shows it only when the command fails.
step() {
    local title=$1 log start=$SECONDS tick=0 pid status
    shift
    mkdir -p "$cache/log"
    log="$cache/log/$(tr -c 'a-zA-Z0-9\n' - <<<"$title").log"
    # Descriptor 9 is a lock where there is one (hack/cluster); it must end with the script.
    "$@" >"$log" 2>&1 9>&- &
    pid=$!
    if [ -t 2 ]; then
        while kill -0 "$pid" 2>/dev/null; do
            printf '\r  %s %-44s %3d s' "$(cut -c$((tick % 4 + 1)) <<<'|/-\')" "$title" $((SECONDS - start)) >&2
            tick=$((tick + 1))
            sleep 0.2
        done
        printf '\r' >&2
    else
        printf '  ... %s\n' "$title" >&2
    fi
    status=0
    wait "$pid" || status=$?
    if [ "$status" -eq 0 ]; then
        printf '  ok %-44s %3d s\n' "$title" $((SECONDS - start)) >&2
    else
        printf '  FAILED %-40s %3d s; the end of %s:\n' "$title" $((SECONDS - start)) "$log" >&2
        tail -n 40 "$log" >&2
    fi
    return "$status"
}

# Whether there is a cargo that is new enough. Run from the repository's root.
have_cargo() {
    local oldest found
    command -v cargo >/dev/null || return 1
    oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(cargo --version | cut -d' ' -f2)
    [ "$(printf '%s\n' "$oldest" "$found" | sort -V | head -n 1)" = "$oldest" ]
}

# Gets a Rust toolchain and a C compiler where it can, and says what to do where it cannot.
need_toolchain() {
    if ! have_cargo && command -v rustup >/dev/null; then
        step "Rust toolchain" rustup toolchain install stable --profile minimal
        export RUSTUP_TOOLCHAIN=stable
    fi
    if ! have_cargo; then
        echo "This needs cargo, at least the rust-version in Cargo.toml. Install it (rustup does), then run this again." >&2
        exit 1
    fi
    # ring, which does the TLS, has parts in C; so has the allocator.
    if ! command -v cc >/dev/null || ! command -v make >/dev/null; then
        if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
            echo "This needs a C compiler and make (Debian: apt-get install gcc libc6-dev make)." >&2
            exit 1
        fi
        step "package lists" apt-get update
        step "C compiler" env DEBIAN_FRONTEND=noninteractive \
            apt-get install --yes --no-install-recommends gcc libc6-dev make
    fi
}

# need_packages PACKAGE...: installs those that are missing. Their services are not started.
need_packages() {
    local package missing=()
    for package in "$@"; do
        dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] || step "packages: ${missing[*]}" install_packages "${missing[@]}"
}

install_packages() {
    local policy=/usr/sbin/policy-rc.d ours=0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "This needs the Debian packages $*: apt-get install --no-install-recommends $*"
        return 1
    fi
    if [ ! -e "$policy" ]; then
        ours=1
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@" || return
    [ "$ours" -eq 0 ] || rm -f "$policy"
}
