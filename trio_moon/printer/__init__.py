"""Floor 3: the Klipper peer: its socket, its calls, the mirror of its objects, its jobs."""
