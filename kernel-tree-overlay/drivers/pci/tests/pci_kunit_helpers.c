// SPDX-License-Identifier: GPL-2.0
/*
 * A PCI bus in software, for KUnit tests
 */

#include <kunit/pci.h>
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/acpi.h>
#include <linux/bits.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/ioport.h>
#include <linux/module.h>
#include <linux/numa.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/types.h>

/**
 * DOC: PCI bus in software
 *
 * kunit_pci_add_bus() adds a root bus with devices that consist of nothing but
 * their configuration space. For the PCI core it is a bus like any other: it
 * scans it, sizes and assigns the BARs, and binds drivers to the devices. What
 * is tested that way is real, down to the accesses to the configuration space::
 *
 *	static const struct kunit_pci_model models[] = {
 *		{
 *			.vendor = PCI_VENDOR_ID_REDHAT,
 *			.device = 0xffee,
 *			.class = PCI_CLASS_MEMORY_RAM,
 *			.bars[0] = { PCI_BASE_ADDRESS_SPACE_MEMORY, SZ_4K },
 *		},
 *	};
 *
 *	bus = kunit_pci_add_bus(test, models, ARRAY_SIZE(models), NULL);
 *	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, bus);
 *	pdev = pci_get_slot(bus, PCI_DEVFN(0, 0));
 *
 * The devices are single-function ones, one in each slot, in the order of the
 * models. Bus addresses are other than CPU addresses there, so that taking one
 * for the other is noticed.
 *
 * Tests run on machines that do other work, and the rest of the kernel takes
 * the devices for real ones:
 *
 * * Use IDs that no driver and no quirk in the tree knows.
 *
 * * Callbacks can run in other tasks than the test's: user space can enable a
 *   device, a module that is loaded can probe it. They must not rely on
 *   kunit_get_current_test(), and get the test as an argument or from
 *   kunit_pci_test().
 *
 * * The BARs are in a hole of the machine's address space. Nothing is known to
 *   be behind them, which is not to say that nothing is. They can be claimed,
 *   but must not be mapped or accessed.
 */

/* Where there is only one PCI domain, bus 0 is often taken. */
#define BUS_NR		0xff

/* Bus addresses start below 4 GiB, for 32-bit BARs. */
#define WINDOW_BUS	SZ_256M

/*
 * Firmware can number 16 bits of domains, and IOMMU drivers look at no more of
 * a domain's number than these. They must not take a device here for one of the
 * machine's, so let the low 16 bits be what no firmware is known to use.
 */
#define DOMAIN_MIN	0x1ff00
#define DOMAIN_MAX	0x1ffff

/* The registers of a device; only bits set in @writable can be written */
struct soft_dev {
	u32 config[PCI_CFG_SPACE_SIZE / 4];
	u32 writable[PCI_CFG_SPACE_SIZE / 4];
};

struct soft_bus {
#ifdef CONFIG_X86
	struct pci_sysdata sysdata;	/* x86 wants it at bus->sysdata */
#endif
	struct kunit *test;
	const struct kunit_pci_ops *ops;
	struct resource *window;
	unsigned int nr_devs;
	struct soft_dev devs[] __counted_by(nr_devs);
};

static struct soft_dev *soft_dev(struct pci_bus *bus, unsigned int devfn,
				 int where)
{
	struct soft_bus *soft = bus->sysdata;

	if (PCI_SLOT(devfn) >= soft->nr_devs || PCI_FUNC(devfn) ||
	    where >= PCI_CFG_SPACE_SIZE)
		return NULL;
	return &soft->devs[PCI_SLOT(devfn)];
}

static int soft_read(struct pci_bus *bus, unsigned int devfn, int where,
		     int size, u32 *val)
{
	struct soft_dev *dev = soft_dev(bus, devfn, where);

	if (!dev)
		return PCIBIOS_DEVICE_NOT_FOUND;

	*val = dev->config[where / 4] >> (where % 4 * 8);
	*val &= BIT_ULL(size * 8) - 1;
	return PCIBIOS_SUCCESSFUL;
}

static int soft_write(struct pci_bus *bus, unsigned int devfn, int where,
		      int size, u32 val)
{
	struct soft_dev *dev = soft_dev(bus, devfn, where);
	unsigned int shift = where % 4 * 8;
	u32 mask = (BIT_ULL(size * 8) - 1) << shift;

	if (!dev)
		return PCIBIOS_DEVICE_NOT_FOUND;

	mask &= dev->writable[where / 4];
	dev->config[where / 4] &= ~mask;
	dev->config[where / 4] |= val << shift & mask;
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops soft_ops = {
	.read = soft_read,
	.write = soft_write,
};

static void soft_model(struct soft_dev *dev,
		       const struct kunit_pci_model *model)
{
	dev->config[PCI_VENDOR_ID / 4] = (u32)model->device << 16 |
					 model->vendor;
	dev->config[PCI_CLASS_REVISION / 4] = (u32)model->class << 16;
	dev->writable[PCI_COMMAND / 4] = PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
					 PCI_COMMAND_MASTER |
					 PCI_COMMAND_INTX_DISABLE;

	for (int i = 0; i < PCI_STD_NUM_BARS; i++) {
		const struct kunit_pci_bar *bar = &model->bars[i];
		int reg = PCI_BASE_ADDRESS_0 / 4 + i;

		if (!bar->len)
			continue;
		dev->config[reg] = bar->type;
		dev->writable[reg] = ~(bar->len - 1);
		if (bar->type & PCI_BASE_ADDRESS_MEM_TYPE_64)
			dev->writable[reg + 1] = ~0;
	}
}

static int soft_enable_device(struct pci_host_bridge *bridge,
			      struct pci_dev *pdev)
{
	struct soft_bus *soft = bridge->sysdata;

	if (!soft->ops || !soft->ops->enable_device)
		return 0;
	return soft->ops->enable_device(soft->test, pdev);
}

static void soft_disable_device(struct pci_host_bridge *bridge,
				struct pci_dev *pdev)
{
	struct soft_bus *soft = bridge->sysdata;

	if (soft->ops && soft->ops->disable_device)
		soft->ops->disable_device(soft->test, pdev);
}

static void free_window(void *data)
{
	struct resource *window = data;

	remove_resource(window);
	kfree(window);
}

static void remove_bus(void *data)
{
	struct pci_host_bridge *bridge = data;

	pci_lock_rescan_remove();
	pci_stop_root_bus(bridge->bus);
	pci_remove_root_bus(bridge->bus);
	pci_unlock_rescan_remove();
	pci_free_host_bridge(bridge);
}

/**
 * kunit_pci_add_bus() - Add a PCI root bus in software
 * @test: test context
 * @models: the devices on the bus; copied
 * @nr_models: how many there are, at most 32
 * @ops: what to call for the bus, or NULL; not copied
 *
 * The bus is removed when the test case concludes, with what is on it then.
 * The test is skipped on architectures that cannot have such a bus: x86, UML
 * and, booted without ACPI, Arm64 can.
 *
 * Context: May sleep. Call from the test's own task.
 *
 * Return: the bus, with its devices added, or an ERR_PTR()
 */
struct pci_bus *kunit_pci_add_bus(struct kunit *test,
				  const struct kunit_pci_model *models,
				  unsigned int nr_models,
				  const struct kunit_pci_ops *ops)
{
	struct pci_host_bridge *bridge;
	struct soft_bus *soft;
	int domain, ret;

	/* What bus->sysdata points to is different on each architecture */
	if (!IS_ENABLED(CONFIG_X86) && !IS_ENABLED(CONFIG_UML) &&
	    !(IS_ENABLED(CONFIG_ARM64) && acpi_disabled))
		kunit_skip(test, "no bus in software on this architecture");

	if (nr_models > PCI_SLOT(0xff) + 1)
		return ERR_PTR(-EINVAL);

	soft = kunit_kzalloc(test, struct_size(soft, devs, nr_models),
			     GFP_KERNEL);
	if (!soft)
		return ERR_PTR(-ENOMEM);

	soft->test = test;
	soft->ops = ops;
	soft->nr_devs = nr_models;
	for (int i = 0; i < nr_models; i++)
		soft_model(&soft->devs[i], &models[i]);

	soft->window = alloc_free_mem_region(&iomem_resource,
					     KUNIT_PCI_WINDOW_LEN,
					     KUNIT_PCI_WINDOW_LEN,
					     "KUnit PCI bus");
	if (IS_ERR(soft->window))
		return ERR_CAST(soft->window);

	ret = kunit_add_action_or_reset(test, free_window, soft->window);
	if (ret)
		return ERR_PTR(ret);

	domain = pci_bus_find_emul_domain_nr(0, DOMAIN_MIN, DOMAIN_MAX);
	if (domain < 0)
		return ERR_PTR(domain);

	bridge = pci_alloc_host_bridge(0);
	if (!bridge) {
		pci_bus_release_emul_domain_nr(domain);
		return ERR_PTR(-ENOMEM);
	}

	/* From here on, the domain number is freed with the bridge */
	bridge->domain_nr = domain;
	bridge->busnr = BUS_NR;
	bridge->ops = &soft_ops;
	bridge->enable_device = soft_enable_device;
	bridge->disable_device = soft_disable_device;
	bridge->sysdata = soft;
#ifdef CONFIG_X86
	static_assert(!offsetof(struct soft_bus, sysdata));
	soft->sysdata.domain = domain;
	/* With a node, the driver core would probe in a thread of its own */
	soft->sysdata.node = NUMA_NO_NODE;
#endif
	pci_add_resource_offset(&bridge->windows, soft->window,
				soft->window->start - WINDOW_BUS);

	ret = pci_host_probe(bridge);
	if (ret) {
		pci_free_host_bridge(bridge);
		return ERR_PTR(ret);
	}

	ret = kunit_add_action_or_reset(test, remove_bus, bridge);
	return ret ? ERR_PTR(ret) : bridge->bus;
}
EXPORT_SYMBOL_GPL(kunit_pci_add_bus);

/**
 * kunit_pci_test() - Find the test that a device on a bus in software is for
 * @pdev: the device, on a bus of kunit_pci_add_bus()
 *
 * For callbacks that have nothing but the device, such as a driver's probe.
 *
 * Context: Any. The device must be on the bus still, as it is in probe and
 * remove.
 *
 * Return: the test that added the bus, or NULL if the device is on another bus
 */
struct kunit *kunit_pci_test(struct pci_dev *pdev)
{
	struct soft_bus *soft = pdev->bus->sysdata;

	return pdev->bus->ops == &soft_ops ? soft->test : NULL;
}
EXPORT_SYMBOL_GPL(kunit_pci_test);

KUNIT_DEFINE_ACTION_WRAPPER(unregister_driver, pci_unregister_driver,
			    struct pci_driver *)

/**
 * kunit_pci_register_driver() - Managed pci_register_driver()
 * @test: test context
 * @drv: driver to register
 *
 * The driver is unregistered when the test case concludes.
 *
 * Return: 0, or a negative errno
 */
int kunit_pci_register_driver(struct kunit *test, struct pci_driver *drv)
{
	int ret;

	ret = pci_register_driver(drv);
	if (ret)
		return ret;

	return kunit_add_action_or_reset(test, unregister_driver, drv);
}
EXPORT_SYMBOL_GPL(kunit_pci_register_driver);

MODULE_DESCRIPTION("PCI bus in software, for KUnit tests");
MODULE_LICENSE("GPL");
