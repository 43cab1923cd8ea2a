"""The table of `server.files.*`."""

from __future__ import annotations

from trio_moon.features.files.parameters import (
    Archive,
    FolderDeletion,
    FolderRequest,
    GcodeFile,
    SomePath,
    Transfer,
    UploadForm,
    WholeRoot,
)
from trio_moon.features.files.service import FileCalls
from trio_moon.features.files.uploads import UploadDesk
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Transport
from trio_moon.rpc.endpoint import Endpoint


def file_endpoints(calls: FileCalls, desk: UploadDesk) -> tuple[Endpoint, ...]:
    """Lists, changes, uploads and downloads."""
    return (
        Endpoint("/server/files/list", WholeRoot, GET=calls.list_files),
        Endpoint("/server/files/roots", NoParams, GET=calls.roots),
        Endpoint("/server/files/metadata", GcodeFile, GET=calls.metadata),
        Endpoint("/server/files/metascan", GcodeFile, POST=calls.metascan),
        Endpoint("/server/files/thumbnails", GcodeFile, GET=calls.thumbnails),
        Endpoint("/server/files/directory", FolderRequest, GET=calls.get_directory),
        Endpoint("/server/files/directory", SomePath, POST=calls.post_directory),
        Endpoint("/server/files/directory", FolderDeletion, DELETE=calls.delete_directory),
        Endpoint("/server/files/move", Transfer, POST=calls.move),
        Endpoint("/server/files/copy", Transfer, POST=calls.copy),
        Endpoint("/server/files/zip", Archive, POST=calls.zip),
        Endpoint("/server/files/klippy.log", NoParams, GET=calls.klippy_log, transports=Transport.HTTP, wrapped=False),
        Endpoint("/server/files/moonraker.log", NoParams, GET=calls.own_log, transports=Transport.HTTP, wrapped=False),
        Endpoint(
            "/server/files/upload",
            NoParams,
            upload=desk.receive,
            form=UploadForm,
            transports=Transport.HTTP,
            wrapped=False,
        ),
        Endpoint(
            "/server/files/{path...}",
            SomePath,
            GET=calls.download,
            transports=Transport.HTTP,
            wrapped=False,
            open_to_all=True,  # for pictures: it looks at its callers itself
        ),
        Endpoint(
            "/server/files/{path...}",
            SomePath,
            DELETE=calls.delete_file,
            rpc_names={"DELETE": "server.files.delete_file"},
        ),
    )
