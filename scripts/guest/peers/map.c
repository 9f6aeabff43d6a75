// SPDX-License-Identifier: GPL-2.0
/*
 * Maps /dev/fb0 and a dumb buffer of /dev/dri/card0, and writes to both of them until it
 * gets SIGTERM.  SIGBUS is allowed, and counted.  In the end it says what the calls that
 * ask the device for something return then.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <drm/drm.h>
#include <drm/drm_mode.h>

static sigjmp_buf again;
static volatile sig_atomic_t ended, faults;

static void on_bus(int sig)
{
	faults++;
	siglongjmp(again, 1);
}

static void on_term(int sig)
{
	ended = 1;
}

static void *map_dumb(int card, size_t *size)
{
	struct drm_mode_create_dumb create = { .width = 1024, .height = 768, .bpp = 32 };
	struct drm_mode_map_dumb map = { };

	if (ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &create))
		return MAP_FAILED;
	map.handle = create.handle;
	if (ioctl(card, DRM_IOCTL_MODE_MAP_DUMB, &map))
		return MAP_FAILED;
	*size = create.size;
	return mmap(NULL, create.size, PROT_READ | PROT_WRITE, MAP_SHARED, card, map.offset);
}

static const char *error_of(int ret)
{
	return ret < 0 ? strerror(errno) : "no error";
}

int main(int argc, char **argv)
{
	struct drm_mode_create_dumb create = { .width = 64, .height = 64, .bpp = 32 };
	int fb = open("/dev/fb0", O_RDWR), card = open(argc > 1 ? argv[1] : "/dev/dri/card0", O_RDWR);
	struct fb_fix_screeninfo fix;
	static uint8_t value;
	size_t sizes[2];
	void *maps[2];

	if (fb < 0 || card < 0 || ioctl(fb, FBIOGET_FSCREENINFO, &fix)) {
		perror("fb0 or card0");
		return 1;
	}
	sizes[0] = fix.smem_len;
	maps[0] = mmap(NULL, sizes[0], PROT_READ | PROT_WRITE, MAP_SHARED, fb, 0);
	maps[1] = map_dumb(card, &sizes[1]);
	if (maps[0] == MAP_FAILED || maps[1] == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	signal(SIGBUS, on_bus);
	signal(SIGTERM, on_term);
	printf("mapped\n");
	fflush(stdout);
	sigsetjmp(again, 1);
	while (!ended) {
		value++;
		/* In turns, so that a fault in one does not end the use of the other. */
		memset(maps[value & 1], value, sizes[value & 1]);
		usleep(20000);
	}
	printf("SIGBUS: %s\n", faults ? "yes" : "no");
	printf("ioctl: %s\n", error_of(ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &create)));
	return 0;
}
