// SPDX-License-Identifier: GPL-2.0
/*
 * Map a BAR with pci_shmem_bar_map() for as long as the module is loaded.
 * Loading it returns the helper's own error.
 */

#include <linux/err.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-shmem-bar.h>

static char *dev = "";
module_param(dev, charp, 0);
MODULE_PARM_DESC(dev, "name of the PCI device, as in 0000:00:05.0");

static int bar = 2;
module_param(bar, int, 0);
MODULE_PARM_DESC(bar, "BAR index");

static ulong min_len;
module_param(min_len, ulong, 0);
MODULE_PARM_DESC(min_len, "shortest BAR accepted, in bytes");

static ulong flags = MEMREMAP_WB;
module_param(flags, ulong, 0);
MODULE_PARM_DESC(flags, "MEMREMAP_ flags");

static struct pci_shmem_bar *shm;

static int __init claim_init(void)
{
	struct device *found __free(put_device) =
		bus_find_device_by_name(&pci_bus_type, NULL, dev);

	if (!found)
		return -ENODEV;
	shm = pci_shmem_bar_map(to_pci_dev(found), bar, min_len, flags, KBUILD_MODNAME);
	return PTR_ERR_OR_ZERO(shm);
}
module_init(claim_init);

static void __exit claim_exit(void)
{
	pci_shmem_bar_unmap(shm);
}
module_exit(claim_exit);

MODULE_DESCRIPTION("Claims a PCI BAR, for the boot test");
MODULE_LICENSE("GPL");
