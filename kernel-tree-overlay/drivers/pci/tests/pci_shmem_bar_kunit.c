// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for PCI BARs that are memory shared with another party
 *
 * The devices here are on no bus. Their BARs are in a hole of the real iomem
 * space, so that claims are real; what is behind memremap() is not.
 */

#include <kunit/resource.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/array_size.h>
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/device/devres.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/limits.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-shmem-bar.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sprintf.h>
#include <linux/stdarg.h>
#include <linux/string.h>
#include <linux/types.h>

#include "../pci.h"

#define NAME		"shmem-test"
#define BAR		2
#define BAR_LEN		SZ_64K

/* The window has a place for each resource of the device, and for the VFs'. */
#define PLACE_LEN	SZ_1M
#define VF_PLACE	24
#define NR_VFS		2
#define NR_PLACES	32

struct shmem_test {
	struct resource *window;
	struct pci_dev *pdev;

	/* What the stand-in for memremap() returns, and the flags it got */
	void *remap_ret;
	unsigned long flags;

	/* Calls of the stand-ins, in order */
	char log[128];
	size_t log_len;
};

static __printf(2, 3)
void log_call(struct shmem_test *ctx, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	ctx->log_len += vscnprintf(ctx->log + ctx->log_len,
				   sizeof(ctx->log) - ctx->log_len, fmt, args);
	va_end(args);
}

static void clear_log(struct shmem_test *ctx)
{
	ctx->log[0] = '\0';
	ctx->log_len = 0;
}

/* Is all of the BAR that starts there claimed, and is that the only claim? */
static bool claimed(const struct resource *window, resource_size_t start)
{
	const struct resource *res = window->child, *claim;

	while (res && res->start != start)
		res = start > res->start && start <= res->end ?
		      res->child : res->sibling;

	/* The first of several VFs starts where all of them do */
	while (res && res->child && !(res->child->flags & IORESOURCE_BUSY))
		res = res->child;

	claim = res ? res->child : NULL;
	return claim && !claim->sibling && claim->start == res->start &&
	       claim->end == res->end;
}

static void *fake_remap(resource_size_t start, size_t len, unsigned long flags)
{
	struct shmem_test *ctx = kunit_get_current_test()->priv;
	unsigned long place =
		(unsigned long)(start - ctx->window->start) / PLACE_LEN;
	resource_size_t *mapping;

	ctx->flags = flags;
	log_call(ctx, "map%lu%s ", place,
		 claimed(ctx->window, start) ? "" : "?");

	if (IS_ERR_OR_NULL(ctx->remap_ret))
		return ctx->remap_ret;

	/* A mapping knows what it maps */
	mapping = ctx->remap_ret + place * sizeof(*mapping) * 2;
	mapping[0] = start;
	mapping[1] = len;
	return mapping;
}

static void fake_unremap(void *addr)
{
	struct shmem_test *ctx = kunit_get_current_test()->priv;
	resource_size_t *mapping = addr;

	log_call(ctx, "unmap%lu%s ",
		 (unsigned long)(mapping[0] - ctx->window->start) / PLACE_LEN,
		 claimed(ctx->window, mapping[0]) ? "" : "?");
	mapping[0] = 0;
}

static void free_window(void *data)
{
	struct resource *window = data;

	remove_resource(window);
	kfree(window);
}

static void set_bar(struct kunit *test, struct resource *res, int place,
		    unsigned long flags, resource_size_t len)
{
	struct shmem_test *ctx = test->priv;

	*res = DEFINE_RES_NAMED(ctx->window->start + place * PLACE_LEN, len,
				"BAR", flags);
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

KUNIT_DEFINE_ACTION_WRAPPER(put_dev, pci_dev_put, struct pci_dev *)

/* Not kunit_kzalloc(), as only the release of a real device runs devres. */
static struct pci_dev *alloc_dev(struct kunit *test, const char *name)
{
	struct pci_dev *pdev = pci_alloc_dev(NULL);

	KUNIT_ASSERT_NOT_NULL(test, pdev);
	device_initialize(&pdev->dev);
	pdev->dev.release = free_dev;
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, put_dev, pdev));
	KUNIT_ASSERT_EQ(test, dev_set_name(&pdev->dev, "%s", name), 0);

	return pdev;
}

static int shmem_test_init(struct kunit *test)
{
	struct shmem_test *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	ctx->window = alloc_free_mem_region(&iomem_resource,
					    NR_PLACES * PLACE_LEN,
					    NR_PLACES * PLACE_LEN, NAME);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->window);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, free_window,
							ctx->window), 0);

	ctx->remap_ret = kunit_kcalloc(test, NR_PLACES,
				       2 * sizeof(resource_size_t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx->remap_ret);
	kunit_activate_static_stub(test, pci_shmem_bar_remap, fake_remap);
	kunit_activate_static_stub(test, pci_shmem_bar_unremap, fake_unremap);

	ctx->pdev = alloc_dev(test, NAME);
	set_bar(test, &ctx->pdev->resource[BAR], BAR, IORESOURCE_MEM |
		IORESOURCE_MEM_64 | IORESOURCE_PREFETCH, BAR_LEN);

	return 0;
}

static struct pci_shmem_bar *map(struct pci_dev *pdev)
{
	return pcim_shmem_bar_map(pdev, BAR, 0, MEMREMAP_WB, NAME);
}

/* A driver's attach and detach, as far as devres can see them */
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

struct map_case {
	const char *desc;
	int bar;
	unsigned long type;	/* of the BAR, or of another resource */
	resource_size_t len;
	size_t min_len;
	unsigned long flags;
	long err;
	bool unassigned;
};

#define MEM	IORESOURCE_MEM
#define PREF	(IORESOURCE_MEM | IORESOURCE_MEM_64 | IORESOURCE_PREFETCH)
#define WB	MEMREMAP_WB
#define WC	MEMREMAP_WC

static const struct map_case map_cases[] = {
	{ "BAR 0", 0, MEM, SZ_4K, 0, WB },
	{ "BAR 5", 5, MEM, SZ_8K, 0, WB },
	{ "prefetchable", 4, PREF, BAR_LEN, SZ_4K, WB },
	{ "write-combining", 1, PREF, BAR_LEN, SZ_4K, WC },
	{ "minimum less than the length", 1, MEM, BAR_LEN, BAR_LEN - 1, WB },
	{ "minimum is the length", 1, MEM, BAR_LEN, BAR_LEN, WB },
	{ "minimum more than the length", 1, MEM, BAR_LEN, BAR_LEN + 1, WB,
	  -EINVAL },
	{ "greatest minimum", 1, MEM, BAR_LEN, SIZE_MAX, WB, -EINVAL },

	/* Not one of PCI_STD_NUM_BARS, but usable */
	{ "lowest index", INT_MIN, MEM, BAR_LEN, 0, WB, -EINVAL },
	{ "negative index", -1, MEM, BAR_LEN, 0, WB, -EINVAL },
	{ "ROM", PCI_ROM_RESOURCE, MEM, BAR_LEN, 0, WB, -EINVAL },
#ifdef CONFIG_PCI_IOV
	{ "IOV", PCI_IOV_RESOURCES, MEM, BAR_LEN, 0, WB, -EINVAL },
#endif
	{ "bridge window", PCI_BRIDGE_RESOURCES, MEM, BAR_LEN, 0, WB,
	  -EINVAL },
	{ "last resource", PCI_NUM_RESOURCES - 1, MEM, BAR_LEN, 0, WB,
	  -EINVAL },
	{ "no resource", PCI_NUM_RESOURCES, MEM, BAR_LEN, 0, WB, -EINVAL },
	{ "highest index", INT_MAX, MEM, BAR_LEN, 0, WB, -EINVAL },

	{ "no mode", 1, MEM, BAR_LEN, 0, 0, -EINVAL },
	{ "write-through", 1, MEM, BAR_LEN, 0, MEMREMAP_WT, -EINVAL },
	{ "WB or WC", 1, MEM, BAR_LEN, 0, WB | WC, -EINVAL },
	{ "WB or WT", 1, MEM, BAR_LEN, 0, WB | MEMREMAP_WT, -EINVAL },
	{ "WC or WT", 1, MEM, BAR_LEN, 0, WC | MEMREMAP_WT, -EINVAL },
	{ "only DEC", 1, MEM, BAR_LEN, 0, MEMREMAP_DEC, -EINVAL },
	{ "WB and DEC", 1, MEM, BAR_LEN, 0, WB | MEMREMAP_DEC, -EINVAL },
	{ "WC and DEC", 1, MEM, BAR_LEN, 0, WC | MEMREMAP_DEC, -EINVAL },
	{ "WB and ENC", 1, MEM, BAR_LEN, 0, WB | MEMREMAP_ENC, -EINVAL },
	{ "WC and ENC", 1, MEM, BAR_LEN, 0, WC | MEMREMAP_ENC, -EINVAL },
	{ "WB and unknown", 1, MEM, BAR_LEN, 0, WB | BIT(5), -EINVAL },
	{ "WC and unknown", 1, MEM, BAR_LEN, 0, WC | BIT(31), -EINVAL },
	{ "all flags", 1, MEM, BAR_LEN, 0, ULONG_MAX, -EINVAL },

	{ "not implemented", 1, 0, 0, 0, WB, -ENXIO, true },
	{ "memory without length", 1, MEM, 0, 0, WB, -ENXIO },
	{ "I/O ports without length", 1, IORESOURCE_IO, 0, 0, WB, -ENXIO },
	{ "neither memory nor I/O ports", 1, 0, BAR_LEN, 0, WB, -ENXIO },
	{ "unset", 1, MEM | IORESOURCE_UNSET, BAR_LEN, 0, WB, -ENXIO },
	{ "unassigned", 1, MEM, BAR_LEN, 0, WB, -ENXIO, true },
	{ "I/O ports", 1, IORESOURCE_IO, BAR_LEN, 0, WB, -EINVAL },
};

KUNIT_ARRAY_PARAM_DESC(map, map_cases, desc);

static void map_and_unmap(struct kunit *test)
{
	const struct map_case *param = test->param_value;
	struct shmem_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev;
	struct resource none = { }, *res = &none;
	void *driver = attach(test, pdev);
	struct pci_shmem_bar *shm;
	char log[32];

	if (param->bar >= 0 && param->bar < PCI_NUM_RESOURCES) {
		res = &pdev->resource[param->bar];
		set_bar(test, res, param->bar, param->type, BAR_LEN);
		if (param->unassigned)
			release_resource(res);
		res->end = res->start + param->len - 1;
	}

	shm = pcim_shmem_bar_map(pdev, param->bar, param->min_len,
				 param->flags, NAME);
	if (param->err) {
		KUNIT_EXPECT_PTR_EQ(test, shm, ERR_PTR(param->err));
		KUNIT_EXPECT_STREQ(test, ctx->log, "");
		KUNIT_EXPECT_NULL(test, res->child);
		return;
	}

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_PTR_EQ(test, shm->pdev, pdev);
	KUNIT_EXPECT_EQ(test, shm->bar, param->bar);
	KUNIT_EXPECT_EQ(test, shm->len, param->len);
	KUNIT_EXPECT_EQ(test, shm->phys_start, res->start);
	KUNIT_EXPECT_EQ(test, ((resource_size_t *)shm->addr)[0], res->start);
	KUNIT_EXPECT_EQ(test, ((resource_size_t *)shm->addr)[1], param->len);
	KUNIT_EXPECT_EQ(test, ctx->flags, param->flags | MEMREMAP_DEC);
	KUNIT_EXPECT_TRUE(test, claimed(ctx->window, res->start));
	KUNIT_EXPECT_STREQ(test, res->child->name, NAME);

	detach(test, pdev, driver);
	snprintf(log, sizeof(log), "map%d unmap%d ", param->bar, param->bar);
	KUNIT_EXPECT_STREQ(test, ctx->log, log);
	KUNIT_EXPECT_NULL(test, res->child);
}

static void map_again(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	void *driver = attach(test, ctx->pdev);
	struct pci_shmem_bar *shm = map(ctx->pdev);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_PTR_EQ(test, map(ctx->pdev), ERR_PTR(-EBUSY));
	KUNIT_EXPECT_TRUE(test, claimed(ctx->window, shm->phys_start));
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 ");
	detach(test, ctx->pdev, driver);

	driver = attach(test, ctx->pdev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map(ctx->pdev));
	detach(test, ctx->pdev, driver);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 map2 unmap2 ");
	EXPECT_FREE(test, ctx->pdev, BAR);
}

/* The BARs of virtual functions are slices of one resource of their device. */
static void map_virtual_functions(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	/* Any resource of the device will do: not all kernels have IOV ones. */
	struct resource *iov = &ctx->pdev->resource[PCI_BRIDGE_RESOURCES];
	struct pci_shmem_bar *shm[NR_VFS];
	struct pci_dev *vf[NR_VFS];
	void *driver[NR_VFS];

	static_assert(VF_PLACE >= PCI_NUM_RESOURCES);
	set_bar(test, iov, VF_PLACE, PREF, NR_VFS * PLACE_LEN);

	for (int i = 0; i < NR_VFS; i++) {
		resource_size_t start = iov->start + i * PLACE_LEN;
		struct resource *res;

		vf[i] = alloc_dev(test, NAME "-vf");
		vf[i]->is_virtfn = 1;
		res = &vf[i]->resource[BAR];
		*res = DEFINE_RES_NAMED(start, PLACE_LEN, "VF BAR", PREF);
		KUNIT_ASSERT_EQ(test, request_resource(iov, res), 0);
		driver[i] = attach(test, vf[i]);
		shm[i] = map(vf[i]);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm[i]);
		KUNIT_EXPECT_EQ(test, shm[i]->phys_start, start);
		KUNIT_EXPECT_EQ(test, shm[i]->len, PLACE_LEN);
	}
	KUNIT_EXPECT_STREQ(test, ctx->log, "map24 map25 ");
	KUNIT_EXPECT_PTR_EQ(test, map(vf[0]), ERR_PTR(-EBUSY));

	detach(test, vf[0], driver[0]);
	EXPECT_FREE(test, vf[0], BAR);
	KUNIT_EXPECT_TRUE(test, claimed(ctx->window, shm[1]->phys_start));
	detach(test, vf[1], driver[1]);
	EXPECT_FREE(test, vf[1], BAR);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map24 map25 unmap24 unmap25 ");
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

		KUNIT_ASSERT_NOT_NULL(test, request_mem_region(other[i].start,
							       len, "another"));
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
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 map2 ");
}

/*
 * UML cannot map a BAR, so there the real thing can be asked. Elsewhere it
 * would map the window, and nobody knows what is behind a hole.
 */
static void refuse_on_uml(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;

	if (!IS_ENABLED(CONFIG_UML))
		kunit_skip(test, "only UML has nothing that could be mapped");

	kunit_deactivate_static_stub(test, pci_shmem_bar_remap);
	KUNIT_EXPECT_PTR_EQ(test, map(ctx->pdev), ERR_PTR(-EOPNOTSUPP));
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EOPNOTSUPP),
			    pcim_shmem_bar_map(ctx->pdev, BAR, 0, MEMREMAP_WC,
					       NAME));
	EXPECT_FREE(test, ctx->pdev, BAR);
}

static void log_action(void *data)
{
	log_call(data, "action ");
}

/* Reverse order of the device's other managed resources, BARs or not. */
static void managed_detach_order(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev;
	void *driver = attach(test, pdev);
	struct pci_shmem_bar *shm;

	set_bar(test, &pdev->resource[0], 0, MEM, SZ_4K);
	set_bar(test, &pdev->resource[4], 4, MEM, SZ_4K);

	shm = pcim_shmem_bar_map(pdev, 4, SZ_4K, MEMREMAP_WC, NAME);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_EQ(test, shm->bar, 4);
	KUNIT_EXPECT_EQ(test, ctx->flags, MEMREMAP_WC | MEMREMAP_DEC);
	KUNIT_EXPECT_STREQ(test, pdev->resource[4].child->name, NAME);
	shm = pcim_shmem_bar_map(pdev, 0, 0, MEMREMAP_WB, NAME);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_ASSERT_EQ(test, devm_add_action(&pdev->dev, log_action, ctx), 0);
	shm = pcim_shmem_bar_map(pdev, 2, BAR_LEN + 1, MEMREMAP_WB, NAME);
	KUNIT_EXPECT_PTR_EQ(test, shm, ERR_PTR(-EINVAL));
	shm = pcim_shmem_bar_map(pdev, 2, BAR_LEN, MEMREMAP_WB, NAME);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map4 map0 map2 ");
	for (int i = 0; i <= 4; i += 2)
		KUNIT_EXPECT_NOT_NULL(test, pdev->resource[i].child);

	clear_log(ctx);
	detach(test, pdev, driver);
	KUNIT_EXPECT_STREQ(test, ctx->log, "unmap2 action unmap0 unmap4 ");
	for (int i = 0; i <= 4; i += 2)
		EXPECT_FREE(test, pdev, i);
}

/* Without a driver, the device itself is the end of what it manages. */
static void managed_device_release(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_dev *pdev = ctx->pdev;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map(pdev));
	KUNIT_ASSERT_EQ(test, devm_add_action(&pdev->dev, log_action, ctx), 0);
	kunit_release_action(test, put_dev, pdev);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 action unmap2 ");
	KUNIT_EXPECT_NULL(test, ctx->window->child);
}

static struct pci_shmem_bar *map_unmanaged(struct pci_dev *pdev)
{
	return pci_shmem_bar_map(pdev, BAR, 0, MEMREMAP_WB, NAME);
}

enum leave { AT_END, BY_RETURN, BY_BREAK, KEEP };

/* What leaves the scope at its end goes round and enters it once more. */
static int leave(struct shmem_test *ctx, enum leave how,
		 struct pci_shmem_bar **kept)
{
	for (int i = 0; i < 2; i++) {
		struct pci_shmem_bar *shm __free(pci_shmem_bar_unmap) =
			map_unmanaged(ctx->pdev);

		if (IS_ERR(shm))
			return PTR_ERR(shm);

		log_call(ctx, "use ");
		if (how == BY_RETURN)
			return -ENODEV;
		if (how == BY_BREAK)
			break;
		if (how == KEEP) {
			*kept = no_free_ptr(shm);
			break;
		}
	}
	return 0;
}

struct scope_case {
	const char *desc;
	enum leave how;
	int ret;
	const char *log;
};

static const struct scope_case scope_cases[] = {
	{ "end", AT_END, 0, "map2 use unmap2 map2 use unmap2 " },
	{ "return", BY_RETURN, -ENODEV, "map2 use unmap2 " },
	{ "break", BY_BREAK, 0, "map2 use unmap2 " },
	{ "keep", KEEP, 0, "map2 use " },
};

KUNIT_ARRAY_PARAM_DESC(scope, scope_cases, desc);

static void leave_scope(struct kunit *test)
{
	const struct scope_case *param = test->param_value;
	struct shmem_test *ctx = test->priv;
	struct pci_shmem_bar *kept = NULL;

	KUNIT_EXPECT_EQ(test, leave(ctx, param->how, &kept), param->ret);
	KUNIT_EXPECT_STREQ(test, ctx->log, param->log);
	KUNIT_EXPECT_EQ(test, param->how == KEEP,
			claimed(ctx->window, ctx->pdev->resource[BAR].start));
	pci_shmem_bar_unmap(kept);
	EXPECT_FREE(test, ctx->pdev, BAR);
}

static void leave_scope_with_nothing(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;

	ctx->remap_ret = NULL;
	KUNIT_EXPECT_EQ(test, leave(ctx, AT_END, NULL), -ENOMEM);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 ");
}

/* Twice, as nothing may be left that the next driver could fall over. */
static void adopt(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;

	for (int i = 0; i < 2; i++) {
		void *driver = attach(test, ctx->pdev);
		struct pci_shmem_bar *shm = map_unmanaged(ctx->pdev);

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
		KUNIT_EXPECT_EQ(test, pcim_shmem_bar_adopt(shm), 0);
		KUNIT_EXPECT_STREQ(test, ctx->log, "map2 ");
		KUNIT_EXPECT_TRUE(test, claimed(ctx->window, shm->phys_start));

		detach(test, ctx->pdev, driver);
		KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 ");
		EXPECT_FREE(test, ctx->pdev, BAR);
		clear_log(ctx);
	}
}

static struct kunit_case shmem_test_cases[] = {
	KUNIT_CASE_PARAM(map_and_unmap, map_gen_params),
	KUNIT_CASE(map_again),
	KUNIT_CASE(map_virtual_functions),
	KUNIT_CASE(refuse_length_over_size_t),
	KUNIT_CASE(refuse_claimed),
	KUNIT_CASE(release_claim_if_not_mapped),
	KUNIT_CASE(refuse_on_uml),
	KUNIT_CASE(managed_detach_order),
	KUNIT_CASE(managed_device_release),
	KUNIT_CASE_PARAM(leave_scope, scope_gen_params),
	KUNIT_CASE(leave_scope_with_nothing),
	KUNIT_CASE(adopt),
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
