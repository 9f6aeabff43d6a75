/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs have in common that use one device, at a place of its own
 */

#ifndef ONE_DEVICE_H
#define ONE_DEVICE_H

#include "guest.h"

/* Where host/ puts the device */
#define DEV		"0000:00:05.0"

static int open_shmem(void)
{
	int fd = open(dev_path(DEV, "shmem"), O_RDWR);

	return fd < 0 ? -errno : fd;
}

static void *map_shmem(int fd, size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

#endif
