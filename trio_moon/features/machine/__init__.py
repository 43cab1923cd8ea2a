"""The host computer: what it is, how it is, its services, its power switch, what is plugged in."""

from trio_moon.features.machine.endpoints import machine_endpoints, proc_stats_endpoints
from trio_moon.features.machine.proc_stats import ProcStats
from trio_moon.features.machine.service import Machine
from trio_moon.features.machine.settings import MachineSettings

__all__ = ["Machine", "MachineSettings", "ProcStats", "machine_endpoints", "proc_stats_endpoints"]
