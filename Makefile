# Everything that people and CI run. `make` alone prints what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODE := $(wildcard core protocols gateway tests benchmarks examples)
# Extra words for the tool behind a target, e.g. make test ARGS="-k hub"
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run tools test coverage check conformance contracts format bench hostile lock clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.runtime ## Serve the demo store on http://127.0.0.1:8080, on embedded parts
	@exec $(BIN)/petstore serve --demo $(ARGS)

tools: $(VENV)/.dev ## Install what developing takes, and buf, a gRPC client for the terminal

# The watchdog ends a run that stands still, and shows its stacks.
PYTEST := $(BIN)/python -m tests.watchdog $(BIN)/pytest
# Files go to the workers as they stand, so that the long ones, of the cluster and of conformance, come first.
test: $(VENV)/.dev ## Run every test, with real servers
	@tests/setup_servers.sh
	$(PYTEST) --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

# A run of its own, over core's own tests on the storage in memory: tracing and the greenlets of SQLAlchemy's asyncio
# layer can together let the interpreter run in circles, so that no process has both.
coverage: $(VENV)/.dev ## Measure how much of core its own tests cover
	$(PYTEST) tests/core --cov -m "not database" --numprocesses auto $(ARGS)

# Where to find a running gateway: its base URL, and host:port of its gRPC and MQTT ports.
URL ?=
GRPC ?=
MQTT ?=
conformance: $(VENV)/.dev ## Run one suite through every door; with URL= of a running gateway
	@$(if $(URL),,tests/setup_servers.sh)
	$(PYTEST) tests/conformance -q $(if $(URL),--url $(URL)) $(if $(GRPC),--grpc $(GRPC)) $(if $(MQTT),--mqtt $(MQTT)) $(ARGS)

check: $(VENV)/.dev ## Lint, format, strict types, import law, drift of the contracts
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m gateway.contracts --check
	$(BIN)/buf lint proto
	$(BIN)/buf breaking proto --against proto/released.binpb

# proto/released.binpb is what clients have; with a release it is written anew:
# buf build proto --exclude-source-info -o proto/released.binpb
contracts: $(VENV)/.dev ## Write the OpenAPI, AsyncAPI and GraphQL documents from the code, and code from proto/
	$(BIN)/python -m gateway.contracts

format: $(VENV)/.dev ## Format the code and mend what the linter can mend
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

bench: $(VENV)/.dev ## Run the benchmarks (docs/performance.md)
	$(BIN)/python -m benchmarks $(ARGS)

hostile: $(VENV)/.dev ## Measure what hostile inputs cost the others (docs/security.md); ARGS="MQTT" for some of them
	$(BIN)/python -m tests.hostile $(ARGS)

# Pins are kept while they fit pyproject.toml; `make lock ARGS=--upgrade` takes the newest that fit.
# The overrides leave FastAPI out of what is served, for fastapi-swagger is wanted for its files alone, and keep the newer
# typer: openapi-python-client wants an older one for its command line, which is not used.
UV_COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command "make lock" --group build
lock: $(VENV)/.runtime ## Pin every dependency, with hashes, from pyproject.toml
	$(BIN)/python -m pip install --quiet 'uv>=0.9'
	echo 'fastapi; python_version < "3"' | $(UV_COMPILE) --override - --output-file requirements.lock $(ARGS)
	echo 'typer>=0.28' | $(UV_COMPILE) --group dev --override - --constraint requirements.lock --output-file requirements-dev.lock $(ARGS)

clean: ## Remove everything that was made here, except data
	rm -rf $(VENV) build dist *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# --no-deps: the locks are complete, so that nothing else can slip in.
$(VENV)/.runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement requirements-dev.lock
	@touch $@
