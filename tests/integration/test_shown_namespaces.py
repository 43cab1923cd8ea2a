"""What Moonraker's database shows to clients beside their own settings is here too."""

from __future__ import annotations

from pathlib import Path

from tests.features.files.samples import ORCA
from tests.integration.service import configure, running


async def test_metadata_identity_and_cameras_are_in_the_database(tmp_path: Path) -> None:
    paths = configure(tmp_path)
    (paths.gcodes / "folder").mkdir()
    (paths.gcodes / "folder" / "vase.gcode").write_text(ORCA)
    async with running(paths) as (_, client):
        listed = await client.result("/server/database/list")
        assert {"moonraker", "gcode_metadata"} <= set(listed["namespaces"])
        told = await client.result("/server/files/metadata?filename=folder/vase.gcode")
        assert told.pop("filename") == "folder/vase.gcode"
        known = (await client.result("/server/database/item?namespace=gcode_metadata"))["value"]
        assert known == {"folder/vase.gcode": told}
        identity = await client.result("/server/database/item?namespace=moonraker&key=instance_id")
        assert (paths.root / ".moonraker.uuid").read_text() == identity["value"]
        for namespace in ("moonraker", "gcode_metadata"):
            item = {"namespace": namespace, "key": "a", "value": 1}
            assert (await client.post("/server/database/item", json=item)).status_code == 403
        camera = {"namespace": "webcams", "key": "c0ffee", "value": {"name": "bed", "urlStream": "/webcam"}}
        assert (await client.post("/server/database/item", json=camera)).status_code == 200
        (webcam,) = (await client.result("/server/webcams/list"))["webcams"]
        assert (webcam["uid"], webcam["stream_url"]) == ("c0ffee", "/webcam")
        forgotten = await client.request("DELETE", "/server/database/item?namespace=webcams&key=c0ffee")
        assert forgotten.json()["result"]["value"] == camera["value"]
        assert (await client.result("/server/webcams/list"))["webcams"] == []
