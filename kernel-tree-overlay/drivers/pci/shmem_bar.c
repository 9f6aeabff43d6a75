// SPDX-License-Identifier: GPL-2.0
/*
 * PCI BARs that are memory shared with another party
 */

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/cleanup.h>
#include <linux/device/devres.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/pci-shmem-bar.h>
#include <linux/slab.h>
#include <linux/types.h>

#include "pci.h"

/**
 * DOC: shared-memory BARs
 *
 * Some BARs hold no registers but memory that the driver shares with a
 * hypervisor, another guest or the device's firmware. A &struct pci_shmem_bar
 * combines the claim on such a BAR with its mapping, so that both are always
 * undone together and in the right order.
 *
 * Who owns the object decides how it ends. Most drivers leave it to
 * pcim_shmem_bar_map(), which gives it to the device's devres list, and so it
 * ends when the driver is detached::
 *
 *	ret = pcim_enable_device(pdev);
 *	if (ret)
 *		return ret;
 *
 *	shm = pcim_shmem_bar_map(pdev, 2, SZ_4K, MEMREMAP_WB, KBUILD_MODNAME);
 *	if (IS_ERR(shm))
 *		return PTR_ERR(shm);
 *
 * pci_shmem_bar_map() gives it to the caller, who leaves it to the end of a
 * scope, ends it with pci_shmem_bar_unmap(), or hands it over to devres. So a
 * function can look into the memory before it keeps the BAR::
 *
 *	struct pci_shmem_bar *shm __free(pci_shmem_bar_unmap) =
 *		pci_shmem_bar_map(pdev, 2, SZ_4K, MEMREMAP_WB, KBUILD_MODNAME);
 *	if (IS_ERR(shm))
 *		return PTR_ERR(shm);
 *
 *	hdr = shm->addr;
 *	if (READ_ONCE(hdr->version) != MY_VERSION)
 *		return -ENODEV;
 *
 *	priv->shm = shm;
 *	return pcim_shmem_bar_adopt(no_free_ptr(shm));
 *
 * Whoever owns it, **a mapped BAR is unmapped before the driver's .remove
 * returns**, or by devres right after. A reference on the &struct pci_dev does
 * not help to keep it longer: when the device is removed, the PCI core takes the
 * BAR out of the resource tree, with the claim still under it. Releasing the
 * claim later does not find it, or finds the one of a new binding, which has the
 * same address.
 *
 * The device must be enabled before its BAR is mapped, and a resizable BAR must
 * have its final size before that: pci_resize_resource() returns -EBUSY as long
 * as memory decode is on.
 */

/* What pci_request_region() and memremap() would let through is caught here. */
static int pci_shmem_bar_check(struct pci_dev *pdev, int bar, size_t min_len,
			       unsigned long flags)
{
	const struct resource *res;
	resource_size_t len;

	if (bar < 0 || bar >= PCI_STD_NUM_BARS)
		return -EINVAL;

	/* Of several modes, the caller would not know which one it got. */
	if (flags != MEMREMAP_WB && flags != MEMREMAP_WC)
		return -EINVAL;

	res = pci_resource_n(pdev, bar);
	len = pci_resource_len(pdev, bar);
	if (!len)
		return -ENXIO;

	if (resource_type(res) == IORESOURCE_IO)
		return -EINVAL;

	if (resource_type(res) != IORESOURCE_MEM ||
	    res->flags & IORESOURCE_UNSET || !resource_assigned(res))
		return -ENXIO;

	if (overflows_type(len, size_t))
		return -EFBIG;

	if (len < min_len)
		return -EINVAL;

	return 0;
}

/*
 * Can the architecture map a BAR so that it may be accessed as ordinary memory?
 * memremap() does not ask: where there is nothing better, it ends up with plain
 * ioremap(). That is for registers, so memcpy() may fault on it, or it is no
 * pointer at all.
 */
static bool pci_shmem_bar_can_map(unsigned long flags)
{
	if (flags & MEMREMAP_WB) {
#if defined(arch_memremap_wb) || defined(ioremap_cache)
		return true;
#else
		return false;
#endif
	}

	/*
	 * All architectures have an ioremap_wc(), but that of asm-generic,
	 * which is also m68k's and that of RISC-V without MMU, and those of
	 * Alpha, C-SKY, PA-RISC and sparc64 map like ioremap(). On s390 only
	 * special instructions can access what it returns, and on 32-bit
	 * PowerPC, memcpy() uses dcbz, which wants cacheable memory.
	 */
	return IS_ENABLED(CONFIG_ARM) || IS_ENABLED(CONFIG_ARM64) ||
	       IS_ENABLED(CONFIG_LOONGARCH) || IS_ENABLED(CONFIG_MIPS) ||
	       IS_ENABLED(CONFIG_PPC64) || IS_ENABLED(CONFIG_X86) ||
	       (IS_ENABLED(CONFIG_RISCV) && IS_ENABLED(CONFIG_MMU));
}

VISIBLE_IF_KUNIT void *pci_shmem_bar_remap(resource_size_t start, size_t len,
					   unsigned long flags)
{
	KUNIT_STATIC_STUB_REDIRECT(pci_shmem_bar_remap, start, len, flags);

	if (!pci_shmem_bar_can_map(flags))
		return ERR_PTR(-EOPNOTSUPP);

	return memremap(start, len, flags);
}
EXPORT_SYMBOL_IF_KUNIT(pci_shmem_bar_remap);

VISIBLE_IF_KUNIT void pci_shmem_bar_unremap(void *addr)
{
	KUNIT_STATIC_STUB_REDIRECT(pci_shmem_bar_unremap, addr);

	memunmap(addr);
}
EXPORT_SYMBOL_IF_KUNIT(pci_shmem_bar_unremap);

/**
 * pci_shmem_bar_map - Unmanaged pcim_shmem_bar_map()
 * @pdev: PCI device, enabled
 * @bar: BAR index, 0 to PCI_STD_NUM_BARS - 1
 * @min_len: shortest BAR the caller can work with, in bytes; 0 for any
 * @flags: as for pcim_shmem_bar_map()
 * @name: owner to show in /proc/iomem; not copied, so it must live until the
 *	  BAR is unmapped
 *
 * The caller has to unmap the BAR, or hand it over with pcim_shmem_bar_adopt(),
 * before the driver's .remove returns.
 *
 * Context: May sleep.
 *
 * Return: the mapped BAR, to be undone with pci_shmem_bar_unmap(), or an
 * ERR_PTR() as for pcim_shmem_bar_map(); never NULL
 */
struct pci_shmem_bar *pci_shmem_bar_map(struct pci_dev *pdev, int bar,
					size_t min_len, unsigned long flags,
					const char *name)
{
	int ret;

	ret = pci_shmem_bar_check(pdev, bar, min_len, flags);
	if (ret)
		return ERR_PTR(ret);

	struct pci_shmem_bar *shm __free(kfree) = kzalloc_obj(*shm);
	if (!shm)
		return ERR_PTR(-ENOMEM);

	shm->pdev = pdev;
	shm->phys_start = pci_resource_start(pdev, bar);
	shm->len = pci_resource_len(pdev, bar);
	shm->bar = bar;

	ret = pci_request_region(pdev, bar, name);
	if (ret)
		return ERR_PTR(ret);

	/*
	 * Without MEMREMAP_DEC, a write-back mapping is encrypted in an x86
	 * guest with encrypted memory, and the two parties do not see what the
	 * other writes.
	 */
	shm->addr = pci_shmem_bar_remap(shm->phys_start, shm->len,
					flags | MEMREMAP_DEC);
	if (IS_ERR_OR_NULL(shm->addr)) {
		pci_release_region(pdev, bar);
		return shm->addr ? ERR_CAST(shm->addr) : ERR_PTR(-ENOMEM);
	}

	return_ptr(shm);
}
EXPORT_SYMBOL_GPL(pci_shmem_bar_map);

/**
 * pci_shmem_bar_unmap - Undo pci_shmem_bar_map()
 * @shm: mapped BAR, owned by the caller; NULL and ERR_PTR() are ignored
 *
 * Unmap the BAR, release the claim on it and free @shm. Nobody may use @shm or
 * the memory any more, which includes mappings in user space.
 *
 * Context: May sleep. Call before the driver's .remove returns.
 */
void pci_shmem_bar_unmap(struct pci_shmem_bar *shm)
{
	if (IS_ERR_OR_NULL(shm))
		return;

	pci_shmem_bar_unremap(shm->addr);
	pci_release_region(shm->pdev, shm->bar);
	kfree(shm);
}
EXPORT_SYMBOL_GPL(pci_shmem_bar_unmap);

static void pcim_shmem_bar_release(void *shm)
{
	pci_shmem_bar_unmap(shm);
}

/**
 * pcim_shmem_bar_adopt - Hand a mapped BAR over to devres
 * @shm: mapped BAR, owned by the caller; consumed even on error
 *
 * From here on @shm belongs to the driver bound to its device. It is unmapped
 * when that driver is detached, in reverse order with the driver's other
 * managed resources; the caller must not unmap it, but may go on using it until
 * then. If this fails, @shm has been unmapped already and is gone.
 *
 * Context: May sleep. Call from the driver's probe.
 *
 * Return: 0, or -ENOMEM if devres could not take @shm.
 */
int pcim_shmem_bar_adopt(struct pci_shmem_bar *shm)
{
	return devm_add_action_or_reset(&shm->pdev->dev,
					pcim_shmem_bar_release, shm);
}
EXPORT_SYMBOL_GPL(pcim_shmem_bar_adopt);

/**
 * pcim_shmem_bar_map - Claim a shared-memory BAR and map all of it
 * @pdev: PCI device, enabled with pcim_enable_device()
 * @bar: BAR index, 0 to PCI_STD_NUM_BARS - 1
 * @min_len: shortest BAR the caller can work with, in bytes; 0 for any
 * @flags: MEMREMAP_WB or MEMREMAP_WC, nothing else; MEMREMAP_DEC is implied
 * @name: owner to show in /proc/iomem; not copied, so it must live until the
 *	  driver is detached
 *
 * The BAR is unmapped and its claim released when the driver is detached;
 * nothing undoes it earlier. Enable the device first: devres works backwards,
 * so the BAR is then unmapped before the device is disabled.
 *
 * What can run after the driver's .remove, such as the ioctls of a DRM file
 * that is still open, must not use the memory any more.
 *
 * Mapping more than once fails with -EBUSY. The BAR need not be prefetchable
 * and may belong to a virtual function.
 *
 * The cache mode is a request. On x86, an MTRR that says uncached turns
 * MEMREMAP_WB into an uncached mapping without an error; firmware often sets up
 * such an MTRR for the PCI window below 4 GiB. And a mapping of the BAR that
 * exists already, such as user space can make of resourceN in sysfs, decides
 * the mode of this one.
 *
 * Context: May sleep. Call from the driver's probe.
 *
 * Return:
 * * the mapped BAR, never NULL
 * * ERR_PTR(-EINVAL) if @bar or @flags is not allowed, the BAR is an I/O port
 *   BAR, or it is shorter than @min_len
 * * ERR_PTR(-ENXIO) if the device does not have the BAR, or it has no address
 * * ERR_PTR(-EFBIG) if the length of the BAR does not fit in size_t
 * * ERR_PTR(-EBUSY) if somebody else has claimed the BAR, or part of it, or
 *   there was no memory to claim it
 * * ERR_PTR(-ENOMEM) if there is no memory, or the mapping failed; on x86 also
 *   if others have parts of the BAR mapped in different modes, and, for
 *   MEMREMAP_WC, if they have it mapped write-back
 * * ERR_PTR(-EOPNOTSUPP) if the architecture cannot map a BAR as memory in the
 *   mode that @flags says
 */
struct pci_shmem_bar *pcim_shmem_bar_map(struct pci_dev *pdev, int bar,
					 size_t min_len, unsigned long flags,
					 const char *name)
{
	struct pci_shmem_bar *shm;
	int ret;

	shm = pci_shmem_bar_map(pdev, bar, min_len, flags, name);
	if (IS_ERR(shm))
		return shm;

	ret = pcim_shmem_bar_adopt(shm);
	if (ret)
		return ERR_PTR(ret);

	return shm;
}
EXPORT_SYMBOL_GPL(pcim_shmem_bar_map);
