// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of PCI shared-memory BARs and of the scoped device enable on a PCI bus
 *
 * The bus is real for the PCI core, which scans it, sizes and assigns the BARs
 * and binds drivers, but its configuration space is modelled here.  There is
 * nothing behind the BARs: they can be mapped, but not be accessed.
 */

#include <kunit/resource.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/acpi.h>
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/numa.h>
#include <linux/pci.h>
#include <linux/pci-shmem-bar.h>
#include <linux/pci_ids.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sprintf.h>
#include <linux/string.h>
#include <linux/types.h>

#include "../pci.h"

#define NAME		"shmem-bus-test"
#define DEVICE_ID	0xffee

/* Where there is only one PCI domain, bus 0 is often taken. */
#define BUS_NR		0xff

/* Bus addresses are not CPU addresses here, and start below 4 GiB. */
#define WINDOW_LEN	SZ_64M
#define WINDOW_BUS	SZ_256M

enum {
	SLOT_GOOD,	/* BAR 0: 4 KiB, BAR 2: 1 MiB, 64-bit, prefetchable */
	SLOT_IO,	/* BAR 0: I/O ports without a window, BAR 2: 4 KiB */
	SLOT_HUGE,	/* BAR 0: 1 GiB, more than the window has */
	NR_SLOTS
};

/* A function's registers: those bits can be written that writable says. */
struct soft_dev {
	u32 config[PCI_CFG_SPACE_SIZE / 4];
	u32 writable[PCI_CFG_SPACE_SIZE / 4];
};

struct bus_test {
#ifdef CONFIG_X86
	struct pci_sysdata sysdata;	/* x86 wants it at bus->sysdata */
#endif
	struct soft_dev devs[NR_SLOTS];
	struct resource *window;
	struct pci_host_bridge *bridge;
	struct pci_dev *pdev[NR_SLOTS];
	void *addr[NR_SLOTS][PCI_STD_NUM_BARS];

	/* What a test makes of the driver and of its environment */
	int (*probe)(struct bus_test *ctx, struct pci_dev *pdev);
	void (*remove)(struct bus_test *ctx, struct pci_dev *pdev);
	struct pci_shmem_bar *shm;
	bool fail_map;
	int enable_err;

	/* Calls in their order, a question mark after one that is too early or late */
	char log[256];
	size_t log_len;
};

static void log_call(struct bus_test *ctx, const char *call, int bar, bool ok)
{
	char nr[12] = "";

	if (bar >= 0)
		snprintf(nr, sizeof(nr), "%d", bar);
	ctx->log_len += scnprintf(ctx->log + ctx->log_len,
				  sizeof(ctx->log) - ctx->log_len, "%s%s%s ", call,
				  nr, ok ? "" : "?");
}

static void clear_log(struct bus_test *ctx)
{
	ctx->log[0] = '\0';
	ctx->log_len = 0;
}

static bool claimed(struct pci_dev *pdev, int bar)
{
	const struct resource *claim = pci_resource_n(pdev, bar)->child;

	return claim && claim->flags & IORESOURCE_BUSY &&
	       resource_size(claim) == pci_resource_len(pdev, bar);
}

static bool any_claimed(struct pci_dev *pdev)
{
	for (int i = 0; i < PCI_STD_NUM_BARS; i++)
		if (claimed(pdev, i))
			return true;
	return false;
}

static struct soft_dev *soft_dev(struct pci_bus *bus, unsigned int devfn)
{
	struct bus_test *ctx = bus->sysdata;

	if (PCI_SLOT(devfn) >= NR_SLOTS || PCI_FUNC(devfn))
		return NULL;
	return &ctx->devs[PCI_SLOT(devfn)];
}

static int soft_read(struct pci_bus *bus, unsigned int devfn, int where, int size,
		     u32 *val)
{
	struct soft_dev *dev = soft_dev(bus, devfn);

	if (!dev || where >= PCI_CFG_SPACE_SIZE)
		return PCIBIOS_DEVICE_NOT_FOUND;

	*val = dev->config[where / 4] >> (where % 4 * 8);
	*val &= BIT_ULL(size * 8) - 1;
	return PCIBIOS_SUCCESSFUL;
}

static int soft_write(struct pci_bus *bus, unsigned int devfn, int where, int size,
		      u32 val)
{
	struct soft_dev *dev = soft_dev(bus, devfn);
	unsigned int shift = where % 4 * 8;
	u32 mask = (BIT_ULL(size * 8) - 1) << shift;

	if (!dev || where >= PCI_CFG_SPACE_SIZE)
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

static void model_dev(struct soft_dev *dev)
{
	dev->config[PCI_VENDOR_ID / 4] = DEVICE_ID << 16 | PCI_VENDOR_ID_REDHAT;
	dev->config[PCI_CLASS_REVISION / 4] = PCI_CLASS_MEMORY_RAM << 16;
	dev->writable[PCI_COMMAND / 4] = PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
					 PCI_COMMAND_MASTER;
}

static void model_bar(struct soft_dev *dev, int bar, u32 type, u32 len)
{
	int reg = PCI_BASE_ADDRESS_0 / 4 + bar;

	dev->config[reg] = type;
	dev->writable[reg] = ~(len - 1);
	if (type & PCI_BASE_ADDRESS_MEM_TYPE_64)
		dev->writable[reg + 1] = ~0;
}

static int bridge_enable_device(struct pci_host_bridge *bridge, struct pci_dev *pdev)
{
	struct bus_test *ctx = bridge->sysdata;

	if (ctx->enable_err)
		return ctx->enable_err;
	log_call(ctx, "enable", -1, true);
	return 0;
}

static void bridge_disable_device(struct pci_host_bridge *bridge, struct pci_dev *pdev)
{
	log_call(bridge->sysdata, "disable", -1, !any_claimed(pdev));
}

static void remove_bus(void *data)
{
	struct bus_test *ctx = data;

	for (int i = 0; i < NR_SLOTS; i++)
		pci_dev_put(ctx->pdev[i]);

	pci_lock_rescan_remove();
	pci_stop_root_bus(ctx->bridge->bus);
	pci_remove_root_bus(ctx->bridge->bus);
	pci_unlock_rescan_remove();
	pci_free_host_bridge(ctx->bridge);
}

static void release_window(void *data)
{
	struct resource *window = data;

	remove_resource(window);
	kfree(window);
}

static void add_bus(struct kunit *test, struct bus_test *ctx)
{
	struct pci_host_bridge *bridge;
	int domain, ret;

	/* What bus->sysdata points to is different on each architecture */
	if (!IS_ENABLED(CONFIG_X86) && !IS_ENABLED(CONFIG_UML) &&
	    !(IS_ENABLED(CONFIG_ARM64) && acpi_disabled))
		kunit_skip(test, "no bus in software on this architecture");

	ctx->window = alloc_free_mem_region(&iomem_resource, WINDOW_LEN, WINDOW_LEN,
					    NAME);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->window);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, release_window,
							ctx->window), 0);

	/* Beyond what firmware can use */
	domain = pci_bus_find_emul_domain_nr(0, 0x10000, INT_MAX);
	KUNIT_ASSERT_GE(test, domain, 0);

	bridge = pci_alloc_host_bridge(0);
	if (!bridge)
		pci_bus_release_emul_domain_nr(domain);
	KUNIT_ASSERT_NOT_NULL(test, bridge);
	bridge->ops = &soft_ops;
	bridge->enable_device = bridge_enable_device;
	bridge->disable_device = bridge_disable_device;
	bridge->sysdata = ctx;
	bridge->busnr = BUS_NR;
	bridge->domain_nr = domain;
#ifdef CONFIG_X86
	static_assert(!offsetof(struct bus_test, sysdata));
	ctx->sysdata.domain = domain;
	/* With a node, the driver core would probe in a thread of its own */
	ctx->sysdata.node = NUMA_NO_NODE;
#endif
	pci_add_resource_offset(&bridge->windows, ctx->window,
				ctx->window->start - WINDOW_BUS);

	ret = pci_host_probe(bridge);
	if (ret)
		pci_free_host_bridge(bridge);
	KUNIT_ASSERT_EQ(test, ret, 0);

	ctx->bridge = bridge;
	for (int i = 0; i < NR_SLOTS; i++)
		ctx->pdev[i] = pci_get_slot(bridge->bus, PCI_DEVFN(i, 0));
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, remove_bus, ctx), 0);
	for (int i = 0; i < NR_SLOTS; i++)
		KUNIT_ASSERT_NOT_NULL(test, ctx->pdev[i]);
}

static int soft_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct bus_test *ctx = pdev->bus->sysdata;

	return ctx->probe ? ctx->probe(ctx, pdev) : -ENODEV;
}

static void soft_remove(struct pci_dev *pdev)
{
	struct bus_test *ctx = pdev->bus->sysdata;

	log_call(ctx, "remove", -1, true);
	if (ctx->remove)
		ctx->remove(ctx, pdev);
}

static const struct pci_device_id soft_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT, DEVICE_ID) },
	{}
};

static struct pci_driver soft_driver = {
	.name = NAME,
	.id_table = soft_ids,
	.probe = soft_probe,
	.remove = soft_remove,
	.driver.probe_type = PROBE_FORCE_SYNCHRONOUS,
};

static void unregister_driver(void *driver)
{
	pci_unregister_driver(driver);
}

static bool find_bar(struct bus_test *ctx, resource_size_t start, int *slot, int *bar)
{
	for (*slot = 0; *slot < NR_SLOTS; ++*slot)
		for (*bar = 0; *bar < PCI_STD_NUM_BARS; ++*bar)
			if (pci_resource_len(ctx->pdev[*slot], *bar) &&
			    pci_resource_start(ctx->pdev[*slot], *bar) == start)
				return true;
	return false;
}

static bool find_addr(struct bus_test *ctx, void *addr, int *slot, int *bar)
{
	for (*slot = 0; *slot < NR_SLOTS; ++*slot)
		for (*bar = 0; *bar < PCI_STD_NUM_BARS; ++*bar)
			if (ctx->addr[*slot][*bar] == addr)
				return true;
	return false;
}

/* Map for real, where the architecture can, and log that. */
static void *logged_remap(resource_size_t start, size_t len, unsigned long flags)
{
	struct kunit *test = kunit_get_current_test();
	struct bus_test *ctx = test->priv;
	int slot, bar;
	void *addr;

	KUNIT_ASSERT_TRUE(test, find_bar(ctx, start, &slot, &bar));
	log_call(ctx, "map", bar, claimed(ctx->pdev[slot], bar) &&
		 pci_is_enabled(ctx->pdev[slot]));
	if (ctx->fail_map)
		return NULL;

	kunit_deactivate_static_stub(test, pci_shmem_bar_remap);
	addr = pci_shmem_bar_remap(start, len, flags);
	kunit_activate_static_stub(test, pci_shmem_bar_remap, logged_remap);

	if (addr == ERR_PTR(-EOPNOTSUPP))
		addr = &ctx->addr[slot][bar];
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, addr);
	ctx->addr[slot][bar] = addr;
	return addr;
}

static void logged_unremap(void *addr)
{
	struct kunit *test = kunit_get_current_test();
	struct bus_test *ctx = test->priv;
	int slot, bar;

	KUNIT_ASSERT_TRUE(test, find_addr(ctx, addr, &slot, &bar));
	ctx->addr[slot][bar] = NULL;
	log_call(ctx, "unmap", bar, claimed(ctx->pdev[slot], bar) &&
		 pci_is_enabled(ctx->pdev[slot]));
	if (addr == &ctx->addr[slot][bar])
		return;

	kunit_deactivate_static_stub(test, pci_shmem_bar_unremap);
	pci_shmem_bar_unremap(addr);
	kunit_activate_static_stub(test, pci_shmem_bar_unremap, logged_unremap);
}

static int bus_test_init(struct kunit *test)
{
	struct bus_test *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	for (int i = 0; i < NR_SLOTS; i++)
		model_dev(&ctx->devs[i]);
	model_bar(&ctx->devs[SLOT_GOOD], 0, PCI_BASE_ADDRESS_SPACE_MEMORY, SZ_4K);
	model_bar(&ctx->devs[SLOT_GOOD], 2, PCI_BASE_ADDRESS_SPACE_MEMORY |
		  PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH, SZ_1M);
	model_bar(&ctx->devs[SLOT_IO], 0, PCI_BASE_ADDRESS_SPACE_IO, 32);
	model_bar(&ctx->devs[SLOT_IO], 2, PCI_BASE_ADDRESS_SPACE_MEMORY, SZ_4K);
	model_bar(&ctx->devs[SLOT_HUGE], 0, PCI_BASE_ADDRESS_SPACE_MEMORY |
		  PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH, SZ_1G);

	kunit_activate_static_stub(test, pci_shmem_bar_remap, logged_remap);
	kunit_activate_static_stub(test, pci_shmem_bar_unremap, logged_unremap);

	add_bus(test, ctx);
	KUNIT_ASSERT_EQ(test, pci_register_driver(&soft_driver), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, unregister_driver,
							&soft_driver), 0);

	return 0;
}

static int bind(struct bus_test *ctx, int slot)
{
	return device_driver_attach(&soft_driver.driver, &ctx->pdev[slot]->dev);
}

static void unbind(struct bus_test *ctx, int slot)
{
	device_release_driver(&ctx->pdev[slot]->dev);
}

/* As if no driver had ever been there */
static void expect_clean(struct kunit *test, struct pci_dev *pdev)
{
	KUNIT_EXPECT_NULL(test, pdev->dev.driver);
	KUNIT_EXPECT_FALSE(test, any_claimed(pdev));
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

	shm = pcim_shmem_bar_map(pdev, 0, SZ_4K, MEMREMAP_WB, NAME);
	return PTR_ERR_OR_ZERO(shm);
}

static int map_both_and_fail(struct bus_test *ctx, struct pci_dev *pdev)
{
	return map_both(ctx, pdev) ?: -EPROTO;
}

static void probe_and_detach(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev[SLOT_GOOD];

	ctx->probe = map_both;
	/* Twice, to see that nothing of the first is in the way of the second */
	for (int i = 0; i < 2; i++) {
		clear_log(ctx);
		KUNIT_ASSERT_EQ(test, bind(ctx, SLOT_GOOD), 0);
		KUNIT_EXPECT_STREQ(test, ctx->log, "enable map2 map0 ");
		KUNIT_EXPECT_TRUE(test, claimed(pdev, 0));
		KUNIT_EXPECT_TRUE(test, claimed(pdev, 2));
		KUNIT_EXPECT_EQ(test, atomic_read(&pdev->enable_cnt), 1);

		clear_log(ctx);
		unbind(ctx, SLOT_GOOD);
		KUNIT_EXPECT_STREQ(test, ctx->log, "remove unmap0 unmap2 disable ");
		expect_clean(test, pdev);
	}
}

static void object_of_assigned_bar(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev[SLOT_GOOD];

	ctx->probe = map_both;
	KUNIT_ASSERT_EQ(test, bind(ctx, SLOT_GOOD), 0);
	KUNIT_EXPECT_PTR_EQ(test, ctx->shm->pdev, pdev);
	KUNIT_EXPECT_EQ(test, ctx->shm->bar, 2);
	KUNIT_EXPECT_EQ(test, ctx->shm->len, SZ_1M);
	KUNIT_EXPECT_PTR_EQ(test, ctx->shm->addr, ctx->addr[SLOT_GOOD][2]);
	KUNIT_EXPECT_EQ(test, ctx->shm->phys_start, pci_resource_start(pdev, 2));
	/* The device sees other addresses than the CPU, or this proves nothing */
	KUNIT_EXPECT_NE(test, ctx->shm->phys_start, pci_bus_address(pdev, 2));
	KUNIT_EXPECT_STREQ(test, pci_resource_n(pdev, 2)->child->name, NAME);
	unbind(ctx, SLOT_GOOD);
}

static void probe_fails_at_its_end(struct kunit *test)
{
	struct bus_test *ctx = test->priv;

	ctx->probe = map_both_and_fail;
	KUNIT_EXPECT_EQ(test, bind(ctx, SLOT_GOOD), -EPROTO);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable map2 map0 unmap0 unmap2 disable ");
	expect_clean(test, ctx->pdev[SLOT_GOOD]);
}

static void probe_fails_to_map(struct kunit *test)
{
	struct bus_test *ctx = test->priv;

	ctx->probe = map_both;
	ctx->fail_map = true;
	KUNIT_EXPECT_EQ(test, bind(ctx, SLOT_GOOD), -ENOMEM);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable map2 disable ");
	expect_clean(test, ctx->pdev[SLOT_GOOD]);
}

static void probe_fails_to_claim(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev[SLOT_GOOD];

	KUNIT_ASSERT_EQ(test, pci_request_region(pdev, 0, "somebody else"), 0);
	ctx->probe = map_both;
	KUNIT_EXPECT_EQ(test, bind(ctx, SLOT_GOOD), -EBUSY);
	/* BAR 0 still has its other owner when the device is disabled */
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable map2 unmap2 disable? ");
	KUNIT_EXPECT_FALSE(test, claimed(pdev, 2));
	KUNIT_EXPECT_TRUE(test, claimed(pdev, 0));
	pci_release_region(pdev, 0);
	expect_clean(test, pdev);
}

static void hot_unplug(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev[SLOT_GOOD];

	ctx->probe = map_both;
	KUNIT_ASSERT_EQ(test, bind(ctx, SLOT_GOOD), 0);
	clear_log(ctx);
	pci_stop_and_remove_bus_device_locked(pdev);
	KUNIT_EXPECT_STREQ(test, ctx->log, "remove unmap0 unmap2 disable ");
	expect_clean(test, pdev);
}

static int map_unmanaged(struct bus_test *ctx, struct pci_dev *pdev)
{
	ACQUIRE(pci_enable_device, enabled)(pdev);
	int ret = ACQUIRE_ERR(pci_enable_device, &enabled);

	if (ret)
		return ret;

	ctx->shm = pci_shmem_bar_map(pdev, 2, 0, MEMREMAP_WB, NAME);
	if (IS_ERR(ctx->shm))
		return PTR_ERR(ctx->shm);

	retain_and_null_ptr(enabled);
	return 0;
}

static void unmap_unmanaged(struct bus_test *ctx, struct pci_dev *pdev)
{
	pci_shmem_bar_unmap(ctx->shm);
	pci_disable_device(pdev);
}

static void unmanaged_driver(struct kunit *test)
{
	struct bus_test *ctx = test->priv;

	ctx->probe = map_unmanaged;
	ctx->remove = unmap_unmanaged;
	KUNIT_ASSERT_EQ(test, bind(ctx, SLOT_GOOD), 0);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable map2 ");
	unbind(ctx, SLOT_GOOD);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable map2 remove unmap2 disable ");
	expect_clean(test, ctx->pdev[SLOT_GOOD]);
}

static void unmanaged_driver_fails(struct kunit *test)
{
	struct bus_test *ctx = test->priv;

	ctx->probe = map_unmanaged;
	ctx->fail_map = true;
	KUNIT_EXPECT_EQ(test, bind(ctx, SLOT_GOOD), -ENOMEM);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable map2 disable ");
	expect_clean(test, ctx->pdev[SLOT_GOOD]);
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

	if (!ctx->shm)
		return -ENODEV;

	return pcim_shmem_bar_adopt(no_free_ptr(shm));
}

static void adopt_in_probe(struct kunit *test)
{
	struct bus_test *ctx = test->priv;

	ctx->probe = look_then_adopt;
	KUNIT_EXPECT_EQ(test, bind(ctx, SLOT_GOOD), -ENODEV);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable map2 unmap2 disable ");
	expect_clean(test, ctx->pdev[SLOT_GOOD]);

	clear_log(ctx);
	ctx->shm = ERR_PTR(-EEXIST);
	KUNIT_EXPECT_EQ(test, bind(ctx, SLOT_GOOD), 0);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable map2 ");
	unbind(ctx, SLOT_GOOD);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable map2 remove unmap2 disable ");
	expect_clean(test, ctx->pdev[SLOT_GOOD]);
}

/* Those for which the PCI core has no room are as if they did not exist. */
static void refuse_unusable_bars(struct kunit *test)
{
	struct bus_test *ctx = test->priv;

	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-ENXIO),
			    pci_shmem_bar_map(ctx->pdev[SLOT_IO], 0, 0, MEMREMAP_WB, NAME));
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-ENXIO),
			    pci_shmem_bar_map(ctx->pdev[SLOT_HUGE], 0, 0, MEMREMAP_WB, NAME));
	/* The upper half of a 64-bit BAR, and a BAR that does not exist */
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-ENXIO),
			    pci_shmem_bar_map(ctx->pdev[SLOT_GOOD], 3, 0, MEMREMAP_WB, NAME));
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-ENXIO),
			    pci_shmem_bar_map(ctx->pdev[SLOT_GOOD], 5, 0, MEMREMAP_WB, NAME));
	KUNIT_EXPECT_STREQ(test, ctx->log, "");
}

static struct kunit_case bus_test_cases[] = {
	KUNIT_CASE(probe_and_detach),
	KUNIT_CASE(object_of_assigned_bar),
	KUNIT_CASE(probe_fails_at_its_end),
	KUNIT_CASE(probe_fails_to_map),
	KUNIT_CASE(probe_fails_to_claim),
	KUNIT_CASE(hot_unplug),
	KUNIT_CASE(unmanaged_driver),
	KUNIT_CASE(unmanaged_driver_fails),
	KUNIT_CASE(adopt_in_probe),
	KUNIT_CASE(refuse_unusable_bars),
	{}
};

static struct kunit_suite bus_test_suite = {
	.name = "pci_shmem_bar_bus",
	.init = bus_test_init,
	.test_cases = bus_test_cases,
};

static int enable_in_scope(struct bus_test *ctx, struct pci_dev *pdev, int err)
{
	ACQUIRE(pci_enable_device, enabled)(pdev);
	int ret = ACQUIRE_ERR(pci_enable_device, &enabled);

	if (ret)
		return ret;

	if (err)
		return err;

	pci_set_master(pdev);
	log_call(ctx, "use", -1, pci_is_enabled(pdev));
	return 0;
}

static int enable_mem_in_scope(struct bus_test *ctx, struct pci_dev *pdev, int err)
{
	ACQUIRE(pci_enable_device_mem, enabled)(pdev);
	int ret = ACQUIRE_ERR(pci_enable_device_mem, &enabled);

	if (ret)
		return ret;

	if (err)
		return err;

	pci_set_master(pdev);
	log_call(ctx, "use", -1, pci_is_enabled(pdev));
	return 0;
}

typedef int (*scope_fn)(struct bus_test *ctx, struct pci_dev *pdev, int err);

static const scope_fn scopes[] = { enable_in_scope, enable_mem_in_scope };

static void scope_desc(const scope_fn *scope, char *desc)
{
	strscpy(desc, *scope == enable_in_scope ? "pci_enable_device" :
		"pci_enable_device_mem", KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(scope, scopes, scope_desc);

static u16 command(struct pci_dev *pdev)
{
	u16 cmd;

	pci_read_config_word(pdev, PCI_COMMAND, &cmd);
	return cmd;
}

static void disable_at_end_of_scope(struct kunit *test)
{
	const scope_fn *scope = test->param_value;
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev[SLOT_GOOD];

	KUNIT_EXPECT_EQ(test, (*scope)(ctx, pdev, 0), 0);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable use disable ");
	expect_clean(test, pdev);
	/* Bus mastering is off again, memory decode is not */
	KUNIT_EXPECT_EQ(test, command(pdev), PCI_COMMAND_MEMORY);
}

static void disable_at_early_return(struct kunit *test)
{
	const scope_fn *scope = test->param_value;
	struct bus_test *ctx = test->priv;

	KUNIT_EXPECT_EQ(test, (*scope)(ctx, ctx->pdev[SLOT_GOOD], -EIO), -EIO);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable disable ");
	expect_clean(test, ctx->pdev[SLOT_GOOD]);
}

static void no_disable_without_enable(struct kunit *test)
{
	const scope_fn *scope = test->param_value;
	struct bus_test *ctx = test->priv;

	ctx->enable_err = -EBUSY;
	KUNIT_EXPECT_EQ(test, (*scope)(ctx, ctx->pdev[SLOT_GOOD], 0), -EBUSY);
	KUNIT_EXPECT_STREQ(test, ctx->log, "");
	expect_clean(test, ctx->pdev[SLOT_GOOD]);
}

static void nested_enable(struct kunit *test)
{
	const scope_fn *scope = test->param_value;
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev[SLOT_GOOD];

	KUNIT_ASSERT_EQ(test, pci_enable_device(pdev), 0);
	KUNIT_EXPECT_EQ(test, (*scope)(ctx, pdev, 0), 0);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable use ");
	KUNIT_EXPECT_EQ(test, atomic_read(&pdev->enable_cnt), 1);
	pci_disable_device(pdev);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable use disable ");
}

static void disable_at_break(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev[SLOT_GOOD];

	for (int i = 0; i < 3; i++) {
		ACQUIRE(pci_enable_device_mem, enabled)(pdev);

		KUNIT_EXPECT_EQ(test, ACQUIRE_ERR(pci_enable_device_mem, &enabled), 0);
		if (!i)
			continue;
		break;
	}
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable disable enable disable ");
	expect_clean(test, pdev);
}

static int enable_and_retain(struct pci_dev *pdev)
{
	ACQUIRE(pci_enable_device, enabled)(pdev);
	int ret = ACQUIRE_ERR(pci_enable_device, &enabled);

	if (!ret)
		retain_and_null_ptr(enabled);
	return ret;
}

static int enable_mem_and_retain(struct pci_dev *pdev)
{
	ACQUIRE(pci_enable_device_mem, enabled)(pdev);
	int ret = ACQUIRE_ERR(pci_enable_device_mem, &enabled);

	if (!ret)
		retain_and_null_ptr(enabled);
	return ret;
}

static void retained_enable(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev[SLOT_GOOD];

	KUNIT_EXPECT_EQ(test, enable_and_retain(pdev), 0);
	KUNIT_EXPECT_EQ(test, enable_mem_and_retain(pdev), 0);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable ");
	KUNIT_EXPECT_EQ(test, atomic_read(&pdev->enable_cnt), 2);
	pci_disable_device(pdev);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable ");
	pci_disable_device(pdev);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable disable ");
}

/* Only the one that wants no I/O ports can do without. */
static void enable_mem_without_io(struct kunit *test)
{
	struct bus_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev[SLOT_IO];

	/* The core has forgotten the BAR; what it makes of one with an address */
	pdev->resource[0].flags = IORESOURCE_IO | IORESOURCE_UNSET;
	KUNIT_EXPECT_EQ(test, enable_in_scope(ctx, pdev, 0), -EINVAL);
	expect_clean(test, pdev);
	KUNIT_EXPECT_EQ(test, enable_mem_in_scope(ctx, pdev, 0), 0);
	expect_clean(test, pdev);
	KUNIT_EXPECT_EQ(test, command(pdev), PCI_COMMAND_MEMORY);
	/* The core tells the bridge in both cases, and takes back the failed one */
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable disable enable use disable ");
}

static struct kunit_case enable_test_cases[] = {
	KUNIT_CASE_PARAM(disable_at_end_of_scope, scope_gen_params),
	KUNIT_CASE_PARAM(disable_at_early_return, scope_gen_params),
	KUNIT_CASE_PARAM(no_disable_without_enable, scope_gen_params),
	KUNIT_CASE_PARAM(nested_enable, scope_gen_params),
	KUNIT_CASE(disable_at_break),
	KUNIT_CASE(retained_enable),
	KUNIT_CASE(enable_mem_without_io),
	{}
};

static struct kunit_suite enable_test_suite = {
	.name = "pci_enable_device_scope",
	.init = bus_test_init,
	.test_cases = enable_test_cases,
};

kunit_test_suites(&bus_test_suite, &enable_test_suite);

MODULE_DESCRIPTION("KUnit tests of PCI shared-memory BARs on a bus in software");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_LICENSE("GPL");
