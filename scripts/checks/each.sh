#!/usr/bin/env bash
# Does each commit of the series compile alone, without a warning that the
# pristine tree does not have?  Looks at the C files the series touches, with
# gcc (W=1, which includes kernel-doc) and sparse, and at a kernel without PCI.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/kernel.sh"
. "$top/scripts/lib/compare.sh"

need_tree
out=$build/kernel-each
nopci=("$top"/scripts/configs/{base,nopci}.config)

# sparse 0.6.4 needs help, or kbuild finds it unfit and silently goes without:
# it does not know __typeof_unqual__.  It cannot tell the length of a string in
# the static_assert() of MODULE_ macros either, calls that an error, and then
# says nothing else about the file.
sparse="sparse -D__typeof_unqual__=__typeof__ -D'__builtin_strlen(s)=(sizeof(s)-1)'"

all_say() {
	what_says "$out" W=1 C=1 CHECK="$sparse" || echo "does not compile"

	configure_each "$out-nopci" "${nopci[@]}"
	[ -e "$out-nopci/said" ] || rm -rf "$out-nopci"/{drivers,fs,samples}
	says "$out-nopci" W=1 drivers/ fs/ samples/ || echo "does not compile without PCI"
}

go_to pristine
mkdir -p "$out"
all_say > "$out/before"
! grep "does not compile" "$out/before" || die "the pristine tree does not compile: see $out*/log"
# Or a sparse that does not work would find nothing in the series either.
grep -q '^drivers/gpu/drm/qxl/.*different address spaces' "$out/before" ||
	die "sparse does not say of the pristine qxl what it should: see $out/log"
while read -r commit subject; do
	go_to "$commit"
	all_say > "$out/after"
	ok_if_empty "$subject" "$(only_in "$out/after" "$out/before")"
done < <(plain_git log --reverse --format='%h %s' "pristine..$branch")

need_options "$out" "${touch_all[@]}"
need_options "$out-nopci" "${nopci[1]}"
totals
