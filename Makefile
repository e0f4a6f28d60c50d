# Every target is one line over a command that works without make too: after `python3 bootstrap.py`, type what
# stands here with .venv/bin (on Windows .venv\Scripts) for $(BIN).
# Settings come from the command line or the environment: make level3 TODAY=2013-07-01
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
READY := .venv/ready
export PYTHONUTF8 := 1

.DEFAULT_GOAL := help
.PHONY: help env level1 level2 level3 notebook train release rollback serve deploy reproduce ui schedule data-arrives \
  level4 platform submit experiments audit promote platform-rollback approve share stop-experiment explain \
  calibrate-ab bench-serving level5 up down reports watch judge-monitor progress progress-check diff-1-2 diff-2-3 diff-3-4 diff-4-5 test test-slow test-all check lint types imports lock clean

help: ## List every target
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

env: $(READY) ## Make the environment, once; every target that needs it does so by itself

$(READY): requirements.txt bootstrap.py
	@for python in $(PYTHON3) python3 python3.13 python3.12 python3.11 python; do \
	  $$python -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && exec $$python bootstrap.py; \
	done; echo "error: no Python 3.11 or newer here. Remedy: install one, or name yours: make env PYTHON3=/path/to/it" >&2; exit 2

level1: $(READY) ## Level 1: a notebook, thrown over the wall
	@$(BIN)/python -m level1_notebook

level2: $(READY) ## Level 2: DevOps without MLOps: tests, a service, releases with rollback
	@$(BIN)/python -m level2_devops

level3: $(READY) ## Level 3: automated training with tracking and a registry (TODAY=2013-07-01 trains as of that day)
	@$(BIN)/python -m level3_training_pipeline

level4: $(READY) ## Level 4: automated deployment: gates, shadow, live split, verdict, rollback
	@$(BIN)/python -m level4_deployment

level5: $(READY) ## Level 5: full MLOps: nine months of live flights that watch, retrain, deploy and mend by themselves
	@$(BIN)/python -m level5_monitoring

notebook: $(READY) ## Open level 1's notebook in JupyterLab
	@$(BIN)/python -m level1_notebook.open_notebook

train: $(READY) ## Train level 2's model
	@$(BIN)/python -m level2_devops.train

release: $(READY) ## Test, build, smoke-test and switch to a new release of level 2's service
	@$(BIN)/python -m level2_devops.release

rollback: $(READY) ## Switch level 2's service back to the release before
	@$(BIN)/python -m level2_devops.rollback

serve: $(READY) ## Serve level 2's current release on a free port
	@$(BIN)/python -m level2_devops.supervisor

deploy: $(READY) ## Put a version of the registry into level 2's service: VERSION=n
	@$(BIN)/python -m level3_training_pipeline.deploy $(VERSION)

reproduce: $(READY) ## Rebuild a version from its record and compare its predictions bit for bit: VERSION=n
	@$(BIN)/python -m level3_training_pipeline.tracking.reproduce $(VERSION)

ui: $(READY) ## Open MLflow and Prefect on free ports
	@$(BIN)/python -m level3_training_pipeline.ui

schedule: $(READY) ## Train on a schedule, and whenever a month of data arrives
	@$(BIN)/python -m level3_training_pipeline.orchestration.schedule

data-arrives: $(READY) ## Tell the schedule that a month of data has arrived: MONTH=2013-04
	@$(BIN)/python -m level3_training_pipeline.orchestration.emit_data_event $(MONTH)

platform: $(READY) ## Run level 4's platform: control plane and workers on free ports (APPROVAL=1: a winner waits for a person)
	@$(BIN)/python -m level4_deployment.control.server $(if $(APPROVAL),--approval)

submit: $(READY) ## Put a registered version through the gates and try it against the champion: VERSION=n
	@$(BIN)/python -m level4_deployment.cli submit $(VERSION)

experiments: $(READY) ## What level 4's platform serves, and how its experiments stand
	@$(BIN)/python -m level4_deployment.cli status

audit: $(READY) ## Who did what on level 4's platform
	@$(BIN)/python -m level4_deployment.cli audit

promote: $(READY) ## Make a version the champion by hand: VERSION=n
	@$(BIN)/python -m level4_deployment.cli promote $(VERSION)

platform-rollback: $(READY) ## Give production back to the champion before
	@$(BIN)/python -m level4_deployment.cli rollback

approve: $(READY) ## Let a winner that waits for approval become the champion
	@$(BIN)/python -m level4_deployment.cli approve

share: $(READY) ## Another live share; the experiment is void and a new one begins: SHARE=0.3
	@$(BIN)/python -m level4_deployment.cli share $(SHARE)

stop-experiment: $(READY) ## End the experiment without a verdict
	@$(BIN)/python -m level4_deployment.cli stop

explain: $(READY) ## From one answer back to version, run, commit and data: REQUEST=id; from a decision to its evidence: DECISION=2013-07-14
	@$(BIN)/python -m $(if $(DECISION),level5_monitoring.loop.explain $(DECISION),level4_deployment.explain $(REQUEST))

calibrate-ab: $(READY) ## How often the A/B test errs, on thousands of replays of the real year
	@$(BIN)/python -m level4_deployment.benchmarks.ab_error_rates

bench-serving: $(READY) ## Level 4's service beside others, in interleaved rounds
	@$(BIN)/python -m level4_deployment.benchmarks.serving

up: $(READY) ## Level 5 as a live demo: platform, pages and a clock that can be paused, stepped and sped up
	@$(BIN)/python -m level5_monitoring.live_demo.up

down: $(READY) ## End the live demo
	@$(BIN)/python -m level5_monitoring.live_demo.down

reports: $(READY) ## Evidently's reports of level 5's year, a week each, and its pages
	@$(BIN)/python -m level5_monitoring.dashboard.evidently_reports

watch: $(READY) ## Level 5's platform, and turns by Prefect's clock and whenever a day is closed; after make level5
	@$(BIN)/python -m level5_monitoring.loop.schedule

judge-monitor: $(READY) ## How soon level 5's monitors see faults, and how often they cry wolf, beside other methods
	@$(BIN)/python -m level5_monitoring.benchmarks.monitors

progress: $(READY) ## Write what the levels' last runs measured into README.md
	@$(BIN)/python -m shared.progress --write

progress-check: $(READY) ## Compare README.md's table, and level 5's aims, with what the levels' last runs measured
	@$(BIN)/python -m shared.progress --check && $(BIN)/python -m level5_monitoring.policy_comparison

diff-1-2: ## What level 2 changes in the story of level 1
	@git --no-pager diff --no-index level1_notebook/run.py level2_devops/run.py || test $$? -eq 1

diff-2-3: ## What level 3 changes in the story of level 2
	@git --no-pager diff --no-index level2_devops/run.py level3_training_pipeline/run.py || test $$? -eq 1

diff-3-4: ## What level 4 changes in the story of level 3
	@git --no-pager diff --no-index level3_training_pipeline/run.py level4_deployment/run.py || test $$? -eq 1

diff-4-5: ## What level 5 changes in the story of level 4
	@git --no-pager diff --no-index level4_deployment/run.py level5_monitoring/run.py || test $$? -eq 1

test: $(READY) ## The quick tests, under five minutes
	@$(BIN)/python -m pytest -m "not slow" -n 2 --no-loadscope-reorder

test-slow: $(READY) ## The other tests, three files at a time: much of their time is waiting
	@$(BIN)/python -m pytest -m slow -n 3 --no-loadscope-reorder

test-all: test test-slow ## All tests

check: lint types imports ## All three static checks

lint: $(READY) ## Style and common mistakes (ruff)
	@$(BIN)/python -m ruff check . && $(BIN)/python -m ruff format --check .

types: $(READY) ## Types (mypy)
	@$(BIN)/python -m shared.console "Check the types" $(BIN)/python -m mypy

imports: $(READY) ## Which package may import which (import-linter)
	@$(BIN)/lint-imports

lock: $(READY) ## Write requirements.txt anew from pyproject.toml; UPGRADE=1 takes the newest versions
	@$(BIN)/python -m shared.console "Write requirements.txt" $(BIN)/python -m uv pip compile pyproject.toml --group all --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-header --quiet $(if $(UPGRADE),--upgrade) -o requirements.txt

clean: ## Remove all that the levels have made; the environment stays
	@rm -rf .state
