# make help lists the targets. Every target installs what it needs by itself and says what it is doing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 4 # booted hosts mostly wait, so there may be more than cores
STAMP := $(VENV)/.installed

.PHONY: help venv deb rpm demo check test bench docs clean

help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

venv: $(STAMP) ## .venv with .venv/bin/agentctl from this checkout

$(STAMP): pyproject.toml
	@packaging/make-venv $(PYTHON) $(VENV)
	@touch $@

deb: venv ## the package for Debian 12 and 13, in dist/
	@$(BIN)/python packaging/build.py deb

rpm: venv ## the package for rpm-based systems, in dist/
	@$(BIN)/python packaging/build.py rpm

demo: venv ## see a throw-away host converge, drift and be repaired
	@$(BIN)/python -m examples.demo

check: venv ## the inner loop: lint, types, import contracts, unit tests
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports
	@$(BIN)/python -m pytest -q -n auto tests/unit tests/contract

test: venv ## everything, on real hosts too; a skip is a failure when CI is set
	@tests/provision
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

bench: venv ## how fast and how small, as ratios
	@tests/provision
	@$(BIN)/python -m bench

docs: venv ## the generated pages and the JSON Schema
	@$(BIN)/python docs/generate.py
	@$(BIN)/python -m agent.catalog.schema > agent/schema.json.new && mv agent/schema.json.new agent/schema.json

clean: ## what was built, but not .venv
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
