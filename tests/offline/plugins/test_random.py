"""The random resources under the real engine."""

import re

import pytest

from tests.offline.plugins.project import Project

pytestmark = pytest.mark.plugins

EVERYTHING = """
keepers = {"round": ROUND}
password = random.RandomPassword("password", length=24, special=False, min_upper=2)
random.RandomString("string", length=8, upper=False, numeric=False, special=False)
random.RandomId("id", byte_length=4, prefix="p-", keepers=keepers)
random.RandomBytes("bytes", length=16)
random.RandomInteger("integer", min=3, max=5)
random.RandomShuffle("shuffle", inputs=["a", "b", "c"], result_count=5)
random.RandomUuid("uuid")
pulumi.export("password", password.result)
"""


def test_life_cycle(project: Project) -> None:
    assert set(project.up('ROUND = "1"' + EVERYTHING).changed.values()) == {"create"}
    made = {name: project.revealed(name) for name in ("password", "string", "id", "bytes")}
    password = made["password"]["result"]
    assert re.fullmatch(r"[A-Za-z0-9]{24}", password)
    assert sum(letter.isupper() for letter in password) >= 2
    assert re.fullmatch(r"[a-z]{8}", made["string"]["result"])
    number = made["id"]["hex"].removeprefix("p-")
    assert re.fullmatch(r"[0-9a-f]{8}", number)
    assert made["id"]["dec"] == f"p-{int(number, 16)}"
    assert len(bytes.fromhex(made["bytes"]["hex"])) == 16
    assert 3 <= project.outputs("integer")["result"] <= 5
    shuffled = project.outputs("shuffle")["results"]
    assert sorted(shuffled[:3]) == ["a", "b", "c"]
    assert len(shuffled) == 5
    assert len(project.outputs("uuid")["result"]) == 36

    assert password not in project.raw_state
    assert made["bytes"]["hex"] not in project.raw_state
    assert made["bytes"]["base64"] not in project.raw_state

    assert project.up('ROUND = "1"' + EVERYTHING).changed == {}
    assert project.refresh().changed == {}
    changed = project.up('ROUND = "2"' + EVERYTHING)
    assert set(changed.changed) == {"id"}
    assert changed.diffs["id"] == ["keepers"]
    assert project.outputs("id")["hex"] != made["id"]["hex"]
    assert project.revealed("password")["result"] == password
    assert project.destroy().ok


@pytest.mark.usefixtures("bundled_only")
def test_what_is_not_served_is_named(project: Project) -> None:
    refused = project.preview('random.RandomPet("pet")', ok=False)
    assert "random:index/randomPet:RandomPet is not served" in refused.text
    refused = project.preview('random.RandomInteger("i", min=1, max=2, seed="s")', ok=False)
    assert "property 'seed' is not served by the bundled random plugin" in refused.text
