"""The cameras of the printer: those of the configuration and those that frontends added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from urllib.parse import urljoin

import trio
from msgspec.structs import asdict

from trio_moon.features.webcams.parameters import WebcamChange, WhichWebcam
from trio_moon.features.webcams.webcam import Webcam
from trio_moon.model.errors import BadParams, NotFound, TooMany
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.store.namespaces import Namespaces

NAMESPACE = "webcams"
MOST_WEBCAMS = 64
TEST_TIMEOUT = 3.0
LOCAL_SITE = "http://127.0.0.1:80/"


class Webcams:
    """All cameras by uid; a configured one hides a stored one of the same name."""

    def __init__(
        self, configured: list[Webcam], store: Namespaces, audience: Audience, printer_id: Callable[[], str]
    ) -> None:
        """`printer_id` tells what this printer is called among others; it may read the disk."""
        self._of_configuration = configured
        self._configured: dict[str, Webcam] = {}
        self._printer_id = printer_id
        self._stored: dict[str, Webcam] = {}
        self._store = store
        self._audience = audience
        self._changing = trio.Lock()

    async def run(self, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED) -> None:
        """Read what is stored, then wait."""
        printer_id = await trio.to_thread.run_sync(self._printer_id)
        webcams = [webcam.known_here(printer_id) for webcam in self._of_configuration]
        self._configured = {webcam.uid: webcam for webcam in webcams}
        await self._read()
        task_status.started()
        await trio.sleep_forever()

    async def reread(self) -> None:
        """The database has been written by somebody else: a frontend that restores its backup."""
        await self._read()
        self._tell()

    async def _read(self) -> None:
        async with self._changing:
            stored: dict[str, Webcam] = {}
            for uid, record in (await self._store.items(NAMESPACE)).items():
                if isinstance(record, Mapping) and len(stored) < MOST_WEBCAMS:
                    with suppress(BadParams):  # written by something else: leave it where it is
                        stored[uid] = Webcam.from_record(uid, record)
            self._stored = stored

    def list_webcams(self, params: NoParams, caller: Caller) -> dict[str, object]:
        return self._as_wire()

    def _as_wire(self) -> dict[str, object]:
        """Every camera, configured ones first."""
        names = {webcam.name for webcam in self._configured.values()}
        shown = [*self._configured.values(), *(cam for cam in self._stored.values() if cam.name not in names)]
        return {"webcams": [asdict(webcam) for webcam in shown]}

    def get_item(self, params: WhichWebcam, caller: Caller) -> dict[str, object]:
        return {"webcam": asdict(self._find(params.uid, params.name))}

    def _find(self, uid: str | None, name: str | None) -> Webcam:
        """The camera of this uid, or of this name; NotFound if there is none."""
        webcams = {**self._stored, **self._configured}
        if uid is not None:
            if uid in webcams:
                return webcams[uid]
            raise NotFound(f"Webcam with UID {uid:.100} not found")
        if name is None:
            raise BadParams("argument 'uid' is missing")
        for webcam in reversed(webcams.values()):
            if webcam.name == name:
                return webcam
        raise NotFound(f"Webcam {name:.100} not found")

    async def post_item(self, params: WebcamChange, caller: Caller) -> dict[str, object]:
        """Change the camera of this uid, or add one; a name that is taken by a stored camera means that one."""
        async with self._changing:
            webcam = self._made(params.uid, params.changes())
            await self._store.put(NAMESPACE, webcam.uid, webcam.as_record())
            self._stored[webcam.uid] = webcam
        self._tell()
        return {"webcam": asdict(webcam)}

    def _made(self, uid: str | None, changes: dict[str, object]) -> Webcam:
        old = self._find(uid, None) if uid is not None else self._named(changes.get("name"))
        if old is not None:
            _check_is_ours_to_change(old)
            webcam = old.changed(changes)
            taken = self._named(webcam.name)
            if taken is not None and taken.uid != webcam.uid:
                raise BadParams(f"Webcam with name '{webcam.name:.100}' exists already")
        else:
            for needed in ("name", "stream_url"):
                if needed not in changes:
                    raise BadParams(f"argument '{needed}' is missing")
            if len(self._stored) >= MOST_WEBCAMS:
                raise TooMany(f"there are {MOST_WEBCAMS} webcams already")
            webcam = Webcam(**changes)  # type: ignore[arg-type]
        return webcam

    def _named(self, name: object) -> Webcam | None:
        for webcam in (*self._configured.values(), *self._stored.values()):
            if webcam.name == name:
                return webcam
        return None

    async def delete_item(self, params: WhichWebcam, caller: Caller) -> dict[str, object]:
        """Remove a stored camera."""
        async with self._changing:
            webcam = self._find(params.uid, params.name)
            _check_is_ours_to_change(webcam)
            await self._store.delete(NAMESPACE, webcam.uid)
            self._stored.pop(webcam.uid, None)
        self._tell()
        return {"webcam": asdict(webcam)}

    def _tell(self) -> None:
        self._audience.announce_after_answer("notify_webcams_changed", self._as_wire())

    def snapshot_url(self, name: str) -> str | None:
        """Where the picture of the camera of this name is fetched; NotFound for unknown names."""
        webcam = self._find(None, name)
        return _absolute(webcam.snapshot_url) if webcam.snapshot_url else None

    async def test(self, params: WhichWebcam, caller: Caller) -> dict[str, object]:
        """Where the camera's addresses lead, and whether its snapshot can be fetched."""
        webcam = self._find(params.uid, params.name)
        snapshot_url = _absolute(webcam.snapshot_url) if webcam.snapshot_url else ""
        return {
            "name": webcam.name,
            "snapshot_reachable": await _is_reachable(snapshot_url),
            "snapshot_url": snapshot_url,
            "stream_url": _absolute(webcam.stream_url),
        }


def _check_is_ours_to_change(webcam: Webcam) -> None:
    if webcam.source == "config":
        raise BadParams(f"Webcam '{webcam.name}' stands in the configuration: change it there")


def _absolute(url: str) -> str:
    """The address as the host itself would call it; what is no address stays as it is."""
    try:
        return urljoin(LOCAL_SITE, url)
    except ValueError:
        return url


async def _is_reachable(url: str) -> bool:
    if not url.lower().startswith(("http://", "https://")):
        return False
    import httpx  # asked for once in a while: don't load it at the start

    with trio.move_on_after(TEST_TIMEOUT):
        try:
            async with httpx.AsyncClient(verify=False) as client, client.stream("GET", url) as response:
                return response.status_code < 400
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            return False
    return False
