"""The table of `/api/…`: HTTP alone, answers bare."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from trio_moon.features.octoprint.about import About
from trio_moon.features.octoprint.controls import Controls
from trio_moon.features.octoprint.files import LocalFiles
from trio_moon.features.octoprint.job import Job
from trio_moon.features.octoprint.parameters import (
    Commands,
    ConnectionCommand,
    FileCommand,
    FileRequest,
    HeadCommand,
    HeaterCommand,
    JobCommand,
    KeyRequest,
    NewFolder,
    Report,
    Rest,
    UploadForm,
)
from trio_moon.features.octoprint.service import OctoPrint
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller, Transport
from trio_moon.rpc.endpoint import Endpoint
from trio_moon.rpc.replies import Reply

_bare = partial(Endpoint, transports=Transport.HTTP, wrapped=False)


def endpoints(octoprint: OctoPrint) -> tuple[Endpoint, ...]:
    """Everything that passes for an OctoPrint."""
    return (
        *_about(About(octoprint)),
        *_files(LocalFiles(octoprint)),
        *_printer(Controls(octoprint), Job(octoprint)),
        _bare("//api/{rest...}", Rest, GET=_one_slash, POST=_one_slash, DELETE=_one_slash),
    )


def _about(about: About) -> tuple[Endpoint, ...]:
    return (
        _bare("/api/version", NoParams, GET=about.version),
        _bare("/api/server", NoParams, GET=about.server),
        _bare("/api/login", NoParams, GET=about.user, POST=about.user),
        _bare("/api/logout", NoParams, POST=about.logout),
        _bare("/api/currentuser", NoParams, GET=about.user),
        _bare("/api/settings", NoParams, GET=about.settings),
        _bare("/api/printerprofiles", NoParams, GET=about.profiles),
        _bare("/api/printerprofiles/{rest...}", Rest, GET=about.profile),
        _bare("/api/connection", NoParams, GET=about.connection),
        _bare("/api/connection", ConnectionCommand, POST=about.connect),
        _bare("/api/system/commands", NoParams, GET=about.system_commands),
        _bare("/api/system/commands/{rest...}", Rest, GET=about.some_system_commands, POST=about.execute),
        _bare("/plugin/appkeys/probe", NoParams, GET=about.probe_keys),
        _bare("/plugin/appkeys/request", KeyRequest, POST=about.request_key),
        _bare("/plugin/appkeys/request/{rest...}", Rest, GET=about.give_key),
    )


def _files(files: LocalFiles) -> tuple[Endpoint, ...]:
    return (
        _bare("/api/files", FileRequest, GET=files.list_all),
        _bare("/api/files/local", FileRequest, GET=files.list_all),
        _bare("/api/files/local", NewFolder, POST=files.make_folder, upload=files.receive, form=UploadForm),
        _bare("/api/files/local/{path...}", FileRequest, GET=files.show, DELETE=files.delete),
        _bare("/api/files/local/{path...}", FileCommand, POST=files.command),
        _bare("/api/files/moonraker/{path...}", FileCommand, POST=files.moonraker_command),
    )


def _printer(controls: Controls, job: Job) -> tuple[Endpoint, ...]:
    return (
        _bare("/api/job", NoParams, GET=job.show),
        _bare("/api/job", JobCommand, POST=job.command),
        _bare("/api/printer", Report, GET=controls.printer),
        _bare("/api/printer/command", Commands, POST=controls.gcode),
        _bare("/api/printer/command/custom", NoParams, GET=controls.custom_controls),
        _bare("/api/printer/sd", NoParams, GET=controls.card),
        _bare("/api/printer/printhead", HeadCommand, POST=controls.order_head),
        _bare("/api/printer/tool", Report, GET=controls.tools),
        _bare("/api/printer/tool", HeaterCommand, POST=controls.order_tool),
        _bare("/api/printer/bed", Report, GET=controls.bed),
        _bare("/api/printer/bed", HeaterCommand, POST=controls.order_bed),
        _bare("/api/printer/chamber", Report, GET=controls.chamber),
        _bare("/api/printer/chamber", HeaterCommand, POST=controls.order_chamber),
    )


def _one_slash(params: Rest, caller: Caller) -> Reply:
    """Some clients put a slash too many; OctoPrint sends them to the right address, and so do we."""
    return Reply({}, 308, {"Location": f"/api/{quote(params.rest)}"})
