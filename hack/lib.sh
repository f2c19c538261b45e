# Shared by the scripts under hack/: where the cache is, and how progress is shown.
# shellcheck shell=bash
cache=${ORO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/openstack-release-operator}

# step NAME COMMAND...: runs the command with one progress line (a spinner on a terminal), keeps its output in the
# cache and shows it only when the command fails.
step() {
    local name=$1 log start=$SECONDS tick=0 pid status
    shift
    mkdir -p "$cache/log"
    log="$cache/log/$(tr -c 'a-zA-Z0-9\n' - <<<"$name").log"
    "$@" >"$log" 2>&1 &
    pid=$!
    if [ -t 2 ]; then
        while kill -0 "$pid" 2>/dev/null; do
            printf '\r  %s %-44s %3d s' "$(cut -c$((tick % 4 + 1)) <<<'|/-\')" "$name" $((SECONDS - start)) >&2
            tick=$((tick + 1))
            sleep 0.2
        done
        printf '\r' >&2
    else
        printf '  ... %s\n' "$name" >&2
    fi
    status=0
    wait "$pid" || status=$?
    if [ "$status" -eq 0 ]; then
        printf '  ok %-44s %3d s\n' "$name" $((SECONDS - start)) >&2
    else
        printf '  FAILED %-40s %3d s; the end of %s:\n' "$name" $((SECONDS - start)) "$log" >&2
        tail -n 40 "$log" >&2
    fi
    return "$status"
}
