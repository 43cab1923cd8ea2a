"""The methods of `machine.*`."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio

from trio_moon.features.machine.canbus import find_uuids
from trio_moon.features.machine.peripherals import serial_devices, usb_devices, video_devices
from trio_moon.features.machine.proc_stats import ProcStats
from trio_moon.features.machine.service import Machine
from trio_moon.features.machine.systemd import Action
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.endpoint import Endpoint, Handler


class WhichService(msgspec.Struct, frozen=True):
    service: str


class WhichBus(msgspec.Struct, frozen=True):
    interface: str = "can0"


def machine_endpoints(machine: Machine) -> tuple[Endpoint, ...]:
    """The host's part of the table."""

    def service(action: Action) -> Handler:
        async def handler(params: WhichService, caller: Caller) -> object:
            await machine.act(action, params.service)
            return "ok"

        return handler

    return (
        Endpoint("/machine/system_info", NoParams, GET=machine.system_info),
        Endpoint("/machine/shutdown", NoParams, POST=machine.shut_down),
        Endpoint("/machine/reboot", NoParams, POST=machine.reboot),
        Endpoint("/machine/services/restart", WhichService, POST=service("restart")),
        Endpoint("/machine/services/stop", WhichService, POST=service("stop")),
        Endpoint("/machine/services/start", WhichService, POST=service("start")),
        Endpoint("/machine/peripherals/usb", NoParams, GET=_listed("usb_devices", usb_devices)),
        Endpoint("/machine/peripherals/serial", NoParams, GET=_listed("serial_devices", serial_devices)),
        Endpoint("/machine/peripherals/video", NoParams, GET=_videos),
        Endpoint("/machine/peripherals/canbus", WhichBus, GET=_canbus),
    )


def proc_stats_endpoints(stats: ProcStats) -> tuple[Endpoint, ...]:
    """The statistics' part of the table."""

    def proc_stats(params: NoParams, caller: Caller) -> object:
        return stats.as_wire()

    return (Endpoint("/machine/proc_stats", NoParams, GET=proc_stats),)


def _listed(name: str, find: Callable[[], list[dict[str, object]]]) -> Handler:
    async def handler(params: NoParams, caller: Caller) -> object:
        return {name: await trio.to_thread.run_sync(find)}

    return handler


async def _canbus(params: WhichBus, caller: Caller) -> object:
    return {"can_uuids": await find_uuids(params.interface)}


async def _videos(params: NoParams, caller: Caller) -> object:
    return {"v4l2_devices": await trio.to_thread.run_sync(video_devices), "libcamera_devices": []}
