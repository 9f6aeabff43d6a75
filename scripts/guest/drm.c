// SPDX-License-Identifier: GPL-2.0
/*
 * The drivers that use pci_shmem_bar, on the devices QEMU has for them.
 *
 * Runs as init.  KTAP goes to the second UART, and so do requests to the host,
 * lines that start with "# host: ", which it answers with one character: 'y',
 * or anything else for no.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>

#include <asm/termbits.h>
#include <drm/drm.h>
#include <drm/drm_mode.h>

#include "kselftest_harness.h"
#include "files.h"

#define MANY_HEADS	10000000
#define RAM_HEADER	44	/* offset of ram_header_offset in struct qxl_rom */

static const struct driver {
	const char *name;
	const char *vendor, *device;
} qxl = { "qxl", "0x1b36\n", "0x0100\n" },
  vmwgfx = { "vmwgfx", "0x15ad\n", "0x0405\n" };

struct dev {
	const struct driver *drv;
	char bdf[16];
	uint64_t start[6], len[6];
};

static int read_attr(const struct dev *dev, const char *attr, char *buf, size_t size)
{
	char path[80];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", dev->bdf, attr);
	return slurp(path, buf, size);
}

static long attr_num(const struct dev *dev, const char *attr)
{
	char buf[32];

	if (read_attr(dev, attr, buf, sizeof(buf)) < 0)
		return -1;
	return strtol(buf, NULL, 0);
}

static int bind(const struct dev *dev, const char *what)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/%s", dev->drv->name, what);
	return spew(path, dev->bdf);
}

static bool is_bound(const struct dev *dev)
{
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/%s", dev->drv->name, dev->bdf);
	return !stat(path, &st);
}

static bool find(struct dev *dev, const struct driver *drv)
{
	char buf[1024], *p;

	dev->drv = drv;
	for (int slot = 0; slot < 32; slot++) {
		snprintf(dev->bdf, sizeof(dev->bdf), "0000:00:%02x.0", slot);
		if (read_attr(dev, "vendor", buf, sizeof(buf)) < 0 || strcmp(buf, drv->vendor))
			continue;
		if (read_attr(dev, "device", buf, sizeof(buf)) < 0 || strcmp(buf, drv->device))
			continue;
		if (read_attr(dev, "resource", buf, sizeof(buf)) < 0)
			return false;
		p = buf;
		for (int bar = 0; bar < 6; bar++) {
			uint64_t end;

			dev->start[bar] = strtoull(p, &p, 16);
			end = strtoull(p, &p, 16);
			strtoull(p, &p, 16);
			dev->len[bar] = end ? end - dev->start[bar] + 1 : 0;
		}
		return true;
	}
	return false;
}

/* The BARs the driver has claimed, as a bit mask */
static int claims(const struct dev *dev)
{
	static const char * const files[] = { "/proc/iomem", "/proc/ioports" };
	static char buf[16384];
	int mask = 0;

	for (int i = 0; i < 2; i++) {
		if (slurp(files[i], buf, sizeof(buf)) < 0)
			return -1;
		for (char *p = buf, *next; *p; p = next) {
			uint64_t start, end;

			next = strchr(p, '\n');
			*next++ = 0;
			start = strtoull(p, &p, 16);
			end = strtoull(p + 1, &p, 16);
			if (strncmp(p + 3, dev->drv->name, strlen(dev->drv->name)))
				continue;
			for (int bar = 0; bar < 6; bar++)
				if (dev->len[bar] && dev->start[bar] == start &&
				    dev->len[bar] == end - start + 1)
					mask |= 1 << bar;
		}
	}
	return mask;
}

/* How many interrupt handlers the driver has */
static int handlers(const struct dev *dev)
{
	static char buf[8192];
	int n = 0;

	if (slurp("/proc/interrupts", buf, sizeof(buf)) < 0)
		return -1;
	for (char *p = buf; (p = strstr(p, dev->drv->name)); p++)
		n++;
	return n;
}

/* Have the host do something; returns whether it was done and turned out well */
static bool host_answers(void)
{
	struct pollfd pfd = { .fd = STDOUT_FILENO, .events = POLLIN };
	char c = 0;

	return poll(&pfd, 1, 20000) == 1 && read(STDOUT_FILENO, &c, 1) == 1 && c == 'y';
}

/* A mode set, showing a picture made from @seed */
struct screen {
	int fd;
	struct drm_mode_modeinfo mode;
	void *map;
	size_t size;
};

static int open_card(void)
{
	char path[24];

	for (int i = 0; i < 4; i++) {
		int fd;

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

static bool get_connected(int fd, uint32_t *conn, uint32_t *crtc, struct drm_mode_modeinfo *mode)
{
	uint32_t conns[8], crtcs[8];
	struct drm_mode_card_res res = {
		.connector_id_ptr = (uintptr_t)conns, .count_connectors = 8,
		.crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = 8,
	};
	static struct drm_mode_modeinfo modes[64];

	if (ioctl(fd, DRM_IOCTL_MODE_GETRESOURCES, &res))
		return false;
	for (unsigned int i = 0; i < res.count_connectors; i++) {
		/* count_modes 0 makes the kernel probe the connector */
		struct drm_mode_get_connector c = { .connector_id = conns[i] };

		if (ioctl(fd, DRM_IOCTL_MODE_GETCONNECTOR, &c) || c.connection != 1)
			continue;
		c = (struct drm_mode_get_connector) {
			.connector_id = conns[i],
			.modes_ptr = (uintptr_t)modes, .count_modes = 64,
		};
		if (ioctl(fd, DRM_IOCTL_MODE_GETCONNECTOR, &c) || !c.count_modes)
			continue;
		*conn = conns[i];
		*crtc = crtcs[i];
		*mode = modes[0];
		return true;
	}
	return false;
}

static void draw(const struct screen *s, uint32_t pitch, int seed)
{
	for (int y = 0; y < s->mode.vdisplay; y++) {
		uint32_t *line = s->map + y * pitch;

		for (int x = 0; x < s->mode.hdisplay; x++)
			line[x] = ((x + seed) & 255) << 16 | (y & 255) << 8 | ((x ^ y) & 255);
	}
}

static bool show(struct screen *s, int seed)
{
	struct drm_mode_create_dumb dumb = { .bpp = 32 };
	struct drm_mode_fb_dirty_cmd dirty = { 0 };
	struct drm_mode_map_dumb map = { 0 };
	struct drm_mode_fb_cmd fb = { .bpp = 32, .depth = 24 };
	struct drm_mode_crtc crtc = { .count_connectors = 1, .mode_valid = 1 };
	uint32_t conn;

	s->fd = open_card();
	if (s->fd < 0 || !get_connected(s->fd, &conn, &crtc.crtc_id, &s->mode))
		return false;

	dumb.width = s->mode.hdisplay;
	dumb.height = s->mode.vdisplay;
	if (ioctl(s->fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb))
		return false;
	s->size = dumb.size;

	fb.width = dumb.width;
	fb.height = dumb.height;
	fb.pitch = dumb.pitch;
	fb.handle = dumb.handle;
	if (ioctl(s->fd, DRM_IOCTL_MODE_ADDFB, &fb))
		return false;

	map.handle = dumb.handle;
	if (ioctl(s->fd, DRM_IOCTL_MODE_MAP_DUMB, &map))
		return false;
	s->map = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, map.offset);
	if (s->map == MAP_FAILED)
		return false;

	crtc.set_connectors_ptr = (uintptr_t)&conn;
	crtc.fb_id = fb.fb_id;
	crtc.mode = s->mode;
	if (ioctl(s->fd, DRM_IOCTL_MODE_SETCRTC, &crtc))
		return false;

	/* Drawn last, so that it goes through the command ring */
	draw(s, dumb.pitch, seed);
	dirty.fb_id = fb.fb_id;
	return !ioctl(s->fd, DRM_IOCTL_MODE_DIRTYFB, &dirty);
}

static void hide(struct screen *s)
{
	munmap(s->map, s->size);
	close(s->fd);
}

static bool seen_by_host(const struct screen *s, int seed)
{
	printf("# host: picture %d %d %d\n", s->mode.hdisplay, s->mode.vdisplay, seed);
	return host_answers();
}

/* Probe has failed at boot, fails again, and leaves nothing behind */
static bool refused(const struct dev *dev, int err)
{
	for (int i = 0; i < 2; i++)
		if (is_bound(dev) || attr_num(dev, "enable") || claims(dev) ||
		    bind(dev, "bind") != err)
			return false;
	return true;
}

TEST(qxl_old_revision)
{
	struct dev dev;

	if (!find(&dev, &qxl) || attr_num(&dev, "revision") >= 4)
		SKIP(return, "no qxl device below revision 4");
	ASSERT_TRUE(refused(&dev, -EINVAL));
}

/* Needs more memory for the heads than there is: fails late in probe */
TEST(qxl_late_failure)
{
	struct dev dev;
	char buf[16];

	if (!find(&dev, &qxl) ||
	    slurp("/sys/module/qxl/parameters/num_heads", buf, sizeof(buf)) < 0 ||
	    strtol(buf, NULL, 10) < MANY_HEADS)
		SKIP(return, "no qxl device with too many heads");
	ASSERT_TRUE(refused(&dev, -ENOMEM));
}

FIXTURE(qxl) {
	struct dev dev;
	int bars;
};

/* Each test finds the device bound and leaves it bound */
FIXTURE_SETUP(qxl)
{
	if (!find(&self->dev, &qxl) || !is_bound(&self->dev))
		SKIP(return, "no qxl device in use");
	/* RAM, ROM, I/O ports, and the 64-bit surface BAR or the 32-bit one */
	self->bars = 1 << 0 | 1 << 2 | 1 << 3 | 1 << (self->dev.len[4] ? 4 : 1);
}

FIXTURE_TEARDOWN(qxl)
{
}

TEST_F(qxl, claims)
{
	ASSERT_EQ(1, attr_num(&self->dev, "enable"));
	ASSERT_EQ(self->bars, claims(&self->dev));
}

TEST_F(qxl, picture)
{
	struct screen s;

	ASSERT_TRUE(show(&s, 1));
	ASSERT_TRUE(seen_by_host(&s, 1));
	hide(&s);
}

TEST_F(qxl, rebind)
{
	struct screen s;

	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, bind(&self->dev, "unbind"));
		ASSERT_EQ(0, attr_num(&self->dev, "enable"));
		ASSERT_EQ(0, claims(&self->dev));
		ASSERT_EQ(0, handlers(&self->dev));
		ASSERT_EQ(0, bind(&self->dev, "bind"));
		ASSERT_EQ(1, attr_num(&self->dev, "enable"));
		ASSERT_EQ(self->bars, claims(&self->dev));
		ASSERT_EQ(1, handlers(&self->dev));
	}
	ASSERT_TRUE(show(&s, 100));
	ASSERT_TRUE(seen_by_host(&s, 100));
	hide(&s);
}

TEST_F(qxl, open_fd)
{
	struct screen s;

	ASSERT_TRUE(show(&s, 2));
	ASSERT_EQ(0, bind(&self->dev, "unbind"));

	/* The open file keeps the device: nobody else can have it */
	ASSERT_EQ(1, attr_num(&self->dev, "enable"));
	ASSERT_EQ(self->bars, claims(&self->dev));
	ASSERT_EQ(-EBUSY, bind(&self->dev, "bind"));
	ASSERT_EQ(1, attr_num(&self->dev, "enable"));
	ASSERT_EQ(self->bars, claims(&self->dev));

	hide(&s);
	ASSERT_EQ(0, attr_num(&self->dev, "enable"));
	ASSERT_EQ(0, claims(&self->dev));
	ASSERT_EQ(0, bind(&self->dev, "bind"));
}

/* Have the host write to the device's ROM, while its address is mapped here */
static bool poke_rom(volatile uint32_t *p, uint32_t val)
{
	printf("# host: poke %lx %x\n", (unsigned long)p, val);
	for (int i = 0; i < 20000 && *p != val; i++)
		for (int j = 0; j < 20000; j++)
			asm volatile("");
	return host_answers() && *p == val;
}

TEST_F(qxl, hostile_rom)
{
	const uint32_t bad[] = {
		self->dev.len[0] - 4096, self->dev.len[0], 0xffffff00,
	};
	volatile uint32_t *rom;
	char path[80];
	uint32_t good;
	int fd;

	ASSERT_EQ(0, bind(&self->dev, "unbind"));

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource2", self->dev.bdf);
	fd = open(path, O_RDONLY);
	ASSERT_LE(0, fd);
	for (unsigned int i = 0; i <= ARRAY_SIZE(bad); i++) {
		rom = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, rom);
		if (!i)
			good = rom[RAM_HEADER / 4];
		ASSERT_TRUE(poke_rom(&rom[RAM_HEADER / 4], i < ARRAY_SIZE(bad) ? bad[i] : good));
		munmap((void *)rom, 4096);

		ASSERT_EQ(i < ARRAY_SIZE(bad) ? -ENODEV : 0, bind(&self->dev, "bind"));
		ASSERT_EQ(i == ARRAY_SIZE(bad), attr_num(&self->dev, "enable"));
		ASSERT_EQ(i < ARRAY_SIZE(bad) ? 0 : self->bars, claims(&self->dev));
	}
	close(fd);
}

FIXTURE(vmwgfx) {
	struct dev dev;
};

/* On QEMU, probe ends with -ENOSYS after it has used the FIFO: no pitchlock */
FIXTURE_SETUP(vmwgfx)
{
	if (!find(&self->dev, &vmwgfx))
		SKIP(return, "no vmwgfx device");
	ASSERT_FALSE(is_bound(&self->dev));
	ASSERT_EQ(0, attr_num(&self->dev, "enable"));
	ASSERT_EQ(0, claims(&self->dev));
}

FIXTURE_TEARDOWN(vmwgfx)
{
}

TEST_F(vmwgfx, claims)
{
	int mask = 0, status;
	pid_t pid;

	/* Slow the probe down at each line it logs, to look at it half way */
	ASSERT_EQ(0, spew("/proc/sys/kernel/printk_delay", "100"));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-bind(&self->dev, "bind"));
	while (!waitpid(pid, &status, WNOHANG))
		mask |= claims(&self->dev);
	spew("/proc/sys/kernel/printk_delay", "0");

	ASSERT_TRUE(WIFEXITED(status));
	ASSERT_EQ(ENOSYS, WEXITSTATUS(status));
	/* I/O ports, VRAM, FIFO */
	ASSERT_EQ(1 << 0 | 1 << 1 | 1 << 2, mask);
	ASSERT_EQ(0, claims(&self->dev));
	ASSERT_EQ(0, attr_num(&self->dev, "enable"));
}

/* Last, so that it sees what the others left */
FIXTURE(afterwards) { };
FIXTURE_SETUP(afterwards) { }
FIXTURE_TEARDOWN(afterwards) { }

TEST_F_TIMEOUT(afterwards, no_leaks, 120)
{
	static const char object[] = "unreferenced object";
	static char buf[1 << 18];
	int len;

	len = kmemleak(buf, sizeof(buf));
	if (len == -ENOENT)
		SKIP(return, "no kmemleak in this kernel");
	ASSERT_LE(0, len);
	for (char *p = strstr(buf, object), *next; p; p = next) {
		next = strstr(p + 1, object);
		if (next)
			next[-1] = '\0';
		/* ttm_pool_type_fini() forgets these, whatever the driver */
		EXPECT_NE(NULL, strstr(p, "ttm_pool_type_init")) TH_LOG("%s", p);
	}
}

int main(int argc, char **argv)
{
	struct termios tio;
	int fd;

	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);

	fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY);
	ioctl(fd, TCGETS, &tio);
	tio.c_oflag &= ~OPOST;
	tio.c_lflag &= ~(ICANON | ECHO);
	ioctl(fd, TCSETS, &tio);
	dup2(fd, STDOUT_FILENO);

	if (!fork())
		test_harness_run(argc, argv);
	wait(NULL);
	ioctl(fd, TCSBRK, 1);
	reboot(RB_AUTOBOOT);
	return 0;
}
