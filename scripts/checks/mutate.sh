#!/usr/bin/env bash
# Do the tests notice when the series is wrong?  Applies each fault of mutations.tsv (or
# those named) on its own, builds what is made of the file, and runs the tests that are
# to notice, until one does.  In two lanes, as linking and booting do not keep two
# processors busy: "um" for what KUnit notices on UML, "guests" for the rest.
#
# usage: mutate.sh [NAME...]
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/kernel.sh"

need_tree
table=$top/scripts/checks/mutations.tsv

# Without a lane: both, whose totals run.sh adds up
if [ -z "${LANE:-}" ]; then
	[ $# = 0 ] || for name; do
		grep -q "^$name"$'\t' "$table" || die "no $name in $table"
	done
	LANE=um "$0" "$@" &
	um_pid=$!
	status=0
	LANE=guests "$0" "$@" || status=1
	wait $um_pid || status=1
	exit $status
fi

work=$build/mutate/$LANE	# a build/ of its own, with the tree to put faults in
src=$work/linux
um=$work/kunit-um
plain=$work/kernel-plain
export PCI_SHMEM_BUILD=$work LIMIT=${LIMIT:-$((120 * slow))}

# tests_of FILE [TEST...]: those that are to notice, in the words of run.sh
tests_of() {
	[ -z "${2:-}" ] || { echo "$2"; return; }
	case $1 in
	*/Kconfig)		echo kconfig-select ;;
	drivers/gpu/drm/qxl/*)	echo boot:plain:drm:qxl ;;
	drivers/gpu/*)		echo boot:plain:drm:vmwgfx ;;
	fs/kernfs/*)		echo boot:plain:faults ;;
	samples/*)		echo boot:plain:sample ;;
	*)			echo kunit ;;
	esac
}

# The lines of this lane
mutants=()
while IFS= read -r line; do
	IFS=$'\t' read -r name file expr tests <<< "$line"
	[[ -n $name && $name != \#* ]] || continue
	[[ $# == 0 || " $* " == *" $name "* ]] || continue
	lane=guests
	[ "$(tests_of "$file" "$tests")" != kunit ] || lane=um
	[ "$LANE" != $lane ] || mutants+=("$line")
done < "$table"
[ ${#mutants[@]} != 0 ] || exit 0

say() {
	note "$LANE: $*"
}

# In pci.h the series has a class, and half of the kernel includes it: let make compile
# only those who use the class.
spare_includers() {
	[ "$1" = include/linux/pci.h ] || return 0
	touch -r "$work/before" "$src/$1"
	plain_git -C "$src" grep -lz 'ACQUIRE(pci_enable_device' -- '*.c' | (cd "$src" && xargs -0 touch)
}

# kernel_of TEST: the one it boots
kernel_of() {
	local words

	IFS=: read -ra words <<< "$1"
	echo "${words[1]}"
}

# build TEST: what it runs.  Where that is done often, not by kunit.py or build.sh: they look
# at the whole configuration each time.
build() {
	case $1 in
	kconfig-select)
		;;
	kunit)
		kmake "$src" "$um" ARCH=um -s linux ;;
	build:plain)
		kmake "$src" "$plain" -s ;;
	boot:plain:*)
		# All, wherever the fault is: one may be left from the last one
		kmake "$src" "$plain" -s bzImage modules
		kmake "$src" "$plain" -s INSTALL_MOD_PATH="$plain/root" modules_install ;;
	boot:*)
		"$top/scripts/build.sh" "$(kernel_of "$1")" ;;
	esac
}

# run TEST: does it pass?
run() {
	local words

	IFS=: read -ra words <<< "$1"
	case ${words[0]} in
	boot)	"$top/scripts/boot.py" "${words[@]:1}" ;;
	kunit)	(cd "$src" && python3 tools/testing/kunit/kunit.py exec --build_dir="$um" --timeout=$((120 * slow))) || true
		python3 "$top/scripts/host/judge.py" "$um/test.log" '*.refuse_length_over_size_t' ;;
	*)	"$top/scripts/checks/$1.sh" ;;
	esac
}

# noticed_by LOG: the test that has, if one says so by name.  A full disk, say, is noticed by none;
# that a guest or its plan ended early may have other reasons.
noticed_by() {
	sed -nE 's/^(not ok - |ERROR: modpost: )//p' "$1" |
		grep -m1 -vE '^(.*: )?((plan|end) # |console # the kernel says: nothing of )'
}

# verdict LOG: of a test that failed
verdict() {
	if test=$(noticed_by "$1"); then echo "noticed $test"; else echo "inconclusive: $(tail -n 1 "$1")"; fi
}

mkdir -p "$work/logs"
work_tree "$src" "$branch"

# build_unchanged KERNEL
build_unchanged() {
	[ -z "${seen[$1]:-}" ] || return 0
	seen[$1]=yes
	say "building $1"
	rm -f "$work/kernel-$1/.built"	# it was, before the faults of the last run
	"$top/scripts/build.sh" "$1" > "$work/build.log" 2>&1 || die "the unchanged series does not build, see $work/build.log"
}

# All is well without a fault, or the rest means nothing.
declare -A seen=([build:plain]=yes)
[ "$LANE" = um ] || build_unchanged plain
for line in "${mutants[@]}"; do
	IFS=$'\t' read -r name file expr tests <<< "$line"
	for test in $(tests_of "$file" "$tests"); do
		[[ $test != boot:* ]] || build_unchanged "$(kernel_of "$test")"
		[ -z "${seen[$test]:-}" ] || continue
		seen[$test]=yes
		say "without a fault: $test"
		log=$work/logs/unchanged-${test//:/-}
		if [ "$test" = kunit ]; then
			"$top/scripts/checks/kunit.sh"
		else
			run "$test"
		fi > "$log" 2>&1 || die "the unchanged series fails, see $log"
	done
done

number=0
for line in "${mutants[@]}"; do
	IFS=$'\t' read -r name file expr tests <<< "$line"
	log=$work/logs/$name
	number=$((number + 1))
	say "$number of ${#mutants[@]}: $name"
	touch -r "$src/$file" "$work/before"
	sed -z -E -i "$expr" "$src/$file"
	spare_includers "$file"
	result=survived
	plain_git -C "$src" diff --quiet && result='changes nothing'
	for test in $(tests_of "$file" "$tests"); do
		[ "$result" = survived ] || break
		if [ "$test" = build:plain ]; then
			build "$test" > "$log" 2>&1 || result=$(verdict "$log")
		elif ! build "$test" > "$work/build.log" 2>&1; then
			result="does not build: $(grep -m1 'error' "$work/build.log")"
		elif ! run "$test" > "$log" 2>&1; then
			result=$(verdict "$log")
		fi
	done
	case $result in
	noticed*)	ok "$name: $test: ${result#noticed }" ;;
	*)		not_ok "$name # $result" ;;
	esac
	plain_git -C "$src" checkout -q -- "$file"
	spare_includers "$file"
done
totals
