#include <linux/slab.h>

#define kzalloc_obj(var_or_type)	kzalloc(sizeof(var_or_type), GFP_KERNEL)
