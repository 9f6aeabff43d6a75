// SPDX-License-Identifier: GPL-2.0
/*
 * A BAR of several GiB mapped by vfio-pci, behind the IOMMU that host/tests.py adds: what
 * mm does to its leaves.  It has nothing of the series but the fixes of mm in it.
 */

#include "leaves.h"

#include <linux/pci_regs.h>
#include <linux/vfio.h>

static int device, container;

static uint64_t region_offset(unsigned int index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	return ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) ? -1ULL : info.offset;
}

/* The number of the device's group: -1 if there is no IOMMU */
static int group_of(const char *dev)
{
	char link[128] = "", *name;

	readlink(dev_path(dev, "iommu_group"), link, sizeof(link) - 1);
	name = strrchr(link, '/');
	return name ? atoi(name + 1) : -1;
}

static int open_device(const char *dev)
{
	char path[32];
	int group;

	if (spew(dev_path(dev, "driver_override"), "vfio-pci") || spew("/sys/bus/pci/drivers_probe", dev))
		return -1;
	snprintf(path, sizeof(path), "/dev/vfio/%d", group_of(dev));
	group = open(path, O_RDWR);
	container = open("/dev/vfio/vfio", O_RDWR);
	if (group < 0 || container < 0 ||
	    ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -1;
	return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, dev);
}

FIXTURE(vfio) {
	struct leaves leaves;
};

FIXTURE_SETUP(vfio)
{
	device = open_device(HIGH);
	ASSERT_GE(device, 0) TH_LOG("errno %d", errno);
	self->leaves.fd = device;
	self->leaves.off = region_offset(VFIO_PCI_BAR2_REGION_INDEX);
	self->leaves.len = bar_size(HIGH);
	ASSERT_TRUE(open_leaves(&self->leaves));
}

FIXTURE_TEARDOWN(vfio)
{
	munmap(self->leaves.pages, self->leaves.len);
}

/* 1 GiB each, or 2 MiB where the processor has no larger ones */
TEST_F(vfio, faults)
{
	struct leaves *l = &self->leaves;
	size_t leaf = has_1g_pages() ? PUD : PMD, pos;
	long before = faults();

	ASSERT_TRUE(map_leaves(l));
	for (pos = 0; pos < l->len; pos += PMD)
		(void)word_of(l->map + pos);
	EXPECT_EQ(l->len / leaf, faults() - before);
	EXPECT_TRUE(is_right(l));
	munmap(l->map, l->len);
}

TEST_F(vfio, split)
{
	EXPECT_TRUE(split_leaves(&self->leaves));
}

TEST_F(vfio, keep)
{
	EXPECT_TRUE(keep_leaves(&self->leaves));
}

TEST_F(vfio, split_while_touched)
{
	EXPECT_TRUE(split_while_touched(&self->leaves));
}

/* vfio-pci unmaps everything when the device is told not to answer, and SIGBUS is what comes then. */
static bool memory_off_and_on(void)
{
	uint64_t off = region_offset(VFIO_PCI_CONFIG_REGION_INDEX) + PCI_COMMAND;
	uint16_t on, none;

	if (read_at(device, &on, sizeof(on), off) != sizeof(on))
		return false;
	none = on & ~PCI_COMMAND_MEMORY;
	if (write_at(device, &none, sizeof(none), off) != sizeof(none))
		return false;
	usleep(500);
	if (write_at(device, &on, sizeof(on), off) != sizeof(on))
		return false;
	usleep(2000);
	return true;
}

TEST_F(vfio, split_while_memory_is_off)
{
	EXPECT_TRUE(split_while_taken(&self->leaves, 50, memory_off_and_on));
}

/* What the IOMMU is to map: follow_pfnmap_start() meets leaves. */
TEST_F(vfio, dma_map)
{
	struct leaves *l = &self->leaves;
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = 64 * PUD, .size = l->len - 2 * PMD,	/* behind what is reserved */
	};
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = map.iova, .size = map.size,
	};

	ASSERT_TRUE(map_leaves(l));
	map.vaddr = (uintptr_t)l->map + PMD;
	EXPECT_EQ(0, ioctl(container, VFIO_IOMMU_MAP_DMA, &map)) TH_LOG("errno %d", errno);
	EXPECT_EQ(0, ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap));
	EXPECT_EQ(unmap.size, map.size);
	munmap(l->map, l->len);
}
