#!/usr/bin/env bash
# Does each commit of the series compile alone, without a warning that the
# pristine tree does not have?  Looks at the C files the series touches, with
# gcc (W=1, which includes kernel-doc) and sparse.
. "$(dirname "$0")/lib.sh"

need_tree
src=$build/each
out=$build/kernel-each
conf=$top/scripts/configs
passed=0 failed=0

if [ -e "$src/.git" ]; then
	plain_git -C "$src" checkout -q -f --detach pristine
else
	rm -rf "$src"
	plain_git worktree prune
	plain_git worktree add -q --detach "$src" pristine
fi
mkdir -p "$out"
mapfile -t files < <(plain_git diff --name-only pristine "$branch" -- '*.c')

# The warnings of the commit that is checked out, without line numbers, as far
# as its files were not compiled before.  sparse 0.6.4 needs the -D: without it,
# kbuild finds it unfit and silently goes without.  It takes MODULE_ macros for
# bad constant expressions, and then says nothing else about that file.
warnings() {
	local objects=() file

	configure "$src" "$out" "$conf"/{base,x86_64,module,each}.config
	for file in "${files[@]}"; do
		[ ! -e "$src/$file" ] || objects+=("${file%.c}.o")
	done
	kmake "$src" "$out" W=1 C=1 CHECK="sparse -D__typeof_unqual__=__typeof__" \
		"${objects[@]}" > "$out/log" 2>&1 || echo "does not compile: $(grep -m1 error: "$out/log")"
	sed -n -e '/ignored by one of the .gitignore files/d' \
		-e '/error: bad constant expression/d' \
		-e "s|^$src/||; s/:[0-9:]* \(warning\|error\): /: \1: /p" "$out/log" | sort -u
}

warnings > "$out/before"
while read -r commit subject; do
	plain_git -C "$src" checkout -q --detach "$commit"
	warnings > "$out/after"
	if new=$(grep -vxFf "$out/before" "$out/after"); then
		echo "not ok - $subject"
		echo "$new"
		failed=$((failed + 1))
	else
		echo "ok - $subject"
		passed=$((passed + 1))
	fi
done < <(plain_git log --reverse --format='%h %s' "pristine..$branch")

lost=$(lost_options "$out" "$conf"/{base,x86_64,module,each}.config)
[ -z "$lost" ] || die "not in $out/.config, for want of something they depend on: $lost"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
