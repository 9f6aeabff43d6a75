# The face of scripts/; everything built or downloaded goes to build/.

# With a +, beside what follows, or whenever there is time.  What the others need is
# installed while the kernel is fetched; a second tools waits for that.
BOOT = tools:fetch disk:6 +tools:boot fetch apply tools:fetch:boot build:plain boot:plain:sample

# What decides, the quick first.  With a ~, not again until something has changed.
CHECK = tools:fetch disk:14 +tools:check +shellcheck fetch apply tools:fetch:check mutations cover \
	+selftest +sync +~kconfig-select +~per-commit build:plain boot:plain:sample \
	+~sets:apply +~static +~badinput +~sending build:debug +boot:debug:drm +kunit +~readme-commands \
	build:i386 boot:i386:sample boot:i386:kunit boot:i386:faults \
	build:arm64 boot:arm64:sample boot:arm64:kunit boot:arm64:faults boot:arm64:walk:300 \
	boot:plain:unassigned boot:plain:limits boot:plain:kunit boot:plain:faults boot:plain:walk:3000 boot:plain:vfio \
	boot:plain:iommu boot:plain:stress:500 \
	boot:plain:hotplug:100 boot:plain:mailbox:100000 boot:plain:drm bench \
	boot:debug:sample boot:debug:kunit boot:debug:faults boot:debug:vfio +boot:debug:walk:300 +boot:debug:stress:10 \
	+boot:debug:hotplug:10

# High counts (what takes minutes in a guest runs beside the builds), more architectures,
# each set booted alone, and Debian's newest trees.
SOAK = tools:check:soak:rust:peers disk:28 fetch apply \
	build:plain +boot:plain:walk:150000 build:debug +boot:debug:walk:4000 build:kcsan +boot:kcsan:walk:25000 \
	boot:plain:stress:5000 boot:plain:mailbox:1000000 boot:plain:hotplug:500 \
	+boot:debug:stress:100 +boot:debug:hotplug:50 \
	+boot:debug:drm:qxl-small +boot:debug:drm:qxl-vgacon +boot:debug:drm:qxl-vesa +boot:debug:drm:qxl-revision4 \
	boot:kcsan:faults boot:kcsan:stress:100 \
	build:peers +~peers:patched:debug \
	build:riscv64 boot:riscv64:sample boot:riscv64:kunit \
	build:ppc64 boot:ppc64:sample boot:ppc64:kunit $(RUST) ~sets ~sets:boot ~failing \
	litmus trees tries

# On Debian 12, the first of them makes a Debian 13 in build/rust-root.
RUST = build:rust boot:rust:rust boot:rust:kunit ~rust build:rust-debug boot:rust-debug:rust

.PHONY: help try shell boot test check soak mutate fetch apply build export \
	sync readme-commands sending per-commit kconfig-select sets failing litmus mails static shellcheck \
	selftest badinput kunit drm bench peers trees tries rust clean

help:
	@echo 'make try              test the sample on a kernel of Debian that is built already: KERNEL=6.12'
	@echo 'make boot             fetch, patch, build and boot Linux, and test the sample in it'
	@echo 'make check            boot, and most of the tests below: what decides'
	@echo 'make shell            a guest with two of the devices, and a shell: KERNEL=debug, GDB=1'
	@echo 'make test             one test in a guest: KERNEL=debug TEST=stress COUNT=100'
	@echo 'make soak             the ones under load with high counts, KCSAN, RISC-V, PowerPC, sets, trees, Rust'
	@echo 'make mutate           do the tests notice faults? puts some in and looks'
	@echo
	@echo 'make fetch            put a pristine Linux 7.3 into build/linux'
	@echo 'make apply            git am patches/ to its branch pci-shmem-bar'
	@echo 'make build            build the kernel that boot needs'
	@echo 'make export           write patches/ and the rest from the branch'
	@echo 'make mails            SET=NAME OUT=DIR: write the mails of a set; sends nothing'
	@echo
	@echo 'make sync             is what is committed here what the patches produce?'
	@echo 'make readme-commands  git am, b4, quilt, and sending a set, as the pages say'
	@echo 'make sending          the mails of all sets, read by b4, checkpatch and git send-email'
	@echo 'make per-commit       does every commit compile alone, without a new warning?'
	@echo 'make kconfig-select   does each driver select the helper, and is it gone without them?'
	@echo 'make sets             does each set apply, compile, boot and pass without the others?'
	@echo 'make peers            X, Weston, fbcon, SPICE on qxl, patched and not: WRITE=yes writes docs/peers.md'
	@echo 'make failing          is each commit of the qxl set clean when probe fails?'
	@echo 'make litmus           what the memory model says of the kernfs patches'
	@echo 'make static           clang, coccinelle, kernel-doc, Sphinx: anything new to say?'
	@echo 'make shellcheck       shellcheck on every script'
	@echo 'make selftest         do the scripts that judge the tests see a failure?'
	@echo 'make badinput         are wrong trees, patches and guests refused?'
	@echo 'make kunit            the KUnit tests, with kunit.py on UML'
	@echo 'make drm              vmwgfx and qxl on the devices QEMU has for them'
	@echo 'make bench            what mapping costs, in instructions: WRITE=yes writes docs/cost.md'
	@echo 'make trees            the series on other trees: WRITE=yes writes docs/other-trees.md'
	@echo 'make tries            try on each kernel that Debian has for this release, and dkms on one'
	@echo 'make rust             the Rust type and its sample, in kernels with CONFIG_RUST; clippy, rustfmt, rustdoc'
	@echo 'make clean            remove build/, but for build/linux and the download'
	@echo
	@echo 'SIGNOFF=yes TREE=DIR V=2 PREV=DIR: for mails, see docs/sending.md'
	@echo 'TOOLS=skip            install nothing, and do not look for what is missing'
	@echo 'KERNEL_SRC=DIR        a git tree or extracted tarball to use instead of a download'
	@echo 'LINUX=7.4             another release to download, if the patches apply to it'
	@echo 'ACCEL=kvm             boot with KVM instead of TCG'
	@echo 'SEED=N                repeat a test with the memory contents of an earlier one'
	@echo 'LIMIT=N               give up on a guest that has said nothing for N seconds'
	@echo 'SLOW=N                all limits of time are N times as long: for slow machines'
	@echo 'V=1                   show what stages say, and the consoles of guests'

# try or try-VERSION
try:
	@scripts/run.sh tools:try disk:2 build:try$(KERNEL:%=-%) boot:try$(KERNEL:%=-%):sample
	@echo
	@echo "What Debian's kernel lacks without the patches of kernfs: the memory is mapped in pages,"
	@echo 'not in huge ones, and VFIO takes no page of a mapping that was not written to before.'

# The kernels that build.sh knows, of x86
shell:
	@scripts/run.sh tools:boot disk:6 fetch apply build:$(or $(KERNEL),plain)
	@scripts/shell.py $(or $(KERNEL),plain)

boot:
	@scripts/run.sh $(BOOT)

# Not built again if nothing has changed
test:
	@scripts/run.sh tools:check disk:8 fetch apply build:$(or $(KERNEL),plain) \
		boot:$(or $(KERNEL),plain):$(or $(TEST),sample)$(COUNT:%=:%)

check:
	@scripts/run.sh $(CHECK)

soak:
	@scripts/run.sh $(SOAK)

mutate:
	@scripts/run.sh tools:check:soak disk:11 fetch apply mutate

build:
	@scripts/run.sh $(filter-out boot:%,$(BOOT))

fetch:
	@scripts/run.sh tools:fetch disk:6 fetch

apply:
	@scripts/run.sh tools:fetch disk:6 fetch apply

sync readme-commands sending kconfig-select kunit:
	@scripts/run.sh tools:check disk:6 fetch apply $@

per-commit static:
	@scripts/run.sh tools:check disk:8 fetch apply $@

badinput:
	@scripts/run.sh tools:check disk:6 fetch apply build:plain $@

drm:
	@scripts/run.sh tools:drm disk:6 fetch apply build:plain boot:plain:drm

bench:
	@scripts/run.sh tools:check disk:6 fetch apply build:plain bench$(if $(filter yes,$(WRITE)),:write)

peers:
	@scripts/run.sh tools:peers disk:14 fetch apply build:peers peers$(if $(filter yes,$(WRITE)),:write)

trees:
	@scripts/run.sh tools:boot disk:9 fetch apply trees$(if $(filter yes,$(WRITE)),:write)

tries:
	@scripts/run.sh tools:try:tries disk:3 tries

rust:
	@scripts/run.sh tools:boot:rust disk:10 fetch apply $(RUST)

shellcheck selftest litmus:
	@scripts/run.sh tools:check disk:6 fetch $@

sets:
	@scripts/run.sh tools:check disk:9 fetch apply sets sets:boot

failing:
	@scripts/run.sh tools:check disk:9 fetch apply failing

export:
	@scripts/export.sh

mails:
	@scripts/mails.sh "$(SET)" "$(OUT)"

# Not while a run uses it
clean:
	@mkdir -p build
	@flock -n build/.lock find build/ -mindepth 1 -maxdepth 1 ! -name linux ! -name '*.deb' ! -name '.*lock' \
		-exec rm -rf --one-file-system {} + || { echo 'another run is using build/'; false; }
