# shellcheck shell=bash
# Installs the clients that the tests use. Needs common.sh and install.sh.
# shellcheck disable=SC2154 # root is set in common.sh

# Debian's python3-redis belongs to Debian's Python, which need not be the first on the PATH. The
# tests look in the same two places.
python_has_redis() {
    local python
    for python in python3 /usr/bin/python3; do
        ! "$python" -c 'import redis' 2>/dev/null || return 0
    done
    return 1
}

# The Debian packages of the clients that tests use and that are missing: of the examples, and of the
# broker.
packages_of_missing_clients() {
    python_has_redis || printf '%s\n' python3 python3-redis
    have node || echo nodejs
    have npm || echo npm
    if ! have mosquitto_pub || ! have mosquitto_sub; then
        echo mosquitto-clients
    fi
}

# ioredis is no package of Debian. It is installed below target/, not beside the sources, in the
# versions of the lock file, and only if these are not there already. Where no registry can be
# reached, its tests are left out: they are told by this variable, and report_left_out says so last.
install_ioredis() {
    local from=$root/examples/ioredis into=${CARGO_TARGET_DIR:-$root/target}/examples/ioredis
    ! cmp -s "$from/package-lock.json" "$into/installed.json" || return 0
    say "installing ioredis with npm"
    mkdir -p "$into"
    rm -f "$into/installed.json"
    cp "$from/package.json" "$from/package-lock.json" "$into"
    # A second time if it fails: it may have been a hiccup of the network.
    if npm_ci "$into" || npm_ci "$into"; then
        cp "$into/package-lock.json" "$into/installed.json"
    else
        export DEVICESTATE_WITHOUT_IOREDIS=1
        report_left_out
        say "see $into/npm.log" >&2
    fi
}

# Says which tests did not run.
report_left_out() {
    if [[ ${DEVICESTATE_WITHOUT_IOREDIS:-} ]]; then
        say "LEFT OUT: the tests of examples/ioredis, because npm could not install ioredis" >&2
    fi
}

# npm_ci FOLDER: installs what the lock file there says, without running anything of it. By itself
# npm waits for minutes when there is no network.
npm_ci() (
    local limits=(--fetch-retries 1 --fetch-retry-mintimeout 1000 --fetch-timeout 60000)
    cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --prefer-offline "${limits[@]}" \
        </dev/null >npm.log 2>&1
)
