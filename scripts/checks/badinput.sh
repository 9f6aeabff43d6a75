#!/usr/bin/env bash
# Is bad input refused with one clear line, a non-zero exit and nothing lost?
# Each case works on copies: its own scripts/, patches/ and build/.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"

need_tree
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
copy=$tmp/top

copy_scripts() {
	rm -rf "$copy"
	mkdir -p "$copy/build"
	cp -a "$top/scripts" "$top/patches" "$top/series" "$copy"
}

# The series on a tree without its files: enough for git, and quick.
copy_tree() {
	copy_scripts
	plain_git -c advice.detachedHead=false clone -q --shared --no-checkout \
		--branch pristine "$tree" "$copy/build/linux"
	git -C "$copy/build/linux" sparse-checkout set --no-cone '/drivers/pci/*' /.gitattributes 2>/dev/null
	git -C "$copy/build/linux" checkout -q --detach pristine
	git -C "$copy/build/linux" config pci-shmem-bar.origin "$(plain_git config pci-shmem-bar.origin)"
	git -C "$copy/build/linux" config user.name badinput
	git -C "$copy/build/linux" config user.email badinput@localhost
}

# A "kernel" of the given version, as a git tree
small_tree() {
	mkdir -p "$copy/src"
	printf 'VERSION = %s\nPATCHLEVEL = %s\n' "${1%.*}" "${1#*.}" > "$copy/src/Makefile"
	touch "$copy/src/Kbuild"
	git -C "$copy/src" init -q
	git -C "$copy/src" add -A
	git -C "$copy/src" -c user.name=t -c user.email=t@localhost commit -q -m "Linux $1"
}

# What overlay.sh looks at in a tree, as a git tree
overlay_tree() {
	cp -a "$top/kernel-tree-overlay" "$top/samples" "$copy"
	mkdir "$copy/src"
	plain_git archive pristine Kbuild include/{linux,kunit} {drivers/pci,samples}/{Kconfig,Makefile} |
		tar -x -C "$copy/src"
	git -C "$copy/src" init -q
	git -C "$copy/src" config user.name badinput
	git -C "$copy/src" config user.email badinput@localhost
	git -C "$copy/src" add -A -f
	git -C "$copy/src" commit -q -m tree
}

# expect NAME TEXT COMMAND...: COMMAND fails, and TEXT is in its last line.
expect() {
	local name=$1 text=$2 out

	if out=$("${@:3}" 2>&1); then
		not_ok "$name # was accepted"
	elif ! tail -n 1 <<< "$out" | grep -qF -e "$text"; then
		not_ok "$name # says: $(tail -n 3 <<< "$out")"
	else
		ok "$name"
	fi
}

check() {
	if "${@:2}" >/dev/null 2>&1; then ok "$1"; else not_ok "$1 # false: ${*:2}"; fi
}

fake() {
	mkdir -p "$copy/bin"
	printf '#!/bin/sh\n%s\n' "$2" > "$copy/bin/$1"
	chmod +x "$copy/bin/$1"
}

# fetch.sh
copy_scripts
expect "no directory" "is not a directory" env KERNEL_SRC="$tmp/none" "$copy/scripts/fetch.sh"
small_tree 7.2
expect "wrong version" "is Linux 7.2, the series is for 7.3" env KERNEL_SRC="$copy/src" "$copy/scripts/fetch.sh"
rm "$copy/src/Kbuild"
expect "not a kernel" "is not a kernel tree" env KERNEL_SRC="$copy/src" "$copy/scripts/fetch.sh"

copy_scripts
small_tree 7.3
echo "# mine" >> "$copy/src/Makefile"
expect "dirty tree" "has uncommitted changes" env KERNEL_SRC="$copy/src" "$copy/scripts/fetch.sh"
check "dirty tree is left alone" grep -q "# mine" "$copy/src/Makefile"
git -C "$copy/src" checkout -q Makefile
before=$(sum_of "$copy/src")
mkdir "$copy/build/linux.new"
touch "$copy/build/linux.new/left-by-a-killed-run"
check "user's tree is accepted" env KERNEL_SRC="$copy/src" "$copy/scripts/fetch.sh"
check "user's tree is not changed" test "$before" = "$(sum_of "$copy/src")"
check "what a killed run left is gone" test ! -e "$copy/build/linux/left-by-a-killed-run"
check "user's tree again, with a slash" env KERNEL_SRC="$copy/src/" "$copy/scripts/fetch.sh"
expect "other tree than before" "was made from $copy/src" env KERNEL_SRC="$tmp/none" "$copy/scripts/fetch.sh"

git -C "$copy/src" -c user.name=t -c user.email=t@localhost commit -q --allow-empty -m more
expect "user's tree with another commit" "has another commit than" env KERNEL_SRC="$copy/src" "$copy/scripts/fetch.sh"
rm -rf "$copy/src"
check "what it had stays" git -C "$copy/build/linux" fsck

copy_scripts
small_tree 7.3
mkdir "$copy/elsewhere"
rmdir "$copy/build"
ln -s elsewhere "$copy/build"
check "build/ may be a link" env KERNEL_SRC="$copy/src" "$copy/scripts/fetch.sh"
check "and what is in it is elsewhere" test -e "$copy/elsewhere/linux/Kbuild"
cp "$top/Makefile" "$copy"
exec {lock}> "$copy/build/.lock"
flock "$lock"
# shellcheck disable=SC2016 # for that shell to expand
expect "make clean during a run" "another run is using build/" sh -c 'make -s -C "$1" clean 2>/dev/null' sh "$copy"
exec {lock}>&-

copy_scripts
fake df 'echo Avail; echo 1000'
expect "full disk" "needs 6 GiB in" env PATH="$copy/bin:$PATH" "$copy/scripts/disk.sh" 6

# tools.sh
copy_scripts
mkdir "$copy/bin"
for tool in bash sh dirname mkdir flock readlink; do
	ln -s "$(type -P $tool)" "$copy/bin"
done
fake uname 'echo riscv64'
expect "not x86-64" "this machine is riscv64" env PATH="$copy/bin" "$copy/scripts/tools.sh" boot
check "and not asked for tools" env PATH="$copy/bin" TOOLS=skip "$copy/scripts/tools.sh" boot
fake uname 'echo x86_64'
fake id 'echo 1000'
expect "missing tool, no apt" "this machine has no apt" env PATH="$copy/bin" "$copy/scripts/tools.sh" boot
fake apt-get 'exit 1'
expect "missing tool, not root" "install as root: apt-get install" env PATH="$copy/bin" "$copy/scripts/tools.sh" boot
expect "all of boot's are named to fetch" "qemu-system-x86" env PATH="$copy/bin" "$copy/scripts/tools.sh" fetch
fake id 'echo 0'
fake apt-get 'exec 9> '"$copy"'/build/.tools.lock; flock -n 9 || echo "is locked"; exit 1'
expect "apt runs once at a time" "is locked" env PATH="$copy/bin" "$copy/scripts/tools.sh" boot
# shellcheck disable=SC2016 # for the fake to expand
fake apt-get '[ "$1" = indextargets ] || { echo "asked to $2"; exit 1; }'
expect "apt has no lists" "asked to update" env PATH="$copy/bin:$PATH" "$copy/scripts/tools.sh" fetch

# apply.sh and export.sh
copy_tree
patch=$(grep -l '^+config PCI_SHMEM_BAR$' "$copy"/patches/*.patch)
sed -i 's/^ config PCI_IDE$/ config PCI_NOT_THERE/' "$patch"
expect "patch that does not apply" "patches/${patch##*/} does not apply" "$copy/scripts/apply.sh"
check "and leaves no branch" test -z "$(git -C "$copy/build/linux" branch --list "$branch")"

copy_tree
check "patches apply" "$copy/scripts/apply.sh"
expect "mails in build/" "is in build/, whose files do not last" "$copy/scripts/mails.sh" qxl "$copy/build/mails"
git -C "$copy/build/linux" config branch.set/qxl.description mine
echo >> "$copy/series"
expect "apply over a cover letter" "has work that was not exported" "$copy/scripts/apply.sh"
git -C "$copy/build/linux" branch -q -f set/qxl pristine
expect "export without the end of a set" "set/qxl is not on the branch any more" "$copy/scripts/export.sh"
copy_tree
check "patches apply again" "$copy/scripts/apply.sh"
before=$(sum_of "$copy/patches")
# shellcheck disable=SC2016 # for the fake to expand
fake mv 'case "$2" in */top/patches|*/old-patches) echo "no space left"; exit 1 ;; esac; exec /bin/mv "$@"'
expect "export that cannot write" "no space left" env PATH="$copy/bin:$PATH" "$copy/scripts/export.sh"
check "which leaves what was there" test "$before" = "$(sum_of "$copy/patches")"
echo "/* mine */" >> "$copy/build/linux/drivers/pci/shmem_bar.c"
expect "export of a dirty tree" "has uncommitted changes" "$copy/scripts/export.sh"
check "which writes nothing" test "$before" = "$(sum_of "$copy/patches")"
echo >> "$copy/series"
expect "apply over uncommitted work" "has work that was not exported" "$copy/scripts/apply.sh"
git -C "$copy/build/linux" commit -q -a -m mine
expect "apply over unexported commits" "has work that was not exported" "$copy/scripts/apply.sh"
check "which keeps them" grep -q mine "$copy/build/linux/drivers/pci/shmem_bar.c"

# overlay.sh
copy_scripts
overlay_tree
lay=$copy/scripts/overlay.sh
expect "overlay without a tree" "is not a directory" "$lay" "$tmp/none" "$copy/laid"
expect "overlay over something else" "is not a kernel tree" "$lay" "$copy/patches" "$copy/laid"
expect "overlay into a directory" "src exists: name a directory to be made" "$lay" "$copy/src" "$copy/src"
echo "# mine" >> "$copy/src/Kbuild"
expect "overlay over a dirty tree" "has uncommitted changes" "$lay" "$copy/src" "$copy/laid"
check "which is left alone" grep -q "# mine" "$copy/src/Kbuild"
git -C "$copy/src" checkout -q Kbuild
git -C "$copy/src" rm -q include/linux/cleanup.h
git -C "$copy/src" commit -q -m old
expect "overlay over an old tree" "too old: it has no <linux/cleanup.h>" "$lay" "$copy/src" "$copy/laid"
check "which leaves nothing" test -z "$(git -C "$copy/src" branch --list "$branch")" -a ! -e "$copy/laid"
expect "modules into a directory" "src exists: name a directory to be made" "$copy/scripts/module.sh" "$copy/src"
check "modules" "$copy/scripts/module.sh" "$copy/modules"
# As their Kbuild does
look() {
	(cd "$copy/modules" && sh compat/look.sh "$copy/src/include" {drivers,samples}/pci/*.c include/linux/*.h)
}
expect "modules for an old kernel" "is too old: it has no <linux/cleanup.h>" look
git -C "$copy/src" reset -q --hard HEAD^
before=$(git -C "$copy/src" rev-parse HEAD)
check "modules for another kernel" look
check "overlay over a git tree" "$lay" "$copy/src" "$copy/laid"
check "which is not changed" test "$before" = "$(git -C "$copy/src" rev-parse HEAD; git -C "$copy/src" status --porcelain)"
expect "overlay a second time" "has a branch $branch already" "$lay" "$copy/src" "$copy/again"
rm "$copy/laid/.git"
expect "overlay over an overlay" "has drivers/pci/shmem_bar.c already" "$lay" "$copy/laid" "$copy/again"
rm -r "$copy"/laid/{drivers/pci/shmem_bar.c,include/linux/pci-shmem-bar.h,samples/pci}
expect "overlay over a part of it" "is wired up in drivers/pci/Kconfig already" "$lay" "$copy/laid" "$copy/again"
rm -rf "$copy/src/.git"
before=$(sum_of "$copy/src")
check "overlay over a tarball's tree" "$lay" "$copy/src" "$copy/again"
check "which is not changed either" test "$before" = "$(sum_of "$copy/src")"

# sync.sh: everything that is exported is compared
copy_tree
"$copy/scripts/apply.sh" > "$tmp/log" 2>&1 || cat "$tmp/log"
cp -a "$top/kernel-tree-overlay" "$top/samples" "$top/MAINTAINERS-snippet" "$copy"
check "sync" "$copy/scripts/checks/sync.sh"
while read -r file; do
	cp -a "$copy/$file" "$tmp/saved"
	echo "# more" >> "$copy/$file"
	expect "sync with a change of $file" "0 passed, 2 failed" "$copy/scripts/checks/sync.sh"
	mv "$tmp/saved" "$copy/$file"
done <<FILES
series
MAINTAINERS-snippet
samples/pci/Makefile
kernel-tree-overlay/include/linux/pci-shmem-bar.h
FILES
touch "$copy/kernel-tree-overlay/more"
expect "sync with one file more" "0 passed, 2 failed" "$copy/scripts/checks/sync.sh"
rm "$copy/kernel-tree-overlay/more"
plain_git -C "$copy/build/linux" commit -q --allow-empty -m more
expect "sync with a commit that is not exported" "1 passed, 1 failed" "$copy/scripts/checks/sync.sh"

# The environment and the settings of the caller
mkdir "$tmp/outer"
git -C "$tmp/outer" init -q
copy_tree
check "apply with GIT_DIR set" env GIT_DIR="$tmp/outer/.git" "$copy/scripts/apply.sh"
check "which leaves that repository alone" test -z "$(git -C "$tmp/outer" for-each-ref)"
copy_tree
mkdir -p "$tmp/home/hooks"
printf '#!/bin/sh\nexit 1\n' | tee "$tmp/home/hooks/"{pre-commit,applypatch-msg,pre-applypatch,post-checkout} > /dev/null
chmod +x "$tmp"/home/hooks/*
cat > "$tmp/home/.gitconfig" <<CONFIG
[commit]
	gpgsign = true
[core]
	autocrlf = true
	hooksPath = $tmp/home/hooks
[init]
	templateDir = $tmp/home
CONFIG
check "apply with settings that would break it" env HOME="$tmp/home" "$copy/scripts/apply.sh"
check "export, too" env HOME="$tmp/home" "$copy/scripts/export.sh"
check "which writes the same" diff -r "$top/kernel-tree-overlay" "$copy/kernel-tree-overlay"
mkdir "$tmp/with space"
cp -a "$top/scripts" "$tmp/with space"
expect "a path with a space" "has a space in it" "$tmp/with space/scripts/tools.sh" boot

# boot.py, with a kernel that is there
copy_scripts
ln -s "$tree" "$copy/build/linux"
boot=$copy/scripts/boot.py
expect "no kernel" "run 'make build'" "$boot" plain sample
ln -s "$build/kernel-plain" "$copy/build/kernel-plain"
expect "no such test" "usage: boot.py" "$boot" plain nothing
expect "no such count" "usage: boot.py" "$boot" plain sample many
expect "no count at all" "usage: boot.py" "$boot" plain hotplug 0
expect "no such seed" "boot.py: SEED=abc is no number" env SEED=abc "$boot" plain sample
expect "no such limit" "boot.py: LIMIT=x is no number" env LIMIT=x "$boot" plain sample
expect "no such accelerator" "boot.py: ACCEL=foo: it is tcg or kvm" env ACCEL=foo "$boot" plain sample
exec {lock}> "$copy/build/boot-plain-sample.lock"
flock "$lock"
expect "two at once" "another boot.py uses" "$boot" plain sample
exec {lock}>&-
mkdir "$copy/a,b"
ln -s "$build/kernel-plain" "$copy/a,b"
expect "a comma in the path" "has a comma in it" env PCI_SHMEM_BUILD="$copy/a,b" "$boot" plain sample
expect "no such kernel" "no kernel of that name" "$copy/scripts/build.sh" nothing

# guest NAME TEXT: with the program on stdin in place of the sample's tests, TEXT is
# among what boot.py says, and its verdict is a failure.
guest() {
	local out

	cat > "$copy/scripts/guest/sample.c"
	if out=$("$boot" plain sample 2>&1); then
		not_ok "$1 # was accepted"
	elif ! grep -qE -e "$2" <<< "$out"; then
		not_ok "$1 # says: $(tail -n 3 <<< "$out")"
	else
		ok "$1"
	fi
}

# shellcheck disable=SC2016 # for the fake to expand
fake qemu-system-x86_64 '[ "$1" = --version ] && echo "QEMU emulator version 7.2" || { echo "cannot do that" >&2; exit 1; }'
PATH=$copy/bin:$PATH guest "QEMU that ends at once" 'not ok - end # cannot do that' < "$top/scripts/guest/sample.c"
LIMIT=5 guest "guest that does not answer" 'no word of it for 5 s' <<'C'
int main(void) { for (;;) sleep(1); }
C
guest "guest that panics" 'the kernel says: .*Kernel panic' <<'C'
int main(void) { return 0; }
C
guest "guest without a result" 'not ok - plan # .* 0 tests passed' <<'C'
#include <sys/reboot.h>
int main(void) { reboot(RB_AUTOBOOT); return 0; }
C
guest "guest with a test that fails" 'Expected 1 \(1\) == 2 \(2\)' <<'C'
#include "guest.h"
TEST(fails) { EXPECT_EQ(1, 2); }
TEST(passes) { }
C
guest "guest with a test that is skipped" 'not ok - global.skips # must not be skipped' <<'C'
#include "guest.h"
TEST(skips) { SKIP(return, "for no good reason"); }
TEST(passes) { }
C
guest "guest that ends before its last test" 'not ok - plan' <<'C'
#include "guest.h"
TEST(passes) { }
TEST(ends) { kill(getppid(), SIGKILL); }
C
guest "guest that writes where it must not" 'byte 0x5000: ' < <(cat "$top/scripts/guest/sample.c" - <<'C'
TEST_F(unloading, writes)
{
	int fd = open(dev_path(LOW, "shmem"), O_RDWR);

	EXPECT_EQ(4, write_at(fd, "oops", 4, 5 * PAGE));
}
C
)
guest "guest whose kernel says what is no warning" 'the kernel says: .*Trying to free nonexistent' <<'C'
#include "guest.h"
TEST(says)
{
	EXPECT_EQ(0, spew("/dev/kmsg", "resource: Trying to free nonexistent resource\n"));
}
C
guest "guest without /proc/iomem" 'not ok - global.claimed' <<'C'
#include "guest.h"
TEST(claimed)
{
	syscall(__NR_umount2, "/proc", 2);
	EXPECT_FALSE(is_claimed(LOW, NULL));
}
C
guest "guest whose cache modes cannot be read" 'not ok - global.mode' <<'C'
#include "guest.h"
TEST(mode)
{
	syscall(__NR_umount2, "/sys/kernel/debug", 2);
	EXPECT_EQ(NULL, cache_mode(bar_start(LOW)));
}
C
guest "guest whose kmemleak cannot be read" 'not ok - global.leaks' <<'C'
#include "guest.h"
TEST(leaks)
{
	char buf[64];

	/* Opens, but cannot be read */
	EXPECT_EQ(0, slurp("/proc", buf, sizeof(buf)));
}
C

totals
