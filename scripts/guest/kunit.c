// SPDX-License-Identifier: GPL-2.0
/*
 * Has the kernel's KUnit tests run, if it has not while booting, and passes on what
 * they say, as one KTAP document.  Where they are modules, they run once before, while another
 * process looks at all that appears on the bus, and enables it, as udev's rules may.
 */

#include "kselftest.h"	/* ARRAY_SIZE() */
#include "init.h"

#include <dirent.h>

#define RESULTS	"/sys/kernel/debug/kunit"

static const char * const modules[] = {
	"pci_kunit", "pci_shmem_bar_kunit", "pci_shmem_bar_bus_kunit",
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

/* What KUnit's own devices are asked until they are gone.  How often, at least? */
static void ask_devices(const char *dev, volatile int *times)
{
	static const char * const files[] = { "modalias", "resource", "config" };
	char buf[8192];

	/* Taken back only if it was done: the test may have enabled it, too. */
	if (!spew(dev_path(dev, "enable"), "1")) {
		(*times)++;
		spew(dev_path(dev, "enable"), "0");
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(files); i++)
		slurp(dev_path(dev, files[i]), buf, sizeof(buf));
}

static void ask_all(volatile int *times)
{
	struct dirent entry, *found;
	DIR *dir = opendir("/sys/bus/pci/devices");

	while (dir && !readdir_r(dir, &entry, &found) && found)
		if (!strncmp(found->d_name, "1ff", 3))
			ask_devices(found->d_name, times);
	closedir(dir);
}

/* The tests may fail then, as they count; the kernel must not.  Was there something to enable? */
static bool run_disturbed(void)
{
	int *times = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int i;
	pid_t pid = fork();

	while (!pid)
		ask_all(times);
	for (i = 0; i < ARRAY_SIZE(modules); i++)
		modprobe(modules[i]);
	for (i = 0; i < ARRAY_SIZE(modules); i++)
		rmmod(modules[i]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	printf("# %d times enabled by another process\n", *times);
	return *times > 0;
}

static int run_kunit(int argc, char **argv)
{
	bool modular = access(RESULTS, F_OK), disturbed = modular && run_disturbed();
	int suites;

	for (unsigned int i = 0; i < ARRAY_SIZE(modules); i++)
		if (modprobe(modules[i]) && access(RESULTS, F_OK))
			printf("# modprobe %s failed\n", modules[i]);
	suites = for_each_suite(false);
	printf("KTAP version 1\n1..%d\n", suites + modular);
	for_each_suite(true);
	if (modular)
		printf("%s %d enabled_by_another_process\n", disturbed ? "ok" : "not ok", suites + 1);
	return 0;
}

int main(int argc, char **argv)
{
	return be_init(argc, argv, run_kunit);
}
