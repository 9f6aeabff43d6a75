#!/usr/bin/env bash
# Build a kernel for guests, in build/kernel-NAME: build.sh NAME.  NAME is one of
# those below; scripts/configs/ has the options.
. "$(dirname "$0")/lib/common.sh"
. "$top/scripts/lib/kernel.sh"

name=$1
out=$build/kernel-$name
conf=$top/scripts/configs
modules=("$top/scripts/guest/claim")

case $name in
try|try-*)
	exec "$top/scripts/try.sh" "$name" ;;
rust|rust-debug)
	# Perhaps in another Debian: see rust.sh
	[ -n "${IN_RUST:-}" ] || exec "$top/scripts/rust.sh" scripts/build.sh "$name"
	parts=(x86_64 pc)
	[ "$name" = rust ] || parts+=(debug)
	parts+=(rust)
	modules+=("$top/scripts/guest/late") ;;
plain|debug)
	parts=(x86_64 pc tests drm vfio "$name") ;;
set)
	parts=(x86_64 pc tests drm vfio plain) ;;
peers)
	parts=(x86_64 pc tests drm debug peers) ;;
kcsan)
	parts=(x86_64 pc tests kcsan) ;;
overlay)
	parts=(x86_64 pc overlay) ;;
i386)
	parts=(pc tests builtin i386) ;;
arm64|riscv64|ppc64)
	parts=(tests builtin "$name") ;;
*)
	die "no kernel of that name: plain, debug, set, peers, kcsan, overlay, i386, arm64, riscv64, ppc64 or try" ;;
esac

fragments=()
for part in base "${parts[@]}"; do
	fragments+=("$conf/$part.config")
done
case $name in
rust-debug)	export LLVM=1 ;;	# gcc's KASAN is not rustc's
i386)		export ARCH=i386 CROSS_COMPILE=i686-linux-gnu- ;;
arm64)		export ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- ;;
riscv64)	export ARCH=riscv CROSS_COMPILE=riscv64-linux-gnu- ;;
ppc64)		export ARCH=powerpc CROSS_COMPILE=powerpc64-linux-gnu- ;;
esac

[ "$name" != plain ] || modules+=("$top/scripts/guest/timing")

need_tree

# A set alone has not all of the options.
if [ "$name" = set ]; then
	mkdir -p "$out"
	awk 'FNR == NR { known["CONFIG_" $2]; next }
	     { option = $0; sub(/=.*/, "", option) }
	     option in known' <(git -C "$tree" grep -hE '^(menu)?config ' -- '*Kconfig*') FS=' ' \
		"${fragments[@]}" > "$out/known.config"
	fragments=("$out/known.config")
fi

# Nothing to do for make either if neither the sources nor the rest changed.
state=$(git -C "$tree" rev-parse 'HEAD^{tree}'; sum_of "$0" "$top/scripts/lib/kernel.sh" "${fragments[@]}" "${modules[@]}"
	"${CROSS_COMPILE:-}gcc" --version)
dirty=$(git -C "$tree" status --porcelain)
[ -n "$dirty" ] || [ "$(cat "$out/.built" 2>/dev/null)" != "$state" ] || exit 0
rm -f "$out/.built"

mkdir -p "$out"

configure "$tree" "$out" "${fragments[@]}"
need_options "$out" "${fragments[@]}"

kmake "$tree" "$out" -s
rm -rf "$out/root"
kmake "$tree" "$out" -s INSTALL_MOD_PATH="$out/root" modules_install
if grep -q '^CONFIG_SAMPLE_PCI_IVSHMEM=' "$out/.config"; then
	# In a copy: older trees build a module where its source is.
	for module in "${modules[@]}"; do
		mkdir -p "$out/${module##*/}"
		cp "$module"/* "$out/${module##*/}"
		kmake "$tree" "$out" -s M="$out/${module##*/}"
	done
fi
# What the guest's programs include; x86 has its own in /usr/include.
[ -z "${ARCH:-}" ] || kmake "$tree" "$out" -s headers
echo "$state${dirty:+, changed}" > "$out/.built"
