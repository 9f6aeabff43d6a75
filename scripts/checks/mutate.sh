#!/usr/bin/env bash
# Do the tests notice when the series is wrong?  Applies each fault of mutations.tsv (or
# those named) on its own, builds, and runs the tests that are for the file.
#
# usage: mutate.sh [NAME...]
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/kernel.sh"

need_tree
work=$build/mutate		# a build/ of its own, with the tree to put faults in
src=$work/linux
mkdir -p "$work/logs"
export PCI_SHMEM_BUILD=$work

if [ ! -e "$src/.git" ]; then
	plain_git worktree prune
	plain_git worktree add -q --detach "$src" "$branch"
fi
plain_git -C "$src" checkout -q -f --detach "$branch"

kunit() {
	(cd "$src" && with_ccache python3 tools/testing/kunit/kunit.py "$1" \
		--build_dir="$work/kunit-um" "${@:2}")
}

# kernel_of FILE, tests_of FILE: what is built of it, and the tests that are to notice
kernel_of() {
	case $1 in
	*/Kconfig)		echo none ;;
	drivers/pci/*|include/*)	echo um ;;
	*)			echo plain ;;
	esac
}

tests_of() {
	case $1 in
	drivers/gpu/*)	echo drm ;;
	fs/kernfs/*)	echo stress:1000 ;;
	*)		echo sample ;;
	esac
}

build() {
	case $(kernel_of "$1") in
	none)	;;
	um)	kunit build --kunitconfig=drivers/pci/tests --jobs=$(($(nproc) + 1)) ;;
	*)	"$top/scripts/build.sh" plain ;;
	esac
}

# run FILE: does everything pass all the same?
run() {
	local test words

	case $(kernel_of "$1") in
	none)	"$top/scripts/checks/users.sh" ;;
	um)	kunit exec --timeout=120 ;;
	*)	for test in $(tests_of "$1"); do
			IFS=: read -ra words <<< "$test"
			LIMIT=60 "$top/scripts/boot.py" plain "${words[@]}" || return
		done ;;
	esac
}

# All is well without a fault, or the rest means nothing.
for file in drivers/pci/shmem_bar.c samples/pci/ivshmem_sample.c drivers/gpu/drm/qxl/qxl_kms.c; do
	note "without a fault: $file"
	if ! build $file > "$work/build.log" 2>&1 || ! run $file > "$work/logs/unchanged" 2>&1; then
		die "the unchanged series fails, see $work/build.log and $work/logs/unchanged"
	fi
done

while IFS=$'\t' read -r -u 3 name file expr; do
	[[ -n $name && $name != \#* ]] || continue
	[[ $# == 0 || " $* " == *" $name "* ]] || continue

	sed -z -E -i "$expr" "$src/$file"
	if plain_git -C "$src" diff --quiet; then
		not_ok "$name # changes nothing"
	elif ! build "$file" > "$work/build.log" 2>&1; then
		not_ok "$name # does not build: $(grep -m1 'error' "$work/build.log")"
	elif run "$file" > "$work/logs/$name" 2>&1; then
		not_ok "$name # survived"
	else
		ok "$name: $(grep -m1 -oE '\[(FAILED|CRASHED)\].*|^not ok - .*' "$work/logs/$name" |
			cut -c1-100 || tail -n 1 "$work/logs/$name")"
	fi
	plain_git -C "$src" checkout -q -- "$file"
done 3< "$top/scripts/checks/mutations.tsv"
totals
