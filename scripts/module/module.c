// SPDX-License-Identifier: GPL-2.0
/* What makes the helper, which is part of the kernel, a module */

#include <linux/module.h>

MODULE_DESCRIPTION("PCI BARs that are memory shared with another party");
MODULE_LICENSE("GPL");
