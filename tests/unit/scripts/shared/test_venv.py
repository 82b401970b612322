"""pip's settings as uv's variables."""

from pathlib import Path

import pytest

from scripts.shared import project, venv


def test_settings_of_install_and_of_the_environment_win() -> None:
    text = (
        "global.index-url='https://mirror.example/simple'\n"
        "global.timeout='10'\n"
        "install.timeout='20'\n"
        "freeze.timeout='99'\n"
        ":env:.cert='/etc/ca.crt'\n"
        "global.extra-index-url='\\nhttps://a.example/simple\\nhttps://b.example/simple'\n"
    )
    assert venv.parse_pip_settings(text) == {
        "index-url": "https://mirror.example/simple",
        "timeout": "20",
        "cert": "/etc/ca.crt",
        "extra-index-url": "https://a.example/simple https://b.example/simple",
    }


def test_every_place_that_pip_fetches_from_is_passed_on(tmp_path: Path) -> None:
    found = venv.uv_environment(
        {
            "index-url": "https://mirror.example/simple",
            "extra-index-url": "https://a.example/simple https://b.example/simple",
            "find-links": f"{tmp_path} https://wheels.example /nowhere/at/all",
            "cert": "/etc/ca.crt",
            "trusted-host": "mirror.example",
        },
        {},
    )
    assert found == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://a.example/simple https://b.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": f"{tmp_path},https://wheels.example",
        "UV_INSECURE_HOST": "mirror.example",
        "SSL_CERT_FILE": "/etc/ca.crt",
    }


@pytest.mark.parametrize("own", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_what_the_person_set_for_uv_stays(own: str) -> None:
    pip = {"index-url": "https://mirror.example/simple"}
    assert venv.uv_environment(pip, {own: "https://mine.example/simple"}) == {}


def test_without_settings_of_pip_uv_gets_none() -> None:
    assert venv.uv_environment({}, {}) == {}


def test_a_package_without_a_pin_is_named() -> None:
    with pytest.raises(KeyError, match="no pin for flying-carpet"):
        project.pin("flying-carpet")


def test_a_pin_is_that_of_the_package_and_not_of_a_longer_name() -> None:
    assert project.release(project.pin("pulumi")) == (3, 256, 0)
    assert project.pin("pulumi") != project.pin("pulumi-docker")
