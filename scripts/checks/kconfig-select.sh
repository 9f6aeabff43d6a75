#!/usr/bin/env bash
# Does each driver that uses the helper ask for it, on its own?  And is there nothing of
# it in a kernel where no driver does?
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/kernel.sh"

need_tree
out=$build/kernel-kconfig-select
mkdir -p "$out"

users=(DRM_QXL DRM_VMWGFX VBOXGUEST SAMPLE_PCI_IVSHMEM)

# has_helper [USER]: in a configuration with this one and no other
has_helper() {
	printf 'CONFIG_%s=n\n' "${users[@]}" > "$out/some.config"
	[ $# = 0 ] || echo "CONFIG_$1=m" >> "$out/some.config"
	reconfigure "$tree" "$out" "$out/some.config" || die "the kernel cannot be configured"
	need_options "$out" "$out/some.config"
	grep -qx CONFIG_PCI_SHMEM_BAR=y "$out/.config"
}

echo CONFIG_SAMPLES=y > "$out/some.config"
configure "$tree" "$out" "$top"/scripts/configs/{base,x86_64,drm}.config "$out/some.config"
for user in "${users[@]}"; do
	if has_helper "$user"; then ok "$user"; else not_ok "$user # does not select PCI_SHMEM_BAR"; fi
done
if has_helper; then not_ok "none # PCI_SHMEM_BAR is on without a user"; else ok "none"; fi
totals
