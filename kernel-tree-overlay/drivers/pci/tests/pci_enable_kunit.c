// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of enabling a PCI device for the length of a scope
 */

#include <kunit/pci.h>
#include <kunit/resource.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/array_size.h>
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci_ids.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/types.h>

static const struct kunit_pci_model ram = {
	PCI_VENDOR_ID_REDHAT, 0xffee, PCI_CLASS_MEMORY_RAM,
	.bars = {
		[0] = { PCI_BASE_ADDRESS_SPACE_MEMORY, SZ_4K },
		/* There is no window for this */
		[1] = { PCI_BASE_ADDRESS_SPACE_IO, 32 },
	},
};

static const struct kunit_pci_model connectx4 = {
	PCI_VENDOR_ID_MELLANOX, PCI_DEVICE_ID_MELLANOX_CONNECTX4,
	PCI_CLASS_NETWORK_ETHERNET,
	.bars = { [0] = { PCI_BASE_ADDRESS_SPACE_MEMORY, SZ_4K } },
};

struct enable_test {
	struct pci_dev *pdev;
	int enable_err;
	char log[64];
};

static void log_call(const char *call)
{
	struct enable_test *ctx = kunit_get_current_test()->priv;

	strlcat(ctx->log, call, sizeof(ctx->log));
}

static int test_enable_device(struct pci_dev *pdev)
{
	struct enable_test *ctx = kunit_get_current_test()->priv;

	log_call(ctx->enable_err ? "refuse " : "enable ");
	return ctx->enable_err;
}

static void test_disable_device(struct pci_dev *pdev)
{
	log_call("disable ");
}

static const struct kunit_pci_ops ops = {
	.enable_device = test_enable_device,
	.disable_device = test_disable_device,
};

static void use_device(struct pci_dev *pdev)
{
	pci_set_master(pdev);
	log_call(pci_is_enabled(pdev) ? "use " : "use? ");
}

static void put_dev(void *pdev)
{
	pci_dev_put(pdev);
}

static int add_device(struct kunit *test, const struct kunit_pci_model *model,
		      int enable_err)
{
	struct enable_test *ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	struct pci_bus *bus;

	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;
	ctx->enable_err = enable_err;
	bus = kunit_pci_add_bus(test, model, 1, &ops);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, bus);
	ctx->pdev = pci_get_slot(bus, PCI_DEVFN(0, 0));
	KUNIT_ASSERT_NOT_NULL(test, ctx->pdev);

	return kunit_add_action_or_reset(test, put_dev, ctx->pdev);
}

static int enable_test_init(struct kunit *test)
{
	return add_device(test, &ram, 0);
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
	struct enable_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev;

	for (int i = 0; i < ARRAY_SIZE(leaves); i++) {
		ctx->log[0] = '\0';
		KUNIT_EXPECT_EQ(test, param->scope(pdev, leaves[i].how), leaves[i].ret);
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
	struct enable_test *ctx = test->priv;

	ctx->enable_err = -EBUSY;
	KUNIT_EXPECT_EQ(test, param->scope(ctx->pdev, AT_END), -EBUSY);
	KUNIT_EXPECT_STREQ(test, ctx->log, "refuse ");
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->pdev->enable_cnt), 0);
}

static void nested_enable(struct kunit *test)
{
	const struct scope_case *param = test->param_value;
	struct enable_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev;

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
	struct enable_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev;

	/* The core has forgotten the BAR; what it makes of one with an address */
	pdev->resource[1].flags = IORESOURCE_IO | IORESOURCE_UNSET;
	KUNIT_EXPECT_EQ(test, enable_scope(pdev, BY_BREAK), -EINVAL);
	KUNIT_EXPECT_EQ(test, atomic_read(&pdev->enable_cnt), 0);
	KUNIT_EXPECT_EQ(test, enable_mem_scope(pdev, BY_BREAK), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&pdev->enable_cnt), 0);
	KUNIT_EXPECT_EQ(test, command(pdev), PCI_COMMAND_MEMORY);
	/* The core tells the bridge in both cases, and takes back the failed one */
	KUNIT_EXPECT_STREQ(test, ctx->log, "enable disable enable use disable ");
}

static struct kunit_case enable_test_cases[] = {
	KUNIT_CASE_PARAM(leave_scope, scope_gen_params),
	KUNIT_CASE_PARAM(no_disable_without_enable, scope_gen_params),
	KUNIT_CASE_PARAM(nested_enable, scope_gen_params),
	KUNIT_CASE(enable_mem_without_io),
	{}
};

static struct kunit_suite enable_test_suite = {
	.name = "pci_enable_scope",
	.init = enable_test_init,
	.test_cases = enable_test_cases,
};

static int quirk_test_init(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_PCI_QUIRKS))
		kunit_skip(test, "no quirks in this kernel");

	return add_device(test, &connectx4, -EBUSY);
}

/*
 * A quirk of this device enables it to read a register.  If it did so without, it
 * would find all bits set, and set broken_intx_masking.
 */
static void quirk_cannot_enable(struct kunit *test)
{
	struct enable_test *ctx = test->priv;

	KUNIT_EXPECT_STREQ(test, ctx->log, "refuse ");
	KUNIT_EXPECT_FALSE(test, ctx->pdev->broken_intx_masking);
}

static struct kunit_case quirk_test_cases[] = {
	KUNIT_CASE(quirk_cannot_enable),
	{}
};

static struct kunit_suite quirk_test_suite = {
	.name = "pci_enable_quirk",
	.init = quirk_test_init,
	.test_cases = quirk_test_cases,
};

kunit_test_suites(&enable_test_suite, &quirk_test_suite);

MODULE_DESCRIPTION("KUnit tests of enabling a PCI device for the length of a scope");
MODULE_LICENSE("GPL");
