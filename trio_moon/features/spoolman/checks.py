"""Before a print: is there a spool on every tool it uses, of the right material, with enough on it?"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import trio
from msgspec import Struct, field

from trio_moon.features.spoolman.client import Away
from trio_moon.features.spoolman.ledger import Ledger, Tools, spool_for
from trio_moon.features.spoolman.plan import Need, needed_mm, needs_of
from trio_moon.features.spoolman.shelf import Shelf
from trio_moon.features.spoolman.spool import Spool
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import Conflict, MoonError
from trio_moon.model.events import SpoolmanAlert

logger = logging.getLogger(__name__)

READ_TIMEOUT = 3.0
"""A print doesn't wait longer for Spoolman."""
METADATA_TIMEOUT = 5.0
SAME_START = 30.0
"""A print that begins within this time after we let it was checked already."""

MetadataOf = Callable[[str], Awaitable[Mapping[str, object]]]


class Finding(Struct, frozen=True):
    """One reason to think twice before printing."""

    code: str
    """`no_spool`, `not_enough`, `material`, `archived` or `unknown_spool`."""
    message: str
    tool: int
    spool_id: int | None = None

    def as_wire(self) -> dict[str, object]:
        return {"code": self.code, "message": self.message, "tool": self.tool, "spool_id": self.spool_id}


class CheckResult(Struct, frozen=True):
    """What was found about one file."""

    filename: str
    needs: tuple[Need, ...] = ()
    findings: tuple[Finding, ...] = ()
    unchecked: str = ""
    """Why something couldn't be checked; "" when all was."""
    spools: Mapping[int, int | None] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.findings

    def as_wire(self) -> dict[str, object]:
        return {
            "filename": self.filename,
            "ok": self.ok,
            "checked": not self.unchecked,
            "reason": self.unchecked or None,
            "problems": [finding.as_wire() for finding in self.findings],
            "tools": [
                {
                    "tool": need.tool,
                    "spool_id": self.spools.get(need.tool),
                    "needed_length": need.mm,
                    "needed_weight": need.grams,
                    "material": need.material or None,
                }
                for need in self.needs
            ],
        }


def check(
    needs: Sequence[Need], tools: Tools, shelf: Mapping[int, Spool], unreported: Callable[[int], float]
) -> list[Finding]:
    """Compare what a file needs with the spools on the tools. What isn't known is not held against it."""
    found: list[Finding] = []
    taken: dict[int, float] = {}
    shared = not set(tools) - {0}
    for need in needs:
        spool_id = spool_for(tools, need.tool)
        which = f"tool {need.tool}" if len(needs) > 1 else "the printer"
        if spool_id is None:
            found.append(Finding("no_spool", f"no spool is set for {which}", need.tool))
            continue
        spool = shelf.get(spool_id)
        if spool is None:
            continue
        if spool.archived:
            found.append(Finding("archived", f"{spool.label} is archived", need.tool, spool_id))
        if not _same_material(need.material, spool.material) and not (shared and len(needs) > 1):
            words = f"the file is for {need.material}, {spool.label} is {spool.material}"
            found.append(Finding("material", words, need.tool, spool_id))
        needed = needed_mm(need, spool)
        if needed is not None and spool.remaining_mm is not None:
            left = spool.remaining_mm - unreported(spool_id) - taken.get(spool_id, 0.0)
            taken[spool_id] = taken.get(spool_id, 0.0) + needed
            if needed > left:
                present = _amount(max(left, 0.0), spool)
                words = f"{spool.label} has {present} left, {which} needs {_amount(needed, spool)}"
                found.append(Finding("not_enough", words, need.tool, spool_id))
    return found


def _unknown(spools: Mapping[int, int | None], shelf: Mapping[int, Spool]) -> list[Finding]:
    return [
        Finding("unknown_spool", f"Spoolman doesn't know spool {spool_id}", tool, spool_id)
        for tool, spool_id in spools.items()
        if spool_id is not None and spool_id not in shelf
    ]


def _same_material(wanted: str, present: str) -> bool:
    """Names are compared loosely: PLA fits PLA+ and "Silk PLA", but not PETG."""
    one, other = ("".join(filter(str.isalnum, word.upper())) for word in (wanted, present))
    return not one or not other or one in other or other in one


def _amount(mm: float, spool: Spool) -> str:
    grams = f" ({mm * spool.grams_per_mm:.0f} g)" if spool.grams_per_mm else ""
    return f"{mm / 1000:.1f} m{grams}"


class Stock(Protocol):
    """The room's state, as far as checking needs it."""

    @property
    def ledger(self) -> Ledger: ...

    @property
    def tools(self) -> Tools: ...

    @property
    def shelf(self) -> Shelf: ...

    @property
    def alerts(self) -> Topic[SpoolmanAlert]: ...


class PrintCheck:
    """Asked before each print that goes through us; prints that began elsewhere get a warning."""

    def __init__(self, stock: Stock, metadata_of: MetadataOf, say: Callable[[str], None], mode: str) -> None:
        self._stock = stock
        self._metadata_of = metadata_of
        self._say = say
        self._mode = mode
        self._let_pass: dict[str, float] = {}

    async def needs(self, filename: str) -> tuple[Need, ...]:
        """What the file says it needs; nothing when it can't be read."""
        try:
            return needs_of(await self._metadata_of(filename))
        except MoonError:
            return ()

    async def check(self, filename: str) -> CheckResult:
        """Never fails because Spoolman is away: the last known amounts count then."""
        metadata: Mapping[str, object] | None = None
        try:
            with trio.move_on_after(METADATA_TIMEOUT):
                metadata = await self._metadata_of(filename)
        except MoonError as error:
            return CheckResult(filename, unchecked=error.message)
        if metadata is None:
            return CheckResult(filename, unchecked="the file is still being read")
        needs = needs_of(metadata)
        tools, unchecked = self._stock.tools, ""
        spools = {need.tool: spool_for(tools, need.tool) for need in needs}
        asked = sorted({spool_id for spool_id in spools.values() if spool_id is not None})
        away: Away | None = Away(f"Spoolman didn't answer within {READ_TIMEOUT:g} s")
        with trio.move_on_after(READ_TIMEOUT):
            away = await self._stock.shelf.refresh(asked)
        if away is not None:
            unchecked = away.reason
        elif not needs:
            unchecked = "the file doesn't say how much filament it needs"
        findings = check(needs, tools, self._stock.shelf, self._stock.ledger.unreported)
        if away is None:
            findings += _unknown(spools, self._stock.shelf)
        if not needs and not any(tools.values()):
            findings.append(Finding("no_spool", "no spool is set for the printer", 0))
        return CheckResult(filename, needs, tuple(findings), unchecked, spools)

    async def guard(self, filename: str) -> None:
        """Let a print begin, or raise Conflict (in mode `block`, and only when Spoolman's word is fresh)."""
        if self._mode == "off":
            return
        result = await self.check(filename)
        self._let_pass = {name: until for name, until in self._let_pass.items() if until > trio.current_time()}
        self._tell(result)
        if result.findings and self._mode == "block" and not result.unchecked:
            reasons = "; ".join(finding.message for finding in result.findings)
            raise Conflict(f"{filename} was not started: {reasons}")
        self._let_pass[filename] = trio.current_time() + SAME_START

    async def print_began(self, filename: str) -> None:
        """A print has begun; if not through us, it is checked now."""
        until = self._let_pass.pop(filename, 0.0)
        if self._mode != "off" and filename and trio.current_time() > until:
            self._tell(await self.check(filename))

    def _tell(self, result: CheckResult) -> None:
        for finding in result.findings:
            logger.warning("%s: %s", result.filename, finding.message)
            self._say(f"!! {result.filename}: {finding.message}" if self._mode == "block" else f"// {finding.message}")
            message = f"{result.filename}: {finding.message}"
            self._stock.alerts.publish(
                SpoolmanAlert("print_check", message, finding.spool_id, finding.tool, result.filename)
            )
