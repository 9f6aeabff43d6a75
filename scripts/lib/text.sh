# shellcheck shell=bash disable=SC2154
# Sourced after kernel.sh by checks that want to know how large the helper is.

# helper_text ARCH FLAG...: the helper's bytes of text, as size has it, in a kernel
# without KUnit, compiled with each of these FLAGs
helper_text() {
	local out=$build/kernel-text-$1 object=drivers/pci/shmem_bar.o flag state

	case $1 in
	arm64) local -x ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- ;;
	esac
	local fragments=("$top/scripts/configs"/{base,"$1"}.config "$out/text.config")
	mkdir -p "$out"
	printf 'CONFIG_%s=y\n' SAMPLES SAMPLE_PCI_IVSHMEM > "${fragments[-1]}"
	state=$(plain_git ls-files -s '*Kconfig*' | cat - "${fragments[@]}")
	if [ "$state" != "$(cat "$out/.kconfig" 2>/dev/null)" ]; then
		configure "$tree" "$out" "${fragments[@]}" >&2
		need_options "$out" "${fragments[@]}"
		echo "$state" > "$out/.kconfig"
	fi
	# The last -O counts.
	for flag in "${@:2}"; do
		kmake "$tree" "$out" -s KCFLAGS="$flag" "$object" >&2 || return
		"${CROSS_COMPILE:-}size" "$out/$object" | awk 'END { print $1 }'
	done
}
