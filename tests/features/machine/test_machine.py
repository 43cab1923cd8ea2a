"""The host: facts, services, power. `systemctl` is a script of the test's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.features.asking import ask
from tests.features.letterbox import Letterbox
from tests.until import until
from trio_moon.config import Document
from trio_moon.features.machine import Machine, MachineSettings, machine_endpoints
from trio_moon.features.machine.canbus import parse_answer
from trio_moon.features.machine.peripherals import serial_devices, usb_devices, video_devices
from trio_moon.features.machine.system_info import parse_if_inet6, parse_os_release
from trio_moon.features.machine.systemd import Systemd
from trio_moon.model.errors import BadParams, Conflict, Forbidden
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import Session

UNITS = """\
klipper.service loaded active running Klipper
crowsnest.service loaded inactive dead Crowsnest
sshd.service loaded active running OpenSSH
klipper-mcu.service not-found inactive dead klipper-mcu.service
"""


class FakePrinter:
    def __init__(self) -> None:
        self.offered: dict[str, Callable[[dict[str, object]], None]] = {}

    def offer(self, name: str, listener: Callable[[dict[str, object]], None]) -> None:
        self.offered[name] = listener


class Host:
    """A machine with a `systemctl` that writes down what it is told, and refuses what the test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "systemctl"
        self.written = folder / "calls"
        (folder / "units").write_text(UNITS)
        self.script.write_text(
            f'#!/bin/sh\nif [ "$1" = list-units ]; then cat {folder}/units; exit 0; fi\n'
            f'echo "$@" >> {self.written}\n'
            f"if [ -e {folder}/refuse ]; then echo 'Access denied' >&2; exit 4; fi\n"
        )
        self.script.chmod(0o755)
        self.printer = FakePrinter()
        self.letters = Letterbox()
        self.restarts: list[str] = []
        audience = Audience()
        audience.join(Session(self.letters))
        self.machine = Machine(
            MachineSettings(),
            folder,
            self.printer,
            audience,
            lambda: self.restarts.append("restart"),
            Systemd(folder, enabled=True, systemctl=str(self.script)),
        )
        self.endpoints = machine_endpoints(self.machine)

    def calls(self) -> list[str]:
        return self.written.read_text().splitlines() if self.written.exists() else []


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    sudo = tmp_path / "sudo"
    sudo.write_text("#!/bin/sh\nexit 1\n")
    sudo.chmod(0o755)
    return Host(tmp_path)


async def test_system_info_has_what_frontends_show(host: Host) -> None:
    info = (await ask(host.endpoints, "machine.system_info"))["system_info"]
    assert info["cpu_info"]["cpu_count"] >= 1
    assert info["cpu_info"]["total_memory"] > 10_000
    assert info["distribution"]["name"]
    assert info["python"]["version"][0] == 3
    assert set(info["virtualization"]) == {"virt_type", "virt_identifier"}
    assert info["provider"] == "systemd_cli"
    assert info["available_services"] == ["crowsnest", "klipper"]
    assert info["service_state"]["klipper"] == {"active_state": "active", "sub_state": "running"}
    assert info["instance_ids"] == {"moonraker": "moonraker", "klipper": "klipper"}
    for key in ("sd_info", "network", "canbus"):
        assert isinstance(info[key], dict)


async def test_services_of_ours_and_allowed_ones_can_be_controlled(host: Host) -> None:
    assert await ask(host.endpoints, "machine.services.restart", service="klipper") == "ok"
    assert await ask(host.endpoints, "machine.services.stop", service="crowsnest") == "ok"
    assert host.calls() == [
        "--no-ask-password restart klipper.service",
        "--no-ask-password stop crowsnest.service",
    ]
    for service in ("sshd", "nginx"):
        with pytest.raises(Forbidden, match=r"moonraker\.asvc"):
            await ask(host.endpoints, "machine.services.stop", service=service)
    for service in ("", "--now", "a b", "../x", "klipper;reboot"):
        with pytest.raises(BadParams):
            await ask(host.endpoints, "machine.services.stop", service=service)
    (host.folder / "moonraker.asvc").write_text("nginx\n")
    assert await ask(host.endpoints, "machine.services.start", service="nginx") == "ok"
    with pytest.raises(Forbidden):
        await ask(host.endpoints, "machine.services.stop", service="crowsnest")


async def test_changes_of_services_are_told(host: Host) -> None:
    await ask(host.endpoints, "machine.system_info")
    (host.folder / "units").write_text(UNITS.replace("active running Klipper", "inactive dead Klipper"))
    await ask(host.endpoints, "machine.services.stop", service="klipper")
    assert host.letters.params_of("notify_service_state_changed") == [
        {"klipper": {"active_state": "inactive", "sub_state": "dead"}}
    ]


async def test_we_restart_ourselves_but_do_not_stop(host: Host) -> None:
    assert await ask(host.endpoints, "machine.services.restart", service="moonraker") == "ok"
    assert host.restarts == ["restart"]
    assert host.calls() == []
    with pytest.raises(BadParams):
        await ask(host.endpoints, "machine.services.stop", service="moonraker")


async def test_a_refusal_is_told_in_systemds_words(host: Host) -> None:
    (host.folder / "refuse").touch()
    with pytest.raises(Conflict, match="Access denied"):
        await ask(host.endpoints, "machine.reboot")
    with pytest.raises(Conflict, match="Access denied"):
        await ask(host.endpoints, "machine.shutdown")


async def test_power_goes_by_api_and_by_macro(host: Host, nursery: trio.Nursery) -> None:
    await nursery.start(host.machine.run)
    assert await ask(host.endpoints, "machine.shutdown") == "ok"
    host.printer.offered["reboot_machine"]({})
    await until(lambda: len(host.calls()) >= 2)
    assert host.calls() == ["--no-ask-password poweroff", "--no-ask-password reboot"]


async def test_without_systemd_it_says_so(tmp_path: Path) -> None:
    systemd = Systemd(tmp_path, enabled=False)
    assert systemd.provider == "none"
    with pytest.raises(Conflict, match="systemd"):
        await systemd.power("reboot")


def test_providers_of_moonraker_are_understood() -> None:
    def provider(text: str) -> str:
        section = Document.parse(f"[machine]\nprovider: {text}\n").section_or_empty("machine")
        return MachineSettings.from_section(section).provider

    assert provider("systemd_dbus") == "systemd_cli"
    assert provider("none") == "none"


async def test_peripherals_are_listed(host: Host) -> None:
    assert "usb_devices" in await ask(host.endpoints, "machine.peripherals.usb")
    assert "serial_devices" in await ask(host.endpoints, "machine.peripherals.serial")
    assert set(await ask(host.endpoints, "machine.peripherals.video")) == {"v4l2_devices", "libcamera_devices"}
    with pytest.raises(BadParams, match="can7"):
        await ask(host.endpoints, "machine.peripherals.canbus", interface="can7")


def test_usb_and_serial_devices_as_sysfs_shows_them(tmp_path: Path) -> None:
    sys, dev = tmp_path / "sys", tmp_path / "dev"
    board = sys / "devices/usb1/1-1"
    (board / "1-1:1.0/tty/ttyACM0").mkdir(parents=True)
    facts = {"busnum": "1", "devnum": "4", "idVendor": "1d50", "idProduct": "614e", "manufacturer": "Klipper"}
    for name, text in {**facts, "product": "stm32", "serial": "AB12", "bDeviceClass": "02"}.items():
        (board / name).write_text(text + "\n")
    (sys / "bus/usb/devices").mkdir(parents=True)
    (sys / "bus/usb/devices/1-1").symlink_to(board)
    (sys / "class/tty/ttyACM0").mkdir(parents=True)
    (sys / "class/tty/ttyACM0/device").symlink_to(board / "1-1:1.0")
    (dev / "serial/by-id").mkdir(parents=True)
    (dev / "ttyACM0").touch()
    (dev / "serial/by-id/usb-Klipper_stm32_AB12-if00").symlink_to(dev / "ttyACM0")
    [usb] = usb_devices(sys)
    assert (usb["usb_location"], usb["class"], usb["description"]) == ("1:4", "Communications", "Klipper stm32")
    [port] = serial_devices(sys, dev)
    assert port["device_type"] == "usb"
    assert port["usb_location"] == "1:4"
    assert port["path_by_id"] == str(dev / "serial/by-id/usb-Klipper_stm32_AB12-if00")
    assert video_devices(sys, dev) == []


def test_small_parsers() -> None:
    release = parse_os_release('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12.4"\nBROKEN="\n')
    assert release["name"] == "Debian GNU/Linux 12 (bookworm)"
    assert release["version_parts"] == {"major": "12", "minor": "4", "build_number": ""}
    assert parse_if_inet6("fe8000000000000000000000000000aa 02 40 20 80 eth0\n")["eth0"] == [
        {"family": "ipv6", "address": "fe80::aa", "is_link_local": True}
    ]
    frame = (0x3F1).to_bytes(4, "little") + b"\x08\0\0\0" + bytes.fromhex("2011aabbccddee01")
    assert parse_answer(frame) == [("11aabbccddee", "Klipper")]
    assert parse_answer(b"short") == []
