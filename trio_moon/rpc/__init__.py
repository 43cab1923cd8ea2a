"""Floor 2: the one table of methods, and JSON-RPC. No sockets."""
