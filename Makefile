# Every rule has one home: CI and commit hooks call these targets and add nothing of their own.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-containers images bundle check fmt unit bench lock docs clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(STAMP): requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

install: $(STAMP) ## Set up .venv from the lock

demo: $(STAMP) ## Real pictures through every service, back as signed webhooks
	$(BIN)/gw demo

# Most tests wait for processes and deadlines more than they compute. A file stays with one worker.
test: $(STAMP) ## All tests
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile

test-containers: $(STAMP) ## Images, and the stack in containers: root and Docker (or dockerd and debootstrap)
	GW_CONTAINER_TESTS=1 $(BIN)/python -m pytest tests/containers

images: $(STAMP) ## Build the images, labelled and tagged
	COMPOSE=$(BIN)/docker-compose deploy/build.sh

bundle: $(STAMP) ## Pack images and installer for a machine without internet
	COMPOSE=$(BIN)/docker-compose deploy/bundle.sh

unit: $(STAMP) ## Unit and architecture tests only
	$(BIN)/python -m pytest tests/unit tests/architecture

check: $(STAMP) ## Format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	MYPYPATH=emulator $(BIN)/mypy -p acl

fmt: $(STAMP) ## Format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## Ratios against references, as a table and JSON (not a test)
	$(BIN)/python -m bench

docs: $(STAMP) ## Write the generated documents anew
	$(BIN)/python -m docs.generate

LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --quiet
lock: $(STAMP) ## Resolve the lock anew and export one requirements file per service
	$(LOCK) --all-extras --upgrade -o requirements/lock.txt
	$(MAKE) --no-print-directory requirements

.PHONY: requirements
requirements:
	for service in webapp dispatcher onnx postprocess notifier operations; do \
		$(LOCK) --extra $$service -c requirements/lock.txt -o requirements/$$service.txt; \
	done
	$(LOCK) --extra dev -c requirements/lock.txt -o requirements/dev.txt

clean: ## Remove what was made (data/ stays)
	rm -rf $(VENV) demo-out bench-out build *.egg-info
