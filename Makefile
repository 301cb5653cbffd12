PYTHON ?= python3
JOBS ?= 2
FUZZ ?= 1000000
FIRST ?= 0
SECONDS ?= 300
EXAMPLES ?= 2000
TESTS ?= tests
BIN := .venv/bin
INSTALLED := .venv/.installed

# Tests make and delete very many small files and start many processes: in memory, where there are gigabytes of it to
# be had, and with modules that are compiled once.
test test-long: export TMPDIR := $(or $(TMPDIR),$(shell df -Pk /dev/shm 2>/dev/null | awk 'NR > 1 && $$4 > 4000000 { print $$6 }'))
test test-long: export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test test-long lint format bench fuzz properties faults golden schemas docs clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

venv: $(INSTALLED) ## Make .venv with the package (editable) and all that development needs

# The stamp is written last, so that an interrupted install is done again from the start.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "zarr_vectors needs Python 3.11 or newer, but '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)"; \
		echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing into .venv (the first time takes a minute or two) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(INSTALLED) ## Convert a real LiDAR file to a store, query it, draw it
	@$(BIN)/python demo/demo.py

# mypy works beside the tests. What it says comes when it ends, in one piece; errors come again at the end.
test: $(INSTALLED) ## Run ruff, mypy and the tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@told=$$(mktemp); \
	( $(BIN)/mypy >$$told 2>&1; status=$$?; echo; cat $$told; exit $$status ) & types=$$!; \
	trap 'kill $$types 2>/dev/null; rm -f $$told' EXIT; \
	echo "$(BIN)/mypy & $(BIN)/python -m pytest -n $(JOBS) --dist worksteal"; \
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal; tests=$$?; \
	wait $$types || { cat $$told; echo "mypy has found errors"; exit 1; }; \
	exit $$tests

test-long: lint ## Run ruff, mypy and all tests, with those that the default leaves out
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m ""

lint: $(INSTALLED) ## Run ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED) ## Sort imports and format the code
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(INSTALLED) ## Measure against zarr-vectors 0.9.2, Parquet and laspy side by side
	$(BIN)/python benchmarks/bench.py
	$(BIN)/python benchmarks/shape_contest.py
	$(BIN)/python benchmarks/pyramid_contest.py
	$(BIN)/python benchmarks/query_contest.py

fuzz: $(INSTALLED) ## Feed decoders, stores and file readers with damaged bytes, a million times and more: a quarter of an hour
	@status=0; \
	for limit in "decoders --executions $(FUZZ)" "stores --seconds $(SECONDS)" "files --seconds $(SECONDS)"; do \
		$(BIN)/python -m tests.fuzz.run --suite $$limit --first $(FIRST) || status=1; done; \
	exit $$status

properties: $(INSTALLED) ## Look for new examples in all property tests for hours (TESTS=tests/edit EXAMPLES=100: for minutes)
	HYPOTHESIS_PROFILE=fuzz HYPOTHESIS_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m hypothesis $(TESTS)

faults: $(INSTALLED) ## Kill and fail writers, let many write at once, read beside them, on a disk and on S3: half an hour
	@status=0; \
	for run in faults faults.writers faults.readers; do $(BIN)/python -m tests.$$run || status=1; done; \
	exit $$status

golden: $(INSTALLED) ## Make tests/golden anew with zarr-vectors 0.9.2
	$(BIN)/python scripts/make_golden.py

schemas: $(INSTALLED) ## Make the JSON Schemas that the package ships from the models of documents
	$(BIN)/python scripts/make_schemas.py

docs: $(INSTALLED) ## Make the reference in docs/api: a page for each module
	$(BIN)/python -W ignore scripts/make_docs.py

clean: ## Remove everything that make has made
	rm -rf .venv .venv-peer demo/out docs/api benchmarks/out dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests scripts benchmarks demo -name __pycache__ -type d -prune -exec rm -rf {} +
