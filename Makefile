# `make` alone says what there is. PYTHON=/path/to/python3 chooses an interpreter, ARGS="..." passes options on.
export PYTHON
BIN := .venv/bin
# What needs Mosquitto, a browser, root or a long time has its own folder, and runs in .ci/run.
ALONE := not (e2e or faults or browser or stores or torture)

help: ## Say what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done

demo: ## A simulated community through the real drivers, with a page in the browser (ARGS="--scenario homes ...")
	@.ci/venv run
	@$(BIN)/gridtally-testbed demo $(ARGS)

test: ## The tests that need nothing but Python (ARGS="-k outbox" picks some)
	@.ci/venv dev
	@$(BIN)/python -m pytest -q -n logical -m "$(ALONE)" $(ARGS)

cover: ## The same tests, with branch coverage by file
	@.ci/venv dev
	@$(BIN)/python -m pytest -q -n logical -m "$(ALONE)" --cov --cov-report term $(ARGS)

check: ## Lint, format, types, import direction, spelling; all of them, even when one fails
	@.ci/venv dev
	@$(MAKE) --no-print-directory -k files lint format types imports spelling

bench: ## Measure speed; figures go to docs/performance.md by hand
	@.ci/venv dev
	@$(BIN)/python -m bench $(ARGS)

torture: ## The long fault tests: hundreds of kills, thousands of power cuts
	@.ci/venv dev
	@$(BIN)/python -m pytest -q -m torture --timeout 3600 $(ARGS)

docs: ## Write docs/commands.md and the examples in docs/configuration.md from the programs
	@$(BIN)/python .ci/docs

lock: ## Pin what is installed in .venv, after you tried it
	@$(BIN)/python .ci/lock

files:
	@echo "keys, size, line ends" && $(BIN)/python .ci/files

lint:
	@echo "ruff check" && $(BIN)/ruff check --quiet .

format:
	@echo "ruff format" && $(BIN)/ruff format --check --quiet .

types:
	@echo "mypy --strict" && $(BIN)/mypy

imports:
	@echo "lint-imports" && $(BIN)/lint-imports --config setup.cfg --no-cache --no-logo

spelling:
	@echo "codespell" && $(BIN)/codespell

.PHONY: help demo test cover check bench torture docs lock files lint format types imports spelling
