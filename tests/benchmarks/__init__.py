"""How much CPU the service takes beside an installed Moonraker: `python -m tests.benchmarks --moonraker PATH`."""
