# Commands of developers and CI; `make help` lists them. All output is under .local/ and .venv/.
PYTHON ?= python3
export PYTHON
STAGE ?= dev
# A process without bytecode compiles all its packages again: the suite would take half as long again.
unexport PYTHONDONTWRITEBYTECODE

tools := .venv/bin
stack := $(tools)/python -m local.stack
containers := $(tools)/python -m local.containers
uv := .local/bootstrap/bin/uv
schema := $(tools)/check-jsonschema --builtin-schema vendor.
security := .local/venvs/security/bin
npm = .local/venvs/node/bin/npm
sam = SAM_CLI_TELEMETRY=0 __SAM_CLI_APP_DIR=.local/sam .local/venvs/sam/bin/sam

.PHONY: help
help: ## List the targets, the eight of every day first
	@awk -F ':.*## ' -v daily="run test-fast check watch ops logs doctor down" '\
		/^[a-z-]+:.*## / { text[$$1] = $$2 } \
		/^##@ / { order[++n] = "\n" substr($$0, 5) ":" } \
		/^[a-z-]+:.*## / { order[++n] = $$1 } \
		function show(name) { printf "  make %-16s %s\n", name, text[name] } \
		END { print "Every day:"; m = split(daily, first, " "); \
			for (i = 1; i <= m; i++) { show(first[i]); shown[first[i]] = 1 } \
			for (i = 1; i <= n; i++) if (order[i] ~ /:$$/) print order[i]; else if (!shown[order[i]]) show(order[i]) }' Makefile

.PHONY: bootstrap
bootstrap:
	@sh local/bootstrap.sh

##@ The stack of this machine

.PHONY: run
run: bootstrap ## Start (or heal) the whole stack and make a reservation that ends CONFIRMADA
	@exec $(stack) run

.PHONY: up
up: bootstrap ## Start (or heal) the stack without making a reservation
	@exec $(stack) up

##@ Tests

.PHONY: test
test: node-tools browser-tools ## Run every test on the stack; ARGS go to pytest (make test ARGS="-k voucher")
	@exec $(stack) test $(ARGS)

.PHONY: test-second
test-second: bootstrap ## Test on a second emulator, ministack: limits, roles, the migration of the stack (ADR-032)
	@sh local/bootstrap.sh ministack
	@exec $(tools)/python -m local.second $(ARGS)

.PHONY: node-tools
node-tools: ## Install Node and the npm packages of the tests, under .local/
	@sh local/bootstrap.sh node

.PHONY: browser-tools
browser-tools: ## Install Playwright, and Chromium if PATH has none, under .local/
	@sh local/bootstrap.sh browser
	@$(tools)/python -m local.browser >/dev/null

.PHONY: test-fast
test-fast: bootstrap ## Run the tests without stack and database, for the edit loop; ARGS go to pytest
	@$(tools)/python -m pytest -q --numprocesses=auto --dist=loadfile -m "not mysql" tests/unit tests/handlers $(ARGS)

covered = tests/unit tests/handlers tests/contract tests/database

.PHONY: coverage
coverage: bootstrap ## Measure the coverage of the tests without a stack, against the floors of docs/06-qa-testing.md
	$(tools)/python -m pytest -q $(covered) --cov --cov-report=
	$(tools)/python -m tools.coverage_floors

##@ Long proofs

.PHONY: crash-matrix
crash-matrix: bootstrap ## Kill or stop every function at every boundary, on DB_ENGINE; ARGS="--only TEXT", "--sample N", "--minutes N"
	PYTHONPATH=layers/core:layers/pdf $(tools)/python -m tests.proofs.crash run $(ARGS)

.PHONY: crash-boundaries
crash-boundaries: bootstrap ## Record again the list of boundaries that the crash matrix must cover
	PYTHONPATH=layers/core:layers/pdf $(tools)/python -m tests.proofs.crash record

.PHONY: simulate
simulate: bootstrap ## Run 20,000 hostile schedules of the saga; ARGS adds to them (ARGS="--first 20000 --jobs 1")
	@PYTHONPATH=layers/core $(tools)/python -m tests.proofs.simulation run 20000 $(ARGS)

.PHONY: simulate-mutants
simulate-mutants: bootstrap ## Catch each fault of tests/proofs/simulation/mutants.py; ARGS="--jobs 1 --record" keeps what caught it
	@PYTHONPATH=layers/core $(tools)/python -m tests.proofs.simulation mutants $(ARGS)

.PHONY: mutation
mutation: bootstrap mutation-tools ## Mutate the domain and print the share that its tests notice (ARGS="--max-children 1 PATTERN")
	@PYTHONPATH=. $(tools)/python -m tools.mutation $(ARGS)

.PHONY: mutation-tools
mutation-tools:
	@sh local/bootstrap.sh mutation

.PHONY: chaos
chaos: bootstrap ## Kill every process of the stack in turn under load, and print the figures
	@PYTHONPATH=layers/core:layers/pdf $(tools)/python -m tests.e2e.chaos $(ARGS)

proofs = simulate simulate-mutants crash-matrix plans mutation chaos

.PHONY: proofs
proofs: bootstrap ## Run the long proofs one after another (hours), each with its progress
	@for proof in $(proofs); do echo "== make $$proof"; $(MAKE) --no-print-directory $$proof || failed="$$failed $$proof"; done; \
		test -z "$$failed" || { echo "✗ Failed:$$failed"; exit 1; }

##@ Measures

.PHONY: bench
bench: bootstrap load-tools ## Measure the code beside yardsticks, without a stack (ARGS=create for one row); writes docs/08
	@PYTHONPATH=.:layers/core:layers/pdf $(tools)/python -m tools.bench $(ARGS)

.PHONY: stress
stress: bootstrap load-tools ## Load the running stack and the handlers alone, on a schedule (ARGS=short: minutes; ARGS=soak: an hour)
	@PYTHONPATH=.:layers/core:layers/pdf $(tools)/python -m tools.stress $(ARGS)

.PHONY: latency
latency: bootstrap ## Time 50 reservations on the running stack, until the answer and until CONFIRMADA
	@$(tools)/python -m tools.latency $(ARGS)

.PHONY: load-tools
load-tools:
	@sh local/bootstrap.sh load

.PHONY: growth
growth: bootstrap ## Time each slice at 10 k to 3 M reservations, which are kept in .local/growth (ARGS="--sizes 10000,100000")
	@PYTHONPATH=.:layers/core:layers/pdf $(tools)/python -m tests.proofs.growth $(ARGS)

.PHONY: plans
plans: bootstrap ## Write docs/planes.md: the plan of each statement on 100,000 reservations, on both engines
	@PYTHONPATH=.:layers/core:layers/pdf $(tools)/python -m tests.database.plans

##@ Checks

.PHONY: check
check: bootstrap ## Check format, lint, types, import contracts, template and secrets, as CI does
	@$(MAKE) --no-print-directory --jobs=2 --keep-going check-types check-code check-files check-template secrets

.PHONY: check-types check-code check-files check-template
check-types:
	$(tools)/mypy

check-code:
	$(tools)/ruff format --check .
	$(tools)/ruff check .
	PYTHONPATH=layers/core $(tools)/lint-imports

check-files:
	$(schema)compose-spec docker-compose.yml
	$(schema)github-workflows .github/workflows/*.yml
	$(schema)dependabot .github/dependabot.yml
	$(containers) config

check-template:
	AWS_DEFAULT_REGION=eu-west-1 $(sam) validate --lint
	$(tools)/cfn-lint --non-zero-exit-code informational template.yaml

.PHONY: gates
gates: bootstrap $(if $(RUN),node-tools) ## Show the board of the gates; RUN=all, RUN=G5 or RUN=G5-no-500 runs their checks first
	@PYTHONPATH=layers/core $(tools)/python -m tools.gates $(RUN)

.PHONY: checklist
checklist: bootstrap ## Show the day's state on one screen: gates, documents, errors, retries, metrics, tests
	@PYTHONPATH=layers/core $(tools)/python -m tools.checklist

BASE ?= main

.PHONY: check-pr
check-pr: bootstrap ## Check that a range is small and brings docs, tests and changelog: make check-pr BASE=main
	@$(tools)/python -m tools.check_pr "$(BASE)"

##@ AWS

.PHONY: build-aws
build-aws: bootstrap ## Build functions and layers for Lambda; needs Python 3.13, whose bytecode they carry
	PYTHON=python3.13 UV=$(abspath $(uv)) $(sam) build --config-env $(STAGE)

.PHONY: preflight
preflight: bootstrap ## Check that the account can take STAGE; each problem names the command that fixes it
	@PYTHONPATH=layers/core $(tools)/python -m tools.preflight $(STAGE)

.PHONY: deploy
deploy: preflight build-aws ## Deploy to AWS with the current credentials; STAGE=prod for production (docs/despliegue-aws.md)
	@echo "Release: \"$$(date +%s)\"" > release.parameters.yaml
	$(sam) deploy --config-env $(STAGE)
	@PYTHONPATH=layers/core $(tools)/python -m tools.rehearse $(STAGE)

.PHONY: rehearse
rehearse: bootstrap ## Invoke every function of STAGE directly, as before each release: nothing is stored
	@PYTHONPATH=layers/core $(tools)/python -m tools.rehearse $(STAGE)

# ruff finds passwords by the name of their variable (S105 to S107). No secrets in events/: traces, digests, receipts,
# the keys of the examples.
not_secrets = traceparent|X-Amzn-Trace-Id|md5OfBody|receiptHandle|senderId|-of-the-examples
scanned = git ls-files -z | grep -zEv '\.(lock|ttf)$$|/package-lock\.json$$|/redoc\.standalone\.js$$|/amazon-roots\.pem$$|/requirements\.txt$$|^\.secrets\.baseline$$'

##@ Security

.PHONY: secrets
secrets: bootstrap ## Look for secrets in every file of git; false positives are in .secrets.baseline
	@$(scanned) | xargs -0 $(tools)/detect-secrets-hook --baseline .secrets.baseline

.PHONY: secrets-baseline
secrets-baseline: bootstrap ## Accept the findings of `make secrets` as false positives, after checking each
	@$(scanned) | xargs -0 $(tools)/detect-secrets scan --slim --disable-plugin KeywordDetector --exclude-lines '(?i)$(not_secrets)' > .secrets.baseline.new
	@mv .secrets.baseline.new .secrets.baseline

.PHONY: security-tools
security-tools:
	@sh local/bootstrap.sh security

# Locks of deployed packages and of their tools. LocalStack's serves one machine and is of a fixed day.
audited = layers/dependencies/requirements.txt layers/pdf/requirements.txt local/locks/lambda.lock local/locks/dev.lock \
	local/locks/sam.lock local/locks/bootstrap.lock local/locks/security.lock local/locks/mutation.lock local/locks/node.lock local/locks/clients.lock \
	local/locks/browser.lock local/locks/load.lock

.PHONY: audit
audit: security-tools ## Check every pinned package for advisories; fails on a finding, and without an answer
	@for lock in $(audited); do echo "$$lock"; \
		$(security)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r $$lock || failed=1; \
	done; exit $${failed:-0}

.PHONY: fuzz
fuzz: security-tools ## Test the running stack against the contract with schemathesis for three minutes (ARGS are its options)
	@PYTHONPATH=. $(tools)/python -m tools.fuzz $(ARGS)

.PHONY: conformance
conformance: security-tools ## Test other teams' APIs: PAYMENTS_URL=, SUPPLIER_URL= or both, keys in the environment (ARGS="--help")
	@PYTHONPATH=. exec $(tools)/python -m tools.conformance --payments-url "$(PAYMENTS_URL)" --supplier-url "$(SUPPLIER_URL)" $(ARGS)

.PHONY: sbom
sbom: security-tools ## Write the CycloneDX bill of materials of the deployed layers under .local/
	@for layer in dependencies pdf; do \
		$(security)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON \
			-o .local/sbom-$$layer.json layers/$$layer/requirements.txt && echo ".local/sbom-$$layer.json"; \
	done

##@ Containers

.PHONY: test-containers
test-containers: bootstrap ## Run every function on its events in a container, by sam local; skipped with a notice without Docker
	@PYTHONPATH=layers/core $(containers) functions $(ARGS)

.PHONY: compose-up
compose-up: bootstrap ## Start the stack of docker-compose.yml and deploy the template to it
	@$(containers) up

.PHONY: compose-test
compose-test: bootstrap ## Run the end-to-end tests on the stack of docker-compose.yml
	@$(containers) test $(ARGS)

.PHONY: compose-ops
compose-ops: bootstrap ## Inspect and repair its reservations (ARGS as for make ops)
	@$(containers) ops $(ARGS) || test $$? = 2

.PHONY: compose-logs
compose-logs: bootstrap ## Show the logs of its containers
	@$(containers) logs

.PHONY: compose-down
compose-down: bootstrap ## Remove its containers and their data
	@$(containers) down

##@ Functions

.PHONY: invoke
invoke: bootstrap ## Run one function on a case of events/: make invoke EVENT=process_payment.due (on the stack without Docker)
	@PYTHONPATH=layers/core $(containers) invoke "$(EVENT)"

.PHONY: events
events: bootstrap ## Write the cases of events/ as files to .local/events/, for sam local invoke -e
	@$(tools)/python -m local.events

.PHONY: start-api
start-api: bootstrap ## Serve the HTTP functions in containers, on 127.0.0.1:3000
	@$(containers) start-api

##@ Release and code

.PHONY: release
release: bootstrap sbom ## Pack the built template and its bill of materials: make release VERSION=v1.2.3
	@$(tools)/python -m tools.release "$(VERSION)"

.PHONY: format
format: bootstrap ## Format the code and fix findings of the linter
	$(tools)/ruff format .
	$(tools)/ruff check --fix .

.PHONY: docs
docs: bootstrap ## Write again the parts of docs/ that come from the code
	PYTHONPATH=layers/core $(tools)/python -m tools.documents

.PHONY: mails
mails: bootstrap ## Compose every mail: a page to look at in .local/mails.html, and the golden files of the tests
	@PYTHONPATH=layers/core $(tools)/python -m tools.mails

.PHONY: texts
texts: bootstrap ## Compile the texts of layers/core/reservations/texts/*.toml, update the documents and check both
	PYTHONPATH=layers/core $(tools)/python -m reservations.texts
	PYTHONPATH=layers/core $(tools)/python -m tools.documents
	$(tools)/python -m pytest -q tests/unit/texts tests/unit/entrypoints/test_problems.py tests/template/test_api.py

##@ The running stack

.PHONY: status
status: set-up ## Show the running parts of the stack
	@$(stack) status

.PHONY: logs
logs: set-up ## Follow the logs of every process and function; FUNCTION=process_payment or CODE=XXXXX-XXXXX-X for one
	@if [ -n "$(CODE)" ] && [ -n "$(FUNCTION)" ]; then echo "✗ Give FUNCTION= or CODE=, not both."; \
		elif [ -n "$(CODE)" ]; then bin/ops logs "$(CODE)" --follow || test $$? = 2; \
		else PYTHONPATH=layers/core exec $(tools)/python -m local.follow $(FUNCTION); fi

.PHONY: console
console: set-up ## Serve a console for one operator on 127.0.0.1: overview, search, time axes, mails, moods
	@PYTHONPATH=layers/core exec $(tools)/python -m local.console $(ARGS)

.PHONY: trace
trace: set-up ## Draw one reservation on a time axis: make trace CODE=XXXXX-XXXXX-X; ARGS="--svg trace.svg" for a drawing
	@bin/ops trace "$(CODE)" $(ARGS) || test $$? = 2

.PHONY: watch
watch: up ## Make each edit in functions/ and layers/ live at the next call, without a restart
	@exec $(tools)/python -m local.watching

.PHONY: debug
debug: set-up ## Let a function wait for a debugger: make debug FUNCTION=get_reservation
	@exec $(tools)/python -m local.debugging "$(FUNCTION)"

.PHONY: doctor
doctor: ## Say what this machine lacks, and how to get it
	@$(PYTHON) -m local.doctor

.PHONY: ops
ops: set-up ## Inspect and repair reservations on the stack; bin/ops is the same without ARGS= (bin/ops --help)
	@bin/ops $(ARGS) || test $$? = 2 # a refusal has said why

.PHONY: down
down: ## Stop the stack; its data stay
	@exec $(PYTHON) -m local.down

.PHONY: clean
clean: set-up ## Stop the stack and delete its data
	@exec $(stack) clean

.PHONY: set-up
set-up:
	@test -x $(tools)/python || { echo "Nothing was set up here yet. Start with: make run"; exit 1; }

# Requirements files with hashes instead of uv.lock, which records the host names of registries. LocalStack's is of
# a fixed day: later releases of its dependencies break it, though its metadata allows them. 4.13.1 serves Python 3.11,
# and 2026.3.0, the last open release, every newer one.
compile = $(uv) pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11

##@ Packages

.PHONY: lock
lock: node-tools ## Make every lock again from pyproject.toml
	$(compile) --universal pyproject.toml --group dev -o local/locks/dev.lock
	$(compile) --universal --group pyproject.toml:lambda -o local/locks/lambda.lock
	$(compile) --universal --group pyproject.toml:sam -o local/locks/sam.lock
	$(compile) --universal --group pyproject.toml:security -o local/locks/security.lock
	$(compile) --universal --group pyproject.toml:clients -o local/locks/clients.lock
	$(compile) --universal --group pyproject.toml:node -o local/locks/node.lock
	$(compile) --universal -c local/locks/dev.lock --group pyproject.toml:browser -o local/locks/browser.lock
	$(compile) --universal --group pyproject.toml:load -o local/locks/load.lock
	$(compile) --universal -c local/locks/dev.lock --group pyproject.toml:mutation -o local/locks/mutation.lock
	$(compile) --universal pyproject.toml -o layers/dependencies/requirements.txt
	$(compile) --universal -c local/locks/dev.lock --group pyproject.toml:pdf -o layers/pdf/requirements.txt
	for lock in tests/*/package-lock.json; do \
		$(npm) update --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --prefix "$$(dirname "$$lock")"; done
	echo uv | $(compile) - -o local/locks/bootstrap.lock
	echo 'localstack-core[runtime]==4.13.1' | $(compile) --exclude-newer 2026-03-05 - -o local/locks/localstack.lock
	printf 'localstack-core[runtime]==2026.3.0\nservice-identity\n' | $(compile:3.11=3.12) --exclude-newer 2026-03-25 - -o local/locks/localstack-2026.lock
	printf 'ministack==1.5.33\naws-sam-translator\nboto3\n' | $(compile) --universal - -o local/locks/ministack.lock
