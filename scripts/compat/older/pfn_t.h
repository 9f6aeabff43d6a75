/* Takes a pfn_t here */
#include <linux/mm.h>
#include <linux/pfn_t.h>
#define vmf_insert_pfn_pmd(vmf, pfn, write)	vmf_insert_pfn_pmd(vmf, pfn_to_pfn_t(pfn), write)
