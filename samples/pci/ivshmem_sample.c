// SPDX-License-Identifier: GPL-2.0
/*
 * Sample driver for a shared-memory BAR: QEMU's ivshmem-plain device
 *
 * BAR 2 of the device is a file on the host, or a piece of memory several
 * guests share.  The driver offers it as the binary attribute "shmem" of the
 * PCI device, to be read, written and mapped.  To try it, start QEMU with
 *
 *	-object memory-backend-file,id=shm,share=on,mem-path=shm.bin,size=16M
 *	-device ivshmem-plain,memdev=shm
 *
 * and, in the guest, load the module and write to the memory
 *
 *	echo hello > /sys/bus/pci/drivers/ivshmem_sample/0000:00:03.0/shmem
 *
 * (with the address lspci shows for the device); shm.bin on the host then
 * begins with the same word.
 */

#include <linux/align.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-shmem-bar.h>
#include <linux/pfn.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/types.h>

#define IVSHMEM_DEVICE_ID	0x1110
#define IVSHMEM_BAR		2

static struct pci_shmem_bar *kobj_to_shm(struct kobject *kobj)
{
	return dev_get_drvdata(kobj_to_dev(kobj));
}

/* sysfs has cut @count to what is left of the BAR behind @off. */
static ssize_t shmem_read(struct file *file, struct kobject *kobj,
			  const struct bin_attribute *attr, char *buf,
			  loff_t off, size_t count)
{
	memcpy(buf, kobj_to_shm(kobj)->addr + off, count);
	return count;
}

static ssize_t shmem_write(struct file *file, struct kobject *kobj,
			   const struct bin_attribute *attr, char *buf,
			   loff_t off, size_t count)
{
	memcpy(kobj_to_shm(kobj)->addr + off, buf, count);
	return count;
}

/*
 * The memory is inserted when it is touched, in the largest pieces that the
 * architecture and the alignment of the mapping allow: once the attribute is
 * gone kernfs turns faults into SIGBUS.  Had mmap() filled in all of it, a
 * mapping made while the driver is being unbound could outlive it.
 */
static vm_fault_t shmem_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct pci_shmem_bar *shm = vma->vm_private_data;
	unsigned long size = PAGE_SIZE << order;
	unsigned long addr = ALIGN_DOWN(vmf->address, size);
	unsigned long pfn = PHYS_PFN(shm->phys_start) + vmf->pgoff -
			    PFN_DOWN(vmf->address - addr);
	bool write = vmf->flags & FAULT_FLAG_WRITE;

	if (!order)
		return vmf_insert_pfn(vma, addr, pfn);

	if (addr < vma->vm_start || vma->vm_end - addr < size ||
	    !IS_ALIGNED(pfn, 1UL << order))
		return VM_FAULT_FALLBACK;

	/* None of PUD_ORDER: mm does not split those when a mapping is split */
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) && order == PMD_ORDER)
		return vmf_insert_pfn_pmd(vmf, pfn, write);

	return VM_FAULT_FALLBACK;
}

static vm_fault_t shmem_fault(struct vm_fault *vmf)
{
	return shmem_huge_fault(vmf, 0);
}

static const struct vm_operations_struct shmem_vm_ops = {
	.fault = shmem_fault,
	.huge_fault = shmem_huge_fault,
};

static int shmem_mmap(struct file *file, struct kobject *kobj,
		      const struct bin_attribute *attr,
		      struct vm_area_struct *vma)
{
	struct pci_shmem_bar *shm = kobj_to_shm(kobj);

	/* vmf_insert_pfn*() cannot serve a private mapping that may be written */
	if (vma_is_cow_mapping(vma))
		return -EINVAL;

	if (vma->vm_pgoff + vma_pages(vma) > shm->len >> PAGE_SHIFT)
		return -EINVAL;

	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	/* Shared with the other party in a confidential guest, too */
	vma->vm_page_prot = pgprot_decrypted(vma->vm_page_prot);
	vma->vm_private_data = shm;
	vma->vm_ops = &shmem_vm_ops;
	return 0;
}

static const struct bin_attribute bin_attr_shmem = {
	.attr = { .name = "shmem", .mode = 0600 },
	.read = shmem_read,
	.write = shmem_write,
	.mmap = shmem_mmap,
};

static const struct bin_attribute *const ivshmem_bin_attrs[] = {
	&bin_attr_shmem,
	NULL
};

static size_t ivshmem_bin_size(struct kobject *kobj,
			       const struct bin_attribute *attr, int n)
{
	return kobj_to_shm(kobj)->len;
}

static const struct attribute_group ivshmem_group = {
	.bin_attrs = ivshmem_bin_attrs,
	.bin_size = ivshmem_bin_size,
};
__ATTRIBUTE_GROUPS(ivshmem);

static int ivshmem_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct pci_shmem_bar *shm;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "can't enable device\n");

	/* User space maps whole pages */
	shm = pcim_shmem_bar_map(pdev, IVSHMEM_BAR, PAGE_SIZE, MEMREMAP_WB,
				 KBUILD_MODNAME);
	if (IS_ERR(shm))
		return dev_err_probe(&pdev->dev, PTR_ERR(shm),
				     "can't map BAR %d\n", IVSHMEM_BAR);

	pci_set_drvdata(pdev, shm);
	pci_info(pdev, "%zu bytes of shared memory\n", shm->len);
	return 0;
}

static const struct pci_device_id ivshmem_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, IVSHMEM_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ivshmem_ids);

/*
 * No .remove: the attribute goes before the driver is detached, and devres
 * unmaps the BAR and then disables the device.
 */
static struct pci_driver ivshmem_driver = {
	.name = KBUILD_MODNAME,
	.id_table = ivshmem_ids,
	.probe = ivshmem_probe,
	.dev_groups = ivshmem_groups,
};
module_pci_driver(ivshmem_driver);

MODULE_DESCRIPTION("Sample driver for a shared-memory BAR (QEMU ivshmem-plain)");
MODULE_LICENSE("GPL");
