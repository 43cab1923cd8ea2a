from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from trio_moon.kit.later import import_later

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
    for name in ("slow_module", "broken_module", "round_module"):
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


def test_a_module_that_is_there_stays_and_one_that_is_nowhere_is_named() -> None:
    before = sys.modules["threading"]
    import_later("threading")
    assert sys.modules["threading"] is before
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        import_later("no_such_module")


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
