// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the PCI core, and of the bus in software on which they run
 */

#include <kunit/pci.h>
#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/array_size.h>
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/container_of.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci_ids.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#define NAME		"kunit-pci-test"
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

struct pci_test {
	struct pci_bus *bus;
	int probed, removed, enabled, disabled;
	int enable_err;
	char log[64];
};

static void log_call(struct pci_test *ctx, const char *call)
{
	strlcat(ctx->log, call, sizeof(ctx->log));
}

/* What follows may run in another task than the test's. */
static int test_enable_device(struct kunit *test, struct pci_dev *pdev)
{
	struct pci_test *ctx = test->priv;

	ctx->enabled++;
	log_call(ctx, ctx->enable_err ? "refuse " : "enable ");
	return ctx->enable_err;
}

static void test_disable_device(struct kunit *test, struct pci_dev *pdev)
{
	struct pci_test *ctx = test->priv;

	ctx->disabled++;
	log_call(ctx, "disable ");
}

static const struct kunit_pci_ops ops = {
	.enable_device = test_enable_device,
	.disable_device = test_disable_device,
};

static int test_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct pci_test *ctx = kunit_pci_test(pdev)->priv;

	ctx->probed++;
	return 0;
}

static void test_remove(struct pci_dev *pdev)
{
	struct pci_test *ctx = kunit_pci_test(pdev)->priv;

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

KUNIT_DEFINE_ACTION_WRAPPER(put_dev, pci_dev_put, struct pci_dev *)

static struct pci_dev *get_dev(struct kunit *test, unsigned int slot)
{
	struct pci_test *ctx = test->priv;
	struct pci_dev *pdev = pci_get_slot(ctx->bus, PCI_DEVFN(slot, 0));

	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, put_dev, pdev));
	return pdev;
}

static int add_bus(struct kunit *test, const struct kunit_pci_model *model,
		   unsigned int nr)
{
	struct pci_test *ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;
	ctx->bus = kunit_pci_add_bus(test, model, nr, &ops);
	return PTR_ERR_OR_ZERO(ctx->bus);
}

static int bus_init(struct kunit *test)
{
	return add_bus(test, models, ARRAY_SIZE(models));
}

static void scan(struct kunit *test)
{
	struct pci_test *ctx = test->priv;
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
	KUNIT_EXPECT_EQ(test, pci_resource_flags(pdev, 0) & type,
			IORESOURCE_MEM);
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
	KUNIT_EXPECT_NE(test, pci_bus_address(pdev, 2),
			pci_resource_start(pdev, 2));
}

static void access_config(struct kunit *test)
{
	struct pci_test *ctx = test->priv;
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
	pci_read_config_word(pdev, PCI_COMMAND, &word);
	KUNIT_EXPECT_EQ(test, word, PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
				    PCI_COMMAND_MASTER |
				    PCI_COMMAND_INTX_DISABLE);
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
	pci_bus_read_config_dword(ctx->bus, PCI_DEVFN(0, 1), PCI_VENDOR_ID,
				  &dword);
	KUNIT_EXPECT_TRUE(test, PCI_POSSIBLE_ERROR(dword));
}

static void enable(struct kunit *test)
{
	struct pci_test *ctx = test->priv;
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

struct enable_work {
	struct work_struct work;
	struct pci_dev *pdev;
	int ret;
};

static void do_enable(struct work_struct *work)
{
	struct enable_work *enable =
		container_of(work, struct enable_work, work);

	enable->ret = pci_enable_device(enable->pdev);
	pci_disable_device(enable->pdev);
}

/* As one that writes to the device's "enable" in sysfs */
static void enable_in_another_task(struct kunit *test)
{
	struct pci_test *ctx = test->priv;
	struct enable_work enable = { .pdev = get_dev(test, 0) };

	INIT_WORK_ONSTACK(&enable.work, do_enable);
	schedule_work(&enable.work);
	flush_work(&enable.work);
	destroy_work_on_stack(&enable.work);
	KUNIT_EXPECT_EQ(test, enable.ret, 0);
	KUNIT_EXPECT_EQ(test, ctx->enabled, 1);
	KUNIT_EXPECT_EQ(test, ctx->disabled, 1);
}

/* One that is taken for a device of the machine cuts that off its memory. */
static void no_iommu(struct kunit *test)
{
	for (int i = 0; i < ARRAY_SIZE(models); i++) {
		struct pci_dev *pdev = get_dev(test, i);

		KUNIT_EXPECT_FALSE_MSG(test, device_iommu_mapped(&pdev->dev),
				       "%s", pci_name(pdev));
	}
}

/* On another bus than ours, there is no test to find. */
static void find_test(struct kunit *test)
{
	struct pci_dev *pdev = get_dev(test, 0);
	struct pci_bus *bus = pdev->bus;
	struct pci_ops *ops = bus->ops, others = *ops;

	KUNIT_EXPECT_PTR_EQ(test, kunit_pci_test(pdev), test);
	bus->ops = &others;
	KUNIT_EXPECT_NULL(test, kunit_pci_test(pdev));
	bus->ops = ops;
}

/* Of the two devices, the driver knows one. */
static void bind(struct kunit *test)
{
	struct pci_test *ctx = test->priv;
	struct pci_dev *pdev = get_dev(test, 0), *other = get_dev(test, 1);

	KUNIT_ASSERT_EQ(test, 0, kunit_pci_register_driver(test, &test_driver));
	KUNIT_EXPECT_EQ(test, ctx->probed, 1);
	KUNIT_EXPECT_PTR_EQ(test, pdev->driver, &test_driver);
	KUNIT_EXPECT_NULL(test, other->driver);
	device_release_driver(&pdev->dev);
	KUNIT_EXPECT_EQ(test, ctx->removed, 1);
	KUNIT_EXPECT_NULL(test, pdev->driver);
}

static void unplug_and_rescan(struct kunit *test)
{
	struct pci_test *ctx = test->priv;
	struct pci_dev *pdev = get_dev(test, 0);
	resource_size_t start = pci_resource_start(pdev, 2);

	KUNIT_ASSERT_EQ(test, 0, kunit_pci_register_driver(test, &test_driver));
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

static struct kunit_case bus_cases[] = {
	KUNIT_CASE(scan),
	KUNIT_CASE(assign_bars),
	KUNIT_CASE(access_config),
	KUNIT_CASE(enable),
	KUNIT_CASE(enable_in_another_task),
	KUNIT_CASE(no_iommu),
	KUNIT_CASE(find_test),
	KUNIT_CASE(bind),
	KUNIT_CASE(unplug_and_rescan),
	KUNIT_CASE(refuse_too_many),
	{}
};

static struct kunit_suite bus_suite = {
	.name = "pci_kunit_bus",
	.init = bus_init,
	.test_cases = bus_cases,
};

/* Enabling a device for the length of a scope */

static const struct kunit_pci_model ram = {
	PCI_VENDOR_ID_REDHAT, DEVICE_ID, PCI_CLASS_MEMORY_RAM,
	.bars = {
		[0] = { MEM, SZ_4K },
		/* There is no window for this */
		[1] = { PCI_BASE_ADDRESS_SPACE_IO, 32 },
	},
};

static int enable_init(struct kunit *test)
{
	return add_bus(test, &ram, 1);
}

static void use_device(struct pci_dev *pdev)
{
	struct pci_test *ctx = kunit_pci_test(pdev)->priv;

	pci_set_master(pdev);
	log_call(ctx, pci_is_enabled(pdev) ? "use " : "use? ");
}

enum leave { AT_END, BY_RETURN, BY_BREAK, RETAIN };

/* What leaves a scope at its end goes round and enters it once more. */
static int enable_scope(struct pci_dev *pdev, enum leave how)
{
	for (int i = 0; i < 2; i++) {
		ACQUIRE(pci_enable_device, enabled)(pdev);
		int ret = ACQUIRE_ERR(pci_enable_device, &enabled);

		if (ret)
			return ret;

		use_device(pdev);
		if (how == BY_RETURN)
			return -EIO;
		if (how == BY_BREAK)
			break;
		if (how == RETAIN) {
			retain_and_null_ptr(enabled);
			break;
		}
	}
	return 0;
}

static int enable_mem_scope(struct pci_dev *pdev, enum leave how)
{
	for (int i = 0; i < 2; i++) {
		ACQUIRE(pci_enable_device_mem, enabled)(pdev);
		int ret = ACQUIRE_ERR(pci_enable_device_mem, &enabled);

		if (ret)
			return ret;

		use_device(pdev);
		if (how == BY_RETURN)
			return -EIO;
		if (how == BY_BREAK)
			break;
		if (how == RETAIN) {
			retain_and_null_ptr(enabled);
			break;
		}
	}
	return 0;
}

struct scope_case {
	const char *desc;
	int (*scope)(struct pci_dev *pdev, enum leave how);
};

static const struct scope_case scope_cases[] = {
	{ "pci_enable_device", enable_scope },
	{ "pci_enable_device_mem", enable_mem_scope },
};

KUNIT_ARRAY_PARAM_DESC(scope, scope_cases, desc);

static const struct {
	enum leave how;
	int ret;
	const char *log;
} leaves[] = {
	{ AT_END, 0, "enable use disable enable use disable " },
	{ BY_RETURN, -EIO, "enable use disable " },
	{ BY_BREAK, 0, "enable use disable " },
	{ RETAIN, 0, "enable use " },
};

static u16 command(struct pci_dev *pdev)
{
	u16 cmd;

	pci_read_config_word(pdev, PCI_COMMAND, &cmd);
	return cmd;
}

static void leave_scope(struct kunit *test)
{
	const struct scope_case *param = test->param_value;
	struct pci_test *ctx = test->priv;
	struct pci_dev *pdev = get_dev(test, 0);

	for (int i = 0; i < ARRAY_SIZE(leaves); i++) {
		ctx->log[0] = '\0';
		KUNIT_EXPECT_EQ(test, param->scope(pdev, leaves[i].how),
				leaves[i].ret);
		KUNIT_EXPECT_STREQ(test, ctx->log, leaves[i].log);
		KUNIT_EXPECT_EQ(test, atomic_read(&pdev->enable_cnt),
				leaves[i].how == RETAIN);
		if (leaves[i].how == RETAIN)
			pci_disable_device(pdev);
		/* Bus mastering is off again, memory decode is not */
		KUNIT_EXPECT_EQ(test, command(pdev), PCI_COMMAND_MEMORY);
	}
}

static void no_disable_without_enable(struct kunit *test)
{
	const struct scope_case *param = test->param_value;
	struct pci_dev *pdev = get_dev(test, 0);
	struct pci_test *ctx = test->priv;

	ctx->enable_err = -EBUSY;
	KUNIT_EXPECT_EQ(test, param->scope(pdev, AT_END), -EBUSY);
	KUNIT_EXPECT_STREQ(test, ctx->log, "refuse ");
	KUNIT_EXPECT_EQ(test, atomic_read(&pdev->enable_cnt), 0);
}

static void nested_enable(struct kunit *test)
{
	const struct scope_case *param = test->param_value;
	struct pci_test *ctx = test->priv;
	struct pci_dev *pdev = get_dev(test, 0);

	KUNIT_ASSERT_EQ(test, pci_enable_device(pdev), 0);
	KUNIT_EXPECT_EQ(test, param->scope(pdev, BY_BREAK), 0);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable use ");
	KUNIT_EXPECT_EQ(test, atomic_read(&pdev->enable_cnt), 1);
	pci_disable_device(pdev);
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable use disable ");
}

/* Only the one that wants no I/O ports can do without. */
static void enable_mem_without_io(struct kunit *test)
{
	struct pci_test *ctx = test->priv;
	struct pci_dev *pdev = get_dev(test, 0);

	/* The core has forgotten the BAR; this is one it could not place. */
	pdev->resource[1].flags = IORESOURCE_IO | IORESOURCE_UNSET;
	KUNIT_EXPECT_EQ(test, enable_scope(pdev, BY_BREAK), -EINVAL);
	KUNIT_EXPECT_EQ(test, atomic_read(&pdev->enable_cnt), 0);
	KUNIT_EXPECT_EQ(test, enable_mem_scope(pdev, BY_BREAK), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&pdev->enable_cnt), 0);
	KUNIT_EXPECT_EQ(test, command(pdev), PCI_COMMAND_MEMORY);
	/* The bridge is told in both cases, and that the first has failed. */
	KUNIT_EXPECT_STREQ(test, ctx->log,
			   "enable disable enable use disable ");
}

static struct kunit_case enable_cases[] = {
	KUNIT_CASE_PARAM(leave_scope, scope_gen_params),
	KUNIT_CASE_PARAM(no_disable_without_enable, scope_gen_params),
	KUNIT_CASE_PARAM(nested_enable, scope_gen_params),
	KUNIT_CASE(enable_mem_without_io),
	{}
};

static struct kunit_suite enable_suite = {
	.name = "pci_enable_scope",
	.init = enable_init,
	.test_cases = enable_cases,
};

kunit_test_suites(&bus_suite, &enable_suite);

MODULE_DESCRIPTION("KUnit tests of the PCI core");
MODULE_LICENSE("GPL");
