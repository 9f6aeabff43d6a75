# The face of scripts/; everything built or downloaded goes to build/.

.PHONY: help boot check fetch apply export sync build checkpatch each shellcheck badinput clean

BOOT = tools fetch apply build:module boot:module:sample build:builtin boot:builtin:sample

help:
	@echo 'make boot        fetch, patch, build and boot Linux, and test the sample in it'
	@echo 'make check       all tests: boot, and what is said below'
	@echo
	@echo 'make fetch       put a pristine Linux 7.3 into build/linux'
	@echo 'make apply       git am patches/ to its branch pci-shmem-bar'
	@echo 'make build       build the kernels that boot needs'
	@echo 'make export      write patches/ and the rest from the branch'
	@echo
	@echo 'make sync        is what is committed here what the patches produce?'
	@echo 'make checkpatch  checkpatch --strict on every patch'
	@echo 'make each        does every commit compile alone, without a new warning?'
	@echo 'make shellcheck  shellcheck on every script'
	@echo 'make badinput    are wrong trees, patches and guests refused?'
	@echo 'make clean       remove build/, but for build/linux and the download'
	@echo
	@echo 'KERNEL_SRC=DIR   a git tree or extracted tarball to use instead of a download'
	@echo 'ACCEL=kvm        boot with KVM instead of TCG'
	@echo 'SEED=N           repeat a boot with the memory contents of an earlier one'

boot:
	@scripts/run.sh $(BOOT)

check:
	@scripts/run.sh tools shellcheck fetch apply sync checkpatch each \
		$(filter-out tools fetch apply,$(BOOT)) badinput

build:
	@scripts/run.sh tools fetch apply build:module build:builtin

apply:
	@scripts/run.sh tools fetch apply

sync checkpatch each:
	@scripts/run.sh tools fetch apply $@

badinput:
	@scripts/run.sh tools fetch apply build:module $@

fetch shellcheck:
	@scripts/run.sh tools $@

export:
	@scripts/export.sh

clean:
	rm -rf build/kernel-* build/boot-* build/logs build/am
