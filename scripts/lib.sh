# shellcheck shell=bash disable=SC2034
# Sourced by the other scripts: places, messages and the pins they share.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${PCI_SHMEM_BUILD:-$top/build}	# trees.sh has one for each other tree
tree=$build/linux			# the kernel tree one works in
each=$build/each/linux			# one commit of it after the other
series_tree=$top/build/linux		# has what tests need, for any tree
branch=pci-shmem-bar			# the series, on top of the tag "pristine"
cover=patches/0000-cover-letter.txt	# not *.patch: git am stops at it
export LC_ALL=C
PATH=$PATH:/usr/sbin			# depmod, after a plain su

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

note() {
	echo "${0##*/}: $*"
}

# git without the user's settings, which could change what is exported.
plain_git() {
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null git -C "$tree" "$@"
}

# Results of tests
passed=0 failed=0 skipped=0

ok() {
	echo "ok - $1"
	passed=$((passed + 1))
}

not_ok() {
	echo "not ok - $1"
	failed=$((failed + 1))
}

# ok_if_empty NAME TEXT
ok_if_empty() {
	if [ -n "$2" ]; then
		not_ok "$1"
		echo "$2"
	else
		ok "$1"
	fi
}

# What run.sh adds up; false if something failed
totals() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
}

need_tree() {
	[ -e "$tree/.git" ] || die "no kernel tree in $tree: run 'make fetch'"
}

# One number for what is in files or directories, by name and content.
sum_of() {
	find "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# checkpatch ARGUMENT...: FILE_PATH_CHANGES asks for a MAINTAINERS entry whenever
# a file is added, even where one covers it already.  A tree without history
# cannot know the commit of a Fixes: tag.
checkpatch() {
	local ignore=FILE_PATH_CHANGES

	[ -n "$(plain_git config pci-shmem-bar.base)" ] || ignore+=,UNKNOWN_COMMIT_ID
	# Debian's python3, which finds Debian's modules
	(cd "$tree" && PATH=/usr/bin:$PATH \
		scripts/checkpatch.pl --strict --codespell --ignore $ignore "$@" 2>&1)
}

# with_ccache COMMAND...: one cache for all clones of this repository.
with_ccache() {
	PATH=/usr/lib/ccache:$PATH CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1 "$@"
}

# kmake TREE OUT ARGUMENT...
kmake() {
	with_ccache make -C "$1" O="$2" -s -j$(($(nproc) + 1)) "${@:3}"
}

# configure TREE OUT FRAGMENT...: tinyconfig and what the fragments say.
configure() {
	kmake "$1" "$2" tinyconfig
	(cd "$1" && KCONFIG_CONFIG=$2/.config \
		scripts/kconfig/merge_config.sh -m -O "$2" "$2/.config" "${@:3}") > "$2/merge.log"
	kmake "$1" "$2" olddefconfig
}

# lost_options OUT FRAGMENT...: what the fragments ask for and did not get.
lost_options() {
	awk -F= 'FNR == NR { have[$1] = $2; next }
		 /^CONFIG_/ && have[$1] != ($2 == "n" ? "" : $2) { printf "%s ", $0 }' \
		"$1/.config" "${@:2}"
}

# need_options OUT FRAGMENT...
need_options() {
	local lost

	lost=$(lost_options "$@")
	[ -z "$lost" ] || die "not in $1/.config, for want of something they depend on: $lost"
}

# patched_files: what patches/ touch
patched_files() {
	sed -n 's|^diff --git a/\([^ ]*\) b/.*|\1|p' "$top"/patches/*.patch | sort -u
}

# go_to COMMIT: check it out in build/each/linux.
go_to() {
	if [ ! -e "$each/.git" ]; then
		rm -rf "$each"
		plain_git worktree prune
		plain_git worktree add -q --detach "$each" "$1"
	fi
	plain_git -C "$each" checkout -q -f --detach "$1"
}

# configure_each OUT FRAGMENT...: configure for build/each/linux, if it has other
# Kconfig files than the last time.
configure_each() {
	local state

	mkdir -p "$1"
	state=$(plain_git -C "$each" ls-files -s '*Kconfig*'; cat "${@:2}")
	[ "$state" != "$(cat "$1/.kconfig" 2>/dev/null)" ] || return 0
	rm -f "$1/.kconfig"
	configure "$each" "$@" && echo "$state" > "$1/.kconfig"
}

# touched PATTERN...: the files the series changes or adds.
touched() {
	plain_git diff --name-only pristine "$branch" -- "$@"
}

# A configuration with all the C files the series touches
touch_all=("$top"/scripts/configs/{base,x86_64,module,each}.config)

# what_says OUT ARGUMENT...: compile the C files in build/each/linux that the series
# touches.  Prints what the compiler says of them, without line numbers.
what_says() {
	local out=$1 objects=() file ret

	configure_each "$out" "${touch_all[@]}" || return
	while read -r file; do
		[ ! -e "$each/$file" ] || objects+=("${file%.c}.o")
		rm -f "$out/${file%.c}.o"
	done < <(touched '*.c')
	ret=0
	kmake "$each" "$out" "${@:2}" "${objects[@]}" > "$out/log" 2>&1 || ret=$?
	sed -n -e '/ignored by one of the .gitignore files/d' \
		-e "s|^$each/||; s/:[0-9:]* \(warning\|error\): /: \1: /p" "$out/log"
	return $ret
}

# only_in AFTER BEFORE: the lines AFTER has more of.
only_in() {
	comm -23 <(sort "$1") <(sort "$2")
}

# make_initramfs KERNEL PROGRAM DIR: DIR/initramfs.gz with guest/PROGRAM.c, on
# Linux 7.3's nolibc, as init; busybox for modprobe; and the kernel's modules.
# Debian has the kernel's headers for user space, but for drm/.
make_initramfs() {
	local root=$3/root

	mkdir -p "$root"/{bin,dev,proc,sys}
	gcc -nostdlib -nostdinc -static -Os -Wall -Wno-unused-function -Werror -include nolibc.h \
		-I"$series_tree/tools/include/nolibc" -I"$series_tree/tools/testing/selftests" \
		-isystem "$(gcc -print-file-name=include)" -isystem /usr/include \
		-isystem "/usr/include/$(gcc -print-multiarch)" \
		-idirafter "$series_tree/include/uapi" -D__user= \
		"$top/scripts/guest/$2.c" -lgcc -o "$root/init"
	cp /bin/busybox "$root/bin"
	[ ! -e "$1/claim/claim.ko" ] || cp "$1/claim/claim.ko" "$root"
	cp -a "$1/root/." "$root"
	(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) > "$3/initramfs.gz"
}

# The numbers of tests passed, failed and skipped, from what kunit.py prints.
kunit_counts() {
	awk '/Testing complete/ {
		for (i = 1; i < NF; i++)
			n[$i] = $(i + 1) + 0
	     }
	     END {
		bad = n["failed:"] + n["crashed:"]
		print n["passed:"] + 0, bad ? bad : n["errors:"] + 0, n["skipped:"] + 0
	     }'
}
