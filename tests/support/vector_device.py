"""A Modbus device that says what a model's vectors say, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hardware.mock.wires.modbus_pdu import ILLEGAL_ADDRESS, Refusal, RefusingDevice
from hardware.modelfile import Model
from hardware.registers import Register


class VectorDevice(RefusingDevice):
    """Registers from the replies of vectors; where two rows say something, the first counts.

    Words between those that are known read as zero, so that blocks may span them. Asked who it is,
    it says what the model's file wants to hear.
    """

    def __init__(self, model: Model, vectors: Mapping[str, Any]) -> None:
        super().__init__()
        self._known: dict[tuple[int, int], int] = {}
        for row in vectors["exchanges"]:
            request, reply = bytes.fromhex(row["request"]), bytes.fromhex(row["reply"])
            if request[1] in (3, 4) and reply[1] == request[1]:
                self._take(request[1], int.from_bytes(request[2:4], "big"), reply[3:-2])
        self._identity = _identity(model)

    def holds(self, register: Register) -> bool:
        """Whether every word of a register is in the vectors."""
        places = range(register.address, register.end)
        return all((register.function, place) in self._known for place in places)

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return what is known, and zeros around it."""
        if (function, address, count) in self._identity:
            return self._identity[function, address, count]
        wanted = range(address, address + count)
        if not any((function, place) in self._known for place in wanted):
            raise Refusal(ILLEGAL_ADDRESS)
        return [self._known.get((function, place), 0) for place in wanted]

    def _take(self, function: int, address: int, raw: bytes) -> None:
        for place in range(len(raw) // 2):
            word = int.from_bytes(raw[2 * place : 2 * place + 2], "big")
            self._known.setdefault((function, address + place), word)


def _identity(model: Model) -> dict[tuple[int, int, int], Sequence[int]]:
    """Return function, address and count of the request that identifies it -> the right answer."""
    if model.identify is None:
        return {}
    register, values, texts = model.identify.register, model.identify.values, model.identify.texts
    size = 2 * register.words
    raw = texts[0].encode().ljust(size) if texts else values[0].to_bytes(size, "big")
    words = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, size, 2)]
    return {(register.function, register.address, register.words): words}
