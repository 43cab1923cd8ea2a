"""`server.database.*`: frontends keep their settings with us."""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.features.asking import ask
from trio_moon.features.database import UserDatabase, endpoints, instance_id
from trio_moon.model.errors import BadParams, Forbidden, MoonError, NoSpace, NotFound
from trio_moon.rpc.endpoint import Endpoint
from trio_moon.store.database import Database
from trio_moon.store.namespaces import SCHEMA, Namespaces


@pytest.fixture
async def table(nursery: trio.Nursery, tmp_path: Path) -> Iterable[Endpoint]:
    file = tmp_path / "trio_moon.db"
    database = Database(file, (SCHEMA,))
    await nursery.start(database.run)
    return endpoints(UserDatabase(Namespaces(database), database, file, tmp_path / "backups"))


async def post(table: Iterable[Endpoint], key: object, value: object, namespace: str = "mainsail") -> Any:
    return await ask(table, "server.database.post_item", namespace=namespace, key=key, value=value)


async def get(table: Iterable[Endpoint], **which: object) -> Any:
    answer = await ask(table, "server.database.get_item", **{"namespace": "mainsail", **which})
    assert answer["namespace"] == which.get("namespace", "mainsail")
    return answer["value"]


async def test_dotted_keys_reach_into_objects(table: Iterable[Endpoint]) -> None:
    posted = await post(table, "view.tempchart", {"hidden": ["bed"]})
    assert posted == {"namespace": "mainsail", "key": "view.tempchart", "value": {"hidden": ["bed"]}}
    await post(table, "view.tempchart.size", 5)
    await post(table, ["view", "a.b"], "with a dot")
    await post(table, "plain", None)
    whole = {"view": {"tempchart": {"hidden": ["bed"], "size": 5}, "a.b": "with a dot"}, "plain": None}
    assert await get(table) == whole
    assert await get(table, key="view.tempchart.size") == 5
    assert await get(table, key=["view", "a.b"]) == "with a dot"
    assert await get(table, key="plain") is None
    deleted = await ask(table, "server.database.delete_item", namespace="mainsail", key="view.tempchart")
    assert deleted["value"] == {"hidden": ["bed"], "size": 5}
    assert await get(table, key="view") == {"a.b": "with a dot"}


async def test_a_namespace_is_there_while_it_holds_something(table: Iterable[Endpoint]) -> None:
    assert await ask(table, "server.database.list") == {"namespaces": [], "backups": []}
    with pytest.raises(NotFound, match="Namespace mainsail not found"):
        await get(table)
    await post(table, "a", 1)
    assert (await ask(table, "server.database.list"))["namespaces"] == ["mainsail"]
    await ask(table, "server.database.delete_item", namespace="mainsail", key="a")
    assert (await ask(table, "server.database.list"))["namespaces"] == []


async def test_what_is_missing_is_said_by_name(table: Iterable[Endpoint]) -> None:
    await post(table, "a.b", 1)
    with pytest.raises(NotFound, match=r"Key 'a\.c' in namespace 'mainsail' not found"):
        await get(table, key="a.c")
    with pytest.raises(NotFound, match="Namespace fluidd not found"):
        await get(table, namespace="fluidd", key="a")
    with pytest.raises(NotFound):
        await ask(table, "server.database.delete_item", namespace="mainsail", key="a.b.c")
    assert await get(table) == {"a": {"b": 1}}


async def test_a_value_in_the_way_is_not_overwritten_by_a_deeper_key(table: Iterable[Endpoint]) -> None:
    await post(table, "a.b", 1)
    with pytest.raises(BadParams, match="'c'"):
        await post(table, "a.b.c", 2)
    assert await get(table) == {"a": {"b": 1}}


@pytest.mark.parametrize("key", ["", "a..b", ".", [], [""], [1], 5, {"a": 1}, ["x"] * 100])
async def test_keys_that_are_none_are_refused(table: Iterable[Endpoint], key: object) -> None:
    with pytest.raises(BadParams):
        await post(table, key, 1)


async def test_arguments_that_are_missing_are_named(table: Iterable[Endpoint]) -> None:
    for given in ({"namespace": "a", "key": "b"}, {"namespace": "a", "value": 1}, {"key": "b", "value": 1}):
        with pytest.raises(BadParams, match="is missing"):
            await ask(table, "server.database.post_item", **given)
    with pytest.raises(BadParams, match="'key' is missing"):
        await ask(table, "server.database.delete_item", namespace="a")


async def test_our_own_drawers_are_closed(table: Iterable[Endpoint], tmp_path: Path) -> None:
    for namespace in ("trio_moon.access", "trio_moon"):
        with pytest.raises(Forbidden):
            await get(table, namespace=namespace)
        with pytest.raises(Forbidden):
            await post(table, "api_key", "mine", namespace)
    for namespace in ("moonraker", "gcode_metadata"):
        with pytest.raises(Forbidden, match="Write access"):
            await post(table, "a", 1, namespace)
    with pytest.raises(BadParams):
        await post(table, "a", 1, "new\nline")


async def test_what_other_rooms_keep_is_shown_beside_the_rest(nursery: trio.Nursery, tmp_path: Path) -> None:
    async def view() -> dict[str, object]:
        return {"a.gcode": {"size": 5}}

    written: list[str] = []

    async def note() -> None:
        written.append("webcams")

    database = Database(tmp_path / "x.db", (SCHEMA,))
    await nursery.start(database.run)
    rooms = {"views": {"gcode_metadata": view}, "written": {"webcams": note}}
    user = UserDatabase(Namespaces(database), database, tmp_path / "x.db", tmp_path / "backups", **rooms)  # type: ignore[arg-type]
    table = endpoints(user)
    await post(table, "a", 1)
    assert (await ask(table, "server.database.list"))["namespaces"] == ["gcode_metadata", "mainsail"]
    assert await get(table, namespace="gcode_metadata") == {"a.gcode": {"size": 5}}
    assert await get(table, namespace="gcode_metadata", key=["a.gcode", "size"]) == 5
    with pytest.raises(NotFound, match="Key 'b'"):
        await get(table, namespace="gcode_metadata", key="b")
    assert written == []
    await post(table, "uid", {"name": "bed"}, "webcams")
    await ask(table, "server.database.delete_item", namespace="webcams", key="uid")
    assert written == ["webcams", "webcams"]


def test_a_printer_keeps_its_id(tmp_path: Path) -> None:
    made = instance_id(tmp_path)
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert instance_id(tmp_path) == made
    (tmp_path / ".moonraker.uuid").write_text("82a1392c8b5045b99aae7d5b80337d53\n")  # Moonraker was here
    assert instance_id(tmp_path) == "82a1392c8b5045b99aae7d5b80337d53"
    nowhere = tmp_path / "gone"
    assert instance_id(nowhere) == instance_id(nowhere) != made


async def test_two_writers_of_one_object_lose_nothing(table: Iterable[Endpoint]) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(post, table, f"counts.n{number}", number)
    assert await get(table, key="counts") == {f"n{number}": number for number in range(20)}


async def test_the_file_is_compacted_and_copied(table: Iterable[Endpoint], tmp_path: Path) -> None:
    await post(table, "big", "x" * 300_000)
    await ask(table, "server.database.delete_item", namespace="mainsail", key="big")
    sizes = await ask(table, "server.database.compact")
    assert set(sizes) == {"previous_size", "new_size"}
    made = await ask(table, "server.database.post_backup", filename="before-update.db")
    assert stat.S_IMODE(Path(made["backup_path"]).stat().st_mode) == 0o600
    assert (await ask(table, "server.database.list"))["backups"] == ["before-update.db"]
    Path(made["backup_path"]).write_text("an older one")
    assert await ask(table, "server.database.post_backup", filename="before-update.db") == made
    assert Path(made["backup_path"]).read_bytes().startswith(b"SQLite format 3")
    assert [path.name for path in (tmp_path / "backups").iterdir()] == ["before-update.db"]
    for filename in ("../x.db", "/etc/passwd", ".hidden", "a/b", "漢" * 90):
        with pytest.raises(BadParams):
            await ask(table, "server.database.post_backup", filename=filename)
        with pytest.raises(BadParams):
            await ask(table, "server.database.delete_backup", filename=filename)
    await ask(table, "server.database.delete_backup", filename="before-update.db")
    with pytest.raises(NotFound):
        await ask(table, "server.database.delete_backup", filename="before-update.db")
    assert "backup_path" in await ask(table, "server.database.post_backup")


async def test_a_backup_that_cannot_be_written_is_no_bug(table: Iterable[Endpoint], tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("a file where the folder should be")
    with pytest.raises(MoonError, match="could not be written"):
        await ask(table, "server.database.post_backup")


async def test_an_object_ends_with_the_last_that_is_in_it(table: Iterable[Endpoint]) -> None:
    await post(table, "view.tempchart.size", 5)
    for key in ("view.tempchart.size", "view.tempchart"):
        await ask(table, "server.database.delete_item", namespace="mainsail", key=key)
    with pytest.raises(NotFound, match="Namespace mainsail not found"):
        await get(table, key="view")


async def test_a_backup_that_cannot_be_deleted_is_no_bug(
    table: Iterable[Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with pytest.raises(BadParams):
        await ask(table, "server.database.delete_backup", filename="字" * 120)
    await ask(table, "server.database.post_backup", filename="kept.db")
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(NoSpace, match="Read-only"):
        await ask(table, "server.database.delete_backup", filename="kept.db")
