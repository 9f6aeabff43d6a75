#!/usr/bin/env bash
# What programs that people use make of qxl, and it of them: Debian 13 in build/peers, with the
# kernel that it has of this release, once with its own qxl and once with that of the set qxl.
# The arguments are for host/peers.py.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/debian.sh"
. "$top/scripts/lib/sets.sh"

work=$build/peers
root=$work/root		# also what the module is built in: Debian's kernels want Debian's compiler
suite=trixie
release=${LINUX:-7.3}
packages=(udev kmod procps xserver-xorg-core xserver-xorg-video-qxl xserver-xorg-input-libinput
	x11-xserver-utils x11-apps xauth weston kexec-tools gcc make)
# What a kernel needs to have the root file system and what qxl needs, in order
modules=(drivers/block/virtio_blk lib/crc/crc16 crypto/crc32c-cryptoapi fs/jbd2/jbd2 fs/mbcache fs/ext4/ext4
	drivers/gpu/drm/{drm,drm_kms_helper,ttm/ttm,clients/drm_client_lib,drm_exec,drm_ttm_helper}
	drivers/input/{evdev,misc/uinput})

# in_root COMMAND...: with nothing of the machine's environment but how to reach the mirror
in_root() {
	# shellcheck disable=SC2046 # one word each
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
		$(env | grep -iE '^(https?|no)_proxy=' || true) chroot "$root" "$@"
}

apt_in_root() {
	in_root apt-get -q "$@" >> "$work/apt.log" 2>&1 || die "apt-get failed in $root, see $work/apt.log"
}

make_root() {
	local mirror kernel

	mirror=$(mirror_of "$suite")
	[ -n "$mirror" ] || die "apt on this machine names no Debian mirror"
	rm -rf --one-file-system "$root" "$work/apt.log"
	debootstrap --variant=minbase "$suite" "$root" "$mirror" > "$work/debootstrap.log" 2>&1 ||
		die "debootstrap failed, see $work/debootstrap.log"
	cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
	cp /etc/resolv.conf "$root/etc/resolv.conf"
	echo "deb $mirror $suite-backports main" > "$root/etc/apt/sources.list.d/backports.list"
	apt_in_root update
	kernel=$(in_root apt-cache pkgnames "linux-headers-$release" |
		sed -nE 's/^linux-headers-([0-9.]+\+deb[0-9]+-amd64)$/\1/p' | sort -V | tail -n 1)
	[ -n "$kernel" ] || die "Debian $suite has no kernel $release any more"
	apt_in_root install -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io "${packages[@]}" "linux-headers-$kernel"
	mkdir -p "$root/debs"
	in_root sh -c "cd /debs && apt-get -q download linux-binary-$kernel linux-modules-$kernel" >> "$work/apt.log" 2>&1 ||
		die "cannot download $kernel, see $work/apt.log"
	echo "$kernel" > "$root/debs/kernel"
}

unpack_kernel() {
	local deb

	rm -rf "$work/system"
	mkdir -p "$work/system"
	for deb in "$root"/debs/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/system"
	done
}

# The driver as the set leaves it: it needs nothing of other sets.
build_module() {
	rm -rf "$root/qxl"
	mkdir "$root/qxl"
	plain_git archive "${set_end[qxl]}:drivers/gpu/drm/qxl" | tar -x -C "$root/qxl"
	# objtool wants /proc, which is seen here only.
	# shellcheck disable=SC2016 # the inner shell's
	in=$root kernel=$kernel unshare --mount --propagation private sh -c '
		mount -t proc proc "$in/proc" &&
		exec chroot "$in" make -s -C "/usr/src/linux-headers-$kernel" M=/qxl CONFIG_DEBUG_INFO_BTF_MODULES= -j"$(nproc)"
	' > "$work/module.log" 2>&1 || die "qxl does not build for $kernel, see $work/module.log"
}

# kernel NAME: build/peers/kernel-NAME, as boot.py has them, with the module of standard input
make_kernel() {
	local out=$work/kernel-$1 number=10 module

	rm -rf "$out"
	mkdir -p "$out"/{arch/x86/boot,include/generated,root/modules}
	ln -s "$lib/vmlinuz" "$out/arch/x86/boot/bzImage"
	ln -s "$root/usr/src/linux-headers-$kernel/include/generated/utsversion.h" "$out/include/generated/"
	for module in "${modules[@]}"; do
		xz -dc "$lib/kernel/$module.ko.xz" > "$out/root/modules/$number-${module##*/}.ko"
		number=$((number + 1))
	done
	cat > "$out/root/modules/$number-qxl.ko"
	touch "$out/.built"
}

make_image() {
	gcc -O2 -Wall -static -D__user= -idirafter "$tree/include/uapi" \
		"$top/scripts/guest/peers/map.c" -o "$root/usr/local/bin/map"
	rm -f "$work/root.img"
	truncate -s 4G "$work/root.img"
	mke2fs -q -F -t ext4 -d "$root" "$work/root.img"
}

# once FILE STATE COMMAND...: if the state is another than it was then
once() {
	[ "$(cat "$work/$1" 2>/dev/null)" != "$2" ] || return 0
	rm -f "$work/$1"
	"${@:3}"
	echo "$2" > "$work/$1"
}

[ "$(id -u)" = 0 ] || die "needs root, for debootstrap and chroot"
[ "$(dpkg --print-architecture)" = amd64 ] || die "Debian's kernels that are tried are amd64's"
need_tree
read_sets "$tree"
mkdir -p "$work"
exec {lock}> "$work/.lock"
flock "$lock"

state="$suite $release ${packages[*]}"
once .root "$state" make_root
once .system "$state" unpack_kernel
kernel=$(cat "$root/debs/kernel")
lib=$work/system/usr/lib/modules/$kernel

once .image "$state $(sum_of "$top/scripts/guest/peers")" make_image
state+=" $(sum_of "$0") $(plain_git rev-parse "${set_end[qxl]}:drivers/gpu/drm/qxl")"
once .module "$state" build_module
once .pristine "$state" make_kernel try-pristine < <(xz -dc "$lib/kernel/drivers/gpu/drm/qxl/qxl.ko.xz")
once .patched "$state" make_kernel try-patched < "$root/qxl/qxl.ko"
note "Debian's kernel $kernel, and the qxl of $(plain_git log -1 --format='%h (%s)' "${set_end[qxl]}")"

# Debian's python3 has what spice.py needs.
PATH=/usr/bin:$PATH exec "$top/scripts/host/peers.py" "$@"
