"""compose.yaml and docs/server.md say the same, and git takes no password."""

import re
import subprocess

import pytest

from tests.server.servers import COMPOSE, ROOT

PAGE = (ROOT / "docs/server.md").read_text()
SERVICES = COMPOSE["services"]
NEEDED = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))


def words(command: str) -> str:
    return " ".join(command.replace("\\\n", " ").split())


def test_the_page_starts_mlflow_as_compose_does():
    assert SERVICES["mlflow"]["command"].strip().replace("0.0.0.0", "127.0.0.1") in words(PAGE)


def test_the_page_makes_the_bucket_as_compose_does():
    program, option, script = SERVICES["bucket"]["command"]
    assert f'{program} {option} "{script}"' in PAGE


def test_the_page_has_the_config_of_passwords_that_compose_has():
    assert COMPOSE["configs"]["basic_auth"]["content"] in PAGE


def test_the_page_lists_what_compose_wants_of_the_environment():
    block = next(of for of in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) if "FLASK" in of)
    assert set(re.findall(r"^(\w+)=", block, re.MULTILINE)) == NEEDED
    assert len(NEEDED) == 5


def test_every_port_is_open_on_this_machine_alone_and_every_image_has_a_version():
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert "build" in service or re.search(r":\d[\w.]*$", service["image"])


@pytest.mark.parametrize("name", [".env", "basic_auth.ini", ".dvc/config.local"])
def test_git_takes_no_file_with_passwords(name):
    assert subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT).returncode == 0
