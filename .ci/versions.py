"""Prints one line: the versions of Python and of every library that hf_prune names; arguments are put in front."""

import re
import sys
from importlib.metadata import requires, version

names = [re.match(r"[\w.-]+", line)[0] for line in requires("hf-prune") or [] if "extra ==" not in line]
found = [f"Python {sys.version.split()[0]}", *(f"{name} {version(name)}" for name in names)]
sys.stdout.write(f"{' '.join(['hf-prune:', *sys.argv[1:]])} {', '.join(found)}\n")
