# SPDX-License-Identifier: Apache-2.0
# The front door: what a person types here is what CI runs.
BIN := .venv/bin
PURE := $(wildcard tests/core tests/keys tests/services tests/blueprints tests/test_architecture.py)
QUICK := -m "not postgres and not browser and not slow"

.DEFAULT_GOAL := help
.PHONY: help setup system extras demo serve test check lint pure fix bench clean

help:  ## list these targets
	@sed -nE 's/^([a-z]+):.*##( .*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup:  ## make .venv with the locked packages and the citycard command
	@scripts/setup

system:  ## install the Debian packages the tests use (PostgreSQL, Chromium, PC/SC, SoftHSM, Java)
	@scripts/system

extras: system  ## add the heavy and native parts to .venv: PC/SC, PKCS#11, Spark, fuzzer
	@scripts/setup --extras

demo: setup  ## run a small city from card to settlement
	@$(BIN)/citycard demo

serve: setup  ## run the office: console, portal and API
	@$(BIN)/citycard serve

test: setup extras lint  ## all checks and every test, as CI does
	$(BIN)/pytest -n 2

check: setup lint pure  ## style, types, import contracts and the pure tests, in under a minute

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

pure: setup
	$(BIN)/pytest -q -n 2 $(QUICK) $(PURE)

fix: setup  ## format the code and repair what ruff can
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: setup  ## measure taps, postings and clearing on this machine
	@$(BIN)/citycard bench

clean:  ## remove caches and build results, but neither .venv nor citydata
	rm -rf dist build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
	find src -name '*.mo' -delete
