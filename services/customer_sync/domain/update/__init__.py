"""F2 and F3: edits of customers that billing has already (guide ch. 18; customer-sync 6.5, 9, 10)."""
