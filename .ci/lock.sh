#!/bin/sh
# Writes .ci/constraints.txt anew: the newest versions that pyproject.toml allows, for Python 3.11 to 3.14 on any system.
# torch stays as it is, since it has to have a CPU build in reach of everybody; TORCH=2.14.1 names another.
set -eu
cd "$(dirname "$0")/.."

lock=.ci/constraints.txt
torch=${TORCH:-$(sed -n 's/^torch==\([^ ;]*\).*/\1/p' $lock)}
new=$(mktemp)
trap 'rm -f "$new" "$new.torch"' EXIT
echo "torch==$torch" >"$new.torch"
# Libraries of CUDA are in it too: they are constraints, and bind only where a build of torch asks for them.
.venv/bin/uv pip compile -q --system-certs --no-header --no-annotate --universal --fork-strategy fewest \
    --python-version 3.11 --extra dev -c "$new.torch" -o "$new" pyproject.toml
{
    echo "# The exact versions that make installs. Written by make lock; do not edit."
    cat "$new"
} >$lock
git --no-pager diff --stat -- $lock
