#!/bin/busybox sh
# shellcheck shell=dash
# The init of "make peers": first of the initramfs, then of Debian on the disk, where it runs the
# scenario that PEERS names.  It says "ok" and "not ok" on PORT, which host/peers.py hears, and
# asks it for what the host does ("# host: ...", answered with y or n).  Every wait has an end.

if [ ! -e /etc/debian_version ]; then
	/bin/busybox mount -t devtmpfs devtmpfs /dev
	/bin/busybox mkdir /new
	# If it is Debian's kernel
	for module in /modules/*; do
		case $module in
		*qxl.ko)	/bin/busybox insmod "$module" num_heads=4 ;;
		*.ko)	/bin/busybox insmod "$module" ;;
		esac
	done
	/bin/busybox mount -t ext4 /dev/vda /new
	/bin/busybox cp /init /bin/busybox /new/opt
	exec /bin/busybox switch_root /new /bin/sh /opt/init
fi

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export DISPLAY=:0 HOME=/root XDG_RUNTIME_DIR=/run/user
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -m 700 /run/user
mkdir -p /tmp/.X11-unix

exec 3<> "$PORT"
stty -F "$PORT" raw -echo
driver=/sys/bus/pci/drivers/qxl
pci=
for each in "$driver"/*:*; do
	pci=${each##*/}
done
device=/sys/bus/pci/devices/$pci

now() {
	cut -d. -f1 /proc/uptime
}

# check NAME COMMAND...
check() {
	name=$1
	shift
	if "$@"; then
		echo "ok $name" >&3
	else
		echo "not ok $name" >&3
		false
	fi
}

# Without it, what follows makes no sense.
need() {
	check "$@" || finish
}

# host WHAT...: true if the host says so
host() {
	echo "# host: $*" >&3
	[ "$(timeout 200 head -c 1 <&3)" = y ]
}

# within SECONDS COMMAND...
within() {
	end=$(($(now) + $1 * SLOW))
	shift
	until "$@"; do
		[ "$(now)" -lt $end ] || return 1
		sleep 0.3
	done
}

# ends SECONDS COMMAND...: it may hang where no signal reaches it, so nothing waits for it.
ends() {
	seconds=$1
	shift
	rm -f /run/ended
	begin=$(now)
	{
		"$@"
		echo $? > /run/ended
	} &
	within "$seconds" test -s /run/ended || return 1
	echo "# took $(($(now) - begin)) s: $*" >&3
	[ "$(cat /run/ended)" = 0 ]
}

put() {
	echo "$1" > "$2"
}

unbind() {
	ends 60 put "$pci" "$driver/unbind"
}

bind() {
	ends 60 put "$pci" "$driver/bind"
}

card() {
	for each in "$device"/drm/card*; do
		[ ! -e "$each" ] || echo "/dev/dri/${each##*/}"
	done
}

has_card() {
	[ -n "$(card)" ] && [ -e "$(card)" ]
}

alive() {
	kill -0 "$1" 2>/dev/null
}

gone() {
	! alive "$1"
}

# That the machine still works, in the end of each
finish() {
	dmesg | grep -c 'Buffer eviction failed' | sed 's/^/# evictions that failed: /' >&3
	echo "# end" >&3
	/opt/busybox sync
	/opt/busybox poweroff -f
	sleep 60
}

udev() {
	/usr/lib/systemd/systemd-udevd --daemon > /run/udevd.log 2>&1
	for each in drm input graphics; do
		udevadm trigger --subsystem-match=$each
	done
	udevadm settle -t 30
}

# The agent of the guest, as far as a client needs one to send its size: it says that it knows
# what monitors are.  spice-vdagentd says so, too, if there is a session.
agent() {
	for each in /sys/class/virtio-ports/*; do
		[ "$(cat "$each/name" 2>/dev/null)" != com.redhat.spice.0 ] || agent_port=/dev/${each##*/}
	done
	exec 4<> "$agent_port"
	cat <&4 > /dev/null &
	sleep 1
	printf '\1\0\0\0\34\0\0\0\1\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0\10\0\0\0\0\0\0\0\2\0\0\0' >&4
}

# A client that sends its size
client() {
	need "a client connects" host client
	agent
	need "it knows the agent" host client_says agent
}

# start_x DRIVER
start_x() {
	cat > /run/xorg.conf <<-CONF
	Section "Device"
		Identifier "card"
		Driver "$1"
	EndSection
	Section "ServerFlags"
		Option "BlankTime" "0"
	EndSection
	CONF
	rm -f /tmp/.X0-lock /tmp/.X11-unix/X0
	Xorg :0 -config /run/xorg.conf -logfile /run/X.log -noreset > /run/X.out 2>&1 &
	x=$!
	within 150 xset q > /dev/null 2>&1 || {
		tail -n 12 /run/X.log | sed 's/^/# X: /' >&3
		false
	}
}

connected() {
	[ "$(cat "$device"/drm/card*/card*-Virtual-*/status | grep -cx connected)" = "$1" ]
}

# Four heads, two by two
layout() {
	for place in 1:0x0 2:640x0 3:0x480 4:640x480; do
		timeout 100 xrandr --output "Virtual-${place%:*}" --mode 640x480 --pos "${place#*:}" || return 1
	done
}

# Clients that draw without end
draw() {
	x11perf -repeat 10000 -time 1 -scroll500 -putimage500 -copywinwin500 -ftext > /run/perf.log 2>&1 &
	drawing=$!
	while alive $drawing; do
		x11perf -repeat 1 -time 1 -rect500 -shmput500 || sleep 1
	done > /run/perf2.log 2>&1 &
	ico -r -faces > /run/ico.log 2>&1 &
	for seed in 1 2 3 4; do
		xlogo -geometry "300x300+$((seed * 200))+0" > /run/xlogo.log 2>&1 &
	done
}

stop_drawing() {
	pkill x11perf
	pkill ico
	pkill xlogo
	true
}

# picture: what X has, against what the device shows
picture() {
	timeout 100 xsetroot -mod "$1" "$2" -fg "$3" -bg "$4" || return 1
	timeout 100 xwd -root -silent > /run/xwd || return 1
	# shellcheck disable=SC2016 # perl's
	host shows "$(perl -e '
		undef $/; $_ = <STDIN>;
		@head = unpack("N25", $_);
		($width, $height, $line) = @head[4, 5, 12];
		$pixels = substr($_, $head[0] + 12 * $head[19], $line * $height);
		die if $line != 4 * $width;
		print "$width $height ";
		print STDERR $pixels & ("\xff\xff\xff\0" x ($width * $height));
	' < /run/xwd 2> /run/pixels) $(md5sum < /run/pixels | cut -d' ' -f1)"
}

end_x() {
	kill -9 "$x"
	within 30 gone "$x"
}

# The order of what people do with a card, under an X that lives on
cycle() {
	draw
	sleep 5
	check "clients draw" alive $drawing
	need "unbind under it ends in seconds" unbind
	sleep 2
	need "bind" bind
	need "the card is back" within 30 has_card
	check "remove" ends 30 put 1 "$device/remove"
	need "rescan brings it back" ends 60 put 1 /sys/bus/pci/rescan
	need "the card is back after that" within 60 has_card
	stop_drawing
	alive "$x" || echo "# X had ended: $(grep -oE 'Segmentation fault|Bus error|Aborted|Fatal server error' /run/X.log | tail -n 1)" >&3
	check "X ends with kill -9" end_x
	need "a new X starts" start_x "$1"
	check "its picture is right" within 120 picture 17 13 red blue
}

xorg_heads() {
	client
	need "X starts" start_x modesetting
	host heads 4 640 480
	need "four heads are connected" within 30 connected 4
	check "X takes them" layout
	check "its picture is right before" within 120 picture 17 13 green black
	cycle modesetting
	host heads 2 800 600
	check "two heads are connected" within 30 connected 2
	host heads 1 800 600
	check "one head is connected" within 30 connected 1
	check "unbind under the new X" unbind
	check "X ends with kill -9 again" end_x
	check "bind again" bind
}

# No picture before: the device has stopped.
xorg_stuck() {
	client
	need "X starts" start_x modesetting
	host heads 4 640 480
	need "four heads are connected" within 30 connected 4
	check "X takes them" layout
	cycle modesetting
}

xorg_modesetting() {
	need "X starts" start_x modesetting
	check "its picture is right before" within 120 picture 17 13 green black
	cycle modesetting
}

# Its ioctls fail then, which xf86-video-qxl does not stand: X may end.
xorg_qxl() {
	need "X starts" start_x qxl
	check "its picture is right before" within 120 picture 17 13 green black
	cycle qxl
}

scroll() {
	while sleep 0.1; do
		seq 200
	done > /dev/tty1
}

fbcon() {
	need "the console is on qxl" grep -q qxl /proc/fb
	scroll &
	scrolls=$!
	for round in 1 2 3 4 5; do
		/usr/local/bin/map "$(card)" > /run/map.log 2>&1 &
		map=$!
		need "fb0 and a GEM object are mapped, $round" within 20 grep -q mapped /run/map.log
		sleep 1
		need "unbind, $round" unbind
		sleep 1
		check "the program lives on, $round" alive $map
		kill $map
		check "it ends, $round" within 20 gone $map
		check "its ioctl says No such device, $round" grep -q 'ioctl: No such device' /run/map.log
		need "bind, $round" bind
		need "fb0 is back, $round" within 20 grep -q qxl /proc/fb
	done
	kill $scrolls
}

start_weston() {
	rm -f /run/user/wayland-*
	LIBSEAT_BACKEND=builtin weston --backend=drm --renderer=pixman --continue-without-input \
		--drm-device="$(basename "$(card)")" --socket=wayland-7 --log=/run/weston.log > /run/weston.out 2>&1 &
	weston=$!
	within 150 test -S /run/user/wayland-7 || {
		tail -n 12 /run/weston.log /run/weston.out | sed 's/^/# weston: /' >&3
		false
	}
}

# A client that lives, and something on the screen
weston_draws() {
	WAYLAND_DISPLAY=wayland-7 weston-simple-shm > /run/shm.log 2>&1 &
	shm=$!
	sleep 5
	alive $shm && host colours 3
}

weston_session() {
	need "Weston starts" start_weston
	check "a client draws" weston_draws
	need "unbind under it ends in seconds" unbind
	sleep 3
	check "Weston lives on" alive "$weston"
	need "bind" bind
	need "the card is back" within 30 has_card
	check "remove" ends 30 put 1 "$device/remove"
	need "rescan brings it back" ends 60 put 1 /sys/bus/pci/rescan
	need "the card is back after that" within 60 has_card
	kill -9 "$weston" "$shm"
	check "Weston ends with kill -9" within 30 gone "$weston"
	need "a new Weston starts" start_weston
	check "a client draws there" weston_draws
}

mode_is() {
	[ "$(head -n 1 "$device"/drm/card*/card*-Virtual-1/modes)" = "$1" ]
}

# What everybody does who has a client open while the driver goes
resize() {
	client
	host heads 1 1000 700
	check "the size is taken" within 30 mode_is 1000x700
	for round in 1 2 3; do
		need "unbind, $round" unbind
		host heads 1 $((800 + round * 8)) 600
		sleep 1
		host heads 2 $((900 + round * 8)) 600
		sleep 1
		need "bind, $round" bind
		need "the card is back, $round" within 30 has_card
		host heads 4 $((640 + round * 8)) 480
		check "four heads are connected, $round" within 30 connected 4
		check "the new size is taken, $round" within 30 mode_is $((640 + round * 8))x480
		host heads 1 1000 700
		check "one head is connected, $round" within 30 connected 1
	done
}

s3() {
	client
	need "X starts" start_x modesetting
	for round in 1 2; do
		draw
		sleep 3
		host wake
		need "suspend and resume, $round" ends 120 put mem /sys/power/state
		check "the machine did sleep, $round" host woken
		stop_drawing
		check "X lives on, $round" alive "$x"
		check "its picture is right, $round" within 120 picture 7 11 yellow blue
	done
	need "unbind" unbind
	need "bind" bind
	check "X ends with kill -9" end_x
	need "a new X starts" start_x modesetting
	check "its picture is right" within 120 picture 17 13 red blue
}

# Three boots, of which the disk knows
restart() {
	before=$(cat /opt/boot 2>/dev/null)
	[ -n "$before" ] || client
	need "X starts${before:+ after $before}" start_x modesetting
	check "its picture is right${before:+ after $before}" within 120 picture 17 13 red blue
	[ "$before" != reboot ] || return 0
	draw
	sleep 5
	check "clients draw${before:+ after $before}" alive $drawing
	if [ "$before" = kexec ]; then
		next reboot
		host may_reboot
		/opt/busybox reboot -f
	else
		cat /dev/vdb > /run/kernel
		cat /dev/vdc > /run/initrd
		need "kexec loads" ends 120 kexec -l /run/kernel --initrd=/run/initrd --reuse-cmdline
		next kexec
		kexec -e
	fi
	check "there is another boot" false
}

# next NAME: of the boot
next() {
	echo "$1" > /opt/boot
	sync
}

need "qxl is bound" has_card
udev
$PEERS
finish
