#!/bin/sh
# Make the environments of the stack and the checks: .venv, .local/venvs/{localstack,lambda,sam}, the database server.
# Only steps that must precede the import of a Python package are here. The rest is `python -m local.stack`.
# Each environment is made again only when its lock or its interpreter changes.
set -eu

cd "$(dirname "$0")/.."
state=$PWD/.local
needed_mb=2500

fail() { # fail PROBLEM REMEDY
  printf '\n✗ %s\n  %s\n' "$1" "$2" >&2
  exit 1
}

find_python() { # find_python VERSION...: path of an interpreter of one of these versions, PYTHON's first
  for candidate in "${PYTHON:-python3}" python3.11 python3.13 python3.12 python3; do
    found=$("$candidate" -c 'import sys; print(sys.executable, "%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    for version in "$@"; do
      [ "${found##* }" = "$version" ] && { echo "${found% *}"; return 0; }
    done
  done
  return 1
}

fingerprint() { # fingerprint FILE PYTHON: changes when the lock or the interpreter does
  { cat "$1"; echo "$2"; } | cksum
}

make_room_check() {
  free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
  [ "$free_mb" -ge "$needed_mb" ] && return
  fail "Only $free_mb MB are free on the disk of $PWD." "Free some space: the stack needs $needed_mb MB the first time."
}

install_venv_module() {
  "$python" -c 'import ensurepip, venv' 2>/dev/null && return
  package=python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
  command -v apt-get >/dev/null || fail "This Python has no venv module." "Install Python with venv and pip, then try again."
  [ "$(id -u)" = 0 ] || fail "This Python has no venv module." "Run: sudo apt-get install $package"
  { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy --no-install-recommends install "$package"; } \
    >"$state/logs/apt.log" 2>&1 || fail "apt-get could not install $package." "See $state/logs/apt.log."
}

install_uv() {
  UV=$state/bootstrap/bin/uv
  stamp=$(fingerprint local/locks/bootstrap.lock "$python")
  [ "$(cat "$state/bootstrap/stamp" 2>/dev/null)" = "$stamp" ] && return
  make_room_check
  install_venv_module
  rm -rf "$state/bootstrap"
  { "$python" -m venv "$state/bootstrap" &&
    "$state/bootstrap/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r local/locks/bootstrap.lock; } \
    >"$state/logs/bootstrap.log" 2>&1 || fail "uv could not be installed." "Check the network, then see $state/logs/bootstrap.log."
  echo "$stamp" >"$state/bootstrap/stamp"
  echo "✓ uv $("$UV" --version | cut -d' ' -f2)"
}

environment() { # environment FOLDER LOCK PYTHON
  stamp=$(fingerprint "$2" "$3")
  [ "$(cat "$1/stamp" 2>/dev/null)" = "$stamp" ] && return
  make_room_check
  began=$(date +%s)
  rm -f "$1/stamp"
  log=$state/logs/$(basename "$2").log
  { "$UV" venv -q --allow-existing --python "$3" "$1" && "$UV" pip sync -q --require-hashes --python "$1/bin/python" "$2"; } >"$log" 2>&1 ||
    { tail -5 "$log" >&2; fail "The packages of $2 could not be installed." "Check the network and the disk, then see $log."; }
  echo "$stamp" >"$1/stamp"
  echo "✓ packages of $(basename "$2") ($(($(date +%s) - began)) s)"
}

node_packages() { # node_packages LOCK: the packages of tests/NAME/package-lock.json, in .local/node/NAME
  folder=$state/node/$(basename "$(dirname "$1")")
  package=$(dirname "$1")/package.json
  stamp=$(fingerprint "$1" "$(cksum <"$package") $(cat "$state/venvs/node/stamp")")
  [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ] && return
  make_room_check
  began=$(date +%s)
  mkdir -p "$folder"
  rm -f "$folder/stamp"
  cp "$1" "$package" "$folder"
  log=$state/logs/npm-$(basename "$folder").log
  "$state/venvs/node/bin/npm" ci --prefix "$folder" --ignore-scripts --no-audit --no-fund >"$log" 2>&1 ||
    { tail -5 "$log" >&2; fail "The packages of $1 could not be installed." "Check the network and the disk, then see $log."; }
  echo "$stamp" >"$folder/stamp"
  echo "✓ packages of $1 ($(($(date +%s) - began)) s)"
}

[ "$(uname -s)" = Linux ] || [ "$(uname -s)" = Darwin ] || fail "The stack runs on Linux and macOS only." "On Windows use WSL."
if [ "${PYTHON:-python3}" != python3 ] && ! "$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
  fail "PYTHON is '$PYTHON', which is no Python from 3.11 to 3.14." "Name another one, or leave it out."
fi
python=$(find_python 3.11 3.12 3.13 3.14) ||
  fail "Python 3.11 or newer was not found." "Install it, or name one: make run PYTHON=/path/to/python3.11"
mkdir -p "$state/logs" "$state/venvs"

# Two runs at once must not install into one folder. Where flock is missing (macOS), uv's own locks must do.
if command -v flock >/dev/null; then
  exec 9>"$state/bootstrap.lock"
  flock -n 9 || { echo "… another run is installing packages; waiting for it"; flock 9; }
fi

engine=${DB_ENGINE:-mysql}
case $engine in
mysql | mariadb) ;;
*) fail "DB_ENGINE is '$engine'." "Set it to mysql or mariadb, or leave it out." ;;
esac
if [ ! -d "$state/$engine-server" ]; then
  make_room_check
  "$python" -m local.private_packages "$engine" & # in the background: it mostly waits for the network
  fetching=$!
  trap 'kill "$fetching" 2>/dev/null' EXIT INT TERM
fi

[ -e .venv/stamp ] || echo "… setting up, the first time only: some minutes, most of them downloads"
install_uv
if [ "$python" != "$(find_python 3.11 3.12 3.13)" ]; then # neither Lambda nor LocalStack runs on 3.14
  "$UV" python install -q 3.13 >"$state/logs/python.log" 2>&1 && python=$("$UV" python find 3.13) ||
    fail "Functions run on Python 3.11 to 3.13, and none of these was found." "Install python3.13 beside $python."
fi
environment "$PWD/.venv" local/locks/dev.lock "$python"
localstack=localstack-2026 # the last open release; it needs Python 3.12 (ADR-008)
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' || localstack=localstack
environment "$state/venvs/localstack" "local/locks/$localstack.lock" "$python"
environment "$state/venvs/lambda" local/locks/lambda.lock "$python"
environment "$state/venvs/sam" local/locks/sam.lock "$python"
if [ -n "${1:-}" ]; then environment "$state/venvs/$1" "local/locks/$1.lock" "$python"; fi # security, mutation, browser, load, node, ministack
if [ "${1:-}" = node ]; then
  environment "$state/venvs/clients" local/locks/clients.lock "$python"
  for lock in tests/*/package-lock.json; do node_packages "$lock"; done
fi

if [ -n "${fetching:-}" ]; then
  wait "$fetching"
  trap - EXIT INT TERM
fi
