"""`[machine]`: how services and power of the host are handled."""

from __future__ import annotations

from msgspec import Struct

from trio_moon.config import Section

PROVIDERS = ("systemd_dbus", "systemd_cli", "none")


class MachineSettings(Struct, frozen=True):
    """What the section says. Both of Moonraker's systemd providers mean `systemctl` here."""

    provider: str = "systemd_cli"
    shutdown_action: str = "poweroff"

    @classmethod
    def from_section(cls, section: Section) -> MachineSettings:
        """The settings of `[machine]`, present or not; ConfigError names an option that can't be used."""
        provider = section.choice("provider", PROVIDERS, "systemd_cli")
        return cls(
            provider="none" if provider == "none" else "systemd_cli",
            shutdown_action=section.choice("shutdown_action", ("poweroff", "halt"), "poweroff"),
        )
