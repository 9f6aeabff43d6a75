/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A PCI bus in software, for KUnit tests
 */

#ifndef _KUNIT_PCI_H
#define _KUNIT_PCI_H

#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/types.h>

struct kunit;

/* What the bus has for the BARs of all its devices together */
#define KUNIT_PCI_WINDOW_LEN	SZ_64M

/**
 * struct kunit_pci_bar - BAR of a modelled device
 * @type: what the low bits of the register say, PCI_BASE_ADDRESS_*
 * @len: length in bytes, a power of two of at least 16; 0 if there is no BAR
 */
struct kunit_pci_bar {
	u32 type;
	u32 len;
};

/**
 * struct kunit_pci_model - Device on a bus in software
 * @vendor: vendor ID
 * @device: device ID
 * @class: class code, PCI_CLASS_*
 * @bars: the BARs; the one after a 64-bit BAR has to be left empty
 */
struct kunit_pci_model {
	u16 vendor;
	u16 device;
	u16 class;
	struct kunit_pci_bar bars[PCI_STD_NUM_BARS];
};

/**
 * struct kunit_pci_ops - Callbacks from the bus to the test
 * @enable_device: called for the first enable of a device, which fails with
 *		   the error this returns
 * @disable_device: called for the last disable of a device
 *
 * Both may be left out. They run in the task that enables or disables the
 * device, which need not be the test's: user space can do it through sysfs.
 */
struct kunit_pci_ops {
	int (*enable_device)(struct kunit *test, struct pci_dev *pdev);
	void (*disable_device)(struct kunit *test, struct pci_dev *pdev);
};

struct pci_bus *kunit_pci_add_bus(struct kunit *test,
				  const struct kunit_pci_model *models,
				  unsigned int nr_models,
				  const struct kunit_pci_ops *ops);
struct kunit *kunit_pci_test(struct pci_dev *pdev);
int kunit_pci_register_driver(struct kunit *test, struct pci_driver *drv);

#endif /* _KUNIT_PCI_H */
