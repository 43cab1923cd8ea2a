"""What MockSpoolman keeps: its things, and every use of a spool, to the last bit."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from trio_moon.testing.spoolman_items import Filament, Json, Spool, Vendor, length_of, weight_of
from trio_moon.testing.spoolman_messages import Request

EventListener = Callable[[str, str, str, Json], None]

T = TypeVar("T")
Item = TypeVar("Item", Vendor, Filament, Spool)

CUT_OFF_MESSAGE = "see server logs for more information."


class StoreError(Exception):
    """Spoolman would answer this request with `status` and `{"message": ...}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, kw_only=True)
class Use:
    """One applied use of a spool: who asked for it, and by how much the spool's ledger changed."""

    spool_id: int
    used_mm: float
    """What was asked for. `use_weight` and `measure` are told in millimetres of this spool's filament."""
    at: datetime
    request: Request | None = None
    """The request that asked, as in `MockSpoolman.requests`; None for another writer of the test."""


class SpoolStore:
    """The ledger behind MockSpoolman; it knows no HTTP, and tells `on_event` of each change."""

    def __init__(self, on_event: EventListener | None = None) -> None:
        self.vendors: dict[int, Vendor] = {}
        self.filaments: dict[int, Filament] = {}
        self.spools: dict[int, Spool] = {}
        self.uses: list[Use] = []
        self.settings: dict[str, str] = {}
        self._on_event = on_event

    # reading

    def vendor(self, vendor_id: int) -> Vendor:
        return _found(self.vendors, vendor_id, "vendor")

    def filament(self, filament_id: int) -> Filament:
        return _found(self.filaments, filament_id, "filament")

    def spool(self, spool_id: int) -> Spool:
        return _found(self.spools, spool_id, "spool")

    # vendors

    def add_vendor(self, values: Json) -> Vendor:
        vendor = Vendor(id=_next_id(self.vendors), registered=_now(), **_plain(values))  # type: ignore[arg-type]
        self.vendors[vendor.id] = vendor
        return self._tell("added", "vendor", vendor)

    def change_vendor(self, vendor_id: int, values: Json) -> Vendor:
        vendor = self.vendor(vendor_id)
        _assign(vendor, values)
        return self._tell("updated", "vendor", vendor)

    def remove_vendor(self, vendor_id: int) -> None:
        vendor = self.vendor(vendor_id)
        for filament in self.filaments.values():
            if filament.vendor is vendor:
                filament.vendor = None
        del self.vendors[vendor_id]
        self._tell("deleted", "vendor", vendor)

    # filaments

    def add_filament(self, values: Json) -> Filament:
        values = _plain(values)
        vendor = self._vendor_or_none(values.pop("vendor_id", None))
        if vendor is not None and values.get("spool_weight") is None:
            values["spool_weight"] = vendor.empty_spool_weight
        new_id = _next_id(self.filaments)
        filament = Filament(id=new_id, registered=_now(), vendor=vendor, **values)  # type: ignore[arg-type]
        self.filaments[filament.id] = filament
        return self._tell("added", "filament", filament)

    def change_filament(self, filament_id: int, values: Json) -> Filament:
        filament, values = self.filament(filament_id), dict(values)
        if "vendor_id" in values:
            filament.vendor = self._vendor_or_none(values.pop("vendor_id"))
        _assign(filament, values)
        return self._tell("updated", "filament", filament)

    def remove_filament(self, filament_id: int) -> None:
        filament = self.filament(filament_id)
        if any(spool.filament is filament for spool in self.spools.values()):
            raise StoreError(403, f"Failed to delete filament, {CUT_OFF_MESSAGE}")
        del self.filaments[filament_id]
        self._tell("deleted", "filament", filament)

    def _vendor_or_none(self, vendor_id: object) -> Vendor | None:
        return self.vendor(vendor_id) if isinstance(vendor_id, int) else None

    # spools

    def add_spool(self, values: Json) -> Spool:
        values = _plain(values)
        filament = self.filament(values.pop("filament_id"))  # type: ignore[arg-type]
        remaining = values.pop("remaining_weight", None)
        spool = Spool(id=_next_id(self.spools), registered=_now(), filament=filament, **values)  # type: ignore[arg-type]
        if spool.spool_weight is None:
            spool.spool_weight = filament.spool_weight
        if spool.initial_weight is None:
            spool.initial_weight = filament.weight
        if isinstance(remaining, float):
            if not spool.initial_weight:
                raise StoreError(400, f"Failed to create spool, {CUT_OFF_MESSAGE}")
            spool.used_weight = max(spool.initial_weight - remaining, 0.0)
        self.spools[spool.id] = spool
        return self._tell("added", "spool", spool)

    def change_spool(self, spool_id: int, values: Json) -> Spool:
        spool = self.spool(spool_id)
        for name, value in values.items():
            if name == "filament_id":
                spool.filament = self.filament(value)  # type: ignore[arg-type]
                if spool.initial_weight is None:
                    spool.initial_weight = spool.filament.weight
            elif name == "remaining_weight":
                if spool.initial_weight is None:
                    raise StoreError(400, f"Failed to update spool, {CUT_OFF_MESSAGE}")
                spool.used_weight = max(spool.initial_weight - value, 0.0)  # type: ignore[operator]
            else:
                _assign(spool, {name: value})
        return self._tell("updated", "spool", spool)

    def remove_spool(self, spool_id: int) -> None:
        spool = self.spool(spool_id)
        del self.spools[spool_id]
        self._tell("deleted", "spool", spool)

    # filament leaves a spool

    def use_length(self, spool_id: int, used_mm: float, request: Request | None = None) -> Spool:
        """Take millimetres from a spool; negative ones go back, but never below nothing used."""
        if spool_id not in self.spools:
            raise StoreError(404, "Filament not found for spool.")
        filament = self.spools[spool_id].filament
        weight_g = weight_of(used_mm, diameter=filament.diameter, density=filament.density)
        return self._use(spool_id, weight_g, used_mm, request)

    def use_weight(self, spool_id: int, weight_g: float, request: Request | None = None) -> Spool:
        """Take grams from a spool."""
        filament = self.spool(spool_id).filament
        used_mm = length_of(weight_g, diameter=filament.diameter, density=filament.density)
        return self._use(spool_id, weight_g, used_mm, request)

    def _use(self, spool_id: int, weight_g: float, used_mm: float, request: Request | None) -> Spool:
        spool = self.spools[spool_id]
        total = spool.used_weight + weight_g
        spool.used_weight = total if total >= 0.0 else 0.0  # NaN compares false: it clears the spool, as in Spoolman
        moment = _now()
        spool.first_used = spool.first_used or moment
        spool.last_used = moment
        self.uses.append(Use(spool_id=spool_id, used_mm=used_mm, at=datetime.now(UTC), request=request))
        return self._tell("updated", "spool", spool)

    def measure(self, spool_id: int, gross_g: float, request: Request | None = None) -> Spool:
        """Somebody put the spool on a scale."""
        spool = self.spools.get(spool_id)
        if spool is None:
            raise StoreError(400, "Spool not found.")
        full_g = spool.initial_weight or spool.filament.weight
        empty_g = spool.spool_weight or spool.filament.spool_weight or 0.0
        if not full_g:
            raise StoreError(400, "Initial weight is not set.")
        if gross_g > full_g + empty_g:
            spool.initial_weight, spool.used_weight = gross_g - empty_g, 0.0
            return self._tell("updated", "spool", spool)
        now_g = full_g + empty_g - spool.used_weight
        used_g = now_g - gross_g
        if full_g + empty_g - used_g < empty_g:
            used_g = now_g - empty_g
        return self.use_weight(spool_id, used_g, request)

    def announce(self, kind: str, resource: str, key: str, payload: Json) -> None:
        """Tell whoever listens that this has been added, updated or deleted."""
        if self._on_event is not None:
            self._on_event(kind, resource, key, payload)

    def _tell(self, kind: str, resource: str, item: Item) -> Item:
        self.announce(kind, resource, str(item.id), item.as_wire())
        return item


def _found(items: dict[int, T], item_id: int, word: str) -> T:
    if (item := items.get(item_id)) is None:
        raise StoreError(404, f"No {word} with ID {item_id} found.")
    return item


def _next_id(items: dict[int, T]) -> int:
    """SQLite's rule: the id of a deleted last row is given again."""
    return max(items, default=0) + 1


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _plain(values: Json) -> Json:
    """A new item's values: what is null was not said."""
    kept = {name: value for name, value in values.items() if value is not None}
    if isinstance(extra := kept.get("extra"), dict):
        kept["extra"] = {name: value for name, value in extra.items() if value is not None}
    return kept


def _assign(item: Vendor | Filament | Spool, values: Json) -> None:
    for name, value in values.items():
        if name == "extra":
            changes: Json = value if isinstance(value, dict) else {}
            kept = {key: each for key, each in item.extra.items() if key not in changes}
            item.extra = kept | {key: str(each) for key, each in changes.items() if each is not None}
        else:
            setattr(item, name, value)
