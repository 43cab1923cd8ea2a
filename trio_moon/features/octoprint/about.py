"""Who we say we are: version, user, settings, profile, connection, system commands, application keys."""

from __future__ import annotations

import os
from collections.abc import Mapping

from trio_moon import __version__
from trio_moon.features.octoprint.parameters import ConnectionCommand, KeyRequest, Rest
from trio_moon.features.octoprint.service import OctoPrint
from trio_moon.features.octoprint.settings import STREAM_URL
from trio_moon.model.errors import BadParams, Conflict, NotFound
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.replies import Reply

OCTOPRINT_VERSION = "1.5.0"
NOTHING = Reply(None, 204)
PROFILE = "_default"
PORT, BAUD_RATE = "KLIPPER", 250000
MOST_KEY_REQUESTS = 16
SYSTEM_COMMANDS = {
    "shutdown": ("machine.shutdown", "Shutdown system", "The machine will be shut down."),
    "reboot": ("machine.reboot", "Reboot system", "The machine will be rebooted."),
    "restart": ("server.restart", "Restart server", "The service will be restarted."),
}


class About:
    """The handlers."""

    def __init__(self, octoprint: OctoPrint) -> None:
        self._octoprint = octoprint
        self._key_requests: list[str] = []

    def version(self, params: NoParams, caller: Caller) -> object:
        # slicers look for the first word; who searches a network for OctoPrints passes by where it says Moonraker
        text = f"OctoPrint (Moonraker's API by trio_moon {__version__})"
        return {"server": OCTOPRINT_VERSION, "api": "0.1", "text": text}

    def server(self, params: NoParams, caller: Caller) -> object:
        return {"server": OCTOPRINT_VERSION, "version": OCTOPRINT_VERSION, "safemode": "settings"}

    def user(self, params: NoParams, caller: Caller) -> object:
        return {
            "_is_external_client": False,
            "_login_mechanism": "apikey",
            "name": "_api",
            "active": True,
            "user": True,
            "admin": True,
            "apikey": None,
            "permissions": [],
            "groups": ["admins", "users"],
        }

    def logout(self, params: NoParams, caller: Caller) -> object:
        return NOTHING

    async def settings(self, params: NoParams, caller: Caller) -> object:
        plugins: dict[str, object] = {"discovery": {"upnpUuid": self._octoprint.unique_id}}
        if self._octoprint.settings.enable_ufp:
            plugins["UltimakerFormatPackage"] = {
                "align_inline_thumbnail": False,
                "inline_thumbnail": False,
                "inline_thumbnail_align_value": "left",
                "inline_thumbnail_scale_value": "50",
                "installed": True,
                "installed_version": "0.2.2",
                "scale_inline_thumbnail": False,
                "state_panel_thumbnail": True,
            }
        features = {"sdSupport": False, "temperatureGraph": False}
        return {"plugins": plugins, "feature": features, "webcam": await self._webcam(caller)}

    async def _webcam(self, caller: Caller) -> dict[str, object]:
        chosen = self._octoprint.settings
        camera = await self._first_camera(caller)
        stream_url = str(chosen.stream_url or camera.get("stream_url") or STREAM_URL)
        snapshot_url = str(camera.get("snapshot_url") or stream_url.replace("action=stream", "action=snapshot"))
        turned = camera.get("rotation") == 90

        def either(configured: bool | None, of_camera: object) -> bool:
            return bool(of_camera) if configured is None else configured

        return {
            "flipH": either(chosen.flip_h, camera.get("flip_horizontal")),
            "flipV": either(chosen.flip_v, camera.get("flip_vertical")),
            "rotate90": either(chosen.rotate_90, turned),
            "streamUrl": stream_url,
            "snapshotUrl": snapshot_url,
            "snapshotSslValidation": True,
            "bitrate": "10000k",
            "webcamEnabled": chosen.webcam_enabled,
        }

    async def _first_camera(self, caller: Caller) -> Mapping[str, object]:
        cameras = (await self._octoprint.own.ask("server.webcams.list", caller)).get("webcams")
        found = [camera for camera in cameras if isinstance(camera, Mapping)] if isinstance(cameras, list) else []
        return next((camera for camera in found if camera.get("enabled", True)), {})

    def profiles(self, params: NoParams, caller: Caller) -> object:
        return {"profiles": {PROFILE: self._profile()}}

    def profile(self, params: Rest, caller: Caller) -> object:
        if params.rest != PROFILE:
            raise NotFound(f"there is no printer profile {params.rest!r:.60}")
        return self._profile()

    def _profile(self) -> dict[str, object]:
        heaters = self._octoprint.heaters()
        axis = {"inverted": False, "speed": 6000.0}
        profile: dict[str, object] = {
            "id": PROFILE,
            "name": "Default",
            "color": "default",
            "model": "Default",
            "default": True,
            "current": True,
            "heatedBed": "bed" in heaters,
            "heatedChamber": heaters.get("chamber", "").startswith("heater_generic"),
            "axes": {"x": axis, "y": axis, "z": axis, "e": {"inverted": False, "speed": 300.0}},
            "extruder": {"count": max(1, sum(name.startswith("tool") for name in heaters)), "nozzleDiameter": 0.4},
        }
        ends = self._octoprint.printer.mirror.get("toolhead").get("axis_maximum")
        if isinstance(ends, list) and len(ends) >= 3:
            width, depth, height = ends[:3]
            profile["volume"] = {
                "formFactor": "rectangular",
                "origin": "lowerleft",
                "width": width,
                "depth": depth,
                "height": height,
            }
        return profile

    # --- connection

    def connection(self, params: NoParams, caller: Caller) -> object:
        state = self._octoprint.state
        there = state.text != "Offline"
        return {
            "current": {
                "state": state.text,
                "port": PORT if there else None,
                "baudrate": BAUD_RATE if there else None,
                "printerProfile": PROFILE,
            },
            "options": {
                "ports": [PORT],
                "baudrates": [BAUD_RATE],
                "printerProfiles": [{"id": PROFILE, "name": "Default"}],
                "portPreference": PORT,
                "baudratePreference": BAUD_RATE,
                "printerProfilePreference": PROFILE,
                "autoconnect": True,
            },
        }

    async def connect(self, params: ConnectionCommand, caller: Caller) -> Reply:
        """We connect by ourselves; what a click can do for a Klipper that has stopped is to restart its firmware."""
        match params.command:
            case "connect" if self._octoprint.state.text == "Error":
                await self._octoprint.printer.request("gcode/firmware_restart")
            case "connect" if self._octoprint.state.text == "Offline":
                raise Conflict(f"Klipper is away: {self._octoprint.printer.away_because}")
            case "disconnect":
                raise Conflict("the connection to Klipper is kept as long as the service runs")
            case "connect" | "fake_ack":
                pass
            case _:
                raise BadParams(f"{params.command!r:.60} is no command: use connect or disconnect")
        return NOTHING

    # --- the system

    def system_commands(self, params: NoParams, caller: Caller) -> object:
        return {"core": self._core_commands(), "custom": []}

    def some_system_commands(self, params: Rest, caller: Caller) -> object:
        if params.rest not in ("core", "custom"):
            raise NotFound(f"there are no system commands of {params.rest!r:.60}")
        return self._core_commands() if params.rest == "core" else []

    def _core_commands(self) -> list[dict[str, object]]:
        return [
            {
                "action": action,
                "name": name,
                "confirm": confirm,
                "source": "core",
                "resource": f"/api/system/commands/core/{action}",
            }
            for action, (method, name, confirm) in SYSTEM_COMMANDS.items()
            if self._octoprint.own.offers(method)
        ]

    async def execute(self, params: Rest, caller: Caller) -> Reply:
        source, _, action = params.rest.partition("/")
        if source != "core" or action not in SYSTEM_COMMANDS:
            raise NotFound(f"there is no system command {params.rest!r:.60}")
        await self._octoprint.own.call(SYSTEM_COMMANDS[action][0], caller)
        return NOTHING

    # --- application keys

    def probe_keys(self, params: NoParams, caller: Caller) -> Reply:
        """Whoever may call this may have a key: nobody needs to be asked."""
        return NOTHING

    def request_key(self, params: KeyRequest, caller: Caller) -> Reply:
        token = os.urandom(16).hex()
        self._key_requests = [*self._key_requests[-MOST_KEY_REQUESTS:], token]
        return Reply({"app_token": token}, 201, {"Location": f"/plugin/appkeys/request/{token}"})

    async def give_key(self, params: Rest, caller: Caller) -> object:
        if params.rest not in self._key_requests:
            raise NotFound("there is no such request for a key")
        key = await self._octoprint.own.call("access.get_api_key", caller)
        self._key_requests.remove(params.rest)
        return {"api_key": key}
