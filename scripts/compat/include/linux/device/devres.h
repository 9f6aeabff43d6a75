/* SPDX-License-Identifier: GPL-2.0 */
/* What is here in Linux 7.3 is still in <linux/device.h>. */
#include <linux/device.h>
