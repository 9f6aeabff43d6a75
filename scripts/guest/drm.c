// SPDX-License-Identifier: GPL-2.0
/*
 * The drivers that use pci_shmem_bar, on the devices QEMU has for them
 */

#include "guest.h"

#include <linux/serial.h>
#include <drm/drm.h>
#include <drm/drm_mode.h>
#include <drm/qxl_drm.h>

#include "drm_uses.h"

#define MANY_HEADS	10000000
#define RAM_HEADER	44	/* offset of ram_header_offset in struct qxl_rom */
#define N_SURFACES	52
#define SLOTS		64	/* four bytes, the last two of them widths in bits */
#define RAM_HEADER_SIZE	5412
#define IO_MEMSLOT_ADD	8	/* port of BAR 3 */

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
	return slurp(dev_path(dev->bdf, attr), buf, size);
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

static bool is_driven(const struct dev *dev)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/%s", dev->drv->name, dev->bdf);
	return !access(path, F_OK);
}

/* The device number @nth of a driver */
static bool find_nth(struct dev *dev, const struct driver *drv, int nth)
{
	char buf[16];

	dev->drv = drv;
	for (int devfn = 0; devfn < 4 * 32; devfn++) {
		snprintf(dev->bdf, sizeof(dev->bdf), "0000:%02x:%02x.0", devfn / 32, devfn % 32);
		if (read_attr(dev, "vendor", buf, sizeof(buf)) < 0 || strcmp(buf, drv->vendor))
			continue;
		if (read_attr(dev, "device", buf, sizeof(buf)) < 0 || strcmp(buf, drv->device))
			continue;
		if (nth--)
			continue;
		for (int bar = 0; bar < 6; bar++) {
			uint64_t end;

			bar_range(dev->bdf, bar, &dev->start[bar], &end);
			dev->len[bar] = end ? end - dev->start[bar] + 1 : 0;
		}
		return true;
	}
	return false;
}

static bool find(struct dev *dev, const struct driver *drv)
{
	return find_nth(dev, drv, 0);
}

static int open_bar(const struct dev *dev, int bar)
{
	char name[16];

	snprintf(name, sizeof(name), "resource%d", bar);
	return open(dev_path(dev->bdf, name), O_RDWR);
}

/* The BARs the driver has claimed, as a bit mask */
static int claims(const struct dev *dev)
{
	static const char * const files[] = { "/proc/iomem", "/proc/ioports" };
	static char buf[1 << 16];
	uint64_t start, end;
	char *p, *owner;
	int mask = 0;

	for (int i = 0; i < 2; i++) {
		p = must_slurp(files[i], buf, sizeof(buf));
		while (next_resource(&p, &start, &end, &owner)) {
			if (strncmp(owner, dev->drv->name, strlen(dev->drv->name)))
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

/* Is this said in the kernel's log? */
static bool logged(const char *text)
{
	char record[2048];
	int fd, n;

	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return false;
	while ((n = read(fd, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		if (n < 0)
			continue;
		record[n] = '\0';
		if (strstr(record, text)) {
			close(fd);
			return true;
		}
	}
	close(fd);
	return false;
}

/* A mode set, showing a picture made from @seed */
struct screen {
	int fd;
	uint32_t crtc, fb;
	struct drm_mode_modeinfo mode;
	void *map;
	size_t size;
};

static int open_card(const struct dev *dev)
{
	char path[80];

	for (int i = 0; i < 16; i++) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/drm/card%d", dev->bdf, i);
		if (access(path, F_OK))
			continue;
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		return open(path, O_RDWR);
	}
	return -1;
}

/*
 * Is the device driven, or gone, within some seconds?  PCI may move its BARs.  That it has
 * no driver any more is seen before the driver's .remove is called.
 */
static bool wait_for_card(struct dev *dev, bool there)
{
	int fd;

	for (int i = 0; i < 300; i++) {
		if (there && find(dev, dev->drv) && is_driven(dev)) {
			fd = open_card(dev);
			if (fd >= 0) {
				close(fd);
				return find(dev, dev->drv);
			}
		}
		if (!there && attr_num(dev, "enable") < 0)
			return true;
		usleep(100000);
	}
	return false;
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

static bool show(const struct dev *dev, struct screen *s, int seed)
{
	struct drm_mode_create_dumb dumb = { .bpp = 32 };
	struct drm_mode_fb_dirty_cmd dirty = { 0 };
	struct drm_mode_map_dumb map = { 0 };
	struct drm_mode_fb_cmd fb = { .bpp = 32, .depth = 24 };
	struct drm_mode_crtc crtc = { .count_connectors = 1, .mode_valid = 1 };
	uint32_t conn;

	s->fd = open_card(dev);
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

	s->crtc = crtc.crtc_id;
	s->fb = fb.fb_id;

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

static bool seen_by_host(const char *card, const struct screen *s, int seed)
{
	return host_does("picture %s %d %d %d", card, s->mode.hdisplay, s->mode.vdisplay, seed);
}

/* Does the device show what is drawn? */
static bool draws(const struct dev *dev, int seed)
{
	struct screen s;
	bool seen;

	if (!show(dev, &s, seed))
		return false;
	seen = seen_by_host("card", &s, seed);
	hide(&s);
	return seen;
}

/* A screen, objects of all kinds, and a client that never stops */
struct user {
	struct screen screen;
	struct drm_qxl_alloc_surf surf;
	struct plane plane;
	uint32_t vram_handle;
	volatile uint32_t *vram;
	volatile uint32_t *dmabuf;	/* the same object */
	volatile int *done;	/* how often the client has used everything */
	pid_t pid;
};

#define VRAM_SIZE	65536

static bool use_surface(const struct user *u)
{
	struct drm_qxl_update_area area = {
		.handle = u->surf.handle, .bottom = u->surf.height, .right = u->surf.width,
	};

	return !ioctl(u->screen.fd, DRM_IOCTL_QXL_UPDATE_AREA, &area);
}

static bool use_all(const struct user *u, uint32_t cursor, int i)
{
	struct drm_mode_cursor2 c = {
		.flags = i % 16 ? DRM_MODE_CURSOR_MOVE : DRM_MODE_CURSOR_BO,
		.crtc_id = u->screen.crtc, .x = i % 256, .y = i % 128,
		.width = 64, .height = 64, .handle = i % 32 ? cursor : 0,
	};
	struct drm_mode_fb_dirty_cmd dirty = { .fb_id = u->screen.fb };
	struct drm_qxl_alloc alloc = { .size = 16384 };
	struct drm_gem_close gem = { 0 };

	u->vram[i % (VRAM_SIZE / 4)] = i;
	if (ioctl(u->screen.fd, DRM_IOCTL_QXL_ALLOC, &alloc))
		return false;
	gem.handle = alloc.handle;
	return !ioctl(u->screen.fd, DRM_IOCTL_GEM_CLOSE, &gem) && use_surface(u) &&
	       !ioctl(u->screen.fd, DRM_IOCTL_MODE_CURSOR2, &c) &&
	       use_dumb(u->screen.fd) && use_prime(u->screen.fd, u->vram_handle) &&
	       exec_fill(u->screen.fd, 0) && exec_fill(u->screen.fd, u->surf.handle) &&
	       flip(u->screen.fd, u->screen.crtc, u->screen.fb) &&
	       commit(u->screen.fd, &u->plane, u->screen.fb) &&
	       !ioctl(u->screen.fd, DRM_IOCTL_MODE_DIRTYFB, &dirty);
}

static bool start(const char *card, const struct dev *dev, struct user *u, int seed)
{
	struct drm_mode_create_dumb cursor = { .width = 64, .height = 64, .bpp = 32 };
	struct drm_qxl_alloc alloc = { .size = VRAM_SIZE };
	struct drm_qxl_map map = { 0 };
	int fd, dmabuf;

	if (!show(dev, &u->screen, seed) || !seen_by_host(card, &u->screen, seed))
		return false;
	fd = u->screen.fd;

	if (ioctl(fd, DRM_IOCTL_QXL_ALLOC, &alloc))
		return false;
	map.handle = alloc.handle;
	if (ioctl(fd, DRM_IOCTL_QXL_MAP, &map))
		return false;
	u->vram = mmap(NULL, VRAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, map.offset);
	if (u->vram == MAP_FAILED)
		return false;
	u->vram[0] = seed;

	u->vram_handle = alloc.handle;
	dmabuf = export(fd, alloc.handle);
	if (dmabuf < 0)
		return false;
	u->dmabuf = mmap(NULL, VRAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	close(dmabuf);
	if (u->dmabuf == MAP_FAILED || u->dmabuf[0] != (uint32_t)seed)
		return false;

	/* Used, so that the device knows it */
	u->surf = (struct drm_qxl_alloc_surf) {
		.format = 32, .width = 64, .height = 64, .stride = 256,
	};
	if (ioctl(fd, DRM_IOCTL_QXL_ALLOC_SURF, &u->surf) || !use_surface(u))
		return false;

	if (ioctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, &cursor) ||
	    !find_plane(fd, u->screen.fb, &u->plane))
		return false;

	u->done = mmap(NULL, sizeof(*u->done), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (u->done == MAP_FAILED)
		return false;
	u->pid = fork();
	if (!u->pid) {
		while (use_all(u, cursor.handle, *u->done))
			++*u->done;
		_exit(errno == ENODEV ? 0 : errno);
	}
	/* All it does has worked when the device goes */
	for (int i = 0; i < 6000 * SLOW && *u->done < 2; i++)
		usleep(10000);
	return *u->done >= 2;
}

/* Does nothing work on a file whose device is gone, without harm? */
static bool is_dead(const struct user *u)
{
	struct drm_mode_fb_dirty_cmd dirty = { .fb_id = u->screen.fb };
	struct drm_qxl_getparam param = { .param = QXL_PARAM_NUM_SURFACES };
	struct drm_mode_create_dumb dumb = { .width = 64, .height = 64, .bpp = 32 };
	struct drm_qxl_alloc alloc = { .size = 4096 };
	int fd = u->screen.fd;

	u->vram[1] = 0x12345678;
	u->dmabuf[2] = 0x12345678;
	((uint32_t *)u->screen.map)[1] = 0x12345678;
	return ioctl(fd, DRM_IOCTL_MODE_DIRTYFB, &dirty) == -1 && errno == ENODEV &&
	       ioctl(fd, DRM_IOCTL_QXL_GETPARAM, &param) == -1 && errno == ENODEV &&
	       ioctl(fd, DRM_IOCTL_QXL_ALLOC, &alloc) == -1 && errno == ENODEV &&
	       ioctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb) == -1 && errno == ENODEV &&
	       export(fd, u->vram_handle) == -1 && errno == ENODEV &&
	       !exec_fill(fd, 0) && errno == ENODEV &&
	       !flip(fd, u->screen.crtc, u->screen.fb) && errno == ENODEV &&
	       !commit(fd, &u->plane, u->screen.fb) && errno == ENODEV &&
	       u->vram[1] == 0x12345678;
}

/* Did the client only ever see that the device is gone? */
static bool stopped(const struct user *u)
{
	int status;

	return waitpid(u->pid, &status, 0) == u->pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

static void stop(struct user *u)
{
	munmap((void *)u->vram, VRAM_SIZE);
	munmap((void *)u->dmabuf, VRAM_SIZE);
	munmap((void *)u->done, sizeof(*u->done));
	hide(&u->screen);
}

/* Probe has failed at boot, fails again, and leaves nothing behind */
static bool refused(const struct dev *dev, int err)
{
	for (int i = 0; i < 2; i++)
		if (is_driven(dev) || attr_num(dev, "enable") || claims(dev) ||
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

/* Somebody has the interrupt who does not share it: a serial port */
TEST(qxl_no_irq)
{
	struct serial_struct port;
	struct dev dev;
	int tty;

	if (!getenv("irqtty") || !find(&dev, &qxl))
		SKIP(return, "nobody to have the interrupt");
	ASSERT_TRUE(is_driven(&dev));
	ASSERT_EQ(0, bind(&dev, "unbind"));
	tty = open(getenv("irqtty"), O_RDWR | O_NOCTTY | O_NONBLOCK);
	ASSERT_LE(0, tty);
	ASSERT_EQ(0, ioctl(tty, TIOCGSERIAL, &port));
	port.irq = attr_num(&dev, "irq");
	ASSERT_EQ(0, ioctl(tty, TIOCSSERIAL, &port));
	ASSERT_TRUE(refused(&dev, -EBUSY));
	close(tty);
	ASSERT_EQ(0, bind(&dev, "bind"));
	ASSERT_EQ(1, attr_num(&dev, "enable"));
}

FIXTURE(qxl) {
	struct dev dev;
	int bars;
};

/* Each test finds the device bound and leaves it bound */
FIXTURE_SETUP(qxl)
{
	if (!find(&self->dev, &qxl) || !is_driven(&self->dev))
		SKIP(return, "no qxl device in use");
	/* RAM, ROM, I/O ports, and the 64-bit surface BAR or the 32-bit one */
	self->bars = 1 << 0 | 1 << 2 | 1 << 3 | 1 << (self->dev.len[4] ? 4 : 1);
}

FIXTURE_TEARDOWN(qxl) { }

TEST_F(qxl, claims)
{
	ASSERT_EQ(1, attr_num(&self->dev, "enable"));
	ASSERT_EQ(self->bars, claims(&self->dev));
	ASSERT_STREQ("write-combining", cache_mode(self->dev.start[2]) ?: "");
}

TEST_F(qxl, picture)
{
	ASSERT_TRUE(draws(&self->dev, 1));
}

TEST_F(qxl, rebind)
{
	int others = handlers(&self->dev) - 1;

	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, bind(&self->dev, "unbind"));
		ASSERT_EQ(0, attr_num(&self->dev, "enable"));
		ASSERT_EQ(0, claims(&self->dev));
		ASSERT_EQ(others, handlers(&self->dev));
		ASSERT_EQ(0, bind(&self->dev, "bind"));
		ASSERT_EQ(1, attr_num(&self->dev, "enable"));
		ASSERT_EQ(self->bars, claims(&self->dev));
		ASSERT_EQ(others + 1, handlers(&self->dev));
	}
	/* Nobody had a file, so the last of the old device has ended, too */
	ASSERT_TRUE(logged("qxl: ttm finalized"));
	ASSERT_TRUE(draws(&self->dev, 100));
}

/* Nobody has it, and nothing is left of the driver */
static bool is_free(const struct dev *dev, int others)
{
	return !attr_num(dev, "enable") && !claims(dev) && handlers(dev) == others &&
	       !cache_mode(dev->start[0]) && !cache_mode(dev->start[2]);
}

/* Unbound and bound again while a file on the old device is open */
TEST_F(qxl, open_fd)
{
	int others = handlers(&self->dev) - 1;
	struct user u;
	struct screen s;

	ASSERT_TRUE(start("card", &self->dev, &u, 2));
	ASSERT_EQ(0, bind(&self->dev, "unbind"));
	ASSERT_TRUE(stopped(&u));
	ASSERT_TRUE(is_dead(&u));
	ASSERT_TRUE(is_free(&self->dev, others));

	ASSERT_EQ(0, bind(&self->dev, "bind"));
	ASSERT_TRUE(show(&self->dev, &s, 3));
	ASSERT_TRUE(seen_by_host("card", &s, 3));
	ASSERT_TRUE(is_dead(&u));

	/* What the old file goes with is not what the new one has */
	stop(&u);
	ASSERT_EQ(1, attr_num(&self->dev, "enable"));
	ASSERT_EQ(self->bars, claims(&self->dev));
	ASSERT_EQ(others + 1, handlers(&self->dev));
	hide(&s);
	ASSERT_TRUE(draws(&self->dev, 4));
}

/* Removed while a file is open, which is closed before or after the rescan */
TEST_F(qxl, remove)
{
	struct user u;

	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(start("card", &self->dev, &u, 5 + i));
		ASSERT_EQ(0, spew(dev_path(self->dev.bdf, "remove"), "1"));
		ASSERT_TRUE(stopped(&u));
		ASSERT_TRUE(is_dead(&u));
		if (!i)
			stop(&u);
		ASSERT_EQ(0, spew("/sys/bus/pci/rescan", "1"));
		ASSERT_TRUE(wait_for_card(&self->dev, true));
		if (i)
			stop(&u);
		ASSERT_EQ(1, attr_num(&self->dev, "enable"));
		ASSERT_EQ(self->bars, claims(&self->dev));
		ASSERT_TRUE(draws(&self->dev, 7 + i));
	}
}

TEST_F(qxl, suspend)
{
	struct screen s;
	char buf[64];

	if (getenv("nosuspend"))
		SKIP(return, "after it, QEMU would not tell of a device that is unplugged");
	if (slurp("/sys/power/mem_sleep", buf, sizeof(buf)) < 0 || !strstr(buf, "deep"))
		SKIP(return, "no suspend to RAM");
	ASSERT_EQ(0, spew("/sys/power/mem_sleep", "deep"));

	ASSERT_TRUE(show(&self->dev, &s, 13));
	ASSERT_TRUE(seen_by_host("card", &s, 13));
	ASSERT_TRUE(host_does("wake"));
	ASSERT_EQ(0, spew("/sys/power/state", "mem"));
	ASSERT_TRUE(logged("Low-level resume complete"));
	ASSERT_EQ(1, attr_num(&self->dev, "enable"));
	ASSERT_EQ(self->bars, claims(&self->dev));
	ASSERT_TRUE(seen_by_host("card", &s, 13));
	hide(&s);
	ASSERT_TRUE(draws(&self->dev, 14));
}

/* One of two goes, and the other does not mind */
TEST_F(qxl, two_cards)
{
	struct screen other;
	struct dev second;
	struct user u;

	if (!find_nth(&second, &qxl, 1))
		SKIP(return, "one card only");
	ASSERT_TRUE(show(&second, &other, 15));
	ASSERT_TRUE(seen_by_host("card2", &other, 15));
	ASSERT_TRUE(start("card", &self->dev, &u, 16));
	ASSERT_EQ(2, handlers(&self->dev));
	ASSERT_EQ(0, bind(&self->dev, "unbind"));
	ASSERT_TRUE(stopped(&u));
	ASSERT_TRUE(is_free(&self->dev, 1));
	stop(&u);

	ASSERT_EQ(1, attr_num(&second, "enable"));
	ASSERT_TRUE(seen_by_host("card2", &other, 15));
	hide(&other);
	ASSERT_TRUE(show(&second, &other, 17));
	ASSERT_TRUE(seen_by_host("card2", &other, 17));
	hide(&other);
	ASSERT_EQ(0, bind(&self->dev, "bind"));
}

/*
 * Stop a device until it is reset: QEMU takes a memory slot that is not there for a bug in
 * the guest, and then does nothing of what it is told
 */
static bool stop_card(const struct dev *dev)
{
	int fd = open_bar(dev, 3);
	bool done;

	if (fd < 0)
		return false;
	done = write_at(fd, "\xff", 1, IO_MEMSLOT_ADD) == 1;
	close(fd);
	return done;
}

/* A client that draws that many lines until it cannot; @done counts */
static pid_t draw_on(const struct screen *s, int lines, volatile int *done)
{
	struct drm_clip_rect clip = { .x2 = 16, .y2 = lines };
	struct drm_mode_fb_dirty_cmd dirty = {
		.fb_id = s->fb, .clips_ptr = (uintptr_t)&clip, .num_clips = 1,
	};
	pid_t pid = fork();

	if (!pid) {
		while (!ioctl(s->fd, DRM_IOCTL_MODE_DIRTYFB, &dirty))
			++*done;
		_exit(errno == ENODEV ? 0 : errno);
	}
	return pid;
}

/* Does it stand still for two seconds, within a minute? */
static bool stands_still(const volatile int *done)
{
	for (int i = 0, last = -1, same = 0; i < 600 * SLOW; i++) {
		same = *done == last ? same + 1 : 0;
		last = *done;
		if (same == 20)
			return true;
		usleep(100000);
	}
	return false;
}

/* Has @pid ended, and well, within some seconds? */
static bool ends(pid_t pid)
{
	int status;

	for (int i = 0; i < 200 * SLOW; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) && !WEXITSTATUS(status);
		usleep(100000);
	}
	return false;
}

static bool unbinds_soon(const struct dev *dev)
{
	uint64_t begin = now_ms();
	pid_t pid = fork();
	bool ended;

	if (!pid)
		_exit(-bind(dev, "unbind"));
	ended = ends(pid);
	say("# unbind: %d ms\n", (int)(now_ms() - begin));
	return ended;
}

/*
 * One card does not answer, and a client waits for it: no unbind does, of either.  With pieces
 * as high as the screen, the client waits for memory, with small ones for room in the ring.
 */
TEST_F(qxl, stuck_card)
{
	volatile int *done;
	struct screen s;
	struct dev cards[2];
	pid_t pid;

	if (!find_nth(&cards[1], &qxl, 1))
		SKIP(return, "one card only");
	cards[0] = self->dev;
	done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, done);
	for (int first = 1; first >= 0; first--) {
		*done = 0;
		ASSERT_TRUE(show(&cards[0], &s, 18 + first));
		pid = draw_on(&s, first ? 8 : s.mode.vdisplay, done);
		for (int i = 0; i < 600 * SLOW && *done < 2; i++)
			usleep(100000);
		ASSERT_LE(2, *done);
		ASSERT_TRUE(stop_card(&cards[0]));
		ASSERT_TRUE(stands_still(done));

		ASSERT_TRUE(unbinds_soon(&cards[first]));
		ASSERT_TRUE(unbinds_soon(&cards[!first]));
		ASSERT_TRUE(ends(pid));
		hide(&s);
		/* Binding resets it */
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, bind(&cards[i], "bind"));
		ASSERT_TRUE(draws(&cards[0], 20 + first));
	}
}

/* What had the screen before is gone */
TEST_F(qxl, takes_over)
{
	char *from = getenv("firstfb");

	if (!from)
		SKIP(return, "nothing to take over from");
	ASSERT_TRUE(logged(from));
	ASSERT_FALSE(in_iomem("vesa"));
}

/* Below revision 5 the legacy ports are locked while the driver is bound */
TEST_F(qxl, vga_lock)
{
	char buf[256];

	if (attr_num(&self->dev, "revision") != 4)
		SKIP(return, "no need for the legacy ports");
	ASSERT_LT(0, slurp("/dev/vga_arbiter", buf, sizeof(buf)));
	ASSERT_NE(NULL, strstr(buf, "locks=io"));
	ASSERT_EQ(0, bind(&self->dev, "unbind"));
	ASSERT_LT(0, slurp("/dev/vga_arbiter", buf, sizeof(buf)));
	ASSERT_NE(NULL, strstr(buf, "locks=none"));
	ASSERT_EQ(0, bind(&self->dev, "bind"));
}

/* Have the host write to the device's ROM, while its address is mapped here */
static bool poke_rom(volatile uint32_t *p, uint32_t val)
{
	say("# host: poke %lx %x\n", (unsigned long)p, val);
	for (int i = 0; i < 20000 && *p != val; i++)
		for (int j = 0; j < 20000; j++)
			asm volatile("");
	return host_answers() && *p == val;
}

TEST_F(qxl, hostile_rom)
{
	const struct {
		int word;
		uint32_t value;
	} bad[] = {
		{ RAM_HEADER / 4, self->dev.len[0] - RAM_HEADER_SIZE + 1 },
		{ RAM_HEADER / 4, self->dev.len[0] - 4096 },
		{ RAM_HEADER / 4, self->dev.len[0] },
		{ RAM_HEADER / 4, 0xffffff00 },
		{ N_SURFACES / 4, 0 },
		{ SLOTS / 4, 0xffff0000 },	/* widths of 255 bits each */
	};
	volatile uint32_t *rom;
	uint32_t good = 0;
	int fd, last = ARRAY_SIZE(bad);

	ASSERT_EQ(0, bind(&self->dev, "unbind"));
	fd = open_bar(&self->dev, 2);
	ASSERT_LE(0, fd);
	for (int i = 0; i <= last; i++) {
		rom = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, rom);
		if (i && (i == last || bad[i].word != bad[i - 1].word))
			ASSERT_TRUE(poke_rom(&rom[bad[i - 1].word], good));
		if (i < last) {
			if (!i || bad[i].word != bad[i - 1].word)
				good = rom[bad[i].word];
			ASSERT_TRUE(poke_rom(&rom[bad[i].word], bad[i].value));
		}
		munmap((void *)rom, 4096);

		ASSERT_EQ(i < last ? -ENODEV : 0, bind(&self->dev, "bind"));
		ASSERT_EQ(i == last, attr_num(&self->dev, "enable"));
		ASSERT_EQ(i < last ? 0 : self->bars, claims(&self->dev));
	}
	close(fd);
}

#define ROM_MONITORS	32	/* where the ROM has the client's monitors: their CRC comes first */
#define NUM_MONITORS	64
#define IO_UPDATE_IRQ	3

struct monitor {
	uint32_t left, width, height;
};

/* The kernel's crc32(0, ...) */
static uint32_t crc32(const void *p, size_t len)
{
	const uint8_t *byte = p;
	uint32_t crc = 0;

	while (len--) {
		crc ^= *byte++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}

/* Have the ROM say that there is a client with these monitors */
static bool poke_monitors(volatile uint32_t *rom, const struct monitor *monitors, int count)
{
	uint32_t words[1 + 1 + 4 * NUM_MONITORS] = { 0, count };
	uint32_t *head = &words[2];

	for (int i = 0; i < count; i++, head += 4) {
		head[1] = monitors[i].left;
		head[2] = monitors[i].height;
		head[3] = monitors[i].left + monitors[i].width;
	}
	words[0] = crc32(&words[1], sizeof(words) - 4);
	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++)
		if (rom[ROM_MONITORS + i] != words[i] &&
		    !poke_rom(&rom[ROM_MONITORS + i], words[i]))
			return false;
	return true;
}

/* How many connectors are connected; and, unless the client says so, are none moved? */
static int connected(const struct dev *dev, const struct monitor *monitors, int count, bool *right)
{
	uint32_t conns[8];
	struct drm_mode_card_res res = {
		.connector_id_ptr = (uintptr_t)conns, .count_connectors = 8,
	};
	int n = 0, fd = open_card(dev);

	*right = !ioctl(fd, DRM_IOCTL_MODE_GETRESOURCES, &res) && res.count_connectors == 4;
	for (int i = 0; *right && i < 4; i++) {
		struct drm_mode_get_connector c = { .connector_id = conns[i] };
		uint64_t x = -1, y = -1;

		*right = !ioctl(fd, DRM_IOCTL_MODE_GETCONNECTOR, &c) &&
			 find_prop(fd, conns[i], DRM_MODE_OBJECT_CONNECTOR, "suggested X", &x) &&
			 find_prop(fd, conns[i], DRM_MODE_OBJECT_CONNECTOR, "suggested Y", &y) &&
			 x == (i < count ? monitors[i].left : 0) && !y;
		n += c.connection == 1;
	}
	close(fd);
	return n;
}

/*
 * A SPICE client with one monitor, then with two.  The driver resets the device when it is
 * bound, and that the ROM: so they come later, with an interrupt.
 */
TEST_F(qxl, client)
{
	static const struct monitor monitors[] = { { 16, 800, 600 }, { 816, 640, 480 } };
	volatile uint32_t *rom, *ram;
	bool right = false;
	int fd[4];

	ASSERT_EQ(0, bind(&self->dev, "unbind"));
	for (int bar = 0; bar < 4; bar++)
		fd[bar] = open_bar(&self->dev, bar);
	/* Before the driver has them: it would not share them after */
	rom = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd[2], 0);
	ASSERT_NE(MAP_FAILED, rom);
	ram = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd[0], rom[RAM_HEADER / 4]);
	ASSERT_NE(MAP_FAILED, ram);
	ASSERT_EQ(0, bind(&self->dev, "bind"));

	for (int count = 1; count <= 2; count++) {
		int n = 0;

		ASSERT_TRUE(poke_monitors(rom, monitors, count));
		ram[1] |= 1 << 5;	/* int_pending, client_monitors_config */
		ASSERT_EQ(1, write_at(fd[3], "", 1, IO_UPDATE_IRQ));
		for (int i = 0; i < 50 * SLOW && !(right && n == count); i++) {
			usleep(100000);
			n = connected(&self->dev, monitors, count, &right);
		}
		ASSERT_EQ(count, n);
		ASSERT_TRUE(right);
		right = false;
	}

	ASSERT_EQ(0, bind(&self->dev, "unbind"));
	munmap((void *)rom, 4096);
	munmap((void *)ram, 4096);
	for (int bar = 0; bar < 4; bar++)
		close(fd[bar]);
	ASSERT_EQ(0, bind(&self->dev, "bind"));
	ASSERT_EQ(1, connected(&self->dev, NULL, 0, &right));
	ASSERT_TRUE(right);
	ASSERT_TRUE(draws(&self->dev, 22));
}

/* A RAM header that ends where the BAR does is fine, though not where QEMU has it */
TEST_F(qxl, edge_rom)
{
	volatile uint32_t *rom;
	uint32_t good;
	int fd;

	if (!getenv("edge_rom"))
		SKIP(return, "for one device only, as the driver waits 10 s for it");
	ASSERT_EQ(0, bind(&self->dev, "unbind"));
	fd = open_bar(&self->dev, 2);
	ASSERT_LE(0, fd);
	for (int i = 0; i < 2; i++) {
		rom = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, rom);
		if (!i)
			good = rom[RAM_HEADER / 4];
		ASSERT_TRUE(poke_rom(&rom[RAM_HEADER / 4],
				     i ? good : self->dev.len[0] - RAM_HEADER_SIZE));
		munmap((void *)rom, 4096);
		ASSERT_EQ(0, bind(&self->dev, "bind"));
		if (!i)
			ASSERT_EQ(0, bind(&self->dev, "unbind"));
	}
	close(fd);
}

/* The host takes the device away, brings another, and takes that.  Last: none is left. */
TEST_F_TIMEOUT(qxl, unplug, 150)
{
	struct user u[2];

	if (!getenv("pluggable"))
		SKIP(return, "the device cannot be unplugged here");
	ASSERT_TRUE(start("card", &self->dev, &u[0], 9));
	ASSERT_TRUE(host_does("unplug card"));
	ASSERT_TRUE(wait_for_card(&self->dev, false));
	ASSERT_TRUE(stopped(&u[0]));
	ASSERT_TRUE(is_dead(&u[0]));

	/* Not in the same place, which QEMU does not give back */
	ASSERT_TRUE(host_does("plug spare"));
	ASSERT_TRUE(wait_for_card(&self->dev, true));
	stop(&u[0]);
	ASSERT_EQ(1, attr_num(&self->dev, "enable"));
	ASSERT_EQ(self->bars, claims(&self->dev));

	ASSERT_TRUE(start("spare", &self->dev, &u[1], 10));
	ASSERT_TRUE(host_does("unplug spare"));
	ASSERT_TRUE(wait_for_card(&self->dev, false));
	ASSERT_TRUE(stopped(&u[1]));
	ASSERT_TRUE(is_dead(&u[1]));
	stop(&u[1]);
}

static int run_on(int cpu)
{
	unsigned long mask = 1UL << cpu;

	return syscall(__NR_sched_setaffinity, 0, sizeof(mask), &mask) < 0 ? -errno : 0;
}

FIXTURE(vmwgfx) {
	struct dev dev;
};

/* On QEMU, probe ends with -ENOSYS after it has used the FIFO: no pitchlock */
FIXTURE_SETUP(vmwgfx)
{
	if (!find(&self->dev, &vmwgfx))
		SKIP(return, "no vmwgfx device");
	ASSERT_FALSE(is_driven(&self->dev));
	ASSERT_EQ(0, attr_num(&self->dev, "enable"));
	ASSERT_EQ(0, claims(&self->dev));
}

FIXTURE_TEARDOWN(vmwgfx) { }

TEST_F(vmwgfx, claims)
{
	int mask = 0, status;
	pid_t pid;

	/* Slow the probe down at each line it logs, to look at it half way */
	ASSERT_EQ(0, spew("/proc/sys/kernel/printk_delay", "100"));
	pid = fork();
	ASSERT_LE(0, pid);
	/* It does not sleep meanwhile, so not on one CPU */
	ASSERT_EQ(0, run_on(pid ? 0 : 1));
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

/* Neither FIFO nor VRAM is larger than its BAR, or smaller without need */
TEST_F(vmwgfx, sizes)
{
	char line[128];

	snprintf(line, sizeof(line), "VRAM = %u KiB, FIFO = %u KiB",
		 (unsigned int)(self->dev.len[1] / 1024), (unsigned int)(self->dev.len[2] / 1024));
	ASSERT_TRUE(logged(line));
	snprintf(line, sizeof(line), "FIFO at 0x%016lx size is %u KiB",
		 (unsigned long)self->dev.start[2], (unsigned int)(self->dev.len[2] / 1024));
	ASSERT_TRUE(logged(line));
	snprintf(line, sizeof(line), "VRAM at 0x%016lx size is %u KiB",
		 (unsigned long)self->dev.start[1], (unsigned int)(self->dev.len[1] / 1024));
	ASSERT_TRUE(logged(line));
}

/* Last, so that it sees what the others left */
FIXTURE(afterwards) { };
FIXTURE_SETUP(afterwards) { }
FIXTURE_TEARDOWN(afterwards) { }

TEST_F(afterwards, no_leaks)
{
	static const char object[] = "unreferenced object";
	static char buf[1 << 20];
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
		if (strstr(p, "ttm_pool_type_init"))
			continue;
		/* sysfb_disable() keeps a reference to the firmware framebuffer's device */
		if (getenv("firstfb") && strstr(p, "pci_scan_single_device"))
			continue;
		EXPECT_EQ(NULL, p) TH_LOG("%s", p);
	}
}
