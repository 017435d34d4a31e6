#!/bin/sh
# Makes .venv: one pinned torch, then the package with its tools. The Makefile runs this before every command that needs
# it; a finished set-up is recognised by its stamp in a few milliseconds, without the network.
set -eu
cd "$(dirname "$0")/.."

torch=2.13.0 # has wheels for Python 3.11 to 3.14
cpu_index=https://download.pytorch.org/whl/cpu
venv=.venv
stamp=$venv/.set-up     # folder and checksum of what a finished set-up was made from
busy=$venv/.setting-up  # number of the process that is installing; left behind when it is interrupted
folder=$(pwd -P)
made_from="$folder $(cat pyproject.toml .ci/setup.sh | cksum)"

say() { echo "hf-prune: $*" >&2; }
fail() { say "$*"; exit 1; }
# Compiled at install: where Python is told to write no bytecode, every start would compile torch and transformers anew.
install() { pip install -q "$@"; }
pip() { PIP_USER=0 "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
identity() { "$1" -c 'import sys; print(sys.base_prefix, sys.version)' 2>/dev/null; }

# True when .venv is finished, still runs and was made from this pyproject.toml, in this folder, by the Python asked for.
finished() {
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$made_from" ] && made_by=$(identity "$venv/bin/python") || return 1
    [ -z "${PYTHON:-}" ] || [ "$made_by" = "$(identity "$PYTHON")" ]
}

# True when packages may be added to .venv as it is. A half-installed package cannot be told from a whole one, console
# scripts hold the folder's name, and an upgraded system leaves a Python that does not start: all are made anew.
usable() {
    [ ! -f "$busy" ] && pip --version >/dev/null 2>&1 || return 1
    [ -z "${PYTHON:-}" ] || [ "$(identity "$venv/bin/python")" = "$(identity "$PYTHON")" ] || return 1
    case $(cat "$stamp" 2>/dev/null) in "" | "$folder "*) ;; *) return 1 ;; esac
}

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

has_torch() {
    "$venv/bin/python" -c "
import importlib.metadata, sys
sys.exit(importlib.metadata.version('torch').split('+')[0] != '$torch')" 2>/dev/null
}

# PyPI's torch for Linux carries CUDA; the CPU build is a tenth of its size. Without a GPU the index that pip is set up
# with is asked for it first, then PyTorch's own, and PyPI's build is the last resort. Dependencies come with the package.
install_torch() {
    if [ "$(uname -s)" = Linux ] && ! nvidia-smi >/dev/null 2>&1; then
        say "no GPU found: installing the CPU build of torch $torch (about 200 MB)"
        install --no-deps "torch==$torch+cpu" 2>/dev/null && return
        install --no-deps --timeout 15 --retries 1 --index-url "$cpu_index" "torch==$torch+cpu" 2>/dev/null && return
        say "no index in reach has a CPU build of torch $torch: taking the default one, which may fetch several GB of CUDA libraries"
    else
        say "installing torch $torch"
    fi
    install --no-deps "torch==$torch"
}

finished && exit
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
rm -f "$stamp"
echo $$ >"$busy"
has_torch || install_torch
say "installing the package and its tools"
"$venv/bin/python" -c 'import importlib.metadata; print("torch==" + importlib.metadata.version("torch"))' >"$venv/torch.txt"
install -c "$venv/torch.txt" -e ".[dev]"
"$venv/bin/python" -c '
import sys, torch
build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "MPS" if torch.backends.mps.is_built() else "CPU"
print(f"hf-prune: set up in .venv with Python {sys.version.split()[0]} and torch {torch.__version__} ({build} build)", file=sys.stderr)'
echo "$made_from" >"$stamp"
rm -f "$busy"
