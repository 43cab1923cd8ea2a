"""Floor 1: the words of the trade, without Trio and without I/O: errors, events, objects, job states."""
