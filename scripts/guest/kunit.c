// SPDX-License-Identifier: GPL-2.0
/*
 * Has the kernel's KUnit tests run, if it has not while booting, and passes on what
 * they say, as one KTAP document.
 */

static int run_kunit(int argc, char **argv);
#define RUN_TESTS run_kunit
#include "guest.h"

#include <dirent.h>

#define RESULTS	"/sys/kernel/debug/kunit"

static const char * const modules[] = {
	"pci_bus_kunit", "pci_enable_kunit", "pci_shmem_bar_kunit", "pci_shmem_bar_bus_kunit",
};

/*
 * A suite's results are a document of one test: without the first two lines, and
 * with another number, they are a test of ours.
 */
static void pass_on(const char *suite, int number)
{
	static char buf[1 << 18];
	char path[96], *line, *next;

	snprintf(path, sizeof(path), RESULTS "/%s/results", suite);
	line = must_slurp(path, buf, sizeof(buf));
	for (; (next = strchr(line, '\n')); line = next + 1) {
		*next = '\0';
		if (!strcmp(line, "KTAP version 1") || !strcmp(line, "1..1"))
			continue;
		if (!strncmp(line, "ok 1 ", 5))
			printf("ok %d %s\n", number, line + 5);
		else if (!strncmp(line, "not ok 1 ", 9))
			printf("not ok %d %s\n", number, line + 9);
		else
			printf("%s\n", line);
	}
}

static int for_each_suite(bool print)
{
	struct dirent entry, *found;
	DIR *dir = opendir(RESULTS);
	int n = 0;

	if (!dir)
		return 0;
	while (!readdir_r(dir, &entry, &found) && found)
		if (found->d_name[0] != '.' && ++n && print)
			pass_on(found->d_name, n);
	closedir(dir);
	return n;
}

static int run_kunit(int argc, char **argv)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(modules); i++)
		if (modprobe(modules[i]) && access(RESULTS, F_OK))
			printf("# modprobe %s failed\n", modules[i]);
	printf("KTAP version 1\n1..%d\n", for_each_suite(false));
	for_each_suite(true);
	return 0;
}
