#!/usr/bin/env bash
# Does each driver that uses the helper ask for it, on its own?  And is there nothing of
# it in a kernel where no driver does?
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/kernel.sh"

need_tree
out=$build/kernel-users
conf=$top/scripts/configs
mkdir -p "$out"

# has_helper OPTION=VALUE...: in a configuration with these users and no other
has_helper() {
	{
		sed -E 's/^(CONFIG_(DRM_QXL|DRM_VMWGFX|VBOXGUEST))=.*/\1=n/' "$conf/drm.config"
		printf '%s\n' CONFIG_SAMPLES=y "$@"
	} > "$out/users.config"
	configure "$tree" "$out" "$conf/base.config" "$conf/x86_64.config" "$out/users.config" || return 2
	need_options "$out" "$out/users.config"
	grep -qx CONFIG_PCI_SHMEM_BAR=y "$out/.config"
}

for option in DRM_QXL DRM_VMWGFX VBOXGUEST SAMPLE_PCI_IVSHMEM; do
	if has_helper "CONFIG_$option=m"; then ok "$option"; else not_ok "$option # does not select PCI_SHMEM_BAR"; fi
done
if has_helper; then not_ok "none # PCI_SHMEM_BAR is on without a user"; else ok "none"; fi
totals
