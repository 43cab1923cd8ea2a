"""A print on the real Klipper host, told to real services: mail, ntfy's way, JSON, and an MQTT broker."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import trio
from aiosmtpd.controller import Controller
from paho.mqtt.enums import CallbackAPIVersion

from tests.features.notifiers.targets import JPEG, Target
from tests.integration.service import configure, running
from tests.peers.kalico import RealKlipper
from tests.ports import hold_port
from tests.until import until

pytestmark = [pytest.mark.peer, pytest.mark.slow]


class Mailbox:
    """A mail server on loopback that keeps what it is sent."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.controller = Controller(self, hostname="127.0.0.1", port=hold_port())

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    mailbox = Mailbox()
    await trio.to_thread.run_sync(mailbox.controller.start)
    yield mailbox
    await trio.to_thread.run_sync(mailbox.controller.stop)


@pytest.fixture
async def broker(tmp_path: Path, nursery: trio.Nursery) -> int:
    """A mosquitto on this port."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    port = hold_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    await nursery.start(trio.run_process, [program, "-c", str(config)])
    with trio.fail_after(20):
        while True:
            try:
                await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                return port
            except OSError:
                await trio.sleep(0.05)


@pytest.fixture
async def published(broker: int) -> AsyncIterator[list[str]]:
    """What anybody publishes under `printer/news`."""
    texts: list[str] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda client, data, message: texts.append(message.payload.decode())
    client.on_subscribe = lambda *news: texts.append("subscribed")
    client.connect("127.0.0.1", broker)
    client.subscribe("printer/news")
    client.loop_start()
    await until(lambda: texts == ["subscribed"])
    texts.clear()
    yield texts
    client.disconnect()
    await trio.to_thread.run_sync(client.loop_stop)


def notifier(name: str, url: str, picture: str) -> str:
    return (
        f"[notifier {name}]\nurl: {url}\nevents: *\ntitle: Print {{event_name}}\n"
        f"body: {{event_args[1].filename}} is {{event_args[1].state}}\nattach: {picture}\n"
    )


async def print_on(klipper: RealKlipper, folder: Path, sections: str, received: Callable[[], int]) -> None:
    """Print a file with these notifiers, until two messages have been received everywhere."""
    (klipper.gcodes / "a.gcode").write_text("G28\n" + "G1 X10 F6000\nG1 X0\n" * 20)
    paths = configure(folder, sections)
    (paths.comms / "klippy.sock").symlink_to(klipper.socket_path)
    async with running(paths) as (app, client):
        await until(lambda: app.printer.state == "ready", within=60)
        await client.post("/printer/print/start?filename=a.gcode")
        await until(lambda: received() >= 2, within=60)


TOLD = [("Print started", "a.gcode is printing"), ("Print complete", "a.gcode is complete")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_mail_ntfy_and_json_receive_title_body_and_picture_of_a_real_print(
    real_klipper: RealKlipper, tmp_path: Path, nursery: trio.Nursery, mailbox: Mailbox
) -> None:
    ntfy, sink, camera = Target(), Target(), Target()
    for target in (ntfy, sink, camera):
        await nursery.start(target.run)
    picture = camera.page("/snapshot?x=1", JPEG)
    mail_url = f"mailto://127.0.0.1:{mailbox.controller.port}?from=printer@example.com&to=me@example.com&mode=insecure"
    sections = (
        notifier("mail", mail_url, picture)
        + notifier("ntfy", f"ntfy://{ntfy.address}/printer", picture)
        + notifier("json", f"json://{sink.address}", picture)
    )
    await print_on(
        real_klipper, tmp_path / "ours", sections, lambda: min(len(mailbox.mails), len(ntfy.posts), len(sink.posts))
    )
    for mail, pushed, post, (title, body) in zip(mailbox.mails, ntfy.posts, sink.posts, TOLD, strict=True):
        text = mail.get_body()
        assert text is not None
        assert (mail["subject"], text.get_content().strip()) == (title, body)
        assert [(a.get_filename(), a.get_content()) for a in mail.iter_attachments()] == [("snapshot.jpg", JPEG)]
        assert (pushed.query["title"], pushed.query["message"], pushed.query["filename"]) == (
            title,
            body,
            "snapshot.jpg",
        )
        assert pushed.body == JPEG
        assert (post.message["title"], post.message["message"]) == (title, body)
        assert post.pictures == [("snapshot.jpg", JPEG)]


async def test_an_mqtt_broker_receives_a_real_print(
    real_klipper: RealKlipper, tmp_path: Path, broker: int, published: list[str]
) -> None:
    section = notifier("mqtt", f"mqtt://127.0.0.1:{broker}/printer/news", "")
    await print_on(real_klipper, tmp_path / "ours", section, lambda: len(published))
    assert published == [f"{title}\r\n{body}" for title, body in TOLD]
