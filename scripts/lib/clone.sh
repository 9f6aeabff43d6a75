# shellcheck shell=bash disable=SC2034,SC2154
# Sourced after common.sh by those that apply patches/ in a repository of their own.

# What get_maintainer.pl wants to see, to take it for a kernel tree
kernel_tree=('/*' '!/*/' '/*/Kconfig' '/*/Makefile' /scripts/get_maintainer.pl)

# new_clone DIR SOURCE COMMIT [PATTERN...]: a repository that borrows the objects of SOURCE,
# with COMMIT checked out: of its files, those that patches/ touch, and those that match PATTERN.
new_clone() {
	rm -rf "$1"
	git clone -q --shared --no-checkout -c core.autocrlf=false "$2" "$1"
	git -C "$1" config core.hooksPath /dev/null
	# .gitattributes says how diffs name the function they are in.
	{ patched_files | sed 's|^|/|'; printf '%s\n' /.gitattributes "${@:4}"; } |
		git -C "$1" sparse-checkout set --no-cone --stdin
	git -C "$1" checkout -q --detach "$3"
}
