"""How far a print has come: steps of its progress and layers, each told once. Pure."""

from __future__ import annotations

from msgspec import Struct


class Milestones(Struct):
    """What one notifier wants to hear of: every N percent, certain layers, the end of the first layer."""

    progress_steps: frozenset[int]
    layers: frozenset[int]
    first_layer: bool
    _percent: float | None = None
    _layer: int | None = None

    def reached(self, percent: float, layer: int | None, total: int | None = None) -> list[tuple[str, str]]:
        """What has been passed since the last look, as (event, message). The first look only says where we stand."""
        return [*self._progress(percent), *self._layers(layer, total)]

    def _progress(self, percent: float) -> list[tuple[str, str]]:
        before, self._percent = self._percent, percent
        if before is None or percent <= before or percent >= 100:  # less than before: another print
            return []
        return [
            (f"progress:{int(percent // step) * step}", f"{int(percent // step) * step} % printed")
            for step in sorted(self.progress_steps)
            if percent // step > before // step
        ]

    def _layers(self, layer: int | None, total: int | None) -> list[tuple[str, str]]:
        layer = layer or 0  # not told yet, or not told at all
        before, self._layer = self._layer, layer
        if before is None or layer <= before:
            return []
        events = [("first_layer", "the first layer is done")] if self.first_layer and before < 2 <= layer else []
        of_total = f" of {total}" if total else ""
        for wanted in sorted(self.layers):
            if before < wanted <= layer:
                events.append((f"layer:{wanted}", f"layer {wanted}{of_total}"))
        return events
