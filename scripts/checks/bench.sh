#!/usr/bin/env bash
# What mapping costs, in instructions that a guest counts, and how large the helper is.
# docs/cost.md, docs/bench.svg, README.md and the cover letter show it, which must be right, or are
# written: bench.sh [write].  With ACCEL=kvm it is shown in nanoseconds, and nothing has to be right.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/kernel.sh"

mode=${1:-compare} unit=Instructions tables=all limit=1024
[ "${ACCEL:-tcg}" != kvm ] || mode=show unit=Nanoseconds tables=unlimited limit=
readme=$top/README.md
cost=$top/docs/cost.md
graph=$top/docs/bench.svg
out=$build/bench
guests=$build/boot-plain-bench

# in_place FILE: what is there now
in_place() {
	sed -n '/^<!-- bench -->$/,/^<!-- \/bench -->$/{//!p}' "$1"
}

# put FILE TEXT: write the file TEXT there
put() {
	sed -i -e '/^<!-- bench -->$/,/^<!-- \/bench -->$/{//!d}' -e "/^<!-- bench -->\$/r $2" "$1"
}

letter() {
	plain_git config "branch.set/pci-shmem-bar.description"
}

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

# text ARCH [LIMIT]: measure it, and give it lines as a guest's
text() {
	local flags=(-Os -O2) sizes i

	mapfile -t sizes < <(helper_text "$1" "${flags[@]}")
	[ ${#sizes[@]} = ${#flags[@]} ] || die "the helper does not compile for $1"
	for i in "${!flags[@]}"; do
		echo "# bench: text.$1.${flags[i]} ${sizes[i]}" >> "$out/text"
		if [ -z "${2:-}" ]; then
			continue
		elif [ "${sizes[i]}" -le "$2" ]; then
			ok "text for $1, ${flags[i]}: ${sizes[i]} of $2"
		else
			not_ok "text for $1, ${flags[i]}: ${sizes[i]} of $2"
		fi
	done
}

# same_text NAME HAVE WANT
same_text() {
	if "$top/scripts/host/cost.py" same "$2" "$3"; then
		ok "$1 says the same"
	else
		diff "$2" "$3" || true
		not_ok "$1 says something else: run 'make bench WRITE=yes'"
	fi
}

draw() {
	"$top/scripts/host/cost.py" plot "$out/counts" > "$out/plot"
	gnuplot <<-PLOT
		set terminal svg size 760,460 fixed enhanced font "sans-serif,13" background "white"
		set output "$out/bench.svg"
		set logscale xy
		set xrange [3e3:1e11]
		set xtics ("4 KiB" 2**12, "64 KiB" 2**16, "1 MiB" 2**20, "16 MiB" 2**24, "256 MiB" 2**28, "4 GiB" 2**32, "64 GiB" 2**36)
		set format y "10^{%T}"
		set grid
		set key top left
		set ylabel "instructions"
		set title "mmap(), read each page, munmap()"
		plot for [i=2:4] "$out/plot" using 1:i with linespoints lw 2 pt 7 ps 0.5 \\
			title word("sample resource2\\\\_wc tmpfs", i - 1)
	PLOT
}

for file in "$readme" "$cost"; do
	grep -qx '<!-- bench -->' "$file" || die "$file has no place for what was measured: <!-- bench -->"
done
need_tree
grep -q '^Instructions, counted' <<< "$(letter)" ||
	die "the cover letter has no place for the counts: a line that begins with 'Instructions, counted'"
mkdir -p "$out"

"$top/scripts/boot.py" plain bench || exit
rm -f "$out/text"
text x86_64 $limit
text arm64
cat "$guests"/{1G,2M}.ktap "$out/text" > "$out/counts"
# Others would count differently.
made_with="Linux $(plain_git show pristine:Makefile | awk '/^(VERSION|PATCHLEVEL|SUBLEVEL) = / { printf "%s%s", n++ ? "." : "", $3 }'), \
gcc $(gcc -dumpfullversion), QEMU $(qemu-system-x86_64 --version | sed -nE '1s/.* ([0-9]+\.[0-9]+).*/\1/p')"
{
	echo "$unit, $made_with:"
	echo
	"$top/scripts/host/cost.py" $tables "$out/counts"
} > "$out/table"
cat "$out/table"
"$top/scripts/host/cost.py" short "$out/counts" > "$out/short"
"$top/scripts/host/cost.py" cover "$out/counts" > "$out/cover"
text_is="The helper is $(sed -n 's/^# bench: text.x86_64.-Os //p' "$out/counts") bytes of text on x86-64 (-Os)"
draw

if [ "$mode" = show ]; then
	exit
elif [ "$mode" = write ]; then
	put "$cost" "$out/table"
	put "$readme" "$out/short"
	cp "$out/bench.svg" "$graph"
	letter | sed -E -e "/^Instructions, counted/,/^  resource2_wc/{/^  resource2_wc/r $out/cover" -e 'd}' \
		-e "s/^The helper is [0-9]+ bytes of text .* \(-Os\)/$text_is/" > "$out/letter"
	plain_git config "branch.set/pci-shmem-bar.description" "$(cat "$out/letter")"
elif ! grep -qF "$made_with" "$cost"; then
	skip "docs/cost.md" "its numbers were not made with $made_with"
else
	in_place "$cost" > "$out/cost"
	in_place "$readme" > "$out/readme"
	letter | sed -n '/^Instructions, counted/,/^  resource2_wc/p' > "$out/letter"
	same_text docs/cost.md "$out/cost" "$out/table"
	same_text README.md "$out/readme" "$out/short"
	same_text docs/bench.svg "$graph" "$out/bench.svg"
	same_text "the cover letter" "$out/letter" "$out/cover"
	if grep -qF "$text_is" <<< "$(letter)"; then
		ok "the cover letter: text"
	else
		not_ok "the cover letter does not say: $text_is"
	fi
fi
totals
