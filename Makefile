# `make demo` and `make test` set up what they need: Python 3.11 or later and make are enough, and a
# C compiler is used when there is one.
#
#   make demo     messages cross a real socket, piece by piece
#   make test     everything a change must pass
#   make test-uvloop     the pairs of clients and servers in event loops once more, on uvloop;
#                        make test has a part of them, UVLOOP_TESTS=tests/behaviour is all of them
#   make coverage the report of what all tests reach
#   make states   two connections that meet whatever may happen, STATES=100 times as often as in a test
#   make model    two model ends that both ask, in 100,000 histories; HISTORIES=1000 searches less
#   make soak     200 good and bad clients at each server, SECONDS=60 long; MINUTES=30, SERVER=sync,
#                 SEED=7 and TLS=no choose otherwise
#   make test-dev    the behaviour suite in Python's development mode, where each warning is an error
#   make package  the packages as they are published, each tried in an empty environment
#   make fuzz     a minute of hostile bytes for the message processor
#   make docs     the documentation as a site, in site/
#   make bench    what a message costs, in nanoseconds
#   make bench-peers    Telex side by side with its peers; renews docs/performance.md
#   make bench-check    fails where a message takes 10 % more instructions than before (valgrind);
#                       UPDATE=1 renews the figures, FIGURES=FILE keeps them elsewhere
#   make format   lay the code out as `make test` wants it
#   make clean    remove all that make made
#
# PYTHON=python3.12 chooses the interpreter of a new environment, VENV=.venv-3.12 where that goes.
# JOBS=8 runs so many tests at a time; most of them wait for each other, and not for a processor.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 6
HISTORIES ?= 100000
STATES ?= 100
SECONDS ?= $(if $(MINUTES),$(shell expr 60 '*' $(MINUTES)),60)
SERVER ?= all
TLS ?= yes

PY := $(VENV)/bin/python
PYTEST := $(PY) -m pytest --numprocesses=$(JOBS) --dist=worksteal
MEASURED := --cov --cov-report=
COVERAGE := $(PY) -m coverage
# Brings node with it; without the first variable it would ask the network whether it is the newest.
PYRIGHT := PYRIGHT_PYTHON_IGNORE_WARNINGS=1 PYTHONPATH=src \
    PATH="$(abspath $(VENV))/bin:$$PATH" $(PY) -m pyright
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check

# $(VENV) holds telex as it stands in src/, so that edits count; $(COMPILED), put first on the path,
# holds what a wheel would bring.
COMPILED := $(abspath $(VENV)/compiled)
BUILD_FILES := pyproject.toml setup.py $(wildcard _build/*.py)
SOURCES := $(shell find src/telex -name '*.py')
CAN_COMPILE := $(PY) _build/compiler.py

# The core is what is compiled and the words it is written in.
CORE_SOURCES := src/telex/wire/*,src/telex/conversation/*,src/telex/connection/*,src/telex/errors.py,src/telex/limits.py
CORE_TESTS := $(shell cat tests/core.txt)
OTHER_TESTS := tests $(addprefix --ignore=,$(CORE_TESTS)) --ignore=tests/typing
# Compiled, the core is tested by itself, and below each client and each server, those of the third
# front-end among them. Which of them meet is tested in pure Python: each sees bytes of the other, and
# no more. What takes long there is waiting for limits, which compiling does not change.
COMPILED_TESTS := $(CORE_TESTS) $(shell cat tests/compiled.txt) \
    -k 'not (from_sync and to_asyncio) and not (from_asyncio and to_sync)'
# On uvloop, what differs is how a transport begins, sends, ends and fails.
UVLOOP_TESTS ?= $(patsubst %,tests/behaviour/test_%.py,client_tls endings hooks overload shutdown tls)
# Python's development mode finds what is not closed, not awaited, or raised where nobody sees it, and
# what compiled code does to memory that is not its own. make test has each test of the behaviour in
# it, with each client and each server; test-dev has all pairs.
DEV_MODE := PYTHONDEVMODE=1 PYTHONWARNINGS=error
CHECKED := $(wildcard src tests _build setup.py noxfile.py conformance benchmarks docs/*.py examples fuzz)

.NOTPARALLEL:
.PHONY: demo test check test-pure test-core test-others test-uvloop test-compiled test-dev coverage package states \
    model soak docs fuzz bench bench-check bench-peers format clean compiled
unexport PYTHONPATH

demo: $(VENV)/.cli compiled
	@PYTHONPATH=$(COMPILED) $(VENV)/bin/telex demo

# One processor compiles while another one does what waits for no clock. The type checkers of both
# have caches of their own.
test: $(VENV)/.dev
	@$(MAKE) --no-print-directory compiled > $(VENV)/compiled.txt 2>&1 & \
	    $(MAKE) --no-print-directory check && $(MAKE) --no-print-directory test-core; passed=$$?; \
	    wait; cat $(VENV)/compiled.txt; exit $$passed
	@$(MAKE) --no-print-directory test-others
	@$(MAKE) --no-print-directory test-uvloop
	@$(MAKE) --no-print-directory test-compiled

check: $(VENV)/.dev
	$(PY) -m ruff check $(CHECKED)
	$(PY) -m ruff format --check $(CHECKED)
	MYPY_CACHE_DIR=$(VENV)/.mypy_cache $(PY) -m mypy $(CHECKED)
	$(VENV)/bin/lint-imports --no-cache --no-logo
	$(PYRIGHT)
	$(PYRIGHT) --verifytypes telex --ignoreexternal > $(VENV)/types.txt || \
	    { cat $(VENV)/types.txt; exit 1; }

test-pure: test-core test-others

# The core's own tests must reach every branch of it without any other test's help.
test-core: $(VENV)/.dev
	$(PYTEST) $(MEASURED) $(CORE_TESTS)
	$(COVERAGE) report --include='$(CORE_SOURCES)' --fail-under=100

# Not measured: they are held to no figure, and measuring takes a third of their time.
test-others: $(VENV)/.dev
	TELEX_EXPECT_COMPILED=0 $(PYTEST) --doctest-modules src $(OTHER_TESTS)

coverage: $(VENV)/.dev
	$(PYTEST) $(MEASURED) --doctest-modules src tests --ignore=tests/typing
	$(COVERAGE) report

test-uvloop: $(VENV)/.dev
	TELEX_LOOP=uvloop $(PYTEST) -k 'asyncio and not from_sync and not to_sync' $(UVLOOP_TESTS)

test-compiled: $(VENV)/.dev
	@if why_not=$$($(CAN_COMPILE)); then \
	    $(MAKE) --silent $(COMPILED)/.built && \
	    $(DEV_MODE) TELEX_EXPECT_COMPILED=1 PYTHONPATH=$(COMPILED) $(PYTEST) $(COMPILED_TESTS); \
	else \
	    echo "The compiled build is NOT tested: $$why_not."; \
	fi

test-dev: $(VENV)/.dev
	$(DEV_MODE) $(PYTEST) tests/behaviour

package: $(VENV)/.package
	$(PY) _build/package.py

states: $(VENV)/.dev
	STATES=$(STATES) $(PYTEST) --timeout=0 tests/connection/test_state_machine.py

model: $(VENV)/.dev
	$(PY) -m tests.model $(HISTORIES)

soak: $(VENV)/.dev
	$(PY) -m tests.soak --server $(SERVER) --seconds $(SECONDS) --tls $(TLS) $(if $(SEED),--seed $(SEED))

# Material for MkDocs would announce its successor otherwise.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
	@echo "The site is made: open site/index.html, or for its search: python3 -m http.server -d site"

fuzz: $(VENV)/.fuzz
	mkdir -p fuzz/found
	$(PY) fuzz/fuzz_processor.py -max_total_time=60 -artifact_prefix=fuzz/found/

bench: $(VENV)/.dev compiled
	PYTHONPATH=$(COMPILED) $(PY) -m benchmarks codec

bench-peers: $(VENV)/.bench compiled
	PYTHONPATH=$(COMPILED) $(PY) -m benchmarks peers --write

bench-check: $(VENV)/.dev compiled
	PYTHONPATH=$(COMPILED) $(PY) -m benchmarks instructions \
	    $(if $(UPDATE),--update) $(if $(FIGURES),--figures '$(FIGURES)')

format: $(VENV)/.dev
	$(PY) -m ruff check --fix $(CHECKED)
	$(PY) -m ruff format $(CHECKED)

clean:
	rm -rf $(VENV) build dist site src/telex.egg-info
	rm -rf .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(CHECKED) -name __pycache__ -prune -exec rm -rf {} +

# For what runs better compiled, and runs all the same where that cannot be had.
compiled: $(VENV)/.created
	@if why_not=$$($(CAN_COMPILE)); then \
	    $(MAKE) --silent $(COMPILED)/.built || echo "Compiling failed; telex runs as pure Python."; \
	else \
	    rm -rf $(COMPILED); \
	    echo "Telex runs as pure Python: $$why_not."; \
	fi

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Telex needs Python 3.11 or later, and $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
	    echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; \
	    exit 1; \
	} >&2
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.cli: $(VENV)/.created pyproject.toml
	$(PIP_INSTALL) --editable '.[cli]'
	@touch $@

$(VENV)/.dev: $(VENV)/.created pyproject.toml
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.cli $(VENV)/.docs

$(VENV)/.docs: $(VENV)/.created pyproject.toml
	$(PIP_INSTALL) --editable '.[docs]'
	@touch $@

$(VENV)/.package: $(VENV)/.created pyproject.toml
	$(PIP_INSTALL) --editable '.[package]'
	@touch $@

$(VENV)/.bench: $(VENV)/.created pyproject.toml
	$(PIP_INSTALL) --editable '.[bench]'
	@touch $@

$(VENV)/.fuzz: $(VENV)/.created pyproject.toml
	$(PIP_INSTALL) --editable '.[fuzz]'
	@touch $@

$(COMPILED)/.built: $(VENV)/.created $(BUILD_FILES) $(SOURCES)
	@echo "Compiling the core, which takes up to two minutes"
	rm -rf $(COMPILED)
	TELEX_MYPYC=1 $(PIP_INSTALL) --no-deps --target $(COMPILED) .
	@touch $@
