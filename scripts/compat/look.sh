#!/bin/sh
# What of this directory does a kernel need whose include/ is INCLUDE, for SOURCEs to be
# compiled there?  Prints the names of the files; or says why it is not fit, and fails:
# look.sh INCLUDE SOURCE...  Also run by the Kbuild of the modules, so plain sh.
set -eu

here=$(dirname "$0")
include=$1
shift

unfit() {
	echo "$*"
	exit 1
}

has() {
	grep -rqw --exclude='pci-shmem-bar*' -e "$1" "$include/linux"
}

[ -d "$include/linux" ] || unfit "has no include/linux"

# Headers, of which include/ here has some, and these
included=$(sed -n 's/^#include <\(.*\)>$/\1/p' "$@" | sort -u)
for file in $included; do
	if [ -e "$include/$file" ]; then
		continue
	elif [ -e "$here/include/$file" ]; then
		echo "include/$file"
	elif ! [ "$file" = linux/pci-shmem-bar.h ]; then
		unfit "is too old: it has no <$file>"
	fi
done
for name in DEFINE_FREE return_ptr overflows_type vm_flags_set; do
	has $name || unfit "is too old: it has no $name()"
done

# A file has the name of what it defines.
for file in "$here"/*.h; do
	name=${file##*/}
	has "${name%.h}" || echo "$name"
done
! has pfn_to_pfn_t || echo older/pfn_t.h

# Attributes of a size that depends on the device came together with const ones,
# but not at once, and nothing between was tried.
case $(grep -cE 'bin_size\)|\*(read|mmap)\).*const struct bin_attribute' "$include/linux/sysfs.h" || true) in
0)	echo sysfs.patch ;;
3)	;;
*)	unfit "has a <linux/sysfs.h> that is neither like 6.12's nor like 7.3's" ;;
esac
