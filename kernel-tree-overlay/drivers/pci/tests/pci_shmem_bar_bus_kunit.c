// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of PCI shared-memory BARs on a bus, with a driver that is bound
 */

#include <kunit/pci.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/array_size.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-shmem-bar.h>
#include <linux/pci_ids.h>
#include <linux/sizes.h>
#include <linux/sprintf.h>
#include <linux/types.h>

#include "../pci.h"

#define NAME		"shmem-bus-test"
#define DEVICE_ID	0xffee

#define MEM		PCI_BASE_ADDRESS_SPACE_MEMORY
#define MEM64_PREF	(MEM | PCI_BASE_ADDRESS_MEM_TYPE_64 | \
			 PCI_BASE_ADDRESS_MEM_PREFETCH)

enum { SLOT_GOOD, SLOT_BAD, NR_SLOTS };

static const struct kunit_pci_model models[NR_SLOTS] = {
	[SLOT_GOOD] = {
		PCI_VENDOR_ID_REDHAT, DEVICE_ID, PCI_CLASS_MEMORY_RAM,
		.bars = { [0] = { MEM, SZ_4K }, [2] = { MEM64_PREF, SZ_1M } },
	},
	[SLOT_BAD] = {
		PCI_VENDOR_ID_REDHAT, DEVICE_ID, PCI_CLASS_MEMORY_RAM,
		/* For neither is there room */
		.bars = {
			[0] = { PCI_BASE_ADDRESS_SPACE_IO, 32 },
			[2] = { MEM64_PREF, 2 * KUNIT_PCI_WINDOW_LEN },
		},
	},
};

struct bus_test {
	struct pci_bus *bus;
	struct pci_dev *pdev;		/* the good one, with a reference */
	char memory[PCI_STD_NUM_BARS];	/* what the BARs are mapped to */

	/* What a test makes of the driver and of its environment */
	int (*probe)(struct bus_test *ctx, struct pci_dev *pdev);
	void (*remove)(struct bus_test *ctx, struct pci_dev *pdev);
	struct pci_shmem_bar *shm;
	bool fail_map;
	bool refuse;

	/* Calls in order, with a question mark if too early or too late */
	char log[128];
	size_t log_len;
};

static bool claimed(struct pci_dev *pdev, int bar)
{
	const struct resource *claim = pci_resource_n(pdev, bar)->child;

	return claim && claim->flags & IORESOURCE_BUSY &&
	       resource_size(claim) == pci_resource_len(pdev, bar);
}

static void log_call(struct bus_test *ctx, const char *call, bool ok)
{
	ctx->log_len += scnprintf(ctx->log + ctx->log_len,
				  sizeof(ctx->log) - ctx->log_len,
				  "%s%s ", call, ok ? "" : "?");
}

/* A mapping has to come after the claim and the enable, and go before them. */
static void log_map_call(struct bus_test *ctx, const char *call, int bar)
{
	char text[16];

	snprintf(text, sizeof(text), "%s%d", call, bar);
	log_call(ctx, text, bar < PCI_STD_NUM_BARS && claimed(ctx->pdev, bar) &&
		 pci_is_enabled(ctx->pdev));
}

static void clear_log(struct bus_test *ctx)
{
	ctx->log[0] = '\0';
	ctx->log_len = 0;
}

/* Stand-ins run in the test's own task only. */
static void *fake_remap(resource_size_t start, size_t len, unsigned long flags)
{
	struct bus_test *ctx = kunit_get_current_test()->priv;
	int bar = 0;

	while (bar < PCI_STD_NUM_BARS &&
	       pci_resource_start(ctx->pdev, bar) != start)
		bar++;
	log_map_call(ctx, "map", bar);

	if (ctx->fail_map || bar == PCI_STD_NUM_BARS)
		return NULL;
	return &ctx->memory[bar];
}

static void fake_unremap(void *addr)
{
	struct bus_test *ctx = kunit_get_current_test()->priv;

	log_map_call(ctx, "unmap", (char *)addr - ctx->memory);
}

static int test_enable_device(struct kunit *test, struct pci_dev *pdev)
{
	log_call(test->priv, "enable", true);
	return 0;
}

static void test_disable_device(struct kunit *test, struct pci_dev *pdev)
{
	log_call(test->priv, "disable",
		 !claimed(pdev, 0) && !claimed(pdev, 2));
}

static const struct kunit_pci_ops ops = {
	.enable_device = test_enable_device,
	.disable_device = test_disable_device,
};

static int test_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct kunit *test = kunit_pci_test(pdev);
	struct bus_test *ctx = test->priv;

	/* In another task, the stand-ins are not there. */
	if (!ctx->probe || kunit_get_current_test() != test)
		return -ENODEV;

	return ctx->probe(ctx, pdev);
}

static void test_remove(struct pci_dev *pdev)
{
	struct bus_test *ctx = kunit_pci_test(pdev)->priv;

	log_call(ctx, "remove", true);
	if (ctx->remove)
		ctx->remove(ctx, pdev);
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
	.driver.suppress_bind_attrs = true,
};

static void get_dev(struct kunit *test)
{
	struct bus_test *ctx = test->priv;

	ctx->pdev = pci_get_slot(ctx->bus, PCI_DEVFN(SLOT_GOOD, 0));
	KUNIT_ASSERT_NOT_NULL(test, ctx->pdev);
}

static int bus_test_init(struct kunit *test)
{
	struct bus_test *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	kunit_activate_static_stub(test, pci_shmem_bar_remap, fake_remap);
	kunit_activate_static_stub(test, pci_shmem_bar_unremap, fake_unremap);

	ctx->bus = kunit_pci_add_bus(test, models, ARRAY_SIZE(models), &ops);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->bus);
	get_dev(test);

	return kunit_pci_register_driver(test, &test_driver);
}

static void bus_test_exit(struct kunit *test)
{
	struct bus_test *ctx = test->priv;

	if (ctx)
		pci_dev_put(ctx->pdev);
}

static int bind(struct bus_test *ctx)
{
	return device_driver_attach(&test_driver.driver, &ctx->pdev->dev);
}

static void unbind(struct bus_test *ctx)
{
	device_release_driver(&ctx->pdev->dev);
}

/* As if no driver had ever been there */
static void expect_clean(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev;

	KUNIT_EXPECT_NULL(test, pdev->dev.driver);
	for (int i = 0; i < PCI_STD_NUM_BARS; i++)
		KUNIT_EXPECT_NULL(test, pci_resource_n(pdev, i)->child);
	KUNIT_EXPECT_EQ(test, atomic_read(&pdev->enable_cnt), 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&pdev->dev.devres_head));
}

static int map_both(struct bus_test *ctx, struct pci_dev *pdev)
{
	struct pci_shmem_bar *shm;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;

	ctx->shm = pcim_shmem_bar_map(pdev, 2, SZ_1M, MEMREMAP_WB, NAME);
	if (IS_ERR(ctx->shm))
		return PTR_ERR(ctx->shm);

	shm = pcim_shmem_bar_map(pdev, 0, SZ_4K, MEMREMAP_WC, NAME);
	if (IS_ERR(shm))
		return PTR_ERR(shm);

	return ctx->refuse ? -EPROTO : 0;
}

static int map_unmanaged(struct bus_test *ctx, struct pci_dev *pdev)
{
	int ret;

	ret = pci_enable_device(pdev);
	if (ret)
		return ret;

	ctx->shm = pci_shmem_bar_map(pdev, 2, 0, MEMREMAP_WB, NAME);
	if (IS_ERR(ctx->shm)) {
		pci_disable_device(pdev);
		return PTR_ERR(ctx->shm);
	}

	return 0;
}

static void unmap_unmanaged(struct bus_test *ctx, struct pci_dev *pdev)
{
	pci_shmem_bar_unmap(ctx->shm);
	pci_disable_device(pdev);
}

/* Look first: what is in a scope until it is adopted is undone before devres */
static int look_then_adopt(struct bus_test *ctx, struct pci_dev *pdev)
{
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;

	struct pci_shmem_bar *shm __free(pci_shmem_bar_unmap) =
		pci_shmem_bar_map(pdev, 2, 0, MEMREMAP_WB, NAME);
	if (IS_ERR(shm))
		return PTR_ERR(shm);

	if (ctx->refuse)
		return -ENODEV;

	return pcim_shmem_bar_adopt(no_free_ptr(shm));
}

struct driver_case {
	const char *desc;
	int (*probe)(struct bus_test *ctx, struct pci_dev *pdev);
	const char *probe_log, *remove_log;
	int err;
	bool refuse, fail_map;
	void (*remove)(struct bus_test *ctx, struct pci_dev *pdev);
};

static const struct driver_case driver_cases[] = {
	{ "managed", map_both,
	  "enable map2 map0 ", "remove unmap0 unmap2 disable " },
	{ "managed, refuses", map_both,
	  "enable map2 map0 unmap0 unmap2 disable ", "", -EPROTO,
	  .refuse = true },
	{ "managed, cannot map", map_both,
	  "enable map2 disable ", "", -ENOMEM, .fail_map = true },
	{ "unmanaged", map_unmanaged,
	  "enable map2 ", "remove unmap2 disable ",
	  .remove = unmap_unmanaged },
	{ "unmanaged, cannot map", map_unmanaged,
	  "enable map2 disable ", "", -ENOMEM, .fail_map = true },
	{ "adopts", look_then_adopt,
	  "enable map2 ", "remove unmap2 disable " },
	{ "adopts, refuses", look_then_adopt,
	  "enable map2 unmap2 disable ", "", -ENODEV, .refuse = true },
};

KUNIT_ARRAY_PARAM_DESC(driver, driver_cases, desc);

/* Twice, to see that nothing of the first is in the way of the second */
static void bind_and_unbind(struct kunit *test)
{
	const struct driver_case *param = test->param_value;
	struct bus_test *ctx = test->priv;

	ctx->probe = param->probe;
	ctx->remove = param->remove;
	ctx->refuse = param->refuse;
	ctx->fail_map = param->fail_map;
	for (int i = 0; i < 2; i++) {
		clear_log(ctx);
		KUNIT_EXPECT_EQ(test, bind(ctx), param->err);
		KUNIT_EXPECT_STREQ(test, ctx->log, param->probe_log);
		clear_log(ctx);
		unbind(ctx);
		KUNIT_EXPECT_STREQ(test, ctx->log, param->remove_log);
		expect_clean(test);
	}
}

static void object_of_assigned_bar(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev;

	ctx->probe = map_both;
	KUNIT_ASSERT_EQ(test, bind(ctx), 0);
	KUNIT_EXPECT_PTR_EQ(test, ctx->shm->pdev, pdev);
	KUNIT_EXPECT_EQ(test, ctx->shm->bar, 2);
	KUNIT_EXPECT_EQ(test, ctx->shm->len, SZ_1M);
	KUNIT_EXPECT_PTR_EQ(test, ctx->shm->addr, &ctx->memory[2]);
	KUNIT_EXPECT_EQ(test, ctx->shm->phys_start,
			pci_resource_start(pdev, 2));
	/* The device sees another address, or this would prove nothing. */
	KUNIT_EXPECT_NE(test, ctx->shm->phys_start, pci_bus_address(pdev, 2));
	KUNIT_EXPECT_TRUE(test, claimed(pdev, 2));
	KUNIT_EXPECT_STREQ(test, pci_resource_n(pdev, 2)->child->name, NAME);
	unbind(ctx);
}

static void probe_fails_to_claim(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev;

	KUNIT_ASSERT_EQ(test, pci_request_region(pdev, 0, "somebody else"), 0);
	ctx->probe = map_both;
	KUNIT_EXPECT_EQ(test, bind(ctx), -EBUSY);
	/* BAR 0 still has its other owner when the device is disabled */
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable map2 unmap2 disable? ");
	KUNIT_EXPECT_FALSE(test, claimed(pdev, 2));
	KUNIT_EXPECT_TRUE(test, claimed(pdev, 0));
	pci_release_region(pdev, 0);
	expect_clean(test);
}

/* The device goes while a driver has it, and comes back where it was. */
static void remove_and_rescan(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev;
	resource_size_t start;

	ctx->probe = map_both;
	KUNIT_ASSERT_EQ(test, bind(ctx), 0);
	start = ctx->shm->phys_start;

	clear_log(ctx);
	ctx->probe = NULL;
	pci_stop_and_remove_bus_device_locked(pdev);
	KUNIT_EXPECT_STREQ(test, ctx->log, "remove unmap0 unmap2 disable ");
	expect_clean(test);
	KUNIT_EXPECT_FALSE(test, resource_assigned(pci_resource_n(pdev, 2)));
	/* Nobody else has kept a reference, so all of it is freed now */
	KUNIT_EXPECT_EQ(test, kref_read(&pdev->dev.kobj.kref), 1);
	ctx->pdev = NULL;
	pci_dev_put(pdev);

	pci_lock_rescan_remove();
	pci_rescan_bus(ctx->bus);
	pci_unlock_rescan_remove();
	get_dev(test);

	clear_log(ctx);
	ctx->probe = map_both;
	KUNIT_ASSERT_EQ(test, bind(ctx), 0);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable map2 map0 ");
	KUNIT_EXPECT_EQ(test, ctx->shm->phys_start, start);
	unbind(ctx);
	expect_clean(test);
}

/* Those for which the PCI core has no room are as if they did not exist. */
static void refuse_unusable_bars(struct kunit *test)
{
	static const struct {
		int slot, bar;
	} bars[] = {
		{ SLOT_BAD, 0 }, { SLOT_BAD, 2 },
		/* Upper half of a 64-bit BAR, and one that does not exist */
		{ SLOT_GOOD, 3 }, { SLOT_GOOD, 5 },
	};
	struct bus_test *ctx = test->priv;

	for (int i = 0; i < ARRAY_SIZE(bars); i++) {
		struct pci_dev *pdev __free(pci_dev_put) =
			pci_get_slot(ctx->bus, PCI_DEVFN(bars[i].slot, 0));

		KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-ENXIO),
				    pcim_shmem_bar_map(pdev, bars[i].bar, 0,
						       MEMREMAP_WB, NAME));
	}
	KUNIT_EXPECT_STREQ(test, ctx->log, "");
}

static struct kunit_case bus_test_cases[] = {
	KUNIT_CASE_PARAM(bind_and_unbind, driver_gen_params),
	KUNIT_CASE(object_of_assigned_bar),
	KUNIT_CASE(probe_fails_to_claim),
	KUNIT_CASE(remove_and_rescan),
	KUNIT_CASE(refuse_unusable_bars),
	{}
};

static struct kunit_suite bus_test_suite = {
	.name = "pci_shmem_bar_bus",
	.init = bus_test_init,
	.exit = bus_test_exit,
	.test_cases = bus_test_cases,
};

kunit_test_suite(bus_test_suite);

MODULE_DESCRIPTION("KUnit tests of PCI shared-memory BARs on a bus");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_LICENSE("GPL");
