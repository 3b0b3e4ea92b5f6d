# shellcheck shell=bash
# Starts programs side by side, watches them and stops them, each by its own process id. Whoever
# uses it sets `trap stop_parts EXIT` and lets signals end the script. Needs common.sh.
#
# From then on nothing but a subshell may use $(...): bash 5.2 cannot run the trap of a signal that
# comes while it expands one, and ends with a syntax error and status 2.
# shellcheck disable=SC2154 # script is set there

parts=()
declare -A pid_of=() log_of=()

# A signal from the terminal must not reach the parts: they are stopped in order, so each gets a
# session of its own. And should this script be killed outright, the kernel ends them.
apart=(setsid)
if have setpriv; then
    apart+=(setpriv --pdeathsig TERM)
fi

# start_part NAME LOG COMMAND...: starts a part; its output goes to LOG, which begins afresh.
start_part() {
    local name=$1
    log_of[$name]=$2
    shift 2
    # File 9 is the lock of the data folder.
    "${apart[@]}" "$@" </dev/null >"${log_of[$name]}" 2>&1 9>&- &
    pid_of[$name]=$!
    parts+=("$name")
}

# run_apart COMMAND...: runs a command to its end; a signal to this script ends the command too.
run_apart() {
    "${apart[@]}" "$@" </dev/null 9>&- &
    wait "$!"
}

# Whether a process of ours runs. The shell itself is asked: a process id alone may belong to
# another process by now.
is_running() {
    # Reads to the end: with pipefail, a reader that leaves early would make the answer "no".
    jobs -pr | {
        local pid found=0
        while read -r pid; do
            [[ $pid != "$1" ]] || found=1
        done
        ((found))
    }
}

# Whether a part runs.
is_alive() {
    is_running "${pid_of[$1]}"
}

# Tells that a part has died, shows the end of its log, and ends the script.
tell_death() {
    local name=$1 status=0
    wait "${pid_of[$name]}" 2>/dev/null || status=$?
    printf '%s: %s died (status %s); its log %s ends with:\n' \
        "$script" "$name" "$status" "${log_of[$name]}" >&2
    tail -n 15 "${log_of[$name]}" | sed 's/^/    /' >&2
    exit 1
}

# await_part NAME SECONDS CONDITION...: waits until the condition, a command, holds. No part may
# die meanwhile.
await_part() {
    local name=$1 seconds=$2 part
    shift 2
    local deadline=$((SECONDS + seconds))
    until "$@"; do
        for part in "${parts[@]}"; do
            is_alive "$part" || tell_death "$part"
        done
        if ((SECONDS >= deadline)); then
            fail "$name is not ready after $seconds seconds; its log: ${log_of[$name]}"
        fi
        sleep 0.1
    done
}

# Waits until a part dies, which ends the script.
watch_parts() {
    local part
    while true; do
        for part in "${parts[@]}"; do
            is_alive "$part" || tell_death "$part"
        done
        # Ends when a part dies. One that died since the look above is seen at the next one.
        sleep 2 &
        # The shell's own words on a process that was killed would only repeat ours.
        wait -n 2>/dev/null || true
    done
}

# Ends a process of ours that runs: asks, waits half a minute, and kills it if it does not listen.
stop_process() {
    local pid=$1 tries=600
    kill -TERM "$pid" 2>/dev/null || true
    while is_running "$pid"; do
        if ((--tries == 0)); then
            say "process $pid did not end when asked to, and is killed"
            kill -KILL "$pid" 2>/dev/null || true
            break
        fi
        sleep 0.05
    done
}

# Stops all parts, the last started first, and whatever else this script may have begun. Ends the
# script with the status it was about to end with. For `trap ... EXIT`.
stop_parts() {
    local status=$? place part pid running=()
    trap '' INT TERM HUP
    trap - EXIT
    set +e
    for ((place = ${#parts[@]} - 1; place >= 0; place--)); do
        is_alive "${parts[place]}" && running+=("${parts[place]}")
    done
    ((${#running[@]} == 0)) || say "stopping ${running[*]}"
    for part in "${running[@]}"; do
        is_alive "$part" && stop_process "${pid_of[$part]}"
    done
    # A build, with the compilers that it started; or a part that had no name yet.
    for pid in $(jobs -pr); do
        kill -TERM -- "-$pid" 2>/dev/null
        stop_process "$pid"
    done
    exit "$status"
}
