# SPDX-License-Identifier: Apache-2.0
# `make` shows what there is. Recipes are short; what is longer lives in hack/.

SHELL := /bin/bash
.DEFAULT_GOAL := help
CLUSTER := go run ./e2e/cluster

.PHONY: help
help: ## Show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Fill a claim from S3 on a real node, export it again, and check every byte (KEEP=1 leaves it up)
	@go run ./e2e/demo $(if $(KEEP),--keep)

.PHONY: test
test: unit e2e-node e2e e2e-chart ## All tests: pure, API server, and end to end on the real node

.PHONY: quick
quick: ## The tests that need nothing but Go, without the long walks
	@hack/test.sh quick

.PHONY: unit
unit: ## Pure and API-server tests, with the race detector (they start etcd and a kube-apiserver of their own)
	@hack/test.sh unit

.PHONY: fuzz
fuzz: ## Fuzz each target (FUZZTIME=duration, 30s when not given)
	@hack/fuzz.sh $(or $(FUZZTIME),30s)

.PHONY: simulate
simulate: ## Play the protocol on simulated clusters (SEEDS=number, 10000 when not given)
	@go test -vet=off ./populator -run 'TestSeeds$$' -timeout 2h -v -seeds $(or $(SEEDS),10000)

.PHONY: mutate
mutate: ## Break the product in many ways, and see that a test notices each (RUN=regexp selects, E2E=1 adds stories)
	@hack/test.sh mutate $(if $(RUN),-run '$(RUN)') $(if $(E2E),-e2e)

.PHONY: e2e
e2e: ## End-to-end stories on a real node (RUN=regexp selects)
	@hack/test.sh e2e $(if $(RUN),-run '$(RUN)')

.PHONY: e2e-node
e2e-node: ## Tests of the real node itself: volumes, names, S3 servers, and nothing left behind
	@hack/test.sh node

.PHONY: e2e-chart
e2e-chart: ## Install, upgrade and remove the Helm chart on a real node of its own
	@hack/test.sh chart

.PHONY: bench-control
bench-control: ## Measure the control path on a real node; the last line is JSON
	@go run ./e2e/bench control

.PHONY: bench-short
bench-short: ## See in about two minutes that every benchmark works and that its figures can be true
	@go run ./e2e/bench short

.PHONY: bench-tenants
bench-tenants: ## Measure a claim beside 10,000 volumes and 2,500 claims of others; the last line is JSON
	@go run ./e2e/bench tenants

.PHONY: bench-webhook
bench-webhook: ## Measure admission, and refusals while certificates rotate; the last line is JSON
	@go run ./e2e/bench webhook

.PHONY: bench-data
bench-data: ## Measure the mover beside mc, s5cmd and rclone; writes docs/benchmarks.md (ARGS=flags); the last line is JSON
	@go run ./e2e/bench/data $(ARGS)

.PHONY: bench-data-short
bench-data-short: ## See in a minute that bench-data still works
	@go run ./e2e/bench/data --short

.PHONY: build
build: ## Build the manager, the mover and mc into bin/, with the licenses that their images hold
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/linux-$$(go env GOARCH)/ ./cmd/...
	@$(CLUSTER) tools --into bin/linux-$$(go env GOARCH) mc >/dev/null
	@for p in manager mover mc; do go run ./hack/licenses -texts $$p >bin/linux-$$(go env GOARCH)/$$p.LICENSES || exit 1; done

.PHONY: images
images: ## Build the manager's and the mover's image as OCI archives and print their paths
	@$(CLUSTER) image manager mover

.PHONY: generate
generate: ## Regenerate deep copies, CRDs, RBAC and docs/api.md
	@hack/generate.sh .

.PHONY: verify
verify: ## Fail when generated files, any go.mod, module checksums or formatting are not as the tools write them
	@hack/verify.sh

.PHONY: lint
lint: ## Run golangci-lint
	@$$($(CLUSTER) tools golangci-lint) run ./...

.PHONY: shellcheck
shellcheck: ## Run shellcheck over the scripts
	@hack/debian.sh shellcheck
	@shellcheck hack/*.sh .ci/run

.PHONY: crossbuild
crossbuild: ## Build the manager and the mover for arm64
	@hack/crossbuild.sh arm64

.PHONY: licenses
licenses: ## Name the licenses of what the images hold; fail when one is not allowed
	@go run ./hack/licenses

.PHONY: deadcode
deadcode: ## Fail when a function is reached by nothing, or a shipped one by tests only
	@hack/deadcode.sh

.PHONY: vulncheck
vulncheck: ## Ask the Go vulnerability database about the commands (needs the network; not in CI)
	@hack/vulncheck.sh

.PHONY: fmt
fmt: ## Format the code
	@$$($(CLUSTER) tools golangci-lint) fmt ./...

.PHONY: deploy
deploy: ## Install into the cluster of $$KUBECONFIG
	kubectl apply --server-side -k manifests/default

.PHONY: undeploy
undeploy: ## Remove from the cluster of $$KUBECONFIG; bound volumes stay
	kubectl delete --ignore-not-found -k manifests/default

.PHONY: presubmit
presubmit: ## What CI runs
	@.ci/run

.PHONY: clean
clean: ## Remove build output of this checkout; the tool cache stays
	rm -rf bin
