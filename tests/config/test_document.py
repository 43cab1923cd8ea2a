"""The document: sections, includes, and what is left over."""

from trio_moon.config import Document


def test_a_document_gives_sections_and_typed_options() -> None:
    document = Document.parse("[server]\nhost: 0.0.0.0\nport = 7125\n[notifier my_phone]\nurl: x\n")
    server = document.section("server")
    assert server is not None
    assert server.text("host") == "0.0.0.0"
    assert server.integer("port", 1, minimum=1, maximum=65535) == 7125
    [phone] = document.sections("notifier")
    assert (phone.kind, phone.title) == ("notifier", "my_phone")
    assert document.problems == []
