# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later

RUN := python3 tests/stages/run.py setup
BUILT := $(RUN) build

.DEFAULT_GOAL := help
.PHONY: help demo test lint sanity unit molecule cores integration test-storage test-machines thorough bench downtime setup build requirements clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: ## three LXD hosts on this machine, two instances on each, by one playbook
	@$(BUILT) demo

test: ## lint, sanity, unit, integration and storage
	@$(BUILT) lint sanity unit integration storage

lint: ## style, types, shell, ansible-lint, changelog, licences
	@$(RUN) lint

sanity: ## ansible-test sanity
	@$(BUILT) sanity

unit: ## unit tests
	@$(RUN) unit

molecule: ## molecule scenarios
	@$(BUILT) molecule

cores: ## unit and smoke tests on the other versions of ansible-core
	@$(BUILT) cores

integration: ## tests on real LXD daemons
	@$(BUILT) integration

test-storage: ## tests on a machine with iSCSI, NVMe, Fibre Channel, Ceph, NFS and LUKS, under QEMU
	@$(BUILT) storage

test-machines: ## tests of virtual machines, nested in the machine of test-storage; half an hour, apart from all others
	@$(BUILT) machines

thorough: ## all tests on real daemons: each case on both products, and one by one; about an hour
	@$(BUILT) thorough

bench: ## this collection, community.general and lxc side by side; three quarters of an hour; BENCH="--rounds 1 --life 5" for less
	@$(BUILT) bench

downtime: ## how long a move interrupts a guest, by method; DOWNTIME="--rounds 1 --size 50" for less
	@$(BUILT) downtime

setup: ## Debian packages and the virtual environment
	@$(RUN)

build: ## the collection's tarball in .build, installed in .build/collections
	@$(BUILT)

requirements: ## newer pins in tests/requirements, as their .in files allow
	@$(RUN) requirements

clean: ## remove what was made in this checkout; environments stay in the user's cache
	rm -rf .build .venv .venv-* .ansible .hypothesis .*_cache tests/output
