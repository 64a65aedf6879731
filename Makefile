# icsight: everything that a newcomer or a pipeline runs. Needs Python >= 3.11, a Rust toolchain and make; the rest is installed into
# .venv from requirements.lock. tshark and a browser are taken from the system and, where apt is there, installed for the tests.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := sensor/core
CORE_SOURCES := $(shell find $(CORE) -name target -prune -o \( -name '*.rs' -o -name 'Cargo.*' \) -print) pyproject.toml
CARGO := cargo
FUZZ_SECONDS ?= 60
BESIDE := $(VENV)/beside.log
# Tests start some hundred processes, each of which would compile its modules anew where the surroundings forbid it to keep them.
export PYTHONDONTWRITEBYTECODE :=
say = @printf '\n== %s\n' '$(1)'

.PHONY: help demo demo-distributed test test-python test-beside test-rust test-cargo fuzz-targets test-full equivalence test-aarch64 fuzz lint style types clippy bench bench-api bench-distributed faults services wheel wheel-aarch64 core environment peers clean lock

help: ## what there is to make
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 20

$(VENV)/.locked: requirements.lock
	$(call say,environment: $(VENV) from requirements.lock)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11; set PYTHON=…"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -oE '^uv==[0-9.]+' requirements.lock || echo uv)"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@touch $@

$(VENV)/.core: $(VENV)/.locked $(CORE_SOURCES)
	$(call say,packet core: building sensor._core)
	@command -v $(CARGO) >/dev/null || { echo "error: cargo is not installed; see https://rustup.rs"; exit 2; }
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --quiet --release --locked --uv
	@touch $@

environment: $(VENV)/.locked ## the virtual environment, as locked
core: $(VENV)/.core ## the Rust packet core, built in place

peers: ## tshark, p0f and Chromium, which tests compare with
	@deploy/peers.sh

services: $(VENV)/.locked peers ## Kafka, Elasticsearch and PostgreSQL on this machine, until Ctrl-C
	@$(BIN)/python -m tests.services

demo: core ## a plant under attack, live, in the browser
	@$(BIN)/python deploy/demo/run.py

demo-distributed: core peers ## the same on Kafka, Elasticsearch and PostgreSQL: three sensors, two workers, each part a process
	@$(BIN)/python -m deploy.demo.distributed

lint: style types clippy ## formatting, types, layers

style: $(VENV)/.locked
	$(call say,ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	$(call say,import-linter)
	@$(BIN)/lint-imports --no-logo
	$(call say,rustfmt)
	@cd $(CORE) && $(CARGO) fmt --all --check && cd fuzz && $(CARGO) fmt --check

types: core
	$(call say,pyright)
	@$(BIN)/pyright --warnings
	$(call say,TypeScript over the page)
	@$(BIN)/python -m tests.page_types

clippy: core
	$(call say,clippy)
	@cd $(CORE) && $(CARGO) clippy --quiet --workspace --all-targets --locked -- -D warnings

test: $(VENV)/.locked ## everything that must hold before a change lands
	@$(MAKE) --no-print-directory -j3 -Otarget style core peers
	$(call say,rules)
	@$(BIN)/icsight rules check
	@rm -f $(BESIDE) $(BESIDE).failed
	@$(MAKE) --no-print-directory -j2 test-python test-beside || { cat $(BESIDE).failed 2>/dev/null; exit 1; }
	$(call say,fuzzing)
	@$(BIN)/python -m tests.fuzzing --seconds 5 --jobs 2

# Three at a time, also on two processors: tests of services and processes wait for much of their time.
test-python: core
	$(call say,pytest)
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m "not full and not cargo"

# pytest waits for services and processes a good part of its time: this takes the processors meanwhile, and only then. What it says is
# shown in one piece when it has ended; where it fails, last of all.
test-beside: core
	@echo "beside it: clippy, pyright, TypeScript, cargo test, what builds the core"
	@nice -n 19 $(MAKE) --no-print-directory clippy types test-rust test-cargo fuzz-targets >$(BESIDE) 2>&1 || { mv $(BESIDE) $(BESIDE).failed; exit 1; }
	@cat $(BESIDE)

test-rust: core
	$(call say,cargo test)
	@cd $(CORE) && $(CARGO) test --quiet --workspace --locked

test-cargo: test-rust
	$(call say,pytest of what builds the core)
	@$(BIN)/python -m pytest -q -m cargo tests/packaging

fuzz-targets: core
	@cd $(CORE)/fuzz && $(CARGO) build --quiet --release --locked

test-full: test ## and what takes long: every capture through pyshark, the API's tests on both back ends
	@$(BIN)/python -m pytest -m full --timeout 7200

equivalence: $(VENV)/.locked ## 20 captures and a day of the plant through Kafka and Elasticsearch and through one machine, held equal
	@$(BIN)/python -m tests.system.both_ways

test-aarch64: core ## on an emulated gateway: its records against this machine's, the sensor's tests, live capture (root, Debian)
	@deploy/aarch64/test.sh

fuzz: $(VENV)/.locked ## random input against the packet core, FUZZ_SECONDS for each target
	@$(BIN)/python -m tests.fuzzing --seconds $(FUZZ_SECONDS)

bench: core peers bench-api ## speed against peers, in one run, as ratios
	@$(BIN)/python -m tests.benchmarks

bench-api: core ## the API and the situation over a million alerts, on both databases
	-@$(BIN)/python -m tests.benchmarks.api

bench-distributed: core peers ## speed of the distributed way: PARTS="stages bytes sensors outage uplink store detection split latency"
	@$(BIN)/python -m tests.benchmarks.distributed $(PARTS)

faults: core peers ## seeded faults against the distributed system: SEED=1 RUNS=1 KIND="sensor killed" RESULTS=faults.jsonl BROKEN="uplink ahead" (root)
	@$(BIN)/python -m tests.faults --seed $(or $(SEED),1) --runs $(or $(RUNS),1) --results $(or $(RESULTS),faults.jsonl) $(if $(KIND),--kind "$(KIND)") $(if $(BROKEN),--broken "$(BROKEN)")

wheel: $(VENV)/.locked ## the wheel, in dist/
	$(call say,wheel)
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin build --release --locked --out dist
	@ls -l dist/*.whl

wheel-aarch64: $(VENV)/.locked ## the wheel for aarch64, built on any processor, in dist/
	$(call say,wheel for aarch64)
	@deploy/aarch64/wheel.sh dist

lock: ## resolve requirements.lock anew from pyproject.toml, and those of the image, the cross compiler and the checkers of deploy/
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra all --group test --group lint --group build pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group cross -o deploy/aarch64/requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group checkers -o deploy/checkers/requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra all --constraint requirements.lock pyproject.toml -o deploy/container/requirements.lock

clean: ## remove what was built
	@rm -rf $(VENV) dist .aarch64 $(CORE)/target sensor/_core*.so
