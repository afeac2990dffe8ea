"""A SoftHSM2 token in a folder of its own, which a test pulls, locks away and wipes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pkcs11
import pytest

from keys.pkcs11 import module
from tests.support.needs import absent, needs

LIBRARIES: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)
PIN: Final = "246810"
SO_PIN: Final = "13579111"


class SoftToken:
    """One token named "site"; the library in this process sees it and no other."""

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.library = library()
        self.pin_file = folder / "site.pin"
        self._tokens, self._away = folder / "tokens", folder / "away"
        self._tokens.mkdir()
        conf = folder / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {self._tokens}\nlog.level = ERROR\n")
        environment.setenv("SOFTHSM2_CONF", str(conf))
        self.init()
        self.write_pin(PIN)

    def init(self) -> None:
        """Make the token, empty."""
        words = f"--init-token --free --label site --so-pin {SO_PIN} --pin {PIN}".split()
        subprocess.run(
            [needs("softhsm2-util"), *words], check=True, capture_output=True, timeout=30
        )

    def write_pin(self, pin: str) -> None:
        self.pin_file.touch(mode=0o600)
        self.pin_file.write_text(f"{pin}\n")

    def place(self, label: str, *, pin: str = "", **more: str) -> str:
        """Return the text for a key on the token."""
        path = "".join(f";{name}={value}" for name, value in more.items())
        source = pin or f"file:{self.pin_file}"
        return (
            f"pkcs11:token=site;object={label}{path}?module-path={self.library}&pin-source={source}"
        )

    def pull(self) -> None:
        """Take the token away; the library goes on and finds its slots empty."""
        (self._away).mkdir(exist_ok=True)
        for each in self._tokens.iterdir():
            each.rename(self._away / each.name)

    def plug(self) -> None:
        """Put it back."""
        for each in self._away.iterdir():
            each.rename(self._tokens / each.name)

    def wipe(self) -> None:
        """Delete the token for good, and make another one of its name."""
        words = ["--delete-token", "--token", "site"]
        subprocess.run(
            [needs("softhsm2-util"), *words], check=True, capture_output=True, timeout=30
        )
        self.init()

    def restart(self) -> None:
        """Have the library forget every session, as after a reset of the token."""
        pkcs11.lib(self.library).reinitialize()

    def close(self) -> None:
        """Let another test have the library with a folder of its own."""
        module.cache_clear()
        pkcs11.unload(self.library)


def library() -> str:
    """Return the path of SoftHSM2's library; skip (fail in CI) without."""
    found = next((path for path in LIBRARIES if Path(path).exists()), "")
    return found or absent("SoftHSM2 is not installed: apt install softhsm2") or ""
