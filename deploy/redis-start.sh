#!/bin/sh
# Becomes redis-server, after it has cut off what a power cut left at the end of the append-only file.
#
# The server itself cuts off a last command that is too short. A file system may also leave blocks of
# zeros where the end was not synced yet, with or without later commands behind them; then the server
# refuses to start. With `appendfsync always` nothing behind the first bad byte was ever answered.
# The bad bytes are kept beside the file, under its name with `.torn-` and the time in milliseconds.
#
# Runs in the container of Redis, in which there is a busybox or the GNU tools: `redis-start.sh FOLDER
# COMMAND...`, FOLDER being the server's `dir`.
set -eu

folder="$1/appendonlydir"
shift

# More than the server ever writes between two syncs: where more is bad, something else happened.
most_bytes=67108864

# The last of the files that are appended to: the one that was open when the power went.
last_increment() {
    sed -n 's/^file "\{0,1\}\([^" ]*\)"\{0,1\} seq \([0-9]*\) type i.*/\2 \1/p' "$1" \
        | sort -n | tail -n 1 | cut -d ' ' -f 2
}

mend() {
    told="$(redis-check-aof "$1" 2>&1 </dev/null || true)"
    sizes="$(printf '%s\n' "${told}" | sed -n 's/.*size=\([0-9]*\), ok_up_to=\([0-9]*\),.*/\1 \2/p' | tail -n 1)"
    if [ -z "${sizes}" ]; then
        echo "redis-start: $1 cannot be checked: $(printf '%s\n' "${told}" | tail -n 1)" >&2
        exit 1
    fi
    good_bytes="${sizes#* }"
    torn_bytes=$((${sizes% *} - good_bytes))
    if [ "${torn_bytes}" -eq 0 ]; then
        return
    fi
    if [ "${torn_bytes}" -gt "${most_bytes}" ]; then
        echo "redis-start: $1 does not read from byte ${good_bytes} on, and ${torn_bytes} bytes follow:" \
            "more than a power cut leaves; restore a backup, or cut it off there by hand" >&2
        exit 1
    fi
    # Not every date knows milliseconds: busybox's prints the letter.
    kept="$1.torn-$(date +%s)$(date +%N | sed 's/[^0-9]//g; s/^\(...\).*/\1/; s/^$/000/')"
    # First they are there, then they are gone.
    tail -c "+$((good_bytes + 1))" "$1" >"${kept}"
    sync
    truncate -s "${good_bytes}" "$1"
    sync
    echo "redis-start: cut ${torn_bytes} torn bytes off $1 at ${good_bytes}; kept in ${kept##*/}" >&2
}

for manifest in "${folder}"/*.manifest; do
    if [ -f "${manifest}" ]; then
        name="$(last_increment "${manifest}")"
        if [ -n "${name}" ] && [ -s "${folder}/${name}" ]; then
            mend "${folder}/${name}"
        fi
    fi
done

# exec: signals reach the server itself.
exec "$@"
