# Everything runs in .venv, from locked and hashed dependencies.
#   make run    try it: the daemon with its own store, no configuration
#   make test   everything that must hold before a change lands

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
SOURCES := bounced tests benchmarks tools

.PHONY: install run test torture mta-more snippets-more lint lock docs dist clean

install: $(VENV)/.installed

# --without-pip and pip's --python: Debian ships venv and pip, but not what would put pip into a venv.
PIP := $(PYTHON) -m pip --python $(BIN)/python install --quiet

# What it takes to run: whoever only wants to try it need not wait for the rest.
$(VENV)/.runs: requirements.lock pyproject.toml
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.installed: requirements-dev.lock $(VENV)/.runs
	$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

run: $(VENV)/.runs
	$(BIN)/bounced serve

test: install lint
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest tests/core
	$(BIN)/coverage report
	$(BIN)/pytest tests --ignore tests/core --ignore tests/mta -m "not slow" -n 2 --dist loadscope -p no:randomly
	$(BIN)/pytest tests/mta -n 2 --dist loadscope -p no:randomly

# The same promises under more load, and for longer: docs/security.md.
torture: install
	$(BIN)/pytest tests -m slow

# Mail servers that are slower to get: CONTRIBUTING.md.
mta-more: install
	tests/mta/unpack.sh sendmail courier
	BOUNCED_REQUIRE_MTA=all $(BIN)/pytest tests/mta -k "TestSendmail or TestCourier"

# The snippets for Go, Java and Django: CONTRIBUTING.md.
snippets-more: install
	BOUNCED_REQUIRE_SENDERS=all $(BIN)/pytest tests/senders/test_snippets.py tests/senders/test_return_path.py

lint: install
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports

# Pins for every supported Python; run it after changing a dependency in pyproject.toml.
lock:
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
		pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --extra dev --extra docs \
		pyproject.toml -o requirements-dev.lock

# The documentation as a site; links, anchors and pages that lead nowhere are errors.
docs: install
	$(BIN)/sphinx-build -q -W --keep-going -j auto docs build/site
	@echo build/site/index.html

# A wheel with manual pages, completions, units and example configuration, and a source distribution.
dist: install
	$(BIN)/hatchling build -d dist

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
