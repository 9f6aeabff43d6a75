#!/usr/bin/env bash
# Write the helper and its sample as modules for a kernel that is built already, 6.12 or
# later: module.sh DEST.  DEST is made; its Kbuild says how to build, and finds out what
# the kernel's headers lack.  dkms takes it, too.
. "$(dirname "$0")/lib/common.sh"

[ $# = 1 ] || die "usage: module.sh DEST"
dest=$(realpath -m "$1")
overlay=$top/kernel-tree-overlay
compat=$top/scripts/compat
files=(drivers/pci/shmem_bar.c include/linux/pci-shmem-bar.h samples/pci/ivshmem_sample.c)

[ ! -e "$dest" ] || die "$dest exists: name a directory to be made"
[[ $dest != *[[:space:]]* ]] || die "a module cannot be built in $dest, which has a space in it"

trap 'rm -rf "$dest"' EXIT
mkdir -p "$dest/older"
for file in "${files[@]}"; do
	install -D -m 644 "$overlay/$file" "$dest/$file"
done
# Of the kernel's own, only what patches add to it, if they do, as prototypes for KUnit
{
	echo "/* SPDX-License-Identifier: GPL-2.0 */"
	sed -n '\|^diff --git a/drivers/pci/pci.h b/|,\|^diff --git |{/^+++ /d; s/^+//p}' "$top"/patches/*.patch
} > "$dest/drivers/pci/pci.h"

# No leaves of 1 GiB: whether mm can split them is not to be seen in headers.
sed -i '/CONFIG_ARCH_SUPPORTS_PUD_PFNMAP/,/^$/d' "$dest/samples/pci/ivshmem_sample.c"

cp -r "$compat" "$dest/compat"
cp -r "$dest/samples" "$dest/older"
patch -s -f --no-backup-if-mismatch -p1 -d "$dest/older" < "$compat/sysfs.patch" >&2 ||
	die "compat/sysfs.patch does not fit the sample any more"

cp "$top"/scripts/module/{Kbuild,dkms.conf} "$dest"
cp "$top/scripts/module/module.c" "$dest/drivers/pci"
trap - EXIT
note "$dest: sources of the modules pci_shmem_bar and ivshmem_sample, for 'make -C /lib/modules/\$(uname -r)/build M=$dest' or dkms"
