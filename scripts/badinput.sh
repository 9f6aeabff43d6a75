#!/usr/bin/env bash
# Is bad input refused with one clear line, a non-zero exit and nothing lost?
# Each case works on copies: its own scripts/, patches/ and build/.
. "$(dirname "$0")/lib.sh"

need_tree
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
copy=$tmp/top

fresh() {
	rm -rf "$copy"
	mkdir -p "$copy/build"
	cp -a "$top/scripts" "$top/patches" "$top/series" "$copy"
}

# The series on a tree without its files: enough for git, and quick.
fresh_tree() {
	fresh
	plain_git -c advice.detachedHead=false clone -q --shared --no-checkout \
		--branch pristine "$tree" "$copy/build/linux"
	git -C "$copy/build/linux" sparse-checkout set --no-cone '/drivers/pci/*' 2>/dev/null
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
fresh
expect "no directory" "is not a directory" env KERNEL_SRC="$tmp/none" "$copy/scripts/fetch.sh"
small_tree 7.2
expect "wrong version" "is Linux 7.2, the series is for 7.3" env KERNEL_SRC="$copy/src" "$copy/scripts/fetch.sh"
rm "$copy/src/Kbuild"
expect "not a kernel" "is not a kernel tree" env KERNEL_SRC="$copy/src" "$copy/scripts/fetch.sh"

fresh
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
expect "other tree than before" "was made from $copy/src" env KERNEL_SRC="$tmp/none" "$copy/scripts/fetch.sh"

fresh
fake df 'echo Avail; echo 1'
expect "full disk" "which has 1 GiB left" env PATH="$copy/bin:$PATH" "$copy/scripts/fetch.sh"

# tools.sh
fresh
mkdir "$copy/bin"
for tool in bash sh dirname; do
	ln -s "$(type -P $tool)" "$copy/bin"
done
fake id 'echo 1000'
expect "missing tool, no apt" "this machine has no apt" env PATH="$copy/bin" "$copy/scripts/tools.sh"
fake apt-get 'exit 1'
expect "missing tool, not root" "install as root: apt-get install" env PATH="$copy/bin" "$copy/scripts/tools.sh"

# apply.sh and export.sh
fresh_tree
patch=$(grep -l '^+config PCI_SHMEM_BAR$' "$copy"/patches/*.patch)
sed -i 's/^ config PCI_IDE$/ config PCI_NOT_THERE/' "$patch"
expect "patch that does not apply" "patches/${patch##*/} does not apply" "$copy/scripts/apply.sh"
check "and leaves no branch" test -z "$(git -C "$copy/build/linux" branch --list "$branch")"

fresh_tree
check "patches apply" "$copy/scripts/apply.sh"
echo "/* mine */" >> "$copy/build/linux/drivers/pci/shmem_bar.c"
before=$(sum_of "$copy/patches")
expect "export of a dirty tree" "has uncommitted changes" "$copy/scripts/export.sh"
check "which writes nothing" test "$before" = "$(sum_of "$copy/patches")"
echo >> "$copy/patches/0000-cover-letter.txt"
expect "apply over uncommitted work" "has work that was not exported" "$copy/scripts/apply.sh"
git -C "$copy/build/linux" commit -q -a -m mine
expect "apply over unexported commits" "has work that was not exported" "$copy/scripts/apply.sh"
check "which keeps them" grep -q mine "$copy/build/linux/drivers/pci/shmem_bar.c"

# overlay.sh
fresh
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
git -C "$copy/src" reset -q --hard HEAD^
before=$(git -C "$copy/src" rev-parse HEAD)
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

# boot.sh, with a kernel that is there
fresh
ln -s "$tree" "$copy/build/linux"
expect "no kernel" "run 'make build'" "$copy/scripts/boot.sh" module sample
ln -s "$build/kernel-module" "$copy/build/kernel-module"
expect "guest that does not answer" "did not end within 1 s" env LIMIT=1 "$copy/scripts/boot.sh" module sample
echo 'int main(void) { return 0; }' > "$copy/scripts/guest/sample.c"
expect "guest that panics" "the kernel has a complaint" "$copy/scripts/boot.sh" module sample
cat > "$copy/scripts/guest/sample.c" <<'C'
#include <sys/reboot.h>
int main(void) { reboot(RB_AUTOBOOT); return 0; }
C
expect "guest without a result" "ended before its tests did" "$copy/scripts/boot.sh" module sample

totals
