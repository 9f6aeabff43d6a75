#include <linux/ioport.h>

static inline bool resource_assigned(const struct resource *res)
{
	return res->parent;
}
