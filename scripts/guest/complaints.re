Kernel panic| cut here |BUG:|WARNING:|INFO: |UBSAN:
