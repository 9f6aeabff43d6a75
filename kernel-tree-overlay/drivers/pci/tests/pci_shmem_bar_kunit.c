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
#include <kunit/test-bug.h>
#include <linux/array_size.h>
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/dcache.h>
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/device/devres.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kmsg_dump.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci-shmem-bar.h>
#include <linux/sched.h>
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

/* The window has a place for each resource of the device, and for those of VFs. */
#define PLACE_LEN	SZ_1M
#define VF_PLACE	24
#define NR_VFS		2
#define NR_PLACES	32

struct shmem_test {
	struct kmsg_dump_iter kmsg;	/* where the kernel's log was at the start */
	struct resource *window;
	struct pci_dev *pdev;

	/* What the stand-in for memremap() returns, and the flags it was given */
	void *remap_ret;
	unsigned long flags;

	/* Calls of the stand-ins, in order */
	char log[128];
	size_t log_len;
};

static __printf(2, 3) void log_call(struct shmem_test *ctx, const char *fmt, ...)
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
		res = start > res->start && start <= res->end ? res->child : res->sibling;

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
	unsigned long place = (unsigned long)(start - ctx->window->start) / PLACE_LEN;
	resource_size_t *mapping;

	ctx->flags = flags;
	log_call(ctx, "map%lu%s ", place, claimed(ctx->window, start) ? "" : "?");

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

	*res = DEFINE_RES_NAMED(ctx->window->start + place * PLACE_LEN, len, "BAR",
				flags);
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
static struct pci_dev *alloc_dev(struct kunit *test, const char *name)
{
	struct pci_dev *pdev = pci_alloc_dev(NULL);

	KUNIT_ASSERT_NOT_NULL(test, pdev);
	device_initialize(&pdev->dev);
	pdev->dev.release = free_dev;
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, put_dev, pdev), 0);
	KUNIT_ASSERT_EQ(test, dev_set_name(&pdev->dev, "%s", name), 0);

	return pdev;
}

static int shmem_test_init(struct kunit *test)
{
	struct shmem_test *ctx;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	test->priv = ctx;

	kmsg_dump_rewind(&ctx->kmsg);
	ctx->kmsg.cur_seq = ctx->kmsg.next_seq;

	ctx->window = alloc_free_mem_region(&iomem_resource, NR_PLACES * PLACE_LEN,
					    NR_PLACES * PLACE_LEN, NAME);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ctx->window);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, free_window,
							ctx->window), 0);

	ctx->remap_ret = kunit_kcalloc(test, NR_PLACES, 2 * sizeof(resource_size_t),
				       GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx->remap_ret);
	kunit_activate_static_stub(test, pci_shmem_bar_remap, fake_remap);
	kunit_activate_static_stub(test, pci_shmem_bar_unremap, fake_unremap);

	ctx->pdev = alloc_dev(test, NAME);
	set_bar(test, &ctx->pdev->resource[BAR], BAR, IORESOURCE_MEM |
		IORESOURCE_MEM_64 | IORESOURCE_PREFETCH, BAR_LEN);

	return 0;
}

/* A region that is released twice is no more than a complaint in the log. */
static void shmem_test_exit(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	char line[128];
	size_t len;

	while (ctx && kmsg_dump_get_line(&ctx->kmsg, false, line, sizeof(line), &len))
		KUNIT_EXPECT_NULL(test, strnstr(line, "nonexistent resource", len));
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

struct map_case {
	const char *desc;
	int bar;
	unsigned long type;	/* of the BAR, or any other resource of the device */
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
	{ "minimum more than the length", 1, MEM, BAR_LEN, BAR_LEN + 1, WB, -EINVAL },
	{ "greatest minimum", 1, MEM, BAR_LEN, SIZE_MAX, WB, -EINVAL },

	/* Not one of PCI_STD_NUM_BARS, but usable */
	{ "lowest index", INT_MIN, MEM, BAR_LEN, 0, WB, -EINVAL },
	{ "negative index", -1, MEM, BAR_LEN, 0, WB, -EINVAL },
	{ "ROM", PCI_ROM_RESOURCE, MEM, BAR_LEN, 0, WB, -EINVAL },
#ifdef CONFIG_PCI_IOV
	{ "IOV", PCI_IOV_RESOURCES, MEM, BAR_LEN, 0, WB, -EINVAL },
#endif
	{ "bridge window", PCI_BRIDGE_RESOURCES, MEM, BAR_LEN, 0, WB, -EINVAL },
	{ "last resource", PCI_NUM_RESOURCES - 1, MEM, BAR_LEN, 0, WB, -EINVAL },
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
	struct pci_shmem_bar *shm;
	char log[32];

	if (param->bar >= 0 && param->bar < PCI_NUM_RESOURCES) {
		res = &pdev->resource[param->bar];
		set_bar(test, res, param->bar, param->type, BAR_LEN);
		if (param->unassigned)
			release_resource(res);
		res->end = res->start + param->len - 1;
	}

	shm = pci_shmem_bar_map(pdev, param->bar, param->min_len, param->flags, NAME);
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

	pci_shmem_bar_unmap(shm);
	snprintf(log, sizeof(log), "map%d unmap%d ", param->bar, param->bar);
	KUNIT_EXPECT_STREQ(test, ctx->log, log);
	KUNIT_EXPECT_NULL(test, res->child);
}

static void map_again(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	struct pci_shmem_bar *shm = map(ctx->pdev);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_PTR_EQ(test, map(ctx->pdev), ERR_PTR(-EBUSY));
	KUNIT_EXPECT_TRUE(test, claimed(ctx->window, shm->phys_start));
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 ");
	pci_shmem_bar_unmap(shm);

	shm = map(ctx->pdev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	pci_shmem_bar_unmap(shm);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 map2 unmap2 ");
	EXPECT_FREE(test, ctx->pdev, BAR);
}

/* The BARs of virtual functions are slices of one resource of their device. */
static void map_virtual_functions(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;
	/* Any of the device's resources will do, and not all kernels have IOV ones */
	struct resource *iov = &ctx->pdev->resource[PCI_BRIDGE_RESOURCES];
	struct pci_shmem_bar *shm[NR_VFS];
	struct pci_dev *vf[NR_VFS];

	static_assert(VF_PLACE >= PCI_NUM_RESOURCES);
	set_bar(test, iov, VF_PLACE, PREF, NR_VFS * PLACE_LEN);

	for (int i = 0; i < NR_VFS; i++) {
		vf[i] = alloc_dev(test, NAME "-vf");
		vf[i]->is_virtfn = 1;
		vf[i]->resource[BAR] = DEFINE_RES_NAMED(iov->start + i * PLACE_LEN,
							PLACE_LEN, "VF BAR", PREF);
		KUNIT_ASSERT_EQ(test, request_resource(iov, &vf[i]->resource[BAR]), 0);
		shm[i] = map(vf[i]);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm[i]);
		KUNIT_EXPECT_EQ(test, shm[i]->phys_start, iov->start + i * PLACE_LEN);
		KUNIT_EXPECT_EQ(test, shm[i]->len, PLACE_LEN);
	}
	KUNIT_EXPECT_STREQ(test, ctx->log, "map24 map25 ");
	KUNIT_EXPECT_PTR_EQ(test, map(vf[0]), ERR_PTR(-EBUSY));

	pci_shmem_bar_unmap(shm[0]);
	EXPECT_FREE(test, vf[0], BAR);
	KUNIT_EXPECT_TRUE(test, claimed(ctx->window, shm[1]->phys_start));
	pci_shmem_bar_unmap(shm[1]);
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

/* What each architecture can do, said without its macros */
static unsigned long mappable(void)
{
	if (IS_ENABLED(CONFIG_ARM) || IS_ENABLED(CONFIG_ARM64) ||
	    IS_ENABLED(CONFIG_LOONGARCH) || IS_ENABLED(CONFIG_MIPS) ||
	    IS_ENABLED(CONFIG_PPC) || IS_ENABLED(CONFIG_RISCV) ||
	    IS_ENABLED(CONFIG_X86))
		return MEMREMAP_WB | MEMREMAP_WC;

	if (IS_ENABLED(CONFIG_SUPERH) || IS_ENABLED(CONFIG_XTENSA))
		return MEMREMAP_WB;

	return 0;
}

/*
 * What this architecture really does, without the stand-ins.
 *
 * A real mapping can only be made of a hole: memremap() does not map RAM, it
 * returns the direct map for MEMREMAP_WB and warns for MEMREMAP_WC, and all else
 * that would answer belongs to somebody.  An access to a hole may be a machine
 * check, a speculative one included, so there is but one page, for a moment, in
 * this test only, and no pointer to it is ever dereferenced.
 */
static void map_for_real(struct kunit *test)
{
	static const unsigned long modes[] = { MEMREMAP_WB, MEMREMAP_WC };
	struct shmem_test *ctx = test->priv;
	struct resource *res = &ctx->pdev->resource[0];

	kunit_deactivate_static_stub(test, pci_shmem_bar_remap);
	kunit_deactivate_static_stub(test, pci_shmem_bar_unremap);

	set_bar(test, res, 0, PREF, PAGE_SIZE);
	for (int i = 0; i < ARRAY_SIZE(modes); i++) {
		struct pci_shmem_bar *shm;

		shm = pci_shmem_bar_map(ctx->pdev, 0, 0, modes[i], NAME);
		if (mappable() & modes[i]) {
			KUNIT_EXPECT_NOT_ERR_OR_NULL_MSG(test, shm, "%#lx", modes[i]);
			KUNIT_EXPECT_TRUE(test, claimed(ctx->window, res->start));
			pci_shmem_bar_unmap(shm);
		} else {
			KUNIT_EXPECT_PTR_EQ_MSG(test, shm, ERR_PTR(-EOPNOTSUPP), "%#lx",
						modes[i]);
		}
		EXPECT_FREE(test, ctx->pdev, 0);
	}
}

enum leave { AT_END, BY_RETURN, BY_BREAK, KEEP };

/* What leaves the scope at its end goes round and enters it once more. */
static int leave(struct shmem_test *ctx, enum leave how, struct pci_shmem_bar **kept)
{
	for (int i = 0; i < 2; i++) {
		struct pci_shmem_bar *shm __free(pci_shmem_bar_unmap) = map(ctx->pdev);

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
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, pcim_shmem_bar_map(pdev, 0, 0, MEMREMAP_WB,
							      NAME));
	KUNIT_ASSERT_EQ(test, devm_add_action(&pdev->dev, log_action, ctx), 0);
	KUNIT_EXPECT_PTR_EQ(test, pcim_shmem_bar_map(pdev, 2, BAR_LEN + 1, MEMREMAP_WB,
						     NAME), ERR_PTR(-EINVAL));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, pcim_shmem_bar_map(pdev, 2, BAR_LEN,
							      MEMREMAP_WB, NAME));
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

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, pcim_shmem_bar_map(pdev, BAR, 0,
							      MEMREMAP_WB, NAME));
	KUNIT_ASSERT_EQ(test, devm_add_action(&pdev->dev, log_action, ctx), 0);
	kunit_release_action(test, put_dev, pdev);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 action unmap2 ");
	KUNIT_EXPECT_NULL(test, ctx->window->child);
}

/* Twice, as nothing may be left that the next driver could fall over. */
static void adopt(struct kunit *test)
{
	struct shmem_test *ctx = test->priv;

	for (int i = 0; i < 2; i++) {
		void *driver = attach(test, ctx->pdev);
		struct pci_shmem_bar *shm = map(ctx->pdev);

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

#ifdef CONFIG_FAULT_INJECTION_DEBUG_FS

struct failslab {
	bool *ignore_gfp;
	unsigned long *verbose;
	bool old_ignore_gfp;
	unsigned long old_verbose;
};

static void *failslab_knob(struct dentry *dir, const char *name)
{
	struct dentry *file = debugfs_lookup(name, dir);
	void *knob;

	if (!file)
		return NULL;

	knob = d_inode(file)->i_private;
	dput(file);

	return knob;
}

static void restore_failslab(void *data)
{
	struct failslab *failslab = data;

	*failslab->ignore_gfp = failslab->old_ignore_gfp;
	*failslab->verbose = failslab->old_verbose;
}

/*
 * By default failslab leaves GFP_KERNEL alone.  The only switch for that is a
 * file in debugfs, which is not mounted when the tests run, so go for what is
 * behind the file.
 */
static void enable_failslab(struct kunit *test)
{
	struct dentry *dir = debugfs_lookup("failslab", NULL);
	struct failslab *failslab;

	if (!dir)
		kunit_skip(test, "no failslab in debugfs");

	failslab = kunit_kzalloc(test, sizeof(*failslab), GFP_KERNEL);
	if (failslab) {
		failslab->ignore_gfp = failslab_knob(dir, "ignore-gfp-wait");
		failslab->verbose = failslab_knob(dir, "verbose");
	}
	dput(dir);
	KUNIT_ASSERT_NOT_NULL(test, failslab);
	KUNIT_ASSERT_NOT_NULL(test, failslab->ignore_gfp);
	KUNIT_ASSERT_NOT_NULL(test, failslab->verbose);

	failslab->old_ignore_gfp = *failslab->ignore_gfp;
	failslab->old_verbose = *failslab->verbose;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, restore_failslab,
							   failslab));
	*failslab->ignore_gfp = false;
	/* No stack dump for a failure that is wanted */
	*failslab->verbose = 0;
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
	unsigned int nth, failures = 0;
	struct pci_shmem_bar *shm;

	enable_failslab(test);

	for (nth = 1; ; nth++) {
		fail_allocation(nth);
		shm = map(ctx->pdev);
		if (!allocation_failed())
			break;
		if (!IS_ERR(shm)) {
			/* It was an allocation of kmemleak's, or the like */
			pci_shmem_bar_unmap(shm);
			clear_log(ctx);
			continue;
		}
		/* The object, and then what says that the BAR is claimed */
		KUNIT_EXPECT_EQ(test, PTR_ERR(shm), failures++ ? -EBUSY : -ENOMEM);
		EXPECT_FREE(test, ctx->pdev, BAR);
		KUNIT_EXPECT_STREQ(test, ctx->log, "");
	}
	KUNIT_EXPECT_GT(test, failures, 1);
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
	unsigned int nth, failures = 0;
	struct pci_shmem_bar *shm;
	bool unmapped = false;

	enable_failslab(test);

	for (nth = 1; ; nth++) {
		fail_allocation(nth);
		shm = pcim_shmem_bar_map(ctx->pdev, BAR, 0, MEMREMAP_WB, NAME);
		if (!allocation_failed())
			break;
		if (!IS_ERR(shm)) {
			/* It was an allocation of kmemleak's, or the like */
			detach(test, ctx->pdev, driver);
			driver = attach(test, ctx->pdev);
		} else {
			failures++;
			unmapped = !strcmp(ctx->log, "map2 unmap2 ");
			EXPECT_FREE(test, ctx->pdev, BAR);
		}
		clear_log(ctx);
	}
	KUNIT_EXPECT_GT(test, failures, 2);
	/* The last failure was that of devres, after the BAR had been mapped */
	KUNIT_EXPECT_TRUE(test, unmapped);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shm);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 ");
	detach(test, ctx->pdev, driver);
	KUNIT_EXPECT_STREQ(test, ctx->log, "map2 unmap2 ");
}

static struct kunit_case shmem_test_cases[] = {
	KUNIT_CASE_PARAM(map_and_unmap, map_gen_params),
	KUNIT_CASE(map_again),
	KUNIT_CASE(map_virtual_functions),
	KUNIT_CASE(refuse_length_over_size_t),
	KUNIT_CASE(refuse_claimed),
	KUNIT_CASE(release_claim_if_not_mapped),
	KUNIT_CASE(map_for_real),
	KUNIT_CASE_PARAM(leave_scope, scope_gen_params),
	KUNIT_CASE(leave_scope_with_nothing),
	KUNIT_CASE(managed_detach_order),
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
	.exit = shmem_test_exit,
	.test_cases = shmem_test_cases,
};

kunit_test_suite(shmem_test_suite);

MODULE_DESCRIPTION("KUnit tests of PCI shared-memory BARs");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_LICENSE("GPL");
