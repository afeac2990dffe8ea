"""Each package imports only what its extra installs, and the locks pin exactly that."""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path

import pytest

from tests.support.source import PACKAGES, ROOT, shipped

# Import name -> distribution, where they differ.
DISTRIBUTION = {
    "gpiozero": "gpiozero",
    "fpdf": "fpdf2",
    "paho": "paho-mqtt",
    "prometheus_client": "prometheus-client",
    "pkcs11": "python-pkcs11",
    "serial": "pyserial",
    "tpm2_pytss": "tpm2-pytss",
    "fastapi_offline": "fastapi-offline",
}
# What a package may import through another distribution that it declares.
BRINGS = {"nicegui": {"fastapi", "starlette"}, "typer": {"click"}}
EXTRAS = {
    "messages": [],
    "keys": ["pkcs11", "tpm"],
    "hardware": ["edge"],
    "edge": ["edge"],
    "hub": ["hub", "stores", "fast", "scheduling"],
    "member": ["member"],
    "testbed": ["testbed", "edge", "hub", "scheduling"],
}

CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg")


def names(text: str) -> set[str]:
    return {re.split(r"[\[><=;~ ]", line.strip())[0] for line in text.splitlines() if line.strip()}


def allowed(package: str) -> set[str]:
    """Return the distributions that are there when this package's extra is installed."""
    found = names(CONFIG["options"]["install_requires"])
    for extra in EXTRAS[package]:
        found |= names(CONFIG["options.extras_require"][extra])
    for distribution in list(found):
        found |= BRINGS.get(distribution, set())
    return found - {"gridtally"}


def third_party(package: str) -> set[str]:
    own = {*PACKAGES, "__future__"}
    roots = {
        module.split(".")[0]
        for source in shipped()
        if source.package == package
        for module in source.imports()
    }
    return {DISTRIBUTION.get(n, n) for n in roots - own - set(sys.stdlib_module_names)}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_only_what_its_extra_installs(package):
    assert third_party(package) - allowed(package) == set()


def test_the_edge_stays_light():
    heavy = {"numpy", "nicegui", "fastapi", "sqlalchemy", "pydantic", "uvicorn", "hypercorn"}
    assert allowed("edge") & heavy == set()


def lock(name: str) -> dict[str, str]:
    pins = {}
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith(("#", "-r requirements")):
            continue
        pin = re.fullmatch(r"([a-z0-9-]+)==([0-9][A-Za-z0-9.]*)(; platform_machine .*)?", line)
        assert pin is not None, f"{name}: not a plain pin: {line}"
        pins[pin[1]] = pin[2]
    return pins


def test_locks_hold_plain_pins_and_no_address():
    run, dev = lock("requirements.lock"), lock("requirements-dev.lock")
    assert run.keys().isdisjoint(dev)
    assert lock("requirements-tpm.lock").keys().isdisjoint({*run, *dev})
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-tpm.lock"):
        assert "://" not in (ROOT / name).read_text()


def test_locks_hold_everything_that_is_declared():
    run, dev = lock("requirements.lock"), lock("requirements-dev.lock")
    extras = CONFIG["options.extras_require"]
    wanted = set().union(*(names(extras[extra]) for extra in ("edge", "hub", "testbed")))
    assert {name.lower() for name in wanted - {"gridtally"}} <= run.keys()
    wanted = set().union(*(names(extras[extra]) for extra in ("dev", "pkcs11")))
    assert {name.lower() for name in wanted - {"gridtally"}} <= dev.keys()
    assert names(extras["tpm"]) <= lock("requirements-tpm.lock").keys()


def test_what_is_compiled_is_asked_for_by_nobody_else():
    extras = CONFIG["options.extras_require"]
    assert [extra for extra in extras if "tpm2-pytss" in names(extras[extra])] == ["tpm"]
    assert not any("tpm]" in text or "tpm," in text for text in extras.values())


def test_every_folder_with_code_is_a_package_that_is_installed():
    folders = {(ROOT / source.name).parent for source in shipped()}
    assert [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()] == []


def test_every_file_that_is_no_code_is_installed_too():
    patterns = CONFIG["options.package_data"]["*"].replace(",", " ").split()
    others = [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    ]
    missed = [p for p in others if not any(in_package(p, pattern) for pattern in patterns)]
    assert [str(p.relative_to(ROOT)) for p in missed] == []


def in_package(path: Path, pattern: str) -> bool:
    """Whether a pattern of package_data, which starts at the nearest package, takes a file."""
    package = next(folder for folder in path.parents if (folder / "__init__.py").exists())
    inside = path.relative_to(package)
    return len(inside.parts) == pattern.count("/") + 1 and inside.match(pattern)
