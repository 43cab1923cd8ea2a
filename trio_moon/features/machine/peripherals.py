"""`machine.peripherals.*`: what is plugged in, as /sys and /dev show it. Blocking, but quick: call in a thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SYS = Path("/sys")
DEV = Path("/dev")

_CLASSES = {
    "01": "Audio",
    "02": "Communications",
    "03": "Human Interface Device",
    "06": "Imaging",
    "07": "Printer",
    "08": "Mass Storage",
    "09": "Hub",
    "0a": "CDC Data",
    "0e": "Video",
    "e0": "Wireless",
    "ef": "Miscellaneous Device",
    "ff": "Vendor Specific Class",
}


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace").strip() or None
    except OSError:
        return None


def usb_devices(sys: Path = SYS) -> list[dict[str, object]]:
    """Every device on the USB busses."""
    return [found for path in sorted((sys / "bus/usb/devices").glob("*")) if (found := _usb_device(path))]


def _usb_device(path: Path) -> dict[str, object] | None:
    bus, number = _text(path / "busnum"), _text(path / "devnum")
    if not (bus and number and bus.isdigit() and number.isdigit()):
        return None  # an interface of a device
    manufacturer, product = _text(path / "manufacturer"), _text(path / "product")
    described = " ".join(word for word in (manufacturer, product) if word)
    return {
        "device_num": int(number),
        "bus_num": int(bus),
        "vendor_id": _text(path / "idVendor"),
        "product_id": _text(path / "idProduct"),
        "usb_location": f"{bus}:{number}",
        "manufacturer": manufacturer,
        "product": product,
        "serial": _text(path / "serial"),
        "class": _CLASSES.get(_text(path / "bDeviceClass") or ""),
        "subclass": None,
        "protocol": None,
        "description": described or None,
    }


def _usb_location(device: Path) -> str | None:
    for folder in (device, *device.parents):
        bus, number = _text(folder / "busnum"), _text(folder / "devnum")
        if bus and number:
            return f"{bus}:{number}"
        if folder == folder.parent or folder.name == "devices":
            break
    return None


def _links(folder: Path) -> dict[Path, str]:
    """What the symbolic links in a folder of /dev point to."""
    if not folder.is_dir():
        return {}
    return {link.resolve(): str(link) for link in sorted(folder.iterdir())}


def _devices(folder: Path) -> Iterator[tuple[str, Path]]:
    """The entries of a class in /sys that belong to a device."""
    if folder.is_dir():
        for entry in sorted(folder.iterdir()):
            device = entry / "device"
            if device.exists():
                yield entry.name, device.resolve()


def serial_devices(sys: Path = SYS, dev: Path = DEV) -> list[dict[str, object]]:
    """Serial ports: those on USB and the board's own."""
    by_id, by_path = _links(dev / "serial/by-id"), _links(dev / "serial/by-path")
    found: list[dict[str, object]] = []
    for name, device in _devices(sys / "class/tty"):
        driver = (device / "driver").resolve().name if (device / "driver").exists() else "unknown"
        node = dev / name
        if not node.exists() or (name.startswith("ttyS") and _text(sys / "class/tty" / name / "type") == "0"):
            continue  # a place for a UART that isn't there
        location = _usb_location(device)
        found.append(
            {
                "device_type": "usb" if location else "hardware_uart",
                "device_path": str(node),
                "device_name": name,
                "driver_name": driver,
                "path_by_hardware": by_path.get(node.resolve()),
                "path_by_id": by_id.get(node.resolve()),
                "usb_location": location,
            }
        )
    return found


def video_devices(sys: Path = SYS, dev: Path = DEV) -> list[dict[str, object]]:
    """Cameras and other video devices."""
    by_id, by_path = _links(dev / "v4l/by-id"), _links(dev / "v4l/by-path")
    found: list[dict[str, object]] = []
    for name, device in _devices(sys / "class/video4linux"):
        node = dev / name
        title = _text(sys / "class/video4linux" / name / "name") or name
        found.append(
            {
                "device_name": name,
                "device_path": str(node),
                "camera_name": title,
                "driver_name": (device / "driver").resolve().name if (device / "driver").exists() else "unknown",
                "alt_name": title,
                "hardware_bus": device.name,
                "modes": [],
                "capabilities": [],
                "version": "",
                "path_by_hardware": by_path.get(node.resolve()),
                "path_by_id": by_id.get(node.resolve()),
                "usb_location": _usb_location(device),
            }
        )
    return found
