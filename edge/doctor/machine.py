"""A machine as its files show it."""

from __future__ import annotations

import configparser
import os
import pwd
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CONFIG_TXT: Final = ("boot/firmware/config.txt", "boot/config.txt")
CMDLINE_TXT: Final = ("boot/firmware/cmdline.txt", "boot/cmdline.txt")
MODEL: Final = ("proc/device-tree/model", "sys/firmware/devicetree/base/model")


@dataclass(frozen=True, slots=True)
class Machine:
    """Files below a root; `is_live` says whether it is the machine that this program runs on."""

    root: Path = Path("/")
    user: str = ""

    @property
    def is_live(self) -> bool:
        """Whether devices can be asked, not only files."""
        return self.root == Path("/")

    def text(self, *names: str) -> str | None:
        """Return the text of the first of these files that can be read, or None."""
        for name in names:
            try:
                return (self.root / name).read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
        return None

    def exists(self, name: str) -> bool:
        """Whether there is such a file, folder or device."""
        return (self.root / name).exists()

    def names(self, folder: str, pattern: str) -> tuple[str, ...]:
        """Return names in a folder, in order."""
        return tuple(sorted(path.name for path in (self.root / folder).glob(pattern)))

    # What several checks ask

    @property
    def model(self) -> str:
        """The board: "Raspberry Pi 4 Model B Rev 1.4", or an empty text."""
        return (self.text(*MODEL) or "").strip("\0\n ")

    @property
    def is_pi(self) -> bool:
        """Whether it is a Raspberry Pi."""
        return self.model.startswith("Raspberry Pi")

    @property
    def config_txt(self) -> str:
        """Where the firmware's settings are: the name of the file that is there."""
        return next((name for name in CONFIG_TXT if self.exists(name)), CONFIG_TXT[0])

    def firmware(self, key: str) -> tuple[str, ...]:
        """Return the values of a key in config.txt, in order; sections are not told apart."""
        found = []
        for line in (self.text(*CONFIG_TXT) or "").splitlines():
            name, equals, value = line.partition("#")[0].partition("=")
            if equals and name.strip() == key:
                found.append(value.strip())
        return tuple(found)

    def device_tree(self, name: str) -> str | None:
        """Return the value of a `dtparam` or of its own short form, the last one; None: not set."""
        value = None
        for setting in self.firmware("dtparam"):
            for part in setting.split(","):
                key, _, given = part.partition("=")
                if key.strip() == name:
                    value = given.strip() or "on"
        return value

    def systemd(self, file: str, section: str, key: str) -> str | None:
        """Return a setting of a systemd file and of the pieces that override it; None: not set."""
        pieces = [f"{file}.d/{name}" for name in self.names(f"etc/systemd/{file}.d", "*.conf")]
        value = None
        for name in (file, *pieces):
            parser = configparser.ConfigParser(strict=False, interpolation=None)
            parser.optionxform = str  # type: ignore[assignment,method-assign]
            try:
                parser.read_string(self.text(f"etc/systemd/{name}") or "")
            except configparser.Error:
                continue
            value = parser.get(section, key, fallback=value)
        return value

    @property
    def person(self) -> str:
        """The user who is to run the node: who was named, or who runs this, or the first."""
        if self.user:
            return self.user
        if self.is_live:
            return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
        for line in (self.text("etc/passwd") or "").splitlines():
            name, _, number = (*line.split(":"), "", "", "")[:3]
            if number.isdigit() and 1000 <= int(number) < 60_000:
                return name
        return "pi"

    def groups(self, person: str) -> frozenset[str]:
        """Return the groups that a user is in, by /etc/group and by /etc/passwd."""
        main = ""
        for line in (self.text("etc/passwd") or "").splitlines():
            parts = line.split(":")
            if parts[0] == person and len(parts) > 3:
                main = parts[3]
        found = set()
        for line in (self.text("etc/group") or "").splitlines():
            name, _, number, members = (*line.split(":"), "", "", "")[:4]
            if number == main or person in members.split(","):
                found.add(name)
        return frozenset(found)


def number_in(text: str | None, pattern: str = r"-?\d+") -> int | None:
    """Return the first whole number in a text, None if there is none."""
    found = re.search(pattern, text or "")
    return int(found[0], 0) if found else None
