#!/usr/bin/env bash
# What the kernel's own checkers, clang and Sphinx say of the files the series
# touches, as far as they do not say it of the pristine tree.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/kernel.sh"
. "$top/scripts/lib/commit-tree.sh"

need_tree
out=$build/static
clang=$build/kernel-clang
PATH=/usr/bin:$PATH	# for Debian's python3, which finds Debian's modules
export LLVM=-19		# for clang; the other checkers do not compile

rm -rf "$out"
mkdir -p "$out"

# The checks that compare two trees look at the one in build/per-commit/linux.

clang() {
	what_says "$clang" W=1
}

kernel_doc() {
	local files

	mapfile -t files < <(cd "$commit_tree" && touched '*.c' '*.h' | xargs ls -d 2>/dev/null)
	(cd "$commit_tree" && scripts/kernel-doc -Wall -none "${files[@]}" 2>&1)
}

# All of the kernel's semantic patches, on copies of the files: on the whole of
# their directories, they take hours.
coccinelle() {
	local source=$out/source

	rm -rf "$source"
	mkdir "$source"
	(cd "$commit_tree" && touched '*.c' '*.h' | xargs ls -d 2>/dev/null | xargs cp --parents -t "$source")
	kmake "$commit_tree" "$clang" -s coccicheck MODE=report M="$source" "$@" > "$out/coccinelle.log" 2>&1 || return
	sed -n 's|^\./||p' "$out/coccinelle.log"
}

htmldocs() {
	rm -rf "$clang/Documentation"
	kmake "$commit_tree" "$clang" -s SPHINXDIRS="driver-api/pci driver-api/driver-model" \
		htmldocs > "$out/htmldocs.log" 2>&1 || return
	[ -n "$(find "$clang/Documentation" -path '*driver-api/pci/pci.html')" ] || return
	grep -i 'warning\|error' "$out/htmldocs.log" || true
}

# Numbers of lines differ, and so does the name of the tree.
normalise() {
	sed -e "s|$commit_tree/||g" -e 's/:[0-9][0-9:-]*/:/g; s/line [0-9]*/line N/g'
}

# The header on its own and twice, and the example of the documentation, compile.
compile_alone() {
	local dir=$out/alone page=$tree/Documentation/driver-api/pci/shmem-bar.rst

	mkdir "$dir"
	echo 'obj-m := header.o example.o' > "$dir/Kbuild"
	{
		printf '#include <linux/pci-shmem-bar.h>\n%.0s' 1 2
		echo '#include <linux/module.h>'
		module_info
	} > "$dir/header.c"
	{
		printf '#include <linux/%s.h>\n' io module pci pci-shmem-bar
		awk '/^\.\. code-block:: c$/ { on = 1; next }
		     on && /^[^\t]/ { exit }
		     on' "$page"
		echo 'static struct pci_driver foo = { .name = "foo", .probe = foo_probe };'
		echo 'module_pci_driver(foo);'
		module_info
	} > "$dir/example.c"
	kmake "$tree" "$build/kernel-plain" -s M="$dir" MO="$dir/out" W=1 2>&1
	[ -e "$dir/out/header.ko" ] && [ -e "$dir/out/example.ko" ] || echo "not built"
}

module_info() {
	echo 'MODULE_DESCRIPTION("test");'
	echo 'MODULE_LICENSE("GPL");'
}

# What a file uses, it includes itself, except for what is there only to be
# included by <linux/pci.h>, <linux/mm.h>, <linux/workqueue.h>, <kunit/test.h> or by everybody.
includes() {
	local file args said

	plain_git diff --name-only --diff-filter=A pristine "$branch" -- '*.c' | while read -r file; do
		args=$(sed -n 's/^savedcmd_[^ ]* := [^ ]* \(.*\) -c -o .*/\1/p' \
			"$clang/${file%/*}/.$(basename "$file" .c).o.cmd")
		said=$(cd "$clang" &&
			eval clang-include-cleaner-19 --print=changes "$commit_tree/$file" -- clang "$args") ||
			echo "$file: clang-include-cleaner does not work"
		sed -n "s|^+ \"\(.*\)\"|$file: \1|p" <<< "$said" |
			grep -vE ': (asm|asm-generic|vdso|linux/atomic)/' |
			grep -vE ': linux/(pci_regs|pci_ids|device-id/pci|device|device/driver|dev_printk|nodemask_types).h' |
			grep -vE ': (kunit/test-bug|linux/(build_bug|compiler_(attributes|types)|kconfig|stddef|gfp_types|huge_mm|mm_types|pgtable|workqueue_types)).h'
	done
}

# The files the series adds are in its entry in MAINTAINERS, but for what KUnit tests of
# other PCI code can use; and whom to send all of it.  People come from MAINTAINERS, not
# from git.
maintainers() {
	local file entry sections

	cd "$tree"
	plain_git diff --name-only --diff-filter=A pristine "$branch" | while read -r file; do
		sections=$(scripts/get_maintainer.pl --sections -f "$file")
		case $file in
		*kunit/*pci*|drivers/pci/tests/*)	entry='PCI SHARED-MEMORY BAR HELPER|PCI SUBSYSTEM|KERNEL UNIT TESTING FRAMEWORK \(KUnit\)' ;;
		*)	entry='PCI SHARED-MEMORY BAR HELPER' ;;
		esac
		grep -qxE "$entry" <<< "$sections" || echo "$file: no entry"
	done
	scripts/get_maintainer.pl --nogit --nogit-fallback --nofixes "$top"/patches/*.patch > "$out/to"
}

# A flaw for each of the others to find: one that finds nothing here may find nothing
# anywhere.
plant() {
	cat >> "$commit_tree/drivers/pci/shmem_bar.c" <<'C'

/**
 * planted - A function with flaws
 * @wrong: this is not what it is called
 */
int planted(int right)
{
	int unused;

	if (right) {
		right++;
	};
	return right;
}
C
	cat >> "$commit_tree/Documentation/driver-api/pci/shmem-bar.rst" <<'RST'

A planted title
=====
RST
}

checks=(clang kernel_doc coccinelle htmldocs)
mkdir -p "$clang"
for commit in pristine "$branch"; do
	go_to "$commit"
	for check in "${checks[@]}"; do
		"$check" > "$out/said" || echo "$check does not work" >> "$out/said"
		normalise < "$out/said" > "$out/$check.$commit"
	done
done
! grep "does not work" "$out"/*.pristine || die "and that in the pristine tree: see $out, $clang/log"
need_options "$clang" "${touch_all[@]}"
for check in "${checks[@]}"; do
	ok_if_empty "$check" "$(only_in "$out/$check.$branch" "$out/$check.pristine")"
done

plant
found() {
	if grep -q "$2" <("${@:3}"); then ok "$1 finds a flaw"; else not_ok "$1 does not find a flaw"; fi
}
found clang "shmem_bar.c: warning: unused variable 'unused'" clang
found kernel_doc "wrong.*planted" kernel_doc
found coccinelle 'shmem_bar.c:.*Unneeded semicolon' coccinelle \
	COCCI="$commit_tree/scripts/coccinelle/misc/semicolon.cocci"
found htmldocs 'shmem-bar.rst:.*Title underline too short' htmldocs
plain_git -C "$commit_tree" checkout -q -f

ok_if_empty compile_alone "$(unset LLVM; compile_alone)"
ok_if_empty includes "$(includes)"
ok_if_empty maintainers "$(maintainers)"
cat "$out/to"

totals
