// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the PCI bus in software that other tests use
 */

#include <kunit/pci.h>
#include <kunit/resource.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/array_size.h>
#include <linux/bits.h>
#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci_ids.h>
#include <linux/sizes.h>
#include <linux/types.h>

#define NAME		"kunit-pci-bus-test"
#define DEVICE_ID	0xffee

#define MEM		PCI_BASE_ADDRESS_SPACE_MEMORY
#define MEM64_PREF	(MEM | PCI_BASE_ADDRESS_MEM_TYPE_64 | \
			 PCI_BASE_ADDRESS_MEM_PREFETCH)

static const struct kunit_pci_model models[] = {
	{
		PCI_VENDOR_ID_REDHAT, DEVICE_ID, PCI_CLASS_MEMORY_RAM,
		.bars = { [0] = { MEM, SZ_4K }, [2] = { MEM64_PREF, SZ_1M } },
	},
	{
		PCI_VENDOR_ID_REDHAT, DEVICE_ID + 1, PCI_CLASS_SYSTEM_OTHER,
		.bars = {
			[1] = { MEM, SZ_64K },
			/* More than there is room for */
			[4] = { MEM64_PREF, 2 * KUNIT_PCI_WINDOW_LEN },
		},
	},
};

struct bus_test {
	struct pci_bus *bus;
	int probed, removed, enabled, disabled;
	int enable_err;
};

static int test_enable_device(struct pci_dev *pdev)
{
	struct bus_test *ctx = kunit_get_current_test()->priv;

	ctx->enabled++;
	return ctx->enable_err;
}

static void test_disable_device(struct pci_dev *pdev)
{
	struct bus_test *ctx = kunit_get_current_test()->priv;

	ctx->disabled++;
}

static const struct kunit_pci_ops ops = {
	.enable_device = test_enable_device,
	.disable_device = test_disable_device,
};

static int test_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct bus_test *ctx = kunit_get_current_test()->priv;

	ctx->probed++;
	return 0;
}

static void test_remove(struct pci_dev *pdev)
{
	struct bus_test *ctx = kunit_get_current_test()->priv;

	ctx->removed++;
}

static const struct pci_device_id test_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT, DEVICE_ID) },
	{}
};

static struct pci_driver test_driver = {
	.name = NAME,
	.id_table = test_ids,
	.probe = test_probe,
	.remove = test_remove,
	.driver.probe_type = PROBE_FORCE_SYNCHRONOUS,
};

static void put_dev(void *pdev)
{
	pci_dev_put(pdev);
}

static struct pci_dev *get_dev(struct kunit *test, unsigned int slot)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = pci_get_slot(ctx->bus, PCI_DEVFN(slot, 0));

	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, put_dev, pdev), 0);
	return pdev;
}

static int bus_test_init(struct kunit *test)
{
	struct bus_test *ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;
	ctx->bus = kunit_pci_add_bus(test, models, ARRAY_SIZE(models), &ops);
	return PTR_ERR_OR_ZERO(ctx->bus);
}

static void scan(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev;
	int nr = 0;

	list_for_each_entry(pdev, &ctx->bus->devices, bus_list)
		nr++;
	KUNIT_EXPECT_EQ(test, nr, ARRAY_SIZE(models));

	for (int i = 0; i < ARRAY_SIZE(models); i++) {
		pdev = get_dev(test, i);
		KUNIT_EXPECT_EQ(test, pdev->vendor, models[i].vendor);
		KUNIT_EXPECT_EQ(test, pdev->device, models[i].device);
		KUNIT_EXPECT_EQ(test, pdev->class >> 8, models[i].class);
		KUNIT_EXPECT_FALSE(test, pdev->multifunction);
		KUNIT_EXPECT_FALSE(test, pci_is_enabled(pdev));
	}
}

static void assign_bars(struct kunit *test)
{
	const unsigned long type = IORESOURCE_MEM | IORESOURCE_MEM_64 |
				   IORESOURCE_PREFETCH;
	struct pci_dev *pdev = get_dev(test, 0), *other = get_dev(test, 1);
	u32 lo, hi;

	KUNIT_EXPECT_EQ(test, pci_resource_len(pdev, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, pci_resource_flags(pdev, 0) & type, IORESOURCE_MEM);
	KUNIT_EXPECT_EQ(test, pci_resource_len(pdev, 2), SZ_1M);
	KUNIT_EXPECT_EQ(test, pci_resource_flags(pdev, 2) & type, type);
	KUNIT_EXPECT_EQ(test, pci_resource_len(other, 1), SZ_64K);
	KUNIT_EXPECT_TRUE(test, resource_assigned(pci_resource_n(pdev, 0)));
	KUNIT_EXPECT_TRUE(test, resource_assigned(pci_resource_n(pdev, 2)));
	KUNIT_EXPECT_TRUE(test, resource_assigned(pci_resource_n(other, 1)));

	KUNIT_EXPECT_EQ(test, pci_resource_len(pdev, 1), 0);
	KUNIT_EXPECT_EQ(test, pci_resource_len(pdev, 3), 0);
	KUNIT_EXPECT_FALSE(test, resource_assigned(pci_resource_n(other, 4)));

	/* The device has the bus address, which the CPU does not use */
	pci_read_config_dword(pdev, PCI_BASE_ADDRESS_2, &lo);
	pci_read_config_dword(pdev, PCI_BASE_ADDRESS_3, &hi);
	KUNIT_EXPECT_EQ(test, pci_bus_address(pdev, 2),
			(u64)hi << 32 | (lo & PCI_BASE_ADDRESS_MEM_MASK));
	KUNIT_EXPECT_NE(test, pci_bus_address(pdev, 2), pci_resource_start(pdev, 2));
}

static void access_config(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = get_dev(test, 0);
	u32 dword;
	u16 word;
	u8 byte;

	pci_read_config_dword(pdev, PCI_VENDOR_ID, &dword);
	KUNIT_EXPECT_EQ(test, dword, DEVICE_ID << 16 | PCI_VENDOR_ID_REDHAT);
	pci_read_config_word(pdev, PCI_DEVICE_ID, &word);
	KUNIT_EXPECT_EQ(test, word, DEVICE_ID);
	pci_read_config_byte(pdev, PCI_DEVICE_ID + 1, &byte);
	KUNIT_EXPECT_EQ(test, byte, DEVICE_ID >> 8);

	/* Not all can be written, and each access only changes its own bytes */
	pci_write_config_dword(pdev, PCI_VENDOR_ID, 0);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &dword);
	KUNIT_EXPECT_EQ(test, dword, DEVICE_ID << 16 | PCI_VENDOR_ID_REDHAT);
	pci_write_config_word(pdev, PCI_COMMAND, 0xffff);
	pci_write_config_byte(pdev, PCI_COMMAND + 1, 0);
	pci_read_config_dword(pdev, PCI_COMMAND, &dword);
	KUNIT_EXPECT_EQ(test, dword, PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
				     PCI_COMMAND_MASTER);
	pci_write_config_word(pdev, PCI_COMMAND, 0);

	/* Any address can be above 4 GiB in a 64-bit BAR */
	pci_write_config_dword(pdev, PCI_BASE_ADDRESS_3, ~0);
	pci_read_config_dword(pdev, PCI_BASE_ADDRESS_3, &dword);
	KUNIT_EXPECT_EQ(test, dword, ~0U);
	pci_write_config_dword(pdev, PCI_BASE_ADDRESS_3, 0);

	/* An empty slot, and another function of a full one */
	pci_bus_read_config_dword(ctx->bus, PCI_DEVFN(ARRAY_SIZE(models), 0),
				  PCI_VENDOR_ID, &dword);
	KUNIT_EXPECT_TRUE(test, PCI_POSSIBLE_ERROR(dword));
	pci_bus_read_config_dword(ctx->bus, PCI_DEVFN(0, 1), PCI_VENDOR_ID, &dword);
	KUNIT_EXPECT_TRUE(test, PCI_POSSIBLE_ERROR(dword));
}

static void enable(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = get_dev(test, 0);

	ctx->enable_err = -EBUSY;
	KUNIT_EXPECT_EQ(test, pci_enable_device(pdev), -EBUSY);
	KUNIT_EXPECT_FALSE(test, pci_is_enabled(pdev));
	KUNIT_EXPECT_EQ(test, ctx->enabled, 1);
	KUNIT_EXPECT_EQ(test, ctx->disabled, 0);

	ctx->enable_err = 0;
	KUNIT_EXPECT_EQ(test, pci_enable_device(pdev), 0);
	KUNIT_EXPECT_EQ(test, pci_enable_device(pdev), 0);
	KUNIT_EXPECT_EQ(test, ctx->enabled, 2);
	pci_disable_device(pdev);
	KUNIT_EXPECT_EQ(test, ctx->disabled, 0);
	pci_disable_device(pdev);
	KUNIT_EXPECT_EQ(test, ctx->disabled, 1);
}

/* Of the two devices, the driver knows one. */
static void bind(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = get_dev(test, 0), *other = get_dev(test, 1);

	KUNIT_ASSERT_EQ(test, kunit_pci_register_driver(test, &test_driver), 0);
	KUNIT_EXPECT_EQ(test, ctx->probed, 1);
	KUNIT_EXPECT_PTR_EQ(test, pdev->driver, &test_driver);
	KUNIT_EXPECT_NULL(test, other->driver);
	device_release_driver(&pdev->dev);
	KUNIT_EXPECT_EQ(test, ctx->removed, 1);
	KUNIT_EXPECT_NULL(test, pdev->driver);
}

static void unplug_and_rescan(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = get_dev(test, 0);
	resource_size_t start = pci_resource_start(pdev, 2);

	KUNIT_ASSERT_EQ(test, kunit_pci_register_driver(test, &test_driver), 0);
	pci_stop_and_remove_bus_device_locked(pdev);
	KUNIT_EXPECT_EQ(test, ctx->removed, 1);
	KUNIT_EXPECT_NULL(test, pci_get_slot(ctx->bus, PCI_DEVFN(0, 0)));

	pci_lock_rescan_remove();
	pci_rescan_bus(ctx->bus);
	pci_unlock_rescan_remove();
	KUNIT_EXPECT_PTR_NE(test, get_dev(test, 0), pdev);
	KUNIT_EXPECT_EQ(test, pci_resource_start(get_dev(test, 0), 2), start);
	KUNIT_EXPECT_EQ(test, ctx->probed, 2);
}

static void refuse_too_many(struct kunit *test)
{
	KUNIT_EXPECT_PTR_EQ(test, kunit_pci_add_bus(test, NULL, 33, NULL),
			    ERR_PTR(-EINVAL));
}

static struct kunit_case bus_test_cases[] = {
	KUNIT_CASE(scan),
	KUNIT_CASE(assign_bars),
	KUNIT_CASE(access_config),
	KUNIT_CASE(enable),
	KUNIT_CASE(bind),
	KUNIT_CASE(unplug_and_rescan),
	KUNIT_CASE(refuse_too_many),
	{}
};

static struct kunit_suite bus_test_suite = {
	.name = "pci_kunit_bus",
	.init = bus_test_init,
	.test_cases = bus_test_cases,
};

kunit_test_suite(bus_test_suite);

MODULE_DESCRIPTION("KUnit tests of the PCI bus in software");
MODULE_LICENSE("GPL");
