#!/usr/bin/env bash
# Do the modules build for each kernel that Debian has for this release, and does the boot
# test of the sample pass there, as with "make try"?  Does dkms take them?  Is a kernel that
# is too old refused?
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"

# try_kernel VERSION
try_kernel() {
	local log=$build/logs/try-$1.log

	if ! "$top/scripts/build.sh" "try-$1" > "$log" 2>&1; then
		if grep -q 'the mirror has no kernel' "$log"; then
			skip "$1" "$(sed -n 's/^try.sh: //p' "$log" | tail -n 1)"
		else
			not_ok "$1 builds"
			tail -n 20 "$log"
		fi
	elif "$top/scripts/boot.py" "try-$1" sample >> "$log" 2>&1; then
		ok "$(cat "$build/kernel-try-$1/debs/kernel"): $(tail -n 1 "$log")"
		tried=$1
	else
		not_ok "$1 passes the boot test of the sample"
		grep -A 40 '^not ok' "$log"
	fi
}

# In directories of its own: nothing is installed here, so depmod has nothing to read.
try_dkms() {
	local dir=$build/kernel-try-$1 kernel log=$build/logs/dkms.log trees
	local module=pci-shmem-bar/1

	kernel=$(cat "$dir/debs/kernel")
	rm -rf "$dir"/{dkms,src,installed}
	mkdir -p "$dir/dkms" "$dir/src" "$dir/installed/$kernel"
	"$top/scripts/module.sh" "$dir/src/${module/\//-}" > "$log"
	trees=(--dkmstree "$dir/dkms" --sourcetree "$dir/src" --installtree "$dir/installed"
		--kernelsourcedir "$dir/system/usr/src/linux-headers-$kernel" -k "$kernel")
	if dkms add "${trees[@]}" "$module" >> "$log" 2>&1 &&
	   dkms build "${trees[@]}" "$module" >> "$log" 2>&1 &&
	   dkms install --no-depmod "${trees[@]}" "$module" >> "$log" 2>&1 &&
	   [ "$(find "$dir/installed" -name '*.ko*' | wc -l)" = 2 ]; then
		ok "dkms on $kernel"
	else
		not_ok "dkms on $kernel"
		tail -n 20 "$log" "$dir/dkms/$module/build/make.log"
	fi
}

mkdir -p "$build/logs"
tried=
for version in 6.12 7.2 7.3; do
	try_kernel $version
done

if ! command -v dkms >/dev/null; then
	skip dkms "it is not installed: run scripts/tools.sh soak"
elif [ -z "$tried" ]; then
	not_ok "dkms: there is no kernel to try it on"
else
	try_dkms "$tried"
fi

if "$top/scripts/build.sh" try-6.1 > "$build/logs/try-6.1.log" 2>&1; then
	not_ok "6.1 is refused"
elif grep -q 'is too old: the modules want 6.12' "$build/logs/try-6.1.log"; then
	ok "6.1 is refused"
else
	skip "6.1 is refused" "$(tail -n 1 "$build/logs/try-6.1.log")"
fi

totals
