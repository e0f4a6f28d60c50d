# Every target is one line, a command that also works without make: run `python3 bootstrap.py` once, then the command
# with .venv/bin (on Windows .venv\Scripts) for $(BIN).
# Settings are given on the command line or in the environment: make level3 TODAY=2013-07-01
# A line of ##@ heads a group in `make help`.
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
READY := .venv/ready
MOVED := $(if $(wildcard $(READY)),$(shell grep -qxF '$(realpath .venv)' $(READY) || echo FORCE))
# Python obeys these before any code of ours runs; one that is meant for another project must not reach it.
unexport $(filter PYTHON%,$(.VARIABLES))
export PYTHONUTF8 := 1

.DEFAULT_GOAL := help
.PHONY: help env level1 level2 level3 level4 level5 notebook train release rollback serve deploy reproduce seeds score ui schedule \
  data-arrives platform deliver stream submit experiments audit promote platform-rollback approve traffic-split stop-experiment explain \
  simulate-ab benchmark-serving up down accept reports monitor benchmark-monitors benchmark-policies benchmark-page progress progress-check \
  diff-1-2 diff-2-3 diff-3-4 diff-4-5 test test-slow test-all check lint types imports lock reset clean

##@ Begin here
help: ## List every target
	@awk -F ':.*## ' '/^##@ / { print substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

env: $(READY) ## Make the environment, as each target does if need be

# PYTHON3, or the first of these that is supported; -I: by no setting or path of the user's.
$(READY): requirements.txt bootstrap.py $(MOVED)
	@for python in $(or $(PYTHON3),python3 python3.14 python3.13 python3.12 python3.11 python); do \
	  $$python -I -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null && exec $$python -I bootstrap.py; \
	done; echo "error: $(or $(PYTHON3),no Python here) is not one of 3.11 to 3.14. Remedy: install one, or name yours: make env PYTHON3=/path/to/it" >&2; exit 2

FORCE: # no file has this name: a checkout that was moved or copied makes its environment again

##@ The levels (STEP=1: wait for Enter before each part; QUIET=1: only the end)
level1: $(READY) ## A notebook, and who gets its model (24 s)
	@$(BIN)/python -m level1_notebook $(if $(QUIET),--quiet)

level2: $(READY) ## DevOps without MLOps: service, releases (34 s)
	@$(BIN)/python -m level2_devops $(if $(QUIET),--quiet)

level3: $(READY) ## Automated training; TODAY=2013-07-01 (32 s)
	@$(BIN)/python -m level3_training_pipeline $(if $(AGAIN),--again) $(if $(QUIET),--quiet)

level4: $(READY) ## Automated deployment: gates, A/B test (72 s)
	@$(BIN)/python -m level4_deployment $(if $(QUIET),--quiet)

level5: $(READY) ## Full MLOps: nine months unattended (4 minutes)
	@$(BIN)/python -m level5_monitoring $(if $(QUIET),--quiet)

##@ Level 1 · notebook
notebook: $(READY) ## Open level 1's notebook in JupyterLab
	@$(BIN)/python -m level1_notebook open

##@ Level 2 · DevOps
train: $(READY) ## Train level 2's model
	@$(BIN)/python -m level2_devops train

release: $(READY) ## Test, build and switch to a new release of level 2
	@$(BIN)/python -m level2_devops release

rollback: $(READY) ## Switch level 2's service to the previous release
	@$(BIN)/python -m level2_devops rollback

serve: $(READY) ## Serve level 2's current release on a free port
	@$(BIN)/python -m level2_devops serve

##@ Level 3 · training pipeline
deploy: $(READY) ## Put version VERSION=n into level 2's service
	@$(BIN)/python -m level3_training_pipeline deploy $(VERSION)

reproduce: $(READY) ## Build VERSION=n again and compare its predictions
	@$(BIN)/python -m level3_training_pipeline reproduce $(VERSION)

seeds: $(READY) ## Train VERSION=n with other seeds: how scores spread
	@$(BIN)/python -m level3_training_pipeline seeds $(VERSION)

score: $(READY) ## Did a change of features or model help? (KEEP=1)
	@$(BIN)/python -m level3_training_pipeline score $(if $(KEEP),--keep)

ui: $(READY) ## Open MLflow and Prefect (LEVEL=4: that level's)
	@$(BIN)/python -m level3_training_pipeline ui $(if $(LEVEL),--level $(LEVEL))

schedule: $(READY) ## Train by the clock and when a month of data arrives
	@$(BIN)/python -m level3_training_pipeline schedule

data-arrives: $(READY) ## Send the event that MONTH=2013-04 has arrived
	@$(BIN)/python -m level3_training_pipeline emit-data-event $(MONTH)

##@ Level 4 · deployment
platform: $(READY) ## Run level 4's platform (APPROVAL=1: a person approves)
	@$(BIN)/python -m level4_deployment platform $(if $(APPROVAL),--approval)

deliver: $(READY) ## Bring level 3's VERSION=n to level 4's platform
	@$(BIN)/python -m level4_deployment deliver $(VERSION)

stream: $(READY) ## Send real flights: FROM=2013-05-01 TO=2013-06-01
	@$(BIN)/python -m level4_deployment stream $(if $(FROM),--from $(FROM)) $(if $(TO),--to $(TO)) $(if $(LEVEL),--level $(LEVEL))

submit: $(READY) ## Test version VERSION=n against the champion
	@$(BIN)/python -m level4_deployment submit $(VERSION)

experiments: $(READY) ## Show level 4's champion and its experiments
	@$(BIN)/python -m level4_deployment status

audit: $(READY) ## Show who did what on level 4's platform
	@$(BIN)/python -m level4_deployment audit

promote: $(READY) ## Make version VERSION=n the champion by hand
	@$(BIN)/python -m level4_deployment promote $(VERSION)

platform-rollback: $(READY) ## Make the previous champion the champion again
	@$(BIN)/python -m level4_deployment rollback

approve: $(READY) ## Promote the version that waits for approval
	@$(BIN)/python -m level4_deployment approve

traffic-split: $(READY) ## Begin again with another traffic split: SHARE=0.3
	@$(BIN)/python -m level4_deployment traffic-split $(SHARE)

stop-experiment: $(READY) ## Stop the experiment: it ends without a verdict
	@$(BIN)/python -m level4_deployment stop

explain: $(READY) ## A prediction: REQUEST=id, a decision: DECISION=day
	@$(BIN)/python -m $(if $(DECISION),level5_monitoring explain $(DECISION),level4_deployment explain $(REQUEST))

simulate-ab: $(READY) ## Measure how often the A/B test errs, on the real year
	@$(BIN)/python -m level4_deployment simulate-ab

benchmark-serving: $(READY) ## Compare level 4's service with other services
	@$(BIN)/python -m level4_deployment benchmark-serving

##@ Level 5 · monitoring
up: $(READY) ## Start the live demo, with a clock (FRESH=1: anew)
	@$(BIN)/python -m level5_monitoring up $(if $(FRESH),--fresh)

down: $(READY) ## End the live demo
	@$(BIN)/python -m level5_monitoring down

accept: $(READY) ## Accept a new code: CARRIER=XX (or DEST=XXX)
	@$(BIN)/python -m level5_monitoring accept $(if $(DEST),dest "$(DEST)",carrier "$(CARRIER)") $(if $(REASON),--reason "$(REASON)")

reports: $(READY) ## Evidently's reports of level 5's weeks, as pages
	@$(BIN)/python -m level5_monitoring reports

monitor: $(READY) ## Run level 5's platform and loop by the real clock
	@$(BIN)/python -m level5_monitoring monitor

benchmark-monitors: $(READY) ## How soon monitors detect faults (5 minutes)
	@$(BIN)/python -m level5_monitoring benchmark-monitors

benchmark-policies: $(READY) ## What level 5's loop is worth (10 minutes)
	@$(BIN)/python -m level5_monitoring benchmark-policies

benchmark-page: $(READY) ## How long the live page takes to open
	@$(BIN)/python -m level5_monitoring benchmark-page

##@ Compare the levels
progress: $(READY) ## Write the levels' last results into README.md
	@$(BIN)/python -m shared.progress --write

progress-check: $(READY) ## Compare README.md and level 5's aims with the results
	@$(BIN)/python -m shared.progress --check && $(BIN)/python -m level5_monitoring check

diff-1-2: ## What level 2 changes in level 1's run.py
	@git --no-pager diff --no-index level1_notebook/run.py level2_devops/run.py || test $$? -eq 1

diff-2-3: ## What level 3 changes in level 2's run.py
	@git --no-pager diff --no-index level2_devops/run.py level3_training_pipeline/run.py || test $$? -eq 1

diff-3-4: ## What level 4 changes in level 3's run.py
	@git --no-pager diff --no-index level3_training_pipeline/run.py level4_deployment/run.py || test $$? -eq 1

diff-4-5: ## What level 5 changes in level 4's run.py
	@git --no-pager diff --no-index level4_deployment/run.py level5_monitoring/run.py || test $$? -eq 1

##@ For contributors
test: $(READY) ## The quick tests (3 minutes)
	@$(BIN)/python -m pytest -m "not slow" -n 2 --no-loadscope-reorder

test-slow: $(READY) ## The slow tests, three files at a time (12 minutes)
	@$(BIN)/python -m pytest -m slow -n 3 --no-loadscope-reorder

test-all: test test-slow ## All tests (15 minutes)

check: lint types imports ## All three static checks

lint: $(READY) ## Style and common mistakes (ruff)
	@$(BIN)/python -m ruff check . && $(BIN)/python -m ruff format --check .

types: $(READY) ## Types (mypy)
	@$(BIN)/python -m shared.console "Check the types" $(BIN)/python -m mypy

imports: $(READY) ## Which package may import which (import-linter)
	@$(BIN)/python -c "from importlinter.cli import lint_imports_command as lint; lint()"

lock: $(READY) ## Write requirements.txt again (UPGRADE=1: newest)
	@$(BIN)/python -m shared.console "Write requirements.txt" $(BIN)/python -m uv pip compile pyproject.toml --group all --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-header --quiet $(if $(UPGRADE),--upgrade) -o requirements.txt

reset: $(READY) ## Remove the results of LEVEL=n, or of LEVEL=demo
	@$(BIN)/python -m shared.processes.reset $(or $(LEVEL),"")

clean: $(READY) ## Remove all results of the levels; keep .venv
	@$(BIN)/python -m shared.processes.reset
