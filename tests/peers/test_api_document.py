"""The validator of the OpenAPI community finds nothing to say against our document."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.peers.environment import prepare_peer
from tests.test_readme import EVERYTHING
from trio_moon.app import App, Options
from trio_moon.config import Document
from trio_moon.features.server.summaries import SUMMARIES
from trio_moon.model.paths import DataPaths
from trio_moon.rpc.openapi import describe

pytestmark = pytest.mark.peer

VALIDATOR = "openapi-spec-validator>=0.8,<0.10"
TIMEOUT = 120.0


def test_the_document_is_valid_openapi(tmp_path: Path) -> None:
    program = prepare_peer("openapi", VALIDATOR) / "openapi-spec-validator"
    app = App(Document.parse(EVERYTHING), DataPaths(tmp_path), Options(debug=True))
    document = describe(app.registry, version="1", summaries=SUMMARIES, prefix="/printer1")
    assert judged(program, tmp_path / "openapi.json", document).returncode == 0
    document["paths"]["/server/info"]["get"]["operationId"] = "server.config"  # it can find faults at all
    assert judged(program, tmp_path / "faulty.json", document).returncode != 0


def judged(program: Path, file: Path, document: object) -> subprocess.CompletedProcess[str]:
    file.write_text(json.dumps(document))
    return subprocess.run(
        [str(program), "--schema", "3.1", str(file)], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
