"""The host: what it is, its services, its power switch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Protocol

import trio

from trio_moon.features.machine.settings import MachineSettings
from trio_moon.features.machine.system_info import read_canbus, read_network, read_system_info
from trio_moon.features.machine.systemd import Action, Systemd
from trio_moon.model.errors import BadParams, MoonError
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller

logger = logging.getLogger(__name__)

STALE_AFTER = 5.0


class Printer(Protocol):
    """Klipper, whose macros may ask for the power switch."""

    def offer(self, name: str, listener: Callable[[dict[str, object]], None]) -> None:
        """Offer a remote method to macros."""


class Machine:
    """Answers `machine.*`; macros may call `shutdown_machine` and `reboot_machine`."""

    def __init__(
        self,
        settings: MachineSettings,
        data_path: Path,
        printer: Printer,
        audience: Audience,
        restart_ourselves: Callable[[], None],
        systemd: Systemd | None = None,
    ) -> None:
        self._settings = settings
        self._audience = audience
        self._restart_ourselves = restart_ourselves
        self._systemd = systemd or Systemd(data_path, enabled=settings.provider != "none")
        self._facts: dict[str, object] | None = None
        self._looked = float("-inf")
        self._send_orders, self._receive_orders = trio.open_memory_channel[str](4)
        printer.offer("shutdown_machine", lambda params: self._order("shutdown"))
        printer.offer("reboot_machine", lambda params: self._order("reboot"))

    async def run(self, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Do what macros ordered."""
        task_status.started()
        while True:
            order = await self._receive_orders.receive()
            try:
                await (self._shut_down() if order == "shutdown" else self._reboot())
            except MoonError as error:
                logger.warning("a macro asked for %s: %s", order, error)

    def _order(self, what: str) -> None:
        try:
            self._send_orders.send_nowait(what)
        except trio.WouldBlock:
            logger.warning("a macro asks for %s again and again", what)

    async def system_info(self, params: NoParams, caller: Caller) -> dict[str, object]:
        if self._facts is None:
            self._facts = await trio.to_thread.run_sync(read_system_info)
        if trio.current_time() - self._looked > STALE_AFTER:
            self._looked = trio.current_time()
            await self._systemd.look()
        units = self._systemd.units
        info = {
            **self._facts,
            "network": read_network(),
            "canbus": read_canbus(),
            "provider": self._systemd.provider,
            "available_services": sorted(units),
            "service_state": {
                name: {"active_state": unit.active_state, "sub_state": unit.sub_state} for name, unit in units.items()
            },
            "instance_ids": {"moonraker": "moonraker", "klipper": "klipper"},
        }
        return {"system_info": info}

    async def act(self, action: Action, service: str) -> None:
        """Start, stop or restart a service of the host; we ourselves can only be restarted."""
        if service.removesuffix(".service") in ("moonraker", "trio-moon"):
            if action != "restart":
                raise BadParams(f"Service '{service}' can't {action} itself")
            self._restart_ourselves()
            return
        await self._systemd.act(action, service)
        await self._tell_changes()

    async def _tell_changes(self) -> None:
        before = dict(self._systemd.units)
        await self._systemd.look()
        for name, unit in self._systemd.units.items():
            if before.get(name) != unit:
                state = {"active_state": unit.active_state, "sub_state": unit.sub_state}
                self._audience.announce("notify_service_state_changed", {name: state})

    async def shut_down(self, params: NoParams, caller: Caller) -> str:
        await self._shut_down()
        return "ok"

    async def reboot(self, params: NoParams, caller: Caller) -> str:
        await self._reboot()
        return "ok"

    async def _shut_down(self) -> None:
        logger.warning("switching this host off")
        await self._systemd.power("halt" if self._settings.shutdown_action == "halt" else "poweroff")

    async def _reboot(self) -> None:
        logger.warning("rebooting this host")
        await self._systemd.power("reboot")
