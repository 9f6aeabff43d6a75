// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to map a BAR and to unmap it, through the helper and by hand.
 * Loading the module does all of it; its parameters then say what came of it.
 */

#include <linux/device/devres.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-shmem-bar.h>
#include <linux/timex.h>
#include <linux/vmalloc.h>

#define BAR	2
#define BY_HAND	(MEMREMAP_WB | MEMREMAP_DEC)

static char *dev = "";
module_param(dev, charp, 0);
MODULE_PARM_DESC(dev, "name of the PCI device, as in 0000:00:05.0; no driver may be bound to it");

static uint rounds = 1;
module_param(rounds, uint, 0);
MODULE_PARM_DESC(rounds, "how often; what counts is the least");

static bool cycles;
module_param(cycles, bool, 0);
MODULE_PARM_DESC(cycles, "in cycles instead of nanoseconds");

static u64 now(void)
{
	return cycles ? get_cycles() : ktime_get_ns();
}

/* What is managed is undone with its devres group, as it is when a driver is detached. */
static void *managed(struct pci_dev *pdev, void *addr)
{
	if (IS_ERR_OR_NULL(addr)) {
		devres_release_group(&pdev->dev, NULL);
		return NULL;
	}
	return addr;
}

static void managed_unmap(struct pci_dev *pdev, void *addr)
{
	devres_release_group(&pdev->dev, NULL);
}

static void *helper_map(struct pci_dev *pdev)
{
	struct pci_shmem_bar *shm = pci_shmem_bar_map(pdev, BAR, 0, MEMREMAP_WB, KBUILD_MODNAME);

	return IS_ERR(shm) ? NULL : shm;
}

static void helper_unmap(struct pci_dev *pdev, void *shm)
{
	pci_shmem_bar_unmap(shm);
}

static void *hand_map(struct pci_dev *pdev)
{
	void *addr;

	if (pci_request_region(pdev, BAR, KBUILD_MODNAME))
		return NULL;
	addr = memremap(pci_resource_start(pdev, BAR), pci_resource_len(pdev, BAR), BY_HAND);
	if (!addr)
		pci_release_region(pdev, BAR);
	return addr;
}

static void hand_unmap(struct pci_dev *pdev, void *addr)
{
	memunmap(addr);
	pci_release_region(pdev, BAR);
}

static void *pcim_helper_map(struct pci_dev *pdev)
{
	if (!devres_open_group(&pdev->dev, NULL, GFP_KERNEL))
		return NULL;
	return managed(pdev, pcim_shmem_bar_map(pdev, BAR, 0, MEMREMAP_WB, KBUILD_MODNAME));
}

static void *devm_map(struct pci_dev *pdev)
{
	resource_size_t start = pci_resource_start(pdev, BAR);
	resource_size_t len = pci_resource_len(pdev, BAR);
	void *addr = NULL;

	if (!devres_open_group(&pdev->dev, NULL, GFP_KERNEL))
		return NULL;
	if (devm_request_mem_region(&pdev->dev, start, len, KBUILD_MODNAME))
		addr = devm_memremap(&pdev->dev, start, len, BY_HAND);
	return managed(pdev, addr);
}

static void *pcim_iomap_region_map(struct pci_dev *pdev)
{
	if (!devres_open_group(&pdev->dev, NULL, GFP_KERNEL))
		return NULL;
	return managed(pdev, (void __force *)pcim_iomap_region(pdev, BAR, KBUILD_MODNAME));
}

static const struct {
	void *(*map)(struct pci_dev *pdev);
	void (*unmap)(struct pci_dev *pdev, void *mapped);
} ways[] = {
	{ helper_map, helper_unmap },
	{ hand_map, hand_unmap },
	{ pcim_helper_map, managed_unmap },
	{ devm_map, managed_unmap },
	{ pcim_iomap_region_map, managed_unmap },
};

static ullong least[ARRAY_SIZE(ways)] = { [0 ... ARRAY_SIZE(ways) - 1] = ULLONG_MAX };
module_param_array(least, ullong, NULL, 0444);
MODULE_PARM_DESC(least, "to map and unmap: helper, by hand; managed: helper, devm_memremap(), pcim_iomap_region()");

static int __init timing_init(void)
{
	struct device *found __free(put_device) =
		bus_find_device_by_name(&pci_bus_type, NULL, dev);
	struct pci_dev *pdev;
	void *mapped;
	uint i, way;
	u64 start;

	if (!found)
		return -ENODEV;
	pdev = to_pci_dev(found);
	for (i = 0; i < rounds; i++) {
		for (way = 0; way < ARRAY_SIZE(ways); way++) {
			/* What was unmapped before would be freed at any time. */
			vm_unmap_aliases();
			start = now();
			mapped = ways[way].map(pdev);
			if (!mapped)
				return -EIO;
			ways[way].unmap(pdev, mapped);
			least[way] = min(least[way], now() - start);
		}
		cond_resched();
	}
	return 0;
}
module_init(timing_init);

static void __exit timing_exit(void)
{
}
module_exit(timing_exit);

MODULE_DESCRIPTION("What mapping a PCI BAR costs, for the benchmark");
MODULE_LICENSE("GPL");
