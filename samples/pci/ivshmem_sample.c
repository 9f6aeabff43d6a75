// SPDX-License-Identifier: GPL-2.0
/*
 * Sample driver for a shared-memory BAR: QEMU's ivshmem-plain device
 *
 * BAR 2 of the device is a file on the host, or memory that guests share. The
 * driver offers it as the binary attribute "shmem" of the PCI device, to be
 * read, written and mapped. To try it, start QEMU with
 *	-object memory-backend-file,id=shm,share=on,mem-path=shm.bin,size=16M
 *	-device ivshmem-plain,memdev=shm
 * load the module in the guest, and write to shm.bin (address as in lspci)
 *	echo hello > /sys/bus/pci/drivers/ivshmem_sample/0000:00:03.0/shmem
 *
 * What needs a struct page cannot work: futexes between processes, and so their
 * mutexes and semaphores; O_DIRECT; RDMA. See "What it cannot do" in
 * Documentation/driver-api/pci/shmem-bar.rst.
 */

#include <linux/align.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-shmem-bar.h>
#include <linux/pfn.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/types.h>

static struct pci_shmem_bar *kobj_to_shm(struct kobject *kobj)
{
	return dev_get_drvdata(kobj_to_dev(kobj));
}

/* Aligned words are copied at once: the other party may look meanwhile. */
static ssize_t shmem_copy(void *to, const void *from, size_t len)
{
	unsigned long both = (unsigned long)to | (unsigned long)from;

	if (len == 8 && IS_ALIGNED(both, 8))
		WRITE_ONCE(*(u64 *)to, READ_ONCE(*(const u64 *)from));
	else if (len == 4 && IS_ALIGNED(both, 4))
		WRITE_ONCE(*(u32 *)to, READ_ONCE(*(const u32 *)from));
	else if (len == 2 && IS_ALIGNED(both, 2))
		WRITE_ONCE(*(u16 *)to, READ_ONCE(*(const u16 *)from));
	else
		memcpy(to, from, len);
	return len;
}

/* sysfs has cut @count to what is left of the BAR behind @off. */
static ssize_t shmem_read(struct file *file, struct kobject *kobj,
			  const struct bin_attribute *attr, char *buf,
			  loff_t off, size_t count)
{
	return shmem_copy(buf, kobj_to_shm(kobj)->addr + off, count);
}

static ssize_t shmem_write(struct file *file, struct kobject *kobj,
			   const struct bin_attribute *attr, char *buf,
			   loff_t off, size_t count)
{
	return shmem_copy(kobj_to_shm(kobj)->addr + off, buf, count);
}

/*
 * The memory is inserted when it is touched, in the largest pieces that the
 * architecture and the alignment of the mapping allow; once the attribute is
 * gone, kernfs turns faults into SIGBUS. What mmap() itself had filled in,
 * while the driver is being unbound, could outlive it.
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

	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) && order == PMD_ORDER)
		return vmf_insert_pfn_pmd(vmf, pfn, write);
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP) && order == PUD_ORDER)
		return vmf_insert_pfn_pud(vmf, pfn, write);

	return VM_FAULT_FALLBACK;
}

static vm_fault_t shmem_fault(struct vm_fault *vmf)
{
	return shmem_huge_fault(vmf, 0);
}

/* For debuggers. mm checks neither the length nor that it may be written. */
static int shmem_access(struct vm_area_struct *vma, unsigned long addr,
			void *buf, int len, int write)
{
	struct pci_shmem_bar *shm = vma->vm_private_data;
	void *mem = shm->addr + PFN_PHYS(vma->vm_pgoff) + addr - vma->vm_start;

	len = min_t(unsigned long, len, vma->vm_end - addr);
	if (!write)
		return shmem_copy(buf, mem, len);
	return vma->vm_flags & VM_WRITE ? shmem_copy(mem, buf, len) : -EACCES;
}

static const struct vm_operations_struct shmem_vm_ops = {
	.fault = shmem_fault,
	.huge_fault = shmem_huge_fault,
	.access = shmem_access,
};

static int shmem_mmap(struct file *file, struct kobject *kobj,
		      const struct bin_attribute *attr,
		      struct vm_area_struct *vma)
{
	struct pci_shmem_bar *shm = kobj_to_shm(kobj);

	/* vmf_insert_pfn*() cannot serve what is private and writable */
	if (vma_is_cow_mapping(vma) ||
	    vma->vm_pgoff + vma_pages(vma) > shm->len >> PAGE_SHIFT)
		return -EINVAL;

	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	/* On x86, a confidential guest shares it then, too */
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
	&bin_attr_shmem, NULL
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
		return ret;

	/* User space maps whole pages */
	shm = pcim_shmem_bar_map(pdev, 2, PAGE_SIZE, MEMREMAP_WB,
				 KBUILD_MODNAME);
	if (IS_ERR(shm))
		return PTR_ERR(shm);

	pci_set_drvdata(pdev, shm);
	return 0;
}

/* No MODULE_DEVICE_TABLE(): it takes devices from others who use them. */
static const struct pci_device_id ivshmem_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110) },
	{ }
};

/* No .remove: the attribute goes first, then devres unmaps and disables. */
static struct pci_driver ivshmem_driver = {
	.name = KBUILD_MODNAME,
	.id_table = ivshmem_ids,
	.probe = ivshmem_probe,
	.dev_groups = ivshmem_groups,
};
module_pci_driver(ivshmem_driver);

MODULE_DESCRIPTION("Sample driver for a shared-memory BAR (QEMU ivshmem-plain)");
MODULE_LICENSE("GPL");
