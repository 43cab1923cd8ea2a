"""What is asked of the real Spoolman and of MockSpoolman, in this order, on an empty database."""

from dataclasses import dataclass, field

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Ask:
    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.body.decode(errors='replace')[:60]}"


def get(path: str) -> Ask:
    return Ask("GET", path, headers={})


def post(path: str, body: str) -> Ask:
    return Ask("POST", path, body.encode())


def patch(path: str, body: str) -> Ask:
    return Ask("PATCH", path, body.encode())


def put(path: str, body: str) -> Ask:
    return Ask("PUT", path, body.encode())


def delete(path: str) -> Ask:
    return Ask("DELETE", path, headers={})


READING = [
    get("/info"),
    get("/health"),
    get("/spool"),
    get("/spool/9"),
    get("/spool/x"),
    get("/spool/-1"),
    get("/spool/1.5"),
    get("/spool/1.0"),
    get("/nothing"),
    get("/"),
    get("/spool/"),
    get("/spool/?limit=2"),
    get("/setting"),
    get("/setting/"),
    get("/setting/currency"),
    get("/setting/nope"),
    get("/field/spool"),
    get("/field/filament"),
    get("/field/nope"),
    get("/material"),
    Ask("HEAD", "/health"),
    Ask("OPTIONS", "/health"),
    Ask("PUT", "/spool/1"),
    Ask("POST", "/spool/1"),
    Ask("GET", "/spool/1/use"),
    Ask("DELETE", "/spool"),
    Ask("PATCH", "/setting/currency"),
]

FILLING = [
    post("/vendor", '{"name": "Poly", "empty_spool_weight": 140}'),
    post("/vendor", '{"name": "alpha", "comment": "x", "external_id": "a1", "more": 1}'),
    post("/vendor", "{}"),
    post("/vendor", '{"name": null}'),
    post("/vendor", '{"name": "' + "x" * 65 + '", "empty_spool_weight": -1}'),
    post(
        "/filament",
        '{"name": "Black", "vendor_id": 1, "material": "PLA", "density": 1.24, "diameter": 1.75,'
        ' "weight": 1000, "color_hex": "#ff0000", "settings_extruder_temp": 210, "price": 20}',
    ),
    post("/filament", '{"name": "White", "vendor_id": 2, "material": "petg", "density": 1.27, "diameter": "2.85"}'),
    post(
        "/filament",
        '{"density": 1.04, "diameter": 1.75, "weight": 750, "spool_weight": 200, "material": "ABS",'
        ' "multi_color_hexes": "ff0000,#00ff00", "multi_color_direction": "coaxial"}',
    ),
    post("/filament", '{"density": 0}'),
    post("/filament", '{"density": 1, "diameter": 1, "vendor_id": 77}'),
    post("/filament", '{"density": 1, "diameter": 1, "color_hex": "12345"}'),
    post("/filament", '{"density": 1, "diameter": 1, "color_hex": "12345g"}'),
    post("/filament", '{"density": 1, "diameter": 1, "color_hex": "ff0000", "multi_color_hexes": "ff0000,00ff00"}'),
    post("/filament", '{"density": 1, "diameter": 1, "multi_color_hexes": "ff0000"}'),
    post("/filament", '{"density": 1, "diameter": 1, "multi_color_hexes": "ff0000,00ff00"}'),
    post("/filament", '{"density": 1, "diameter": 1, "multi_color_direction": "coaxial"}'),
    post("/filament", '{"density": 1, "diameter": 1, "multi_color_direction": "sideways"}'),
    post("/filament", '{"density": 1, "diameter": 1, "settings_bed_temp": 60.5}'),
    post("/spool", '{"filament_id": 1, "location": "Shelf", "lot_nr": "17"}'),
    post("/spool", '{"filament_id": 2, "comment": "no weight known"}'),
    post("/spool", '{"filament_id": 3, "remaining_weight": 500.5}'),
    post("/spool", '{"filament_id": 1, "used_weight": 3, "initial_weight": 250, "archived": true}'),
    post("/spool", '{"filament_id": 2, "initial_weight": 0, "spool_weight": 0, "price": 12.5}'),
    post("/spool", '{"filament_id": 1, "first_used": "2024-05-01T10:00:00+02:00", "last_used": null}'),
    post("/spool", '{"filament_id": 2, "remaining_weight": 5}'),
    post("/spool", '{"filament_id": 7}'),
    post("/spool", "{}"),
    post("/spool", '{"filament_id": null}'),
    post("/spool", '{"filament_id": 1, "price": -1, "location": 5}'),
    post("/spool", '{"filament_id": 1, "remaining_weight": 1, "used_weight": 1}'),
    post("/spool", '{"filament_id": 1, "archived": null}'),
    post("/spool", '{"filament_id": 1, "extra": {"a": "1"}}'),
    post("/spool", '{"filament_id": 1.5, "archived": "x", "first_used": "yesterday", "extra": []}'),
    post("/spool", '{"filament_id": "one", "used_weight": [1]}'),
]

SEARCHING = [
    get("/spool/1"),
    get("/spool/2"),
    get("/spool/3"),
    get("/spool/4"),
    get("/filament/3"),
    get("/vendor/1"),
    get("/vendor/8"),
    get("/filament/8"),
    get("/filament/x"),
    get("/spool"),
    get("/spool?allow_archived=true"),
    get("/spool?allow_archived=0"),
    get("/spool?allow_archived=maybe"),
    get("/spool?filament.material=pla,abs"),
    get("/spool?filament.material=%22PLA%22"),
    get("/spool?filament.material=%22pla%22"),
    get("/spool?filament_material=petg"),
    get("/spool?filament.name="),
    get("/spool?filament.vendor.name=pol"),
    get("/spool?filament.vendor.name="),
    get("/spool?vendor_id=2"),
    get("/spool?filament.vendor.id=-1"),
    get("/spool?filament.id=1,3"),
    get("/spool?filament.id=x"),
    get("/spool?location=shel"),
    get("/spool?location="),
    get("/spool?lot_nr=17&filament.id=1"),
    get("/spool?limit=2"),
    get("/spool?limit=2&offset=1"),
    get("/spool?limit=2&offset=9"),
    get("/spool?offset=1"),
    get("/spool?limit=0"),
    get("/spool?limit=x"),
    get("/spool?limit=x&offset=y"),
    get("/spool?sort=id:desc"),
    get("/spool?sort=location:asc,id:desc"),
    get("/spool?sort=filament.name:asc,id:asc&allow_archived=true"),
    get("/spool?sort=filament.vendor.name:desc,id:asc"),
    get("/spool?sort=filament.combined_name:asc,id:asc"),
    get("/spool?sort=remaining_weight:asc,id:asc"),
    get("/spool?sort=remaining_length:desc,id:asc"),
    get("/spool?sort=used_length:desc,id:asc"),
    get("/spool?sort=price:asc,id:asc"),
    get("/spool?sort=bad"),
    get("/spool?sort=:asc"),
    get("/spool?sort=bad:asc"),
    get("/spool?sort=id:up"),
    get("/spool?sort=filament:asc"),
    get("/spool?sort=filament.bad:asc"),
    get("/spool?sort=id.x:asc"),
    get("/spool?unknown=1"),
    get("/filament"),
    get("/filament?material=pla&sort=name:asc"),
    get("/filament?vendor.id=-1"),
    get("/filament?vendor.name=alpha&limit=1"),
    get("/filament?sort=vendor.name:desc,id:asc"),
    get("/vendor"),
    get("/vendor?name=POL"),
    get("/vendor?sort=name:asc"),
    get("/vendor?external_id=%22a1%22"),
    get("/material"),
    get("/location"),
    get("/lot-number"),
    get("/article-number"),
    Ask("GET", "/spool", headers={"accept-encoding": "gzip"}),
    Ask("GET", "/health", headers={"accept-encoding": "gzip"}),
]

USING = [
    put("/spool/1/use", '{"use_length": 10.5}'),
    put("/spool/1/use", '{"use_length": 0.0001}'),
    put("/spool/1/use", '{"use_length": "3.5"}'),
    put("/spool/1/use", '{"use_length": true}'),
    put("/spool/1/use", '{"use_length": 0}'),
    put("/spool/1/use", '{"use_length": -4}'),
    put("/spool/1/use", '{"use_weight": 12.25}'),
    put("/spool/2/use", '{"use_length": 1234.5678}'),
    put("/spool/3/use", '{"use_weight": 100000}'),
    put("/spool/4/use", '{"use_length": 7}'),
    put("/spool/4/use", '{"use_length": -500000}'),
    put("/spool/1/use", '{"use_length": 10.5, "use_weight": 1}'),
    put("/spool/1/use", "{}"),
    put("/spool/1/use", '{"use_length": null}'),
    put("/spool/1/use", '{"use_length": null, "use_weight": 1}'),
    put("/spool/1/use", '{"use_length": "abc"}'),
    put("/spool/1/use", '{"use_length": [1]}'),
    put("/spool/1/use", '{"use_length": 1'),
    put("/spool/1/use", "[1]"),
    put("/spool/1/use", "null"),
    put("/spool/1/use", "3"),
    put("/spool/1/use", ""),
    put("/spool/9/use", '{"use_length": 1}'),
    put("/spool/9/use", '{"use_weight": 1}'),
    put("/spool/9/use", "{}"),
    put("/spool/abc/use", '{"use_weight": 1}'),
    put("/spool/abc/use", "{}"),
    put("/spool/abc/use", '{"use_weight": "x"}'),
    put("/spool/5/use", '{"use_length": Infinity}'),
    get("/spool"),
    put("/spool/5/use", '{"use_length": NaN}'),
    get("/spool"),
    Ask("PUT", "/spool/1/use", b'{"use_length": 1}', {"content-type": "text/plain"}),
    Ask("PUT", "/spool/1/use", b'{"use_length": 1}', {"content-type": "application/x+json; charset=utf-8"}),
    Ask("PUT", "/spool/1/use", b'{"use_length": 1}', {}),
    Ask("PUT", "/spool/1/use", b'{"use_length": "\xff"}'),
    Ask("PUT", "/spool/1/use", b"[" * 5000 + b"]" * 5000),
    Ask("POST", "/setting/currency", b"[" * 5000 + b"]" * 5000),
    Ask("POST", "/setting/currency", b'"' + b"[" * 5000 + b"]" * 5000 + b'"'),
    Ask("POST", "/setting/currency", b'"\xff"'),
    Ask("PUT", "/spool/1/use", b'{"use_length": 1}', {**JSON, "origin": "http://elsewhere.example"}),
    put("/spool/1/measure", '{"weight": 700}'),
    put("/spool/1/measure", '{"weight": 100}'),
    put("/spool/1/measure", '{"weight": 2000}'),
    put("/spool/2/measure", '{"weight": 100}'),
    put("/spool/5/measure", '{"weight": 100}'),
    put("/spool/3/measure", '{"weight": 950}'),
    put("/spool/9/measure", '{"weight": 700}'),
    put("/spool/1/measure", "{}"),
    put("/spool/1/measure", '{"weight": null}'),
]

CHANGING = [
    patch("/spool/1", '{"comment": "new", "location": null, "price": 3}'),
    patch("/spool/1", '{"remaining_weight": 900}'),
    patch("/spool/2", '{"remaining_weight": 900}'),
    patch("/spool/1", '{"used_weight": 5.5}'),
    patch("/spool/1", '{"remaining_weight": 1, "used_weight": 1}'),
    patch("/spool/1", '{"archived": true}'),
    patch("/spool/1", '{"archived": false, "first_used": "2024-05-01T10:00:00Z"}'),
    patch("/spool/1", '{"filament_id": null}'),
    patch("/spool/2", '{"filament_id": 3}'),
    patch("/spool/2", '{"filament_id": 33}'),
    patch("/spool/9", '{"comment": "x"}'),
    patch("/spool/1", "{}"),
    post(
        "/setting/extra_fields_spool",
        SHELF := '"[{\\"key\\": \\"shelf\\", \\"name\\": \\"Shelf\\", \\"order\\": 0,'
        ' \\"field_type\\": \\"text\\", \\"entity_type\\": \\"spool\\"}]"',
    ),
    get("/field/spool"),
    patch("/spool/1", '{"extra": {"shelf": "\\"A\\""}}'),
    patch("/spool/1", '{"extra": {}}'),
    patch("/spool/1", '{"extra": {"shelf": null}}'),
    patch("/spool/1", '{"extra": {"other": "1"}}'),
    patch("/filament/1", '{"density": 1.3, "color_hex": ""}'),
    patch("/filament/1", '{"density": null}'),
    patch("/filament/1", '{"vendor_id": null}'),
    patch("/filament/1", '{"vendor_id": 88}'),
    patch("/filament/8", '{"name": "x"}'),
    patch("/filament/3", '{"multi_color_hexes": null, "multi_color_direction": null, "color_hex": "00ff00aa"}'),
    get("/spool/1"),
    patch("/vendor/2", '{"name": "beta", "empty_spool_weight": 99}'),
    patch("/vendor/2", '{"name": null}'),
    patch("/vendor/9", '{"name": "x"}'),
    post("/setting/currency", '"\\"USD\\""'),
    get("/setting/currency"),
    post("/setting/currency", '"5"'),
    post("/setting/currency", "5"),
    post("/setting/currency", '"x'),
    post("/setting/nope", '"5"'),
    Ask("POST", "/setting/currency", b'"5"', {"content-type": "text/plain"}),
    get("/setting/"),
    post("/setting/currency", '"null"'),
    post("/setting/currency", '"null"'),
    post("/setting/extra_fields_spool", '"null"'),
    get("/setting/currency"),
]

EMPTYING = [
    delete("/filament/1"),
    delete("/spool/9"),
    delete("/spool/x"),
    delete("/spool/6"),
    post("/spool", '{"filament_id": 1}'),
    *(delete(f"/spool/{number}") for number in (1, 2, 3, 4, 5, 6)),
    delete("/vendor/2"),
    get("/filament/2"),
    *(delete(f"/filament/{number}") for number in (1, 2, 3)),
    delete("/filament/9"),
    delete("/vendor/1"),
    delete("/vendor/1"),
    get("/spool?allow_archived=true"),
]

EVERYTHING = [*READING, *FILLING, *SEARCHING, *USING, *CHANGING, *EMPTYING]
