# Each target first installs what it needs into .venv; PYTHON=python3.12 picks another interpreter.
PYTHON ?= python3
RUN := .venv/bin
PIP := $(RUN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: install serve bench test test-slow test-clients check format lint types contracts manifests clean

install: .venv/serving  ## what `rerank` needs to serve

serve: .venv/serving  ## the service on http://127.0.0.1:8000, for this machine, until Ctrl-C
	$(RUN)/rerank serve --open

bench: .venv/developing  ## documents per second here, beside sentence-transformers
	$(RUN)/rerank bench

test: .venv/developing  ## the tests that take seconds
	$(RUN)/pytest

test-slow: .venv/developing  ## those that take minutes
	$(RUN)/pytest -m slow

test-clients: .venv/developing  ## those that drive other people's client packages, in environments of their own
	$(RUN)/pytest -m clients

check: lint types contracts test  ## everything before a commit

lint: .venv/developing
	$(RUN)/ruff format --check
	$(RUN)/ruff check

types: .venv/developing
	$(RUN)/mypy

contracts: .venv/developing
	$(RUN)/lint-imports

manifests: .venv/developing  ## k8s/ as the code renders it; a test fails when it is stale
	rm -rf k8s/base k8s/monitoring k8s/overlays
	$(RUN)/rerank k8s render --out k8s --cloud none
	$(RUN)/rerank k8s render --out k8s --cloud gke
	$(RUN)/rerank k8s render --out k8s --cloud eks
	$(RUN)/rerank k8s render --out k8s --cloud onprem
	$(RUN)/rerank k8s render --out k8s --cloud gke --upgrade incremental

format: .venv/developing
	$(RUN)/ruff format
	$(RUN)/ruff check --fix

clean:
	rm -rf .venv

.venv/bin/python:
	$(PYTHON) -m venv .venv

# torch by itself first: named with its exact version, pip takes a wheel that lies on disk, such as a CPU build.
.venv/serving: .venv/bin/python pyproject.toml constraints.txt
	@echo "installing into .venv (torch is large: a few minutes the first time)"
	$(PIP) torch
	$(PIP) --editable ".[router,scorer]"
	@touch $@

.venv/developing: .venv/serving
	$(PIP) --editable ".[router,scorer,cluster,training,loadtest,dev]"
	@touch $@
