# shellcheck shell=bash disable=SC2154
# Sourced after common.sh by those that run checkpatch, always with the same settings.

# checkpatch ARGUMENT...: FILE_PATH_CHANGES asks for a MAINTAINERS entry whenever
# a file is added, even where one covers it already.  A tree without history
# cannot know the commit of a Fixes: tag.
checkpatch() {
	local ignore=FILE_PATH_CHANGES

	[ -n "$(plain_git config pci-shmem-bar.base)" ] || ignore+=,UNKNOWN_COMMIT_ID
	# Debian's python3, which finds Debian's modules
	(cd "$tree" && PATH=/usr/bin:$PATH \
		scripts/checkpatch.pl --strict --codespell --ignore $ignore "$@" 2>&1)
}
