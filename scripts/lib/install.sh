# shellcheck shell=bash
# Finds what a build and a run need and installs what is missing, on Debian and its relatives.
# Needs common.sh.
# shellcheck disable=SC2154 # root is set there

policy=/usr/sbin/policy-rc.d
other_policy=$policy.before-devicestate

# The Rust toolchain must be there, and be new enough: it is the user's choice how it is installed.
need_rust() {
    if ! have cargo && [[ -x ${HOME:-}/.cargo/bin/cargo ]]; then
        PATH=$HOME/.cargo/bin:$PATH
    fi
    have cargo || fail "cargo is missing; install Rust first: https://rustup.rs"
    local found wanted
    found=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || true
    [[ $found ]] || fail "rustc does not run; install a Rust toolchain first: https://rustup.rs"
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
    if [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1) != "$wanted" ]]; then
        fail "Rust $found is too old, $wanted or newer is needed: https://rustup.rs"
    fi
}

# The Debian packages of the programs that are missing.
packages_of_missing_programs() {
    have redis-server || echo redis-server
    have redis-cli || echo redis-tools
    have mosquitto || echo mosquitto
    have cc || echo gcc
}

# The Debian packages of the libraries and headers that a build misses.
packages_of_missing_libraries() {
    [[ -e /usr/include/stdio.h ]] || echo libc6-dev
    # The bindings to the server are made by libclang, which needs headers of its own.
    local file libclang='' headers=''
    for file in ${LIBCLANG_PATH:+"$LIBCLANG_PATH"/libclang*.so*} \
        /usr/lib/llvm-*/lib/libclang{,-[0-9]*}.so* /usr/lib/*/libclang{,-[0-9]*}.so*; do
        [[ ! -e $file ]] || libclang=$file
    done
    for file in /usr/lib/llvm-*/lib/clang/*/include/stddef.h /usr/lib/clang/*/include/stddef.h; do
        [[ ! -e $file ]] || headers=$file
    done
    [[ $libclang && $headers ]] || echo libclang-dev
}

# Ends the script if a program is missing, without installing anything.
need_programs() {
    local missing
    mapfile -t missing < <(packages_of_missing_programs)
    ((${#missing[@]} == 0)) || fail "missing: ${missing[*]} (without --no-install they are installed)"
}

# install_missing [FUNCTION]: installs what is missing, also of the packages that the function names.
# Nothing is asked for, and no service is started.
install_missing() {
    local missing
    mapfile -t missing < <(packages_of_missing_programs; packages_of_missing_libraries; "${@:-true}")
    ((${#missing[@]} > 0)) || return 0
    have apt-get || fail "missing, and there is no apt-get to install them: ${missing[*]}"
    ((EUID == 0)) || have sudo ||
        fail "missing, and there is no sudo: run as root: apt-get install ${missing[*]}"
    say "installing with apt-get: ${missing[*]} (their system services stay off)"
    install_packages "${missing[@]}"
}

# Runs a command as root.
as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Installs packages while services are held back. A subshell, for the sake of its own traps.
install_packages() (
    log=$(mktemp)
    trap 'release_services; rm -f "$log"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    hold_back_services
    apt_get() {
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$log" 2>&1
    }
    if ! apt_get update || ! apt_get install --no-install-recommends "$@"; then
        tail -n 15 "$log" >&2
        fail "apt-get could not install: $*"
    fi
    keep_services_off "$@" >>"$log" 2>&1
)

# Debian starts a service as soon as its package is installed, unless this script of the
# administrator forbids it. One that is there is asked about all other services, and comes back.
hold_back_services() {
    if [[ -e $policy || -L $policy ]]; then
        local answer=0
        "$policy" redis-server start >/dev/null 2>&1 || answer=$?
        # It forbids it by itself, or is ours, left by an earlier run that was killed.
        ((answer != 101)) || return 0
        as_root mv "$policy" "$other_policy"
    fi
    as_root tee "$policy" >/dev/null <<END
#!/bin/sh
# Made by devicestate's scripts/lib/install.sh for the time of an installation.
for word; do
    case \$word in redis* | mosquitto*) exit 101 ;; esac
done
[ ! -x $other_policy ] || exec $other_policy "\$@"
END
    as_root chmod 755 "$policy"
}

# Takes hold_back_services back.
release_services() {
    if grep -q devicestate "$policy" 2>/dev/null; then
        as_root rm -f "$policy"
    fi
    if [[ -e $other_policy || -L $other_policy ]]; then
        as_root mv "$other_policy" "$policy"
    fi
}

# A service that was not wanted now is not wanted after the next boot either: it would take the
# port.
keep_services_off() {
    local package
    have systemctl || return 0
    for package; do
        case $package in
            redis-server | mosquitto) as_root systemctl --quiet disable "$package" || true ;;
        esac
    done
}
