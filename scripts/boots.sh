#!/usr/bin/env bash
# Does the sample pass its test at each commit of the series, from the one on that
# adds it?
. "$(dirname "$0")/lib.sh"

need_tree
sample=samples/pci/ivshmem_sample.c
first=$(plain_git log --diff-filter=A --format=%H "pristine..$branch" -- $sample)

[ -n "$first" ] || die "no commit of $branch adds $sample"
# build/each is to build/each/linux what build is to build/linux.
boot() {
	PCI_SHMEM_BUILD=$build/each "$top/scripts/build.sh" module &&
		PCI_SHMEM_BUILD=$build/each "$top/scripts/boot.sh" module sample
}

while read -r commit subject; do
	go_to "$commit"
	# Indented, as the count is not that of this stage
	if boot 2>&1 | sed 's/^/    /'; then
		ok "$subject"
	else
		not_ok "$subject"
	fi
done < <(plain_git log --reverse --format='%h %s' "$first^..$branch")

totals
