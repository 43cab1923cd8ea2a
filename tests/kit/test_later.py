from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from trio_moon.kit.later import forget, import_later

SLOW = """
import sys, time
loads = getattr(sys, "_loads_of_slow", 0) + 1
sys._loads_of_slow = loads
time.sleep(0.05)
value = 42
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("slow_module", "broken_module", "round_module", "one", "two", "three", "star_module"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "_loads_of_slow", 0, raising=False)
    (tmp_path / "slow_module.py").write_text(SLOW)
    return tmp_path


def loads() -> int:
    count: int = vars(sys)["_loads_of_slow"]
    return count


def test_a_module_is_loaded_when_something_of_it_is_used(folder: Path) -> None:
    import_later("slow_module")
    first, second = importlib.import_module("slow_module"), importlib.import_module("slow_module")
    assert loads() == 0
    assert second.value == 42
    assert first.value == 42
    assert loads() == 1
    assert type(first) is ModuleType
    with pytest.raises(AttributeError, match="nothing"):
        _ = first.nothing


def test_what_is_at_hand_loads_nothing(folder: Path) -> None:
    import_later("slow_module", at_hand={"value": 7})
    module = importlib.import_module("slow_module")
    assert (module.value, loads()) == (7, 0)
    assert module.loads == 1
    assert module.value == 42


def test_threads_that_ask_at_the_same_time_load_it_once(folder: Path) -> None:
    import_later("slow_module")
    found: list[int] = []
    module = importlib.import_module("slow_module")
    threads = [threading.Thread(target=lambda: found.append(module.value)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [42] * 5
    assert loads() == 1


MEETING = "import sys\nsys._two_threads.wait()\n"


def test_threads_that_import_what_needs_later_modules_do_not_wait_for_each_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One loads a later module that imports `two`; the other imports `two`, which uses another later module."""
    monkeypatch.setattr(sys, "_two_threads", threading.Barrier(2, timeout=10), raising=False)
    (folder / "one.py").write_text(MEETING + "import two\nvalue = two.value")
    (folder / "two.py").write_text(MEETING + "import three\nvalue = three.value")
    (folder / "three.py").write_text("value = 3")
    import_later("one", "three")
    first = importlib.import_module("one")
    found: list[int] = []
    works = (lambda: found.append(first.value), lambda: found.append(importlib.import_module("two").value))
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == [3, 3]


def test_a_module_that_is_there_stays_and_one_that_is_nowhere_is_missed_where_it_is_imported() -> None:
    before = sys.modules["threading"]
    import_later("threading", "no_such_module")
    assert sys.modules["threading"] is before
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        importlib.import_module("no_such_module")


def test_all_of_a_module_may_be_imported(folder: Path) -> None:
    (folder / "star_module.py").write_text("__all__ = ['star']\nstar = 1\nother = 2")
    import_later("star_module")
    found: dict[str, object] = {}
    exec("from star_module import *", found)
    assert "star" in found
    assert "other" not in found


@pytest.mark.parametrize(
    ("package", "module", "name"), [("json", "json.decoder", "JSONDecodeError"), ("idna", "idna.core", "IDNAError")]
)
def test_a_part_of_a_package_may_be_imported_before_the_package_is_used(package: str, module: str, name: str) -> None:
    program = (
        f"import trio_moon.__main__\nfrom {module} import {name} as n\nimport {package}\nassert n is {package}.{name}"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    "use",
    [
        "import inspect, argparse; assert 'def parse_args' in inspect.getsource(argparse.ArgumentParser)",
        "from ctypes.util import find_library; assert find_library('pthread'); assert not find_library('no such one')",
        "from importlib.metadata import version; assert version('msgspec')",
        "import typing_extensions; assert typing_extensions.deprecated and typing_extensions.Doc",
        "from gettext import ngettext; assert ngettext('one', 'many', 2) == 'many'",
        "import msgspec.inspect; assert msgspec.inspect.type_info(int)",
        "import hashlib, ssl, shutil, subprocess; assert hashlib.sha256() and ssl.create_default_context()",
    ],
)
def test_what_the_program_puts_off_is_all_there_for_who_wants_it(use: str) -> None:
    program = f"import sys, trio_moon.__main__\nassert 'trio' not in sys.modules\nimport trio, trio_websocket\n{use}"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_what_is_forgotten_is_loaded_anew_by_who_wants_it(folder: Path) -> None:
    first = importlib.import_module("slow_module")
    assert first.value == 42
    forget("slow_module", "never_loaded")
    second = importlib.import_module("slow_module")
    assert second is not first
    assert (second.value, loads()) == (42, 2)


def test_a_module_that_fails_says_so_each_time(folder: Path) -> None:
    (folder / "broken_module.py").write_text("raise ImportError('no library')")
    import_later("broken_module")
    module = importlib.import_module("broken_module")
    for _ in range(2):
        with pytest.raises(ImportError, match="no library"):
            _ = module.anything


def test_a_module_may_ask_for_itself_while_it_is_loaded(folder: Path) -> None:
    (folder / "round_module.py").write_text("import round_module\nearly = hasattr(round_module, 'late')\nlate = 1")
    import_later("round_module")
    module = importlib.import_module("round_module")
    assert (module.late, module.early) == (1, False)
