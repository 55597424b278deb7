# Every target sets up what it needs; nothing outside the repository is written.
# Reserved for when there is something to run: study docs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: setup demo test check bench abis fmt fuzz chaos

BIN := .venv/bin
READY := .venv/.installed node_modules/.installed
FORGE := $(or $(shell command -v forge),node_modules/@foundry-rs/forge-linux-amd64/bin/forge)

# Every kernel once more with bounds checks on, and once interpreted.
KERNELS := $(addprefix tests/,unit/test_kernels.py unit/test_scan.py unit/test_black76.py unit/test_implied_vol.py \
	unit/test_svi_fit.py unit/test_svi_terms.py unit/test_pmrm.py unit/test_standard_margin.py unit/test_span.py \
	unit/test_tail_margin.py unit/test_lending.py cases/test_pmrm_vectors.py cases/test_standard_vectors.py \
	property/test_perp_margin.py)

setup: $(READY)  ## install Python and npm packages into .venv and node_modules

$(READY) &: requirements/dev.txt requirements/node.txt package-lock.json package.json .npmrc pyproject.toml scripts/setup.sh
	scripts/setup.sh

demo: $(READY)  ## the fall of 12-13 March 2020 on the reference venue, with the keeper at work
	$(BIN)/keeper demo

test: $(READY)  ## every test: contracts with forge, the rest with pytest on real Anvil nodes
	scripts/test.sh $(abspath $(FORGE)) $(KERNELS)

check: $(READY)  ## lint, format, types, compiled contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy scripts
	$(FORGE) fmt --root contracts --check
	$(BIN)/python scripts/abis.py --check

bench: .venv/.bench-installed  ## speed against named peers, into build/bench.json
	$(BIN)/python -m tests.bench $(WORKLOADS)

.venv/.bench-installed: $(READY) requirements/bench.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	touch $@

fuzz: $(READY) build/contract-tools/.installed  ## contracts at length: fuzzing, slither, symbolic checks, seeded bugs
	cd contracts && FOUNDRY_PROFILE=fuzz $(abspath $(FORGE)) test --offline
	$(BIN)/python -m tests.static
	$(BIN)/python -m tests.symbolic
	$(BIN)/python -m tests.mutants

build/contract-tools/.installed: $(READY) requirements/contracts.txt
	$(BIN)/python -m venv build/contract-tools
	build/contract-tools/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/contracts.txt
	touch $@

chaos: $(READY)  ## every way of sending that can go wrong, 20 seeds each, into build/chaos.json
	$(BIN)/python -m tests.chaos_suite $(CHAOS)

abis: $(READY)  ## rebuild abis/ from contracts/ and the npm packages
	$(BIN)/python scripts/abis.py

fmt: $(READY)  ## format Python and Solidity
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(FORGE) fmt --root contracts
