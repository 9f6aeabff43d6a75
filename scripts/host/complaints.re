Kernel panic| cut here |BUG:|: bad p[g4um]d |WARNING:|INFO: |UBSAN:|Call [Tt]race:|Trying to free nonexistent resource|freeing invalid memtype|conflicting memory types|nobody cared|PCI INT .: no GSI
