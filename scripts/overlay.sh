#!/usr/bin/env bash
# Lay the helper and its sample over a kernel tree the patches do not apply to,
# and wire them up: overlay.sh SRC DEST.  SRC is only read.  DEST is made: a work
# tree with a new branch pci-shmem-bar if SRC is a git tree, or else a copy.
# What SRC lacks comes from compat/, or SRC is refused.  For a kernel that is built
# already, there is module.sh.
. "$(dirname "$0")/lib/common.sh"

[ $# = 2 ] || die "usage: overlay.sh SRC DEST"
[ -d "$1" ] || die "$1 is not a directory"
src=$(cd "$1" && pwd)
dest=$(realpath -m "$2")
overlay=$top/kernel-tree-overlay
compat=$top/scripts/compat
compat_header=include/linux/pci-shmem-bar-compat.h

[ ! -e "$dest" ] || die "$dest exists: name a directory to be made"

is_git() {
	[ -e "$src/.git" ] || [ "$(git -C "$src" rev-parse --is-bare-repository 2>/dev/null)" = true ]
}

# No hooks: they may expect a developer at the keyboard.
src_git() {
	git -C "$src" -c core.hooksPath=/dev/null "$@"
}

# Nothing is left of what was made if SRC turns out to be unfit.
undo() {
	if is_git; then
		src_git worktree remove -f "$dest" 2>/dev/null || true
		src_git branch -q -D "$branch" 2>/dev/null || true
	fi
	rm -rf "$dest"
}

if is_git; then
	src_git cat-file -e HEAD:Kbuild 2>/dev/null || die "$src is not a kernel tree"
	[ ! -e "$src/.git" ] || [ -z "$(src_git status --porcelain -uno)" ] ||
		die "$src has uncommitted changes: commit or stash them"
	! src_git rev-parse -q --verify "refs/heads/$branch" >/dev/null ||
		die "$src has a branch $branch already: use it, or move it out of the way (git branch -m)"
	trap undo EXIT
	src_git worktree add -q -b "$branch" "$dest"
else
	[ -f "$src/Kbuild" ] || die "$src is not a kernel tree"
	trap undo EXIT
	cp -a --reflink=auto "$src" "$dest"
fi
cd "$dest"

# added OPTION FILE: what the patch that adds OPTION adds to FILE
added() {
	local patch

	patch=$(grep -lx "+config $1" "$top"/patches/*.patch) || die "no patch adds $1"
	sed -n "\|^diff --git a/$2 b/|,\|^diff --git |{/^+++ /d; s/^+//p}" "$patch"
}

# append OPTION FILE: the same, at the end of FILE, where it fits into any tree
append() {
	local text

	text=$(added "$@")
	echo "$text" >> "$2"
}

# The KUnit tests stay behind, because they also test what patches add to
# <linux/pci.h>, and so do the documentation, which wants a line in an index, and what is in
# Rust, which is of use only with what the patches add to the kernel's crate.
mapfile -t files < <(cd "$overlay" &&
	find -L drivers include samples/pci -type f ! -path '*/tests/*' ! -path '*/kunit/*' | sort)
wired=({drivers/pci,samples}/{Kconfig,Makefile})
for file in "${files[@]}"; do
	[ ! -e "$file" ] || die "$src has $file already: nothing to lay"
done
for file in "${wired[@]}"; do
	[ -f "$file" ] || die "$src has no $file, which needs a line"
	! grep -qE 'PCI_SHMEM_BAR|PCI_IVSHMEM' "$file" || die "$src is wired up in $file already: remove that"
done
for file in "${files[@]}"; do
	install -D -m 644 "$overlay/$file" "$file"
done

# What the tree lacks.  The prototypes are for a kernel with CONFIG_KUNIT.
lacks=$(sh "$compat/look.sh" include "${files[@]}") || die "$src $lacks"
{
	echo "/* SPDX-License-Identifier: GPL-2.0 */"
	echo "/* What this tree lacks for pci_shmem_bar */"
	echo
	echo "#include <linux/types.h>"
	echo
	added PCI_SHMEM_BAR_KUNIT_TEST drivers/pci/pci.h | grep . || true
} > $compat_header
files+=("$compat_header")
for file in $lacks; do
	case $file in
	include/*)
		install -D -m 644 "$compat/$file" "$file"
		files+=("$file") ;;
	*.h)
		{ echo; cat "$compat/$file"; } >> $compat_header ;;
	sysfs.patch)
		patch -s -f -p1 < "$compat/$file" >&2 || die "compat/$file does not fit the sample any more" ;;
	esac
done

# can_split_1g: can mm of this tree split and move leaves of 1 GiB, and does it make none
# where the processor has none?  A tree without its sources is taken for one that cannot.
can_split_1g() {
	grep -qs 'split_huge_pud(vma' mm/huge_memory.c &&
		grep -qs has_transparent_pud_hugepage mm/huge_memory.c &&
		sed -n '/^static pud_t \*get_old_pud/,/^}/p' mm/mremap.c | grep -qE 'pud_(trans_huge|leaf)'
}

can_split_1g || sed -i '/CONFIG_ARCH_SUPPORTS_PUD_PFNMAP/,/^$/d' samples/pci/ivshmem_sample.c

echo >> drivers/pci/Kconfig
append PCI_SHMEM_BAR drivers/pci/Kconfig
append PCI_SHMEM_BAR drivers/pci/Makefile
printf '\nif SAMPLES\n\n' >> samples/Kconfig
append SAMPLE_PCI_IVSHMEM samples/Kconfig
printf '\nendif\n' >> samples/Kconfig
append SAMPLE_PCI_IVSHMEM samples/Makefile

# shellcheck disable=SC2016 # make's variable
flags='-include $(srctree)/'$compat_header
echo "CFLAGS_shmem_bar.o += $flags" >> drivers/pci/Makefile
echo "CFLAGS_ivshmem_sample.o += $flags" >> samples/pci/Makefile

if is_git; then
	git add -f -- "${files[@]}" "${wired[@]}"
	git -c user.name=overlay -c user.email=overlay@localhost -c commit.gpgSign=false \
		-c core.hooksPath=/dev/null commit -q -m "Lay pci_shmem_bar over this tree"
fi
trap - EXIT
note "$dest: CONFIG_SAMPLE_PCI_IVSHMEM builds the sample, and the helper with it"
