/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PCI BARs that are memory shared with another party
 */

#ifndef __PCI_SHMEM_BAR_H__
#define __PCI_SHMEM_BAR_H__

#include <linux/cleanup.h>
#include <linux/types.h>

struct pci_dev;

/**
 * struct pci_shmem_bar - A claimed and mapped shared-memory BAR
 * @pdev: device the BAR belongs to; borrowed, see below
 * @addr: start of the mapping; ordinary memory, not __iomem
 * @phys_start: CPU physical address of the BAR (not a bus address); for the
 *		kernel's own use, do not pass it to user space by an interface
 * @len: length of the BAR and of the mapping, in bytes
 * @bar: index of the BAR
 *
 * The object must not outlive the binding of its driver: the BAR is unmapped
 * before the driver's .remove returns, or by devres right after that.
 *
 * It does not change between map and unmap, so any thread may read it without a
 * lock. Access to the memory itself is for the driver to order: the other party
 * can change any byte at any time.
 */
struct pci_shmem_bar {
	struct pci_dev *pdev;
	void *addr;
	resource_size_t phys_start;
	size_t len;
	int bar;
};

struct pci_shmem_bar *pcim_shmem_bar_map(struct pci_dev *pdev, int bar,
					 size_t min_len, unsigned long flags,
					 const char *name);
int __must_check pcim_shmem_bar_adopt(struct pci_shmem_bar *shm);

struct pci_shmem_bar *pci_shmem_bar_map(struct pci_dev *pdev, int bar,
					size_t min_len, unsigned long flags,
					const char *name);
void pci_shmem_bar_unmap(struct pci_shmem_bar *shm);
DEFINE_FREE(pci_shmem_bar_unmap, struct pci_shmem_bar *, if (_T) pci_shmem_bar_unmap(_T))

#endif /* __PCI_SHMEM_BAR_H__ */
