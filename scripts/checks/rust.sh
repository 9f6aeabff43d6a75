#!/usr/bin/env bash
# Is the Rust of the series clean?  Each commit of the set compiles, with clippy and without a
# new warning (per-commit.sh does so without CONFIG_RUST); rustfmt changes nothing, rustdoc has
# nothing to say; and what must not compile does not.  In another Debian if there is no Rust here:
# see rust.sh.
[ -n "${IN_RUST:-}" ] || exec "$(dirname "$0")/../rust.sh" scripts/checks/rust.sh
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/kernel.sh"
. "$top/scripts/lib/sets.sh"

need_tree
read_sets "$tree"
commits=$build/rust/linux		# one commit of it after the other
out=$build/kernel-rust-each
sample=samples/rust/rust_driver_ivshmem
fragments=("$top"/scripts/configs/{base,x86_64,rust}.config "$out/each.config")

# rust_says ARGUMENT...: make, and print what is new of the warnings, with their files; the end of
# all that it says if it fails
rust_says() {
	kmake "$commits" "$out" "$@" > "$out/log" 2>&1 || { tail -n 40 "$out/log"; return; }
	awk '/^warning: / { warning = $0; next }
	     warning && $1 == "-->" { sub(/(:[0-9]+)+$/, "", $2); print $2 ": " warning; warning = "" }
	     !/^ / && / warning: /' "$out/log" | sed "s|$commits/||" | sort | comm -23 - "$out/before"
}

# compiles: the kernel crate and, if it is there, the sample
compiles() {
	local targets=(prepare)

	reconfigure "$commits" "$out" "${fragments[@]}"
	[ ! -e "$commits/$sample.rs" ] || targets+=("$sample.o")
	rust_says CLIPPY=1 "${targets[@]}"
}

# The Rust files that the set changes or adds
rust_files() {
	plain_git diff --name-only "${set_begin[rust]}" "${set_end[rust]}" -- '*.rs'
}

formatted() {
	(cd "$commits" && rust_files | xargs rustfmt --check --edition 2021 --config-path .rustfmt.toml 2>&1) || true
}

# with CODE: what the compiler says of the sample with this appended, and what it has left to
# the linker: what is checked when it is built ends as a call of rust_build_error()
with() {
	# A " before a lifetime stands for ', which the shell would end its string at
	sed -E "s/\"(a|b|static)\\>/'\1/g" <<< "$1" >> "$commits/$sample.rs"
	rm -f "$out/$sample.o"
	kmake "$commits" "$out" "$sample.o" 2>&1 || true
	[ ! -e "$out/$sample.o" ] || nm "$out/$sample.o"
	git -C "$commits" checkout -q "$sample.rs"
}

# must_fail NAME WHY CODE
must_fail() {
	local said

	said=$(with "$3")
	if grep -qF -e "$2" <<< "$said"; then
		ok "refused: $1"
	else
		not_ok "refused: $1"
		grep -v ' [TtUbBdDrR] ' <<< "$said" | tail -n 20
	fi
}

mkdir -p "$out" "${commits%/*}"
# The examples are compiled once, for a guest.
echo CONFIG_RUST_KERNEL_DOCTESTS=n > "$out/each.config"
[ -n "${set_end[rust]:-}" ] || die "the series has no set of that name"
log=$(plain_git log --reverse --format='%h %s' "${set_begin[rust]}..${set_end[rust]}")
work_tree "$commits" "${set_begin[rust]}"
configure "$commits" "$out" "${fragments[@]}"
rm -f "$out/$sample.o"
# What 7.3 itself makes clippy say
: > "$out/before"
compiles > "$out/known"
mv "$out/known" "$out/before"
while read -r commit subject; do
	work_tree "$commits" "$commit"
	ok_if_empty "$subject" "$(compiles)"
done <<< "$log"
need_options "$out" "${fragments[@]}"
[ -e "$out/$sample.o" ] || die "the sample was not compiled, see $out/log"

ok_if_empty rustfmt "$(formatted)"
ok_if_empty rustdoc "$(rust_says rustdoc)"

ok_if_empty "not refused: what is right" "$(with '
pub fn last(bar: &SharedMemoryBar<END>) -> u32 { bar.read32(END - 4) }
fn shorter<"b, "a: "b>(bar: SharedMemoryBar<"a, END>) -> SharedMemoryBar<"b, END> { bar }
' | grep -A 12 'rust_build_error\|^error')"
must_fail "a read beyond SIZE" rust_build_error '
pub fn beyond(bar: &SharedMemoryBar<END>) -> u32 { bar.read32(END) }'
must_fail "a read that may be unaligned" E0080 '
pub fn unaligned(bar: &SharedMemoryBar<END>) -> u64 { bar.read64(0) }'
must_fail "a second owner" E0507 '
fn two<"a>(bar: &SharedMemoryBar<"a, END>) -> SharedMemoryBar<"a, END> { *bar }'
must_fail "use after the binding" "lifetime may not live long enough" '
fn longer<"a>(bar: SharedMemoryBar<"a, END>) -> SharedMemoryBar<"static, END> { bar }'
must_fail "use after the BAR" E0515 '
fn bytes<"a>(bar: SharedMemoryBar<"a, END>) -> kernel::io::SysMem<"a, [u8]> { bar.bytes() }'
must_fail "a slice of the memory" E0608 '
fn slice<"a>(bar: &"a SharedMemoryBar<"a, END>) -> &"a [u8] { &bar.bytes()[0..4] }'
must_fail "a device that is not bound" E0599 '
fn unbound(pdev: &pci::Device) { let _ = pdev.map_shared_memory_bar::<END>(BAR, CacheMode::WriteBack, c"x"); }'
totals
