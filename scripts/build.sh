#!/usr/bin/env bash
# Build a kernel for the guest, configured by scripts/configs/NAME.config, in
# build/kernel-NAME: build.sh NAME.
. "$(dirname "$0")/lib.sh"

name=$1
out=$build/kernel-$name
conf=$top/scripts/configs
fragments=("$conf/base.config" "$conf/x86_64.config" "$conf/$name.config")
claim=$top/scripts/guest/claim

need_tree
[ -f "${fragments[2]}" ] || die "no configuration $name in scripts/configs"

# Nothing to do for make either if neither the sources nor the rest changed.
state=$(git -C "$tree" rev-parse 'HEAD^{tree}'; sum_of "$0" "${fragments[@]}" "$claim"; gcc --version)
dirty=$(git -C "$tree" status --porcelain)
[ -n "$dirty" ] || [ "$(cat "$out/.built" 2>/dev/null)" != "$state" ] || exit 0
rm -f "$out/.built"

# These two differ in the sample only: start from the other's object files.
if [ "$name" = builtin ] && [ ! -d "$out" ] && [ -f "$build/kernel-module/.built" ]; then
	rm -rf "$out.new"	# of a run that was killed
	cp -a --reflink=auto "$build/kernel-module" "$out.new"
	rm "$out.new/.built"
	mv "$out.new" "$out"
fi
mkdir -p "$out"

configure "$tree" "$out" "${fragments[@]}"
need_options "$out" "${fragments[@]}"

kmake "$tree" "$out"
rm -rf "$out/root"
kmake "$tree" "$out" INSTALL_MOD_PATH="$out/root" modules_install
if grep -q '^CONFIG_SAMPLE_PCI_IVSHMEM=' "$out/.config"; then
	# In a copy: older trees build a module where its source is.
	mkdir -p "$out/claim"
	cp "$claim"/* "$out/claim"
	kmake "$tree" "$out" M="$out/claim"
fi
echo "$state${dirty:+, changed}" > "$out/.built"
