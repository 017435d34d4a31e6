#!/bin/sh
# Makes an environment: one torch, then the package with its tools. The Makefile runs this before every command that
# needs it; a finished set-up is recognised by its stamp in a few milliseconds, without the network.
#
#   setup.sh            .venv: exactly the versions of .ci/constraints.txt, which `make lock` renews
#   setup.sh newest     .venv-newest: the newest versions that pyproject.toml allows, asked for anew at each call
#   setup.sh oldest     .venv-oldest: the lowest versions that it names
set -eu
cd "$(dirname "$0")/.."

versions=${1:-locked}
lock=.ci/constraints.txt
cpu_index=https://download.pytorch.org/whl/cpu
case $versions in
    locked) venv=.venv ;;
    newest) venv=.venv-newest resolution=highest ;;
    oldest) venv=.venv-oldest resolution=lowest-direct ;;
    *) echo "setup.sh: no versions are called $versions: locked, newest or oldest" >&2; exit 2 ;;
esac
stamp=$venv/.set-up        # folder and checksum of what a finished set-up was made from
busy=$venv/.setting-up     # number of the process that is installing; left behind when it is interrupted
wanted=$venv/constraints   # the exact versions of this environment
folder=$(pwd -P)

say() { echo "hf-prune: $*" >&2; }
fail() { say "$*"; exit 1; }
# Compiled at install: where Python is told to write no bytecode, every start would compile torch and transformers anew.
install() { pip install -q "$@"; }
pip() { PIP_USER=0 "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
identity() { "$1" -c 'import sys; print(sys.base_prefix, sys.version)' 2>/dev/null; }
# Prints the version of torch that a file of constraints names.
torch_in() { sed -n 's/^torch==\([^ ;]*\).*/\1/p' "$1"; }
# Exact versions of all that pyproject.toml names, for any Python and system where --universal is given.
resolve() { .venv/bin/uv pip compile -q --system-certs --no-header --no-annotate --extra dev pyproject.toml "$@"; }

# Prints the first Python that is new enough and can make a virtual environment.
find_python() {
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3 python3.11 python3.12 python3.13 python3.14; fi
    lacking=
    for candidate; do
        "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then echo "$candidate"; return; fi
        lacking=${lacking:-$candidate}
    done
    [ -n "$lacking" ] || fail "found no Python 3.11 to 3.14 (tried: $*); install one, or name it: make PYTHON=/path/to/python3"
    version=$("$lacking" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    fail "$lacking (Python $version) has no ensurepip, so it cannot make $venv: sudo apt-get install python$version-venv"
}

# True when the environment is finished, still runs and was made from these versions, in this folder, by the Python asked for.
finished() {
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$made_from" ] && made_by=$(identity "$venv/bin/python") || return 1
    [ -z "${PYTHON:-}" ] || [ "$made_by" = "$(identity "$PYTHON")" ]
}

# True when packages may be added to the environment as it is. A half-installed package cannot be told from a whole one,
# console scripts hold the folder's name, and an upgraded system leaves a Python that does not start: all are made anew.
usable() {
    [ ! -f "$busy" ] && pip --version >/dev/null 2>&1 || return 1
    [ -z "${PYTHON:-}" ] || [ "$(identity "$venv/bin/python")" = "$(identity "$PYTHON")" ] || return 1
    case $(cat "$stamp" 2>/dev/null) in "" | "$folder "*) ;; *) return 1 ;; esac
}

has_torch() {
    "$venv/bin/python" -c "
import importlib.metadata, sys
sys.exit(importlib.metadata.version('torch').split('+')[0] != '$1')" 2>/dev/null
}

needs_cpu_build() { [ "$(uname -s)" = Linux ] && ! nvidia-smi >/dev/null 2>&1; }

# PyPI's torch for Linux carries CUDA; the CPU build is a tenth of its size. Without a GPU the index that pip is set up
# with is asked for it first, then PyTorch's own. Dependencies come with the package.
install_cpu_torch() {
    install --no-deps "torch==$1+cpu" 2>/dev/null ||
        install --no-deps --timeout 15 --retries 1 --index-url "$cpu_index" "torch==$1+cpu" 2>/dev/null
}

install_torch() {
    has_torch "$1" && return
    if needs_cpu_build; then
        say "no GPU found: installing the CPU build of torch $1 (about 200 MB)"
        install_cpu_torch "$1" && return
        say "no index in reach has a CPU build of torch $1: taking the default one, which may fetch several GB of CUDA libraries"
    else
        say "installing torch $1"
    fi
    install --no-deps "torch==$1"
}

# Sets torch: the one that the versions ask for, or the locked one where nobody in reach has a CPU build of the former.
choose_torch() {
    torch=$(resolve --resolution "$resolution" --python "$venv/bin/python" | torch_in -)
    has_torch "$torch" && return
    if needs_cpu_build && ! install_cpu_torch "$torch"; then
        say "no index in reach has a CPU build of torch $torch, the $versions one: taking the locked $(torch_in $lock)"
        torch=$(torch_in $lock)
    fi
}

prepare() {
    if [ -f "$busy" ] && kill -0 "$(cat "$busy")" 2>/dev/null; then
        fail "process $(cat "$busy") is setting up $venv already; wait for it, or remove $venv if that is another program"
    fi
    if [ -e "$venv" ] && ! usable; then
        say "$venv is unfinished or does not fit: making it anew"
        rm -rf "$venv"
    fi
    if [ ! -e "$venv" ]; then
        python=$(find_python)
        mkdir "$venv"
        echo $$ >"$busy"
        "$python" -m venv "$venv"
    fi
}

if [ "$versions" = locked ]; then
    made_from="$folder $(cat pyproject.toml .ci/setup.sh $lock | cksum)"
    finished && exit
    prepare
    cp "$lock" "$wanted"
else
    [ -x .venv/bin/uv ] || fail "set up .venv first, which holds uv: make setup"
    prepare
    choose_torch
    echo "torch==$torch" >"$venv/torch"
    resolve --resolution "$resolution" --python "$venv/bin/python" -c "$venv/torch" -o "$wanted"
    made_from="$folder $(cat pyproject.toml .ci/setup.sh "$wanted" | cksum)"
    finished && exit
fi
rm -f "$stamp"
echo $$ >"$busy"
install_torch "$(torch_in "$wanted")"
say "installing the package and its tools"
install -c "$wanted" -e ".[dev]"
"$venv/bin/python" .ci/versions.py "set up in $venv:" >&2
echo "$made_from" >"$stamp"
rm -f "$busy"
