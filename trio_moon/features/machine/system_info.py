"""`machine.system_info`: the machine as it is, read from files that every Linux has."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shlex
import socket
import struct
import sys
from ipaddress import IPv6Address
from pathlib import Path

_SIOCGIFADDR = 0x8915


def _text(path: Path | str) -> str:
    try:
        return Path(path).read_bytes().decode(errors="replace").strip("\0 \n")
    except OSError:
        return ""


def read_system_info() -> dict[str, object]:
    """Everything that doesn't change while we run. Reads a dozen files: call it in a thread."""
    return {
        "python": {"version": list(sys.version_info), "version_string": sys.version.replace("\n", " ")},
        "cpu_info": _cpu_info(),
        "sd_info": _sd_info(Path("/sys/block/mmcblk0/device")),
        "distribution": parse_os_release(_text("/etc/os-release")) | {"kernel_version": platform.release()},
        "virtualization": _virtualization(),
    }


def _cpu_info() -> dict[str, object]:
    cpuinfo = _text("/proc/cpuinfo")
    memory = re.search(r"^MemTotal:\s+(\d+)", _text("/proc/meminfo"), re.MULTILINE)
    return {
        "cpu_count": os.cpu_count() or 1,
        "bits": platform.architecture()[0],
        "processor": platform.machine(),
        "cpu_desc": _field(cpuinfo, "model name"),
        "serial_number": _field(cpuinfo, "Serial"),
        "hardware_desc": _field(cpuinfo, "Hardware"),
        "model": _field(cpuinfo, "Model") or _text("/proc/device-tree/model"),
        "total_memory": int(memory[1]) if memory else None,
        "memory_units": "kB",
    }


def _field(cpuinfo: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else ""


def parse_os_release(text: str) -> dict[str, object]:
    """The distribution's name and version from /etc/os-release."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, sign, value = line.partition("=")
        if sign:
            try:
                values[name.strip()] = "".join(shlex.split(value))
            except ValueError:
                continue
    version = values.get("VERSION_ID", "")
    major, _, rest = version.partition(".")
    minor, _, build = rest.partition(".")
    return {
        "name": values.get("PRETTY_NAME") or values.get("NAME", "Linux"),
        "id": values.get("ID", ""),
        "version": version,
        "version_parts": {"major": major, "minor": minor, "build_number": build or values.get("BUILD_ID", "")},
        "like": values.get("ID_LIKE", ""),
        "codename": values.get("VERSION_CODENAME", ""),
        "release_info": {},
    }


def _sd_info(device: Path) -> dict[str, object]:
    """The SD card that a small board runs from, as its registers tell."""
    if not (device / "cid").exists():
        return {}
    blocks = _text(device.parent / "size")
    total_bytes = int(blocks) * 512 if blocks.isdigit() else 0
    return {
        "manufacturer_id": _text(device / "manfid").removeprefix("0x0000"),
        "manufacturer": "Unknown",
        "oem_id": _text(device / "oemid").removeprefix("0x"),
        "product_name": _text(device / "name"),
        "product_revision": _text(device / "hwrev").removeprefix("0x"),
        "serial_number": _text(device / "serial").removeprefix("0x"),
        "manufacturer_date": _text(device / "date"),
        "capacity": f"{total_bytes / 2**30:.1f} GiB",
        "total_bytes": total_bytes,
    }


def _virtualization() -> dict[str, str]:
    container = _text("/run/systemd/container")
    if container or Path("/.dockerenv").exists():
        return {"virt_type": "container", "virt_identifier": container or "docker"}
    if re.search(r"^flags.*\bhypervisor\b", _text("/proc/cpuinfo"), re.MULTILINE):
        return {"virt_type": "vm", "virt_identifier": _text("/sys/class/dmi/id/sys_vendor") or "unknown"}
    return {"virt_type": "none", "virt_identifier": "none"}


def read_network() -> dict[str, object]:
    """The interfaces that are up, with their addresses."""
    interfaces: dict[str, object] = {}
    six = parse_if_inet6(_text("/proc/net/if_inet6"))
    for _, name in socket.if_nameindex():
        if name == "lo":
            continue
        four = _ipv4_address(name)
        addresses = ([_address("ipv4", four, four.startswith("169.254."))] if four else []) + six.get(name, [])
        if addresses:
            mac = _text(f"/sys/class/net/{name}/address")
            interfaces[name] = {"mac_address": mac, "ip_addresses": addresses}
    return interfaces


def _address(family: str, address: str, link_local: bool) -> dict[str, object]:
    return {"family": family, "address": address, "is_link_local": link_local}


def parse_if_inet6(text: str) -> dict[str, list[dict[str, object]]]:
    """/proc/net/if_inet6: the IPv6 addresses of each interface."""
    found: dict[str, list[dict[str, object]]] = {}
    for line in text.splitlines():
        digits, _, _, _, _, name = line.split()
        address = IPv6Address(int(digits, 16))
        found.setdefault(name, []).append(_address("ipv6", str(address), address.is_link_local))
    return found


def _ipv4_address(name: str) -> str:
    request = struct.pack("256s", name.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])


def read_canbus() -> dict[str, object]:
    """The CAN interfaces with their bit rates."""
    found: dict[str, object] = {}
    for path in Path("/sys/class/net").glob("can*"):
        queue = _text(path / "tx_queue_len")
        found[path.name] = {
            "tx_queue_len": int(queue) if queue.isdigit() else 0,
            "bitrate": None,
            "driver": _driver(path),
        }
    return found


def _driver(path: Path) -> str:
    try:
        return (path / "device" / "driver").resolve(strict=True).name
    except OSError:
        return "unknown"
