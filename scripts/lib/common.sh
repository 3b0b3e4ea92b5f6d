# shellcheck shell=bash
# What every script of this folder starts with: it stands in the repository's root, and speaks in
# single lines that begin with the script's name.

script=$(basename "$0")
# shellcheck disable=SC2034 # the scripts use it
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Debian keeps servers in /usr/sbin, which is not on every user's PATH.
PATH=$PATH:/usr/sbin:/sbin

# Tells what happens.
say() {
    printf '%s: %s\n' "$script" "$*"
}

# Tells what is wrong and ends the script.
fail() {
    printf '%s: %s\n' "$script" "$*" >&2
    exit 1
}

# Tells what is wrong with the command line and ends the script.
misused() {
    printf '%s: %s (see --help)\n' "$script" "$*" >&2
    exit 2
}

# Whether there is such a command.
have() {
    command -v "$1" >/dev/null 2>&1
}
