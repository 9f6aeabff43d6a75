// SPDX-License-Identifier: GPL-2.0
/*
 * A device that does DMA, QEMU's edu, behind an IOMMU: into the sample's memory, as user space
 * has mapped it; and while KUnit's PCI buses in software come and go, which are no device's.
 *
 * edu is at ff:00.0 of domain 0, where the buses in software have a device in their own.
 */

#include "vfio.h"

#define EDU	"0000:ff:00.0"

/* Its registers, and the buffer it copies from and to */
#define EDU_SRC		0x80
#define EDU_DST		0x88
#define EDU_COUNT	0x90
#define EDU_CMD		0x98
#define EDU_BUFFER	0x40000
#define EDU_START	1
#define EDU_TO_MEMORY	2

/* It has 28 address bits */
#define IOVA		(1UL << 20)
#define LEN		512UL

static struct vfio edu;
static volatile uint32_t *regs;

static bool open_edu(void)
{
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	if (!open_vfio(&edu, EDU))
		return false;
	if (write_at(edu.device, &command, sizeof(command),
		     region_offset(&edu, VFIO_PCI_CONFIG_REGION_INDEX) + PCI_COMMAND) != sizeof(command))
		return false;
	regs = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, edu.device,
		    region_offset(&edu, VFIO_PCI_BAR0_REGION_INDEX));
	return regs != MAP_FAILED;
}

static bool copy(uint64_t src, uint64_t dst, uint32_t cmd)
{
	int i;

	regs[EDU_SRC / 4] = src;
	regs[EDU_DST / 4] = dst;
	regs[EDU_COUNT / 4] = LEN;
	regs[EDU_CMD / 4] = cmd | EDU_START;
	/* It takes its time: 100 ms */
	for (i = 0; i < 2000 && regs[EDU_CMD / 4] & EDU_START; i++)
		usleep(1000);
	return !(regs[EDU_CMD / 4] & EDU_START);
}

/* Does what is at the beginning of @buf arrive behind it, by way of the device? */
static bool dma_works(char *buf)
{
	static unsigned char first;
	char *copied = buf + PAGE;
	unsigned int i;

	for (i = 0; i < LEN; i++)
		buf[i] = first + i;
	first++;
	memset(copied, 0, LEN);
	return copy(IOVA, EDU_BUFFER, 0) &&
	       copy(EDU_BUFFER, IOVA + PAGE, EDU_TO_MEMORY) &&
	       !memcmp(buf, copied, LEN);
}

FIXTURE(iommu) {
	char *buf;
};

FIXTURE_SETUP(iommu)
{
	ASSERT_TRUE(open_edu()) TH_LOG("errno %d", errno);
}

FIXTURE_TEARDOWN(iommu)
{
	EXPECT_EQ(2 * PAGE, unmap_dma(&edu, 2 * PAGE, IOVA));
	munmap(self->buf, 2 * PAGE);
	munmap((void *)regs, PAGE);
	close(edu.device);
	close(edu.container);
}

/* The sample's memory, opened, for the device */
static int map_for_edu(char **buf)
{
	int fd;

	modprobe(DRIVER);
	fd = open(dev_path(HIGH, "shmem"), O_RDWR);
	*buf = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return *buf == MAP_FAILED || map_dma(&edu, *buf, 2 * PAGE, IOVA) ? -1 : fd;
}

/* Pages that nobody has touched: the IOMMU needs them writable at once. */
TEST_F(iommu, dma_to_sample)
{
	char dump[2 * PAGE];
	int fd = map_for_edu(&self->buf);

	ASSERT_TRUE(is_bound(HIGH));
	ASSERT_GE(fd, 0) TH_LOG("errno %d", errno);
	EXPECT_TRUE(dma_works(self->buf));
	EXPECT_EQ(sizeof(dump), read_at(fd, dump, sizeof(dump), 0) + read_at(fd, dump + PAGE, PAGE, PAGE));
	EXPECT_EQ(0, memcmp(dump, dump + PAGE, LEN));
	close(fd);
}

/* VFIO does not notice that the pages are not this program's any more. */
TEST_F(iommu, dma_after_unbind)
{
	char dump[LEN];
	unsigned int i;
	int fd = map_for_edu(&self->buf);

	ASSERT_GE(fd, 0) TH_LOG("errno %d", errno);
	close(fd);
	for (i = 0; i < LEN; i++)
		self->buf[i] = 3 * i;
	memset(self->buf + PAGE, 0, LEN);

	ASSERT_EQ(0, unbind_driver(HIGH));
	EXPECT_TRUE(copy(IOVA, EDU_BUFFER, 0));
	EXPECT_TRUE(copy(EDU_BUFFER, IOVA + PAGE, EDU_TO_MEMORY));
	ASSERT_EQ(0, bind_driver(HIGH));

	fd = open(dev_path(HIGH, "shmem"), O_RDWR);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(LEN, read_at(fd, dump, LEN, PAGE));
	for (i = 0; i < LEN; i++)
		ASSERT_EQ((char)(3 * i), dump[i]) TH_LOG("at %u", i);
	close(fd);
}

TEST_F(iommu, software_bus)
{
	static const char * const modules[] = { "pci_kunit", "pci_shmem_bar_bus_kunit" };
	unsigned int i;

	self->buf = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->buf);
	ASSERT_EQ(0, map_dma(&edu, self->buf, 2 * PAGE, IOVA));
	ASSERT_TRUE(dma_works(self->buf));
	for (i = 0; i < ARRAY_SIZE(modules); i++) {
		int status;
		pid_t pid = fork();

		if (!pid)
			_exit(modprobe(modules[i]));
		/* The suites run while the module is loaded. */
		do {
			ASSERT_TRUE(dma_works(self->buf)) TH_LOG("while %s runs", modules[i]);
		} while (!waitpid(pid, &status, WNOHANG));
		ASSERT_EQ(0, status);
		EXPECT_TRUE(dma_works(self->buf)) TH_LOG("after %s", modules[i]);
	}
}
