// SPDX-License-Identifier: GPL-2.0
/*
 * Unit tests for PCI BARs that are memory shared with another party
 *
 * The devices here are on no bus.  Their BARs are in a hole of the real iomem
 * space, so that claims are real; what is behind memremap() is not.
 */

#include <kunit/resource.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/array_size.h>
#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/device/devres.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-shmem-bar.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sprintf.h>
#include <linux/types.h>

#include "../pci.h"

#define NAME		"shmem-test"
#define BAR		2
#define BAR_LEN		SZ_64K
#define BAR_SPACING	SZ_1M
#define DEV_SPACING	SZ_32M
#define NR_DEVS		2

struct shmem_test {
	struct resource *window;
	struct pci_dev *pdev;

	/* What the stand-in for memremap() returns, and what it was given */
	void *remap_ret;
	resource_size_t start;
	size_t len;
	unsigned long flags;

	/* Calls of the stand-ins, in order */
	char log[256];
	size_t log_len;
};

static bool claimed(const struct resource *res)
{
	const struct resource *claim = res->child;

	return claim && !claim->sibling && claim->flags & IORESOURCE_BUSY &&
	       claim->start == res->start && claim->end == res->end;
}

static void log_text(struct shmem_test *ctx, const char *text)
{
	ctx->log_len += scnprintf(ctx->log + ctx->log_len,
				  sizeof(ctx->log) - ctx->log_len, "%s ", text);
}

/* Log a call with the BAR's number in the window, "?" unless it is claimed. */
static void log_call(struct shmem_test *ctx, const char *call,
		     resource_size_t start)
{
	unsigned long bar = (unsigned long)(start - ctx->window->start) / BAR_SPACING;
	const struct resource *res = ctx->window->child;
	char text[32];

	while (res && res->start != start)
		res = res->sibling;

	snprintf(text, sizeof(text), "%s%lu%s", call, bar,
		 res && claimed(res) ? "" : "?");
	log_text(ctx, text);
}

static void clear_log(struct shmem_test *ctx)
{
	ctx->log[0] = '\0';
	ctx->log_len = 0;
}

static void *fake_remap(resource_size_t start, size_t len, unsigned long flags)
{
	struct shmem_test *ctx = kunit_get_current_test()->priv;
	resource_size_t *mapping;

	ctx->start = start;
	ctx->len = len;
	ctx->flags = flags;
	log_call(ctx, "map", start);

	if (IS_ERR_OR_NULL(ctx->remap_ret))
		return ctx->remap_ret;

	/* A mapping knows what it maps, for fake_unremap() */
	mapping = ctx->remap_ret + (start - ctx->window->start) / BAR_SPACING *
		  sizeof(*mapping);
	*mapping = start;
	return mapping;
}

static void fake_unremap(void *addr)
{
	struct shmem_test *ctx = kunit_get_current_test()->priv;
	resource_size_t *mapping = addr;

	log_call(ctx, "unmap", *mapping);
	*mapping = 0;
}

static void release_window(void *data)
{
	struct resource *window = data;

	remove_resource(window);
	kfree(window);
}

static void set_bar(struct kunit *test, struct pci_dev *pdev, int bar,
		    unsigned long flags, resource_size_t len)
{
	struct shmem_test *ctx = test->priv;
	struct resource *res = &pdev->resource[bar];

	*res = DEFINE_RES_NAMED(ctx->window->start + pdev->devfn * DEV_SPACING +
				bar * BAR_SPACING, len, "BAR", flags);
	KUNIT_ASSERT_EQ(test, request_resource(ctx->window, res), 0);
}

static void free_dev(struct device *dev)
{
	struct pci_dev *pdev = to_pci_dev(dev);
	struct resource *res;

	pci_dev_for_each_resource(pdev, res)
		if (resource_assigned(res))
			release_resource(res);
	kfree(pdev);
}

static void put_dev(void *pdev)
{
	pci_dev_put(pdev);
}

/* Not kunit_kzalloc(), because only the release of a real device runs devres. */
static struct pci_dev *alloc_dev(struct kunit *test, unsigned int devfn)
{
	struct pci_dev *pdev = pci_alloc_dev(NULL);

	KUNIT_ASSERT_NOT_NULL(test, pdev);
	device_initialize(&pdev->dev);
	pdev->dev.release = free_dev;
	pdev->devfn = devfn;
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, put_dev, pdev), 0);
	KUNIT_ASSERT_EQ(test, dev_set_name(&pdev->dev, "%s.%u", NAME, devfn), 0);
	set_bar(test, pdev, BAR, IORESOURCE_MEM | IORESOURCE_PREFETCH |
		IORESOURCE_MEM_64, BAR_LEN);

	return pdev;
}

static int shmem_test_init(struct kunit *test)
{
	struct shmem_test *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	ctx->window = alloc_free_mem_region(&iomem_resource, NR_DEVS * DEV_SPACING,
					    DEV_SPACING, NAME);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->window);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, release_window,
							ctx->window), 0);

	ctx->remap_ret = kunit_kzalloc(test, NR_DEVS * DEV_SPACING / BAR_SPACING *
				       sizeof(resource_size_t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx->remap_ret);
	kunit_activate_static_stub(test, pci_shmem_bar_remap, fake_remap);
	kunit_activate_static_stub(test, pci_shmem_bar_unremap, fake_unremap);

	ctx->pdev = alloc_dev(test, 0);

	return 0;
}

static struct pci_shmem_bar *map(struct pci_dev *pdev)
{
	return pci_shmem_bar_map(pdev, BAR, 0, MEMREMAP_WB, NAME);
}

/* A driver's detach, as far as devres can see it. */
static void detach(struct kunit *test, struct pci_dev *pdev, void *group)
{
	KUNIT_EXPECT_GT(test, devres_release_group(&pdev->dev, group), 0);
}

static void *attach(struct kunit *test, struct pci_dev *pdev)
{
	void *group = devres_open_group(&pdev->dev, NULL, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, group);
	return group;
}

#define EXPECT_FREE(test, pdev, bar) \
	KUNIT_EXPECT_NULL(test, (pdev)->resource[bar].child)

static void map_and_unmap(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct resource *res = &ctx->pdev->resource[BAR];
	struct pci_shmem_bar *shm;

	shm = pci_shmem_bar_map(ctx->pdev, BAR, SZ_4K, MEMREMAP_WB, NAME);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 ");

	KUNIT_EXPECT_PTR_EQ(test, shm->pdev, ctx->pdev);
	KUNIT_EXPECT_EQ(test, shm->bar, BAR);
	KUNIT_EXPECT_EQ(test, shm->len, BAR_LEN);
	KUNIT_EXPECT_EQ(test, shm->phys_start, res->start);
	KUNIT_EXPECT_EQ(test, *(resource_size_t *)shm->addr, res->start);
	KUNIT_EXPECT_EQ(test, ctx->start, res->start);
	KUNIT_EXPECT_EQ(test, ctx->len, BAR_LEN);
	KUNIT_EXPECT_TRUE(test, claimed(res));
	KUNIT_EXPECT_STREQ(test, res->child->name, NAME);

	pci_shmem_bar_unmap(shm);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 ");
	EXPECT_FREE(test, ctx->pdev, BAR);
}

static void map_again(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_shmem_bar *shm = map(ctx->pdev);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_PTR_EQ(test, map(ctx->pdev), ERR_PTR(-EBUSY));
	KUNIT_EXPECT_TRUE(test, claimed(&ctx->pdev->resource[BAR]));
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 ");
	pci_shmem_bar_unmap(shm);

	shm = map(ctx->pdev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	pci_shmem_bar_unmap(shm);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 map2 unmap2 ");
	EXPECT_FREE(test, ctx->pdev, BAR);
}

static void map_all_bars(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_shmem_bar *shm;

	set_bar(test, ctx->pdev, 0, IORESOURCE_MEM, SZ_4K);
	set_bar(test, ctx->pdev, PCI_STD_NUM_BARS - 1, IORESOURCE_MEM, SZ_8K);

	shm = pci_shmem_bar_map(ctx->pdev, 0, 0, MEMREMAP_WB, NAME);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_EQ(test, shm->len, SZ_4K);
	pci_shmem_bar_unmap(shm);

	shm = pci_shmem_bar_map(ctx->pdev, PCI_STD_NUM_BARS - 1, 0, MEMREMAP_WB, NAME);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_EQ(test, shm->len, SZ_8K);
	pci_shmem_bar_unmap(shm);

	KUNIT_EXPECT_STREQ(test, ctx->log, "map0 unmap0 map5 unmap5 ");
}

static void map_two_devices(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_dev *other = alloc_dev(test, 1);
	struct pci_shmem_bar *shm[NR_DEVS];

	shm[0] = map(ctx->pdev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm[0]);
	shm[1] = map(other);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm[1]);
	KUNIT_EXPECT_PTR_EQ(test, shm[1]->pdev, other);
	KUNIT_EXPECT_PTR_NE(test, shm[0]->addr, shm[1]->addr);

	pci_shmem_bar_unmap(shm[0]);
	EXPECT_FREE(test, ctx->pdev, BAR);
	KUNIT_EXPECT_TRUE(test, claimed(&other->resource[BAR]));
	pci_shmem_bar_unmap(shm[1]);
	EXPECT_FREE(test, other, BAR);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 map34 unmap2 unmap34 ");
}

static void map_non_prefetchable(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_shmem_bar *shm;

	ctx->pdev->resource[BAR].flags = IORESOURCE_MEM;
	shm = map(ctx->pdev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	pci_shmem_bar_unmap(shm);
}

static void map_virtual_function(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_shmem_bar *shm;

	ctx->pdev->is_virtfn = 1;
	shm = map(ctx->pdev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	pci_shmem_bar_unmap(shm);
}

/* Everything that is not one of PCI_STD_NUM_BARS is refused, even if usable. */
static void refuse_index(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	static const int bars[] = { INT_MIN, -1, PCI_NUM_RESOURCES, INT_MAX };

	for (int i = 0; i < ARRAY_SIZE(bars); i++)
		KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EINVAL),
				    pci_shmem_bar_map(ctx->pdev, bars[i], 0,
						      MEMREMAP_WB, NAME));

	/* ROM, IOV and bridge windows */
	static_assert(DEV_SPACING / BAR_SPACING > PCI_NUM_RESOURCES);
	for (int i = PCI_STD_NUM_BARS; i < PCI_NUM_RESOURCES; i++) {
		set_bar(test, ctx->pdev, i, IORESOURCE_MEM, BAR_LEN);
		KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EINVAL),
				    pci_shmem_bar_map(ctx->pdev, i, 0,
						      MEMREMAP_WB, NAME));
		EXPECT_FREE(test, ctx->pdev, i);
	}
	KUNIT_EXPECT_STREQ(test, ctx->log, "");
}

static void refuse_flags(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	static const unsigned long flags[] = {
		0, MEMREMAP_DEC, MEMREMAP_ENC, MEMREMAP_WB | MEMREMAP_ENC,
		MEMREMAP_WB | MEMREMAP_DEC | MEMREMAP_ENC, BIT(5),
		MEMREMAP_WB | BIT(5), MEMREMAP_WC | BIT(31), ULONG_MAX,
	};

	for (int i = 0; i < ARRAY_SIZE(flags); i++)
		KUNIT_EXPECT_PTR_EQ_MSG(test, ERR_PTR(-EINVAL),
					pci_shmem_bar_map(ctx->pdev, BAR, 0,
							  flags[i], NAME),
					"flags %#lx", flags[i]);
	EXPECT_FREE(test, ctx->pdev, BAR);
	KUNIT_EXPECT_STREQ(test, ctx->log, "");
}

/* The modes arrive as they are in one call, so memremap() decides their order. */
static void pass_flags(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	const unsigned long modes = MEMREMAP_WB | MEMREMAP_WT | MEMREMAP_WC;

	for (unsigned long flags = 1; flags <= (modes | MEMREMAP_DEC); flags++) {
		struct pci_shmem_bar *shm;

		if (!(flags & modes) || flags & ~(modes | MEMREMAP_DEC))
			continue;

		clear_log(ctx);
		shm = pci_shmem_bar_map(ctx->pdev, BAR, 0, flags, NAME);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
		KUNIT_EXPECT_EQ(test, ctx->flags, flags | MEMREMAP_DEC);
		pci_shmem_bar_unmap(shm);
		KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 ");
	}
}

struct bar_case {
	const char *desc;
	unsigned long flags;
	resource_size_t len;
	bool unassigned;
	long err;
};

static const struct bar_case bar_cases[] = {
	{ "not implemented", 0, 0, true, -ENXIO },
	{ "memory without length", IORESOURCE_MEM, 0, false, -ENXIO },
	{ "I/O ports without length", IORESOURCE_IO, 0, false, -ENXIO },
	{ "neither memory nor I/O ports", 0, BAR_LEN, false, -ENXIO },
	{ "unset", IORESOURCE_MEM | IORESOURCE_UNSET, BAR_LEN, false, -ENXIO },
	{ "unassigned", IORESOURCE_MEM, BAR_LEN, true, -ENXIO },
	{ "I/O ports", IORESOURCE_IO, BAR_LEN, false, -EINVAL },
};

KUNIT_ARRAY_PARAM_DESC(bar, bar_cases, desc);

static void refuse_bar(struct kunit *test)
{
	const struct bar_case *param = test->param_value;
	struct shmem_test *ctx = test->priv;
	struct resource *res = &ctx->pdev->resource[BAR];

	res->flags = param->flags;
	res->end = res->start + param->len - 1;
	if (param->unassigned)
		release_resource(res);

	KUNIT_EXPECT_PTR_EQ(test, map(ctx->pdev), ERR_PTR(param->err));
	EXPECT_FREE(test, ctx->pdev, BAR);
	KUNIT_EXPECT_STREQ(test, ctx->log, "");
}

struct min_len_case {
	size_t min_len;
	long err;
};

static const struct min_len_case min_len_cases[] = {
	{ 0 },
	{ BAR_LEN - 1 },
	{ BAR_LEN },
	{ BAR_LEN + 1, -EINVAL },
	{ SIZE_MAX, -EINVAL },
};

static void min_len_desc(const struct min_len_case *param, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%#zx", param->min_len);
}

KUNIT_ARRAY_PARAM(min_len, min_len_cases, min_len_desc);

static void check_min_len(struct kunit *test)
{
	const struct min_len_case *param = test->param_value;
	struct shmem_test *ctx = test->priv;
	struct pci_shmem_bar *shm;

	shm = pci_shmem_bar_map(ctx->pdev, BAR, param->min_len, MEMREMAP_WB, NAME);
	if (param->err) {
		KUNIT_EXPECT_PTR_EQ(test, shm, ERR_PTR(param->err));
		KUNIT_EXPECT_STREQ(test, ctx->log, "");
	} else {
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
		KUNIT_EXPECT_EQ(test, shm->len, BAR_LEN);
		pci_shmem_bar_unmap(shm);
	}
	EXPECT_FREE(test, ctx->pdev, BAR);
}

static void refuse_length_over_size_t(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct resource *res = &ctx->pdev->resource[BAR];

	if (sizeof(resource_size_t) <= sizeof(size_t))
		kunit_skip(test, "a size_t can hold the length of any BAR");

	/* No window is long enough for this, but it has to look assigned. */
	release_resource(res);
	res->start = 0;
	res->end = SIZE_MAX;
	res->parent = ctx->window;

	/* Cut to 32 bits, this length would be 0, and the next one 4 KiB. */
	KUNIT_EXPECT_PTR_EQ(test, map(ctx->pdev), ERR_PTR(-EFBIG));
	res->end += SZ_4K;
	KUNIT_EXPECT_PTR_EQ(test, map(ctx->pdev), ERR_PTR(-EFBIG));
	res->parent = NULL;
	KUNIT_EXPECT_STREQ(test, ctx->log, "");
}

/* A BAR of which others have claimed all, the first or the last bytes. */
static void refuse_claimed(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	const struct resource *res = &ctx->pdev->resource[BAR];
	const struct resource other[] = {
		*res,
		DEFINE_RES_MEM(res->start, 1),
		DEFINE_RES_MEM(res->end, 1),
	};

	for (int i = 0; i < ARRAY_SIZE(other); i++) {
		resource_size_t len = resource_size(&other[i]);

		KUNIT_ASSERT_NOT_NULL(test, request_mem_region(other[i].start, len,
							       "somebody else"));
		KUNIT_EXPECT_PTR_EQ(test, map(ctx->pdev), ERR_PTR(-EBUSY));
		KUNIT_EXPECT_NOT_NULL(test, res->child);
		release_mem_region(other[i].start, len);
		EXPECT_FREE(test, ctx->pdev, BAR);
	}
	KUNIT_EXPECT_STREQ(test, ctx->log, "");
}

static void release_claim_if_not_mapped(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;

	ctx->remap_ret = NULL;
	KUNIT_EXPECT_PTR_EQ(test, map(ctx->pdev), ERR_PTR(-ENOMEM));
	EXPECT_FREE(test, ctx->pdev, BAR);

	ctx->remap_ret = ERR_PTR(-EOPNOTSUPP);
	KUNIT_EXPECT_PTR_EQ(test, map(ctx->pdev), ERR_PTR(-EOPNOTSUPP));
	EXPECT_FREE(test, ctx->pdev, BAR);

	KUNIT_EXPECT_PTR_EQ(test, pcim_shmem_bar_map(ctx->pdev, BAR, 0, MEMREMAP_WB,
						     NAME), ERR_PTR(-EOPNOTSUPP));
	EXPECT_FREE(test, ctx->pdev, BAR);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 map2 map2 ");
}

/* What this architecture really does, without the stand-ins. */
static void map_for_real(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_shmem_bar *shm;

	kunit_deactivate_static_stub(test, pci_shmem_bar_remap);
	kunit_deactivate_static_stub(test, pci_shmem_bar_unremap);

	shm = map(ctx->pdev);
#if defined(arch_memremap_wb) || defined(ioremap_cache)
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(shm->addr));
	KUNIT_EXPECT_TRUE(test, claimed(&ctx->pdev->resource[BAR]));
	pci_shmem_bar_unmap(shm);
#else
	KUNIT_EXPECT_PTR_EQ(test, shm, ERR_PTR(-EOPNOTSUPP));
#endif
	EXPECT_FREE(test, ctx->pdev, BAR);
}

static int use_in_scope(struct shmem_test *ctx, int ret)
{
	struct pci_shmem_bar *shm __free(pci_shmem_bar_unmap) = map(ctx->pdev);

	if (IS_ERR(shm))
		return PTR_ERR(shm);

	if (ret)
		return ret;

	log_text(ctx, "use");
	return 0;
}

static struct pci_shmem_bar *return_from_scope(struct pci_dev *pdev)
{
	struct pci_shmem_bar *shm __free(pci_shmem_bar_unmap) = map(pdev);

	if (IS_ERR(shm))
		return shm;

	return_ptr(shm);
}

static void free_at_end_of_scope(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;

	KUNIT_EXPECT_EQ(test, use_in_scope(ctx, 0), 0);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 use unmap2 ");
	EXPECT_FREE(test, ctx->pdev, BAR);
}

static void free_at_early_return(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;

	KUNIT_EXPECT_EQ(test, use_in_scope(ctx, -ENODEV), -ENODEV);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 ");
	EXPECT_FREE(test, ctx->pdev, BAR);
}

static void free_at_break(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;

	for (int i = 0; i < 3; i++) {
		struct pci_shmem_bar *shm __free(pci_shmem_bar_unmap) = map(ctx->pdev);

		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, shm);
		if (!i)
			continue;
		break;
	}
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 map2 unmap2 ");
	EXPECT_FREE(test, ctx->pdev, BAR);
}

static void free_nothing(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;

	ctx->remap_ret = NULL;
	KUNIT_EXPECT_EQ(test, use_in_scope(ctx, 0), -ENOMEM);
	KUNIT_EXPECT_PTR_EQ(test, return_from_scope(ctx->pdev), ERR_PTR(-ENOMEM));
	{
		struct pci_shmem_bar *shm __free(pci_shmem_bar_unmap) = NULL;

		KUNIT_EXPECT_NULL(test, shm);
	}
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 map2 ");
}

static void keep_returned(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_shmem_bar *shm = return_from_scope(ctx->pdev);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 ");
	KUNIT_EXPECT_TRUE(test, claimed(&ctx->pdev->resource[BAR]));
	pci_shmem_bar_unmap(shm);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 ");
}

static void log_action(void *data)
{
	log_text(data, "action");
}

/* Reverse order of the device's other managed resources, BARs or not. */
static void managed_detach_order(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev;
	void *driver = attach(test, pdev);
	struct pci_shmem_bar *shm;

	set_bar(test, pdev, 0, IORESOURCE_MEM, SZ_4K);
	set_bar(test, pdev, 4, IORESOURCE_MEM, SZ_4K);

	shm = pcim_shmem_bar_map(pdev, 4, SZ_4K, MEMREMAP_WC, NAME);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_EQ(test, shm->bar, 4);
	KUNIT_EXPECT_EQ(test, ctx->flags, MEMREMAP_WC | MEMREMAP_DEC);
	KUNIT_EXPECT_STREQ(test, pdev->resource[4].child->name, NAME);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, pcim_shmem_bar_map(pdev, 0, 0, MEMREMAP_WB,
							      NAME));
	KUNIT_ASSERT_EQ(test, devm_add_action(&pdev->dev, log_action, ctx), 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, pcim_shmem_bar_map(pdev, 2, 0, MEMREMAP_WB,
							      NAME));
	KUNIT_EXPECT_STREQ(test, ctx->log, "map4 map0 map2 ");
	KUNIT_EXPECT_TRUE(test, claimed(&pdev->resource[0]));
	KUNIT_EXPECT_TRUE(test, claimed(&pdev->resource[2]));
	KUNIT_EXPECT_TRUE(test, claimed(&pdev->resource[4]));

	clear_log(ctx);
	detach(test, pdev, driver);
	KUNIT_EXPECT_STREQ(test, ctx->log, "unmap2 action unmap0 unmap4 ");
	EXPECT_FREE(test, pdev, 0);
	EXPECT_FREE(test, pdev, 2);
	EXPECT_FREE(test, pdev, 4);
}

static void managed_min_len(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;

	KUNIT_EXPECT_PTR_EQ(test, pcim_shmem_bar_map(ctx->pdev, BAR, BAR_LEN + 1,
						     MEMREMAP_WB, NAME),
			    ERR_PTR(-EINVAL));
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, pcim_shmem_bar_map(ctx->pdev, BAR, BAR_LEN,
							      MEMREMAP_WB, NAME));
}

/* Without a driver, the device itself is the end of what it manages. */
static void managed_device_release(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, pcim_shmem_bar_map(pdev, BAR, 0,
							      MEMREMAP_WB, NAME));
	KUNIT_ASSERT_EQ(test, devm_add_action(&pdev->dev, log_action, ctx), 0);
	kunit_release_action(test, put_dev, pdev);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 action unmap2 ");
}

static void adopt(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	void *driver = attach(test, ctx->pdev);
	struct pci_shmem_bar *shm = map(ctx->pdev);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_EQ(test, pcim_shmem_bar_adopt(shm), 0);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 ");
	KUNIT_EXPECT_TRUE(test, claimed(&ctx->pdev->resource[BAR]));
	KUNIT_EXPECT_EQ(test, *(resource_size_t *)shm->addr, shm->phys_start);

	detach(test, ctx->pdev, driver);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 ");
	EXPECT_FREE(test, ctx->pdev, BAR);

	/* Nothing is left that the next driver could fall over */
	driver = attach(test, ctx->pdev);
	shm = map(ctx->pdev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_EQ(test, pcim_shmem_bar_adopt(shm), 0);
	detach(test, ctx->pdev, driver);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 map2 unmap2 ");
}

#ifdef CONFIG_FAULT_INJECTION_DEBUG_FS

static void *failslab_knob(struct kunit *test, struct dentry *dir, const char *name)
{
	struct dentry *file = debugfs_lookup(name, dir);
	void *knob;

	KUNIT_ASSERT_NOT_NULL(test, file);
	knob = d_inode(file)->i_private;
	dput(file);

	return knob;
}

static void restore_failslab(void *ignore_gfp)
{
	*(bool *)ignore_gfp = true;
}

/*
 * By default failslab leaves GFP_KERNEL alone.  The only switch for that is a
 * file in debugfs, which is not mounted when the tests run, so go for what is
 * behind the file.
 */
static void enable_failslab(struct kunit *test)
{
	struct dentry *dir = debugfs_lookup("failslab", NULL);
	bool *ignore_gfp;

	if (!dir)
		kunit_skip(test, "no failslab in debugfs");

	ignore_gfp = failslab_knob(test, dir, "ignore-gfp-wait");
	/* No stack dump for a failure that is wanted */
	*(unsigned long *)failslab_knob(test, dir, "verbose") = 0;
	dput(dir);

	if (*ignore_gfp) {
		*ignore_gfp = false;
		KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, restore_failslab,
								   ignore_gfp));
	}
}

static void fail_allocation(unsigned int nth)
{
	current->fail_nth = nth;
}

/* Was the allocation reached? */
static bool allocation_failed(void)
{
	bool failed = !current->fail_nth;

	current->fail_nth = 0;
	return failed;
}

#else

static void enable_failslab(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_FAILSLAB and CONFIG_FAULT_INJECTION_DEBUG_FS");
}

static void fail_allocation(unsigned int nth) { }
static bool allocation_failed(void) { return false; }

#endif

static void map_fails_to_allocate(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_shmem_bar *shm;
	unsigned int nth;

	enable_failslab(test);

	for (nth = 1; ; nth++) {
		fail_allocation(nth);
		shm = map(ctx->pdev);
		if (!allocation_failed())
			break;
		KUNIT_ASSERT_TRUE(test, IS_ERR(shm));
		/* The object, and then what says that the BAR is claimed */
		KUNIT_EXPECT_EQ(test, PTR_ERR(shm), nth == 1 ? -ENOMEM : -EBUSY);
		EXPECT_FREE(test, ctx->pdev, BAR);
		KUNIT_EXPECT_STREQ(test, ctx->log, "");
	}
	KUNIT_EXPECT_GT(test, nth, 2);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	pci_shmem_bar_unmap(shm);
}

static void adopt_fails_to_allocate(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_shmem_bar *shm;
	int ret;

	enable_failslab(test);
	shm = map(ctx->pdev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);

	fail_allocation(1);
	ret = pcim_shmem_bar_adopt(shm);
	KUNIT_EXPECT_TRUE(test, allocation_failed());
	KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 ");
	EXPECT_FREE(test, ctx->pdev, BAR);
}

static void managed_map_fails_to_allocate(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	void *driver = attach(test, ctx->pdev);
	struct pci_shmem_bar *shm;
	unsigned int nth;

	enable_failslab(test);

	for (nth = 1; ; nth++) {
		fail_allocation(nth);
		shm = pcim_shmem_bar_map(ctx->pdev, BAR, 0, MEMREMAP_WB, NAME);
		if (!allocation_failed())
			break;
		KUNIT_ASSERT_TRUE(test, IS_ERR(shm));
		EXPECT_FREE(test, ctx->pdev, BAR);
	}
	KUNIT_EXPECT_GT(test, nth, 3);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	/* The last failure was that of devres, after the BAR had been mapped */
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 map2 ");
	detach(test, ctx->pdev, driver);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 map2 unmap2 ");
}

static struct kunit_case shmem_test_cases[] = {
	KUNIT_CASE(map_and_unmap),
	KUNIT_CASE(map_again),
	KUNIT_CASE(map_all_bars),
	KUNIT_CASE(map_two_devices),
	KUNIT_CASE(map_non_prefetchable),
	KUNIT_CASE(map_virtual_function),
	KUNIT_CASE(refuse_index),
	KUNIT_CASE(refuse_flags),
	KUNIT_CASE(pass_flags),
	KUNIT_CASE_PARAM(refuse_bar, bar_gen_params),
	KUNIT_CASE_PARAM(check_min_len, min_len_gen_params),
	KUNIT_CASE(refuse_length_over_size_t),
	KUNIT_CASE(refuse_claimed),
	KUNIT_CASE(release_claim_if_not_mapped),
	KUNIT_CASE(map_for_real),
	KUNIT_CASE(free_at_end_of_scope),
	KUNIT_CASE(free_at_early_return),
	KUNIT_CASE(free_at_break),
	KUNIT_CASE(free_nothing),
	KUNIT_CASE(keep_returned),
	KUNIT_CASE(managed_detach_order),
	KUNIT_CASE(managed_min_len),
	KUNIT_CASE(managed_device_release),
	KUNIT_CASE(adopt),
	KUNIT_CASE(map_fails_to_allocate),
	KUNIT_CASE(adopt_fails_to_allocate),
	KUNIT_CASE(managed_map_fails_to_allocate),
	{}
};

static struct kunit_suite shmem_test_suite = {
	.name = "pci_shmem_bar",
	.init = shmem_test_init,
	.test_cases = shmem_test_cases,
};

kunit_test_suite(shmem_test_suite);

MODULE_DESCRIPTION("KUnit tests of PCI shared-memory BARs");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_LICENSE("GPL");
