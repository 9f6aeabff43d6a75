/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A device that vfio-pci gives to this program, behind an IOMMU
 */

#ifndef GUEST_VFIO_H
#define GUEST_VFIO_H

#include "guest.h"

#include <linux/pci_regs.h>
#include <linux/vfio.h>

struct vfio {
	int container, device;
};

/* The number of the device's group: -1 if there is no IOMMU */
static int group_of(const char *dev)
{
	char link[128] = "", *name;

	readlink(dev_path(dev, "iommu_group"), link, sizeof(link) - 1);
	name = strrchr(link, '/');
	return name ? atoi(name + 1) : -1;
}

static bool open_vfio(struct vfio *vfio, const char *dev)
{
	char path[32];
	int group;

	if (spew(dev_path(dev, "driver_override"), "vfio-pci") ||
	    spew("/sys/bus/pci/drivers_probe", dev))
		return false;
	snprintf(path, sizeof(path), "/dev/vfio/%d", group_of(dev));
	group = open(path, O_RDWR);
	vfio->container = open("/dev/vfio/vfio", O_RDWR);
	if (group < 0 || vfio->container < 0 ||
	    ioctl(group, VFIO_GROUP_SET_CONTAINER, &vfio->container) ||
	    ioctl(vfio->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return false;
	vfio->device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, dev);
	return vfio->device >= 0;
}

static uint64_t region_offset(const struct vfio *vfio, unsigned int index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	return ioctl(vfio->device, VFIO_DEVICE_GET_REGION_INFO, &info) ? -1ULL : info.offset;
}

/* Have the device read and write @map at @iova. */
static int map_dma(const struct vfio *vfio, const void *map, size_t size, uint64_t iova)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)map, .iova = iova, .size = size,
	};

	return ioctl(vfio->container, VFIO_IOMMU_MAP_DMA, &arg) ? -errno : 0;
}

/* Returns how much was mapped there. */
static uint64_t unmap_dma(const struct vfio *vfio, size_t size, uint64_t iova)
{
	struct vfio_iommu_type1_dma_unmap arg = {
		.argsz = sizeof(arg), .iova = iova, .size = size,
	};

	return ioctl(vfio->container, VFIO_IOMMU_UNMAP_DMA, &arg) ? 0 : arg.size;
}

#endif
