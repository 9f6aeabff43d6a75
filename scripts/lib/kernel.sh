# shellcheck shell=bash disable=SC2034,SC2154
# Sourced after common.sh by scripts that build a kernel.

# with_ccache COMMAND...: one cache for all clones of this repository.  The compiler says
# what it included: to preprocess first, as well, is a quarter of the time when nothing is there yet.
# The compilers are in lib/cc/, and find their namesakes in REAL_PATH, as COMMAND may put something
# before theirs in PATH: pyenv's python3 does.
with_ccache() {
	local path=$PATH

	REAL_PATH=$path PATH=$top/scripts/lib/cc:$path CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1 "$@"
}

# kmake TREE OUT ARGUMENT...
kmake() {
	with_ccache make -C "$1" O="$2" -j$(($(nproc) + 1)) "${@:3}"
}

# configure TREE OUT FRAGMENT...: tinyconfig and what the fragments say.
configure() {
	kmake "$1" "$2" -s tinyconfig
	reconfigure "$@"
}

# reconfigure TREE OUT FRAGMENT...: the same where they have been configured, when there are
# other Kconfig files.
reconfigure() {
	(cd "$1" && KCONFIG_CONFIG=$2/.config \
		scripts/kconfig/merge_config.sh -m -O "$2" "$2/.config" "${@:3}") > "$2/merge.log"
	kmake "$1" "$2" -s olddefconfig
}

# lost_options OUT FRAGMENT...: what the fragments ask for, the last of them if they
# differ, and did not get.
lost_options() {
	awk -F= 'FNR == NR { have[$1] = $2; next }
		 /^CONFIG_/ { want[$1] = $2 }
		 END {
			for (option in want)
				if (have[option] != (want[option] == "n" ? "" : want[option]))
					printf "%s=%s ", option, want[option]
		 }' "$1/.config" "${@:2}"
}

# need_options OUT FRAGMENT...
need_options() {
	local lost

	lost=$(lost_options "$@")
	[ -z "$lost" ] || die "not in $1/.config, for want of something they depend on: $lost"
}
