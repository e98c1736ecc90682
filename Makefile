# The few commands that people and CI share. `make` alone lists them.

.DEFAULT_GOAL := help
SHELL := bash
BIN := .venv/bin
STAMP := .venv/.framecue-installed
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo "$$p" && break; done)

.PHONY: help setup demo up down test check chaos bench schemas dashboard constraints clean

help: ## list these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14

setup: $(STAMP) ## make .venv with everything in it, at the versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt deploy/install.sh
	@test -n "$(PYTHON)" || { echo "FrameCue needs Python 3.11, 3.12 or 3.13 with venv; none was found" >&2; exit 1; }
	PYTHON="$(PYTHON)" deploy/install.sh .venv all -e
	@touch $@

demo: setup ## real clips with late subtitles on real servers in real time; a report at the end, the servers stay up
	$(BIN)/framecue demo

up: setup ## Kafka, Redis and every service on this machine, with topics; no Docker, no root, no Java needed
	$(BIN)/framecue up

down: setup ## end what `make up` or `make demo` left running; the data stays
	$(BIN)/framecue down

test: setup ## every test
	$(BIN)/pytest -q

check: setup ## style, types, import rules, generated files: what must hold before a commit
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m framecue.schemas.export --check deploy/schemas
	$(BIN)/python -m framecue.settings --check deploy/.env.example
	$(BIN)/python deploy/observability/dashboards.py --check
	$(BIN)/python deploy/observability/metrics_page.py --check

chaos: setup ## 10 minutes of streams while workers, broker and Redis are killed; then every record is checked
	$(BIN)/python -m tests.chaos

bench: setup ## ratios against bare decoding, bare forwards and bare Kafka
	$(BIN)/python -m tests.benchmarks

schemas: setup ## write what is generated again: deploy/schemas, deploy/.env.example, Grafana's dashboards, the page of metrics
	$(BIN)/python -m framecue.schemas.export deploy/schemas
	$(BIN)/python -m framecue.settings deploy/.env.example
	$(BIN)/python deploy/observability/dashboards.py
	$(BIN)/python deploy/observability/metrics_page.py

dashboard: ## build the gateway's page again from its sources; needs node and npm
	npm --prefix services/framecue_services/gateway/dashboard ci --no-fund --no-audit
	npm --prefix services/framecue_services/gateway/dashboard run build

constraints: setup ## write constraints.txt again from what .venv holds
	$(BIN)/python .ci/constraints.py > constraints.txt.new && mv constraints.txt.new constraints.txt
	@touch $(STAMP)

clean: ## remove caches and what was built; .venv stays
	rm -rf build dist out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find shared services tests -name __pycache__ -type d -prune -exec rm -rf {} +
