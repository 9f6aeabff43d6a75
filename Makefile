# The face of scripts/; everything built or downloaded goes to build/.

BOOT = tools fetch apply build:module boot:module:sample build:builtin boot:builtin:sample

# What decides, the quick first.
CHECK = tools shellcheck fetch apply sync checkpatch ways \
	build:module boot:module:sample boot:module:unassigned boot:module:stress:1000 \
	build:builtin boot:builtin:sample \
	soak:mailbox:module:100000 soak:hotplug:module:100 badinput each boots static \
	kunit:um kunit:x86_64 kunit:i386 kunit:arm64 build:drm drm:drm \
	build:debug boot:debug:sample boot:debug:stress:30 soak:hotplug:debug:10 drm:debug \
	build:kcsan boot:kcsan:stress:100 trees

# The same with high counts.
SOAK = tools fetch apply build:module boot:module:stress:10000 \
	soak:mailbox:module:1000000 soak:hotplug:module:1000 \
	build:debug boot:debug:stress:200 soak:hotplug:debug:100

.PHONY: help boot check soak mutate fetch apply build export \
	sync checkpatch ways each boots static shellcheck badinput kunit drm trees clean

help:
	@echo 'make boot        fetch, patch, build and boot Linux, and test the sample in it'
	@echo 'make check       all tests: boot, and everything below down to trees'
	@echo 'make soak        the ones under load again, with high counts'
	@echo 'make mutate      do the tests notice faults? puts some in and looks'
	@echo
	@echo 'make fetch       put a pristine Linux 7.3 into build/linux'
	@echo 'make apply       git am patches/ to its branch pci-shmem-bar'
	@echo 'make build       build the kernels that boot needs'
	@echo 'make export      write patches/ and the rest from the branch'
	@echo
	@echo 'make sync        is what is committed here what the patches produce?'
	@echo 'make checkpatch  checkpatch --strict on every patch'
	@echo 'make ways        git am, b4, quilt, b4 send and a v2, as README.md says'
	@echo 'make each        does every commit compile alone, without a new warning?'
	@echo 'make boots       does the sample work at each commit that has it?'
	@echo 'make static      clang, coccinelle, kernel-doc, Sphinx: anything new to say?'
	@echo 'make shellcheck  shellcheck on every script'
	@echo 'make badinput    are wrong trees, patches and guests refused?'
	@echo 'make kunit       the KUnit tests, on UML, x86-64, i386, arm64'
	@echo 'make drm         vmwgfx and qxl on the devices QEMU has for them'
	@echo 'make trees       the series on other trees; writes the table in README.md'
	@echo 'make clean       remove build/, but for build/linux and the download'
	@echo
	@echo 'KERNEL_SRC=DIR   a git tree or extracted tarball to use instead of a download'
	@echo 'ACCEL=kvm        boot with KVM instead of TCG'
	@echo 'SEED=N           repeat a boot with the memory contents of an earlier one'

boot:
	@scripts/run.sh $(BOOT)

check:
	@scripts/run.sh $(CHECK)

soak:
	@scripts/run.sh $(SOAK)

mutate:
	@scripts/run.sh tools fetch apply build:module
	@scripts/mutate.sh

build:
	@scripts/run.sh $(filter-out boot:%,$(BOOT))

apply:
	@scripts/run.sh tools fetch apply

sync checkpatch ways each boots:
	@scripts/run.sh tools fetch apply $@

badinput static:
	@scripts/run.sh tools fetch apply build:module $@

kunit:
	@scripts/run.sh tools fetch apply $(filter kunit:%,$(CHECK))

drm:
	@scripts/run.sh tools fetch apply build:drm drm:drm

trees:
	@scripts/run.sh tools fetch apply trees:write

fetch shellcheck:
	@scripts/run.sh tools $@

export:
	@scripts/export.sh

clean:
	rm -rf build/kernel-* build/kunit-* build/boot-* build/each build/static build/logs build/am build/ways build/trees
