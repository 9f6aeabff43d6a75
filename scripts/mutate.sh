#!/usr/bin/env bash
# Do the tests notice when the series is wrong?  Applies each fault of
# mutations.tsv (or those named) on its own, and runs KUnit on UML for one in
# the helper, the boot test for one in the sample.
#
# usage: mutate.sh [NAME...]
. "$(dirname "$0")/lib.sh"

need_tree
work=$build/mutate
src=$work/tree
kernel=$build/kernel-module
mkdir -p "$work/logs"

if [ ! -e "$src/.git" ]; then
	plain_git worktree prune
	plain_git worktree add -q --detach "$src" "$branch"
fi
plain_git -C "$src" checkout -q -f --detach "$branch"
[ -f "$kernel/.built" ] || die "no kernel in $kernel: run 'make build'"

kunit() {
	(cd "$src" && with_ccache \
		python3 tools/testing/kunit/kunit.py "$1" --build_dir="$work/um" "${@:2}")
}

# build FILE, with the fault in it
build() {
	case $1 in
	samples/*)
		kmake "$tree" "$kernel" M="$src/samples/pci" MO="$work/sample" \
			CONFIG_SAMPLE_PCI_IVSHMEM=m || return
		rm -rf "$build/kernel-mutated"
		mkdir "$build/kernel-mutated"
		cp -a "$kernel/.built" "$kernel/root" "$build/kernel-mutated"
		ln -s "$kernel/arch" "$kernel/claim" "$build/kernel-mutated"
		cp "$work/sample/ivshmem_sample.ko" "$build"/kernel-mutated/root/lib/modules/*/kernel/samples/pci/
		;;
	*)
		kunit build --kunitconfig=drivers/pci/tests --jobs=$(($(nproc) + 1))
		;;
	esac
}

# run FILE: does everything pass all the same?
run() {
	case $1 in
	samples/*)
		LIMIT=300 "$top/scripts/boot.sh" mutated sample
		;;
	*)
		kunit exec --timeout=60
		;;
	esac
}

# All is well without a fault, or the rest means nothing.
for file in drivers/pci/shmem_bar.c samples/pci/ivshmem_sample.c; do
	if ! build $file > "$work/build.log" 2>&1 || ! run $file > "$work/logs/unchanged" 2>&1; then
		die "the unchanged series fails, see $work/build.log and $work/logs/unchanged"
	fi
done

killed=0 survived=() broken=()
while IFS=$'\t' read -r -u 3 name file expr; do
	[[ -n $name && $name != \#* ]] || continue
	[[ $# == 0 || " $* " == *" $name "* ]] || continue

	sed -z -E -i "$expr" "$src/$file"
	if plain_git -C "$src" diff --quiet || ! build "$file" > "$work/build.log" 2>&1; then
		broken+=("$name")
		echo "broken    $name"
	elif run "$file" > "$work/logs/$name" 2>&1; then
		survived+=("$name")
		echo "SURVIVED  $name"
	else
		killed=$((killed + 1))
		echo "killed    $name: $(grep -m1 -oE '\[(FAILED|CRASHED)\].*' "$work/logs/$name" ||
			tail -n 1 "$work/logs/$name")"
	fi
	plain_git -C "$src" checkout -q -- "$file"
done 3< "$top/scripts/mutations.tsv"

echo "$killed killed, ${#survived[@]} survived: ${survived[*]-}, ${#broken[@]} broken: ${broken[*]-}"
((killed && !${#survived[@]} && !${#broken[@]}))
