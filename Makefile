# Every command sets up .venv first, once. ARGS="…" is handed on: make demo ARGS="--out here", make test ARGS=tests/hub/card/test_build.py
# JOBS=1 runs the tests one after the other, as a debugger wants it.
# PYTHON=/path/to/python3 names the interpreter; else the first python3 from 3.11 up that has venv.
# Tests run in another order each time; SEED=1 repeats the order of a run, whose seed stands in its first line.
.DEFAULT_GOAL := help
.PHONY: help setup demo docs test test-newest test-oldest test-other test-numeric lint fix lock wheel-check versions clean

PYTHON ?=
JOBS ?= 3
SEED ?= $(shell date +%s)
BIN := .venv/bin
WHEEL := build/wheel
# Three processes and those that they start load the same modules, so what one has compiled is kept for all.
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -q -p randomly --randomly-seed=$(SEED) --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)
SITE = import sysconfig; print(*{sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}, sep="\n")

help:         ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup:        ## make .venv: the package, its tools and one pinned torch
	@PYTHON="$(PYTHON)" sh .ci/setup.sh

demo: setup   ## score and cut photographs, compare with random rows, export and show the best cut
	@$(BIN)/hf-prune demo $(ARGS)

docs: setup   ## build the documentation as a site, in build/site
	$(BIN)/python docs/make.py site build/pages
	$(BIN)/zensical build --clean --strict
	@echo "to look at it: $(BIN)/python -m http.server --directory build/site"

test: setup   ## run the tests
	$(PYTEST)

# These two are not in .ci/run: what they find is the libraries' news, not the change's.
test-newest: OTHER := newest
test-newest: test-other ## run the tests with the newest libraries that pyproject.toml allows

test-oldest: OTHER := oldest
test-oldest: test-other ## run the tests with the oldest libraries that pyproject.toml allows

test-other: setup
	@PYTHON="$(PYTHON)" sh .ci/setup.sh $(OTHER)
	$(subst $(BIN),.venv-$(OTHER)/bin,$(PYTEST))

test-numeric: setup ## run the tests that compute as an old processor does, without AVX
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 $(PYTEST) -m "numeric and not gpu"

lint: setup   ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: setup    ## correct what ruff can correct
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup   ## write .ci/constraints.txt anew: the exact versions that all of this installs
	@sh .ci/lock.sh

versions: setup ## print the versions of the libraries
	@$(BIN)/python .ci/versions.py

# The environment is new and holds the wheel alone; the libraries are seen through a .pth file, which lends the folder of
# .venv but not the editable install in it (.pth files there are not read), so no second torch is fetched.
wheel-check: setup ## build the wheel, install it in a fresh environment and export a data set with it
	rm -rf $(WHEEL)
	$(BIN)/python -m pip wheel -q --no-deps -w $(WHEEL) .
	$(BIN)/python -m venv --without-pip $(WHEEL)/venv
	$(BIN)/python -m pip --python $(WHEEL)/venv/bin/python install -q --no-deps --no-index $(WHEEL)/*.whl
	$(BIN)/python -c '$(SITE)' > $(WHEEL)/libraries.pth
	mv $(WHEEL)/libraries.pth "$$($(WHEEL)/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	cd $(WHEEL) && venv/bin/python -I ../../tests/helpers/wheel_render.py

clean:        ## remove .venv, builds and caches
	rm -rf .venv .venv-newest .venv-oldest build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find hf_prune tests recipes -name __pycache__ -prune -exec rm -rf {} +
