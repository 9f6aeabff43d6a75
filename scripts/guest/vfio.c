// SPDX-License-Identifier: GPL-2.0
/*
 * A BAR of several GiB mapped by vfio-pci, behind the IOMMU that host/tests.py adds: what
 * mm does to its leaves.  It has nothing of the series but the fixes of mm in it.
 */

#include "leaves.h"
#include "vfio.h"

static struct vfio vfio;

FIXTURE(vfio) {
	struct leaves leaves;
};

FIXTURE_SETUP(vfio)
{
	ASSERT_TRUE(open_vfio(&vfio, HIGH)) TH_LOG("errno %d", errno);
	self->leaves.fd = vfio.device;
	self->leaves.off = region_offset(&vfio, VFIO_PCI_BAR2_REGION_INDEX);
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
	uint64_t off = region_offset(&vfio, VFIO_PCI_CONFIG_REGION_INDEX) + PCI_COMMAND;
	uint16_t on, none;

	if (read_at(vfio.device, &on, sizeof(on), off) != sizeof(on))
		return false;
	none = on & ~PCI_COMMAND_MEMORY;
	if (write_at(vfio.device, &none, sizeof(none), off) != sizeof(none))
		return false;
	usleep(500);
	if (write_at(vfio.device, &on, sizeof(on), off) != sizeof(on))
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
	const uint64_t iova = 64 * PUD;	/* behind what is reserved */
	struct leaves *l = &self->leaves;
	size_t size = l->len - 2 * PMD;

	ASSERT_TRUE(map_leaves(l));
	EXPECT_EQ(0, map_dma(&vfio, l->map + PMD, size, iova));
	EXPECT_EQ(size, unmap_dma(&vfio, size, iova));
	munmap(l->map, l->len);
}
