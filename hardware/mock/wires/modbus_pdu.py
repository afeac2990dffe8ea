"""What a Modbus device does with a request: functions, limits and exceptions, without framing.

Source: Modbus application protocol 1.1b3, chapter 6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from hardware.mock.faults import SENSOR_FAULTS, FaultSwitches

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
_BUSY, _GATEWAY_PATH, _GATEWAY_SILENT = 6, 10, 11
_WORDS_MAX, _BITS_MAX, _WRITE_MAX = 125, 2_000, 123

DEVICE_FAULTS = (
    "silent",
    "late",
    "bad_crc",
    "bit_flip",
    "stray_zero",
    "garbage",
    "cut",
    "half",
    "split",
    "echo",
    "wrong_id",
    "wrong_function",
    "wrong_length",
    "two_devices",
    "torn",
    "busy",
    "gateway",
    "gateway_path",
    "device_failure",
    "hurried",
    "reboots",
    "half_open",
    "second_client",
    "wrong_model",
)
"""Fault switches that every simulated Modbus device has."""


class Refusal(Exception):
    """The device answers with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class Silence(Exception):
    """The device gives no reply to this request."""


class ModbusDevice(Protocol):
    """A device's registers. Each method may raise `Refusal` or `Silence`.

    Attributes:
        faults: its fault switches.
        delay_s: how late the fault "late" makes a reply. [s]
        haste_s: the pause it asks for after its reply; "hurried" and "reboots" go by it. [s]
        device_id: its id on the line; the server it is put behind sets it, its settings may too.
        tells_its_id: whether it answers a broadcast read, for who has forgotten its id.
    """

    faults: FaultSwitches
    delay_s: float
    haste_s: float
    device_id: int
    tells_its_id: bool

    @property
    def is_silent(self) -> bool:
        """Whether it answers nothing at all now: a fault, or no power."""

    def hears(self, asked_id: int) -> bool:
        """Whether a request with this id is for it."""

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return holding (3) or input (4) registers."""

    def read_bits(self, function: int, address: int, count: int) -> Sequence[bool]:
        """Return coils (1) or discrete inputs (2)."""

    def write_word(self, address: int, word: int) -> None:
        """Take one holding register (6)."""

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Take consecutive holding registers (16)."""

    def write_coil(self, address: int, value: int) -> None:
        """Take one coil with the value as it was sent (5); FF00 is on, 0000 off."""

    def write_bits(self, address: int, bits: Sequence[bool]) -> None:
        """Take consecutive coils (15)."""

    def identification(self) -> Mapping[int, bytes]:
        """Return the device identification objects, or none."""

    def vendor(self, function: int, body: bytes) -> bytes:
        """Answer a function of the vendor's own; what is returned follows the function code."""


class RefusingDevice:
    """A device that knows no function; a simulated one says which it knows by overriding."""

    def __init__(self, *faults: str) -> None:
        """Have the fault switches of any Modbus device, and these."""
        self.faults = FaultSwitches(*SENSOR_FAULTS, *DEVICE_FAULTS, "counter_reset", *faults)
        self.delay_s = 1.2
        self.haste_s = 0.06
        self.device_id = 1
        self.tells_its_id = False

    @property
    def is_silent(self) -> bool:
        """Whether the fault is on."""
        return "silent" in self.faults

    def hears(self, asked_id: int) -> bool:
        """Whether this is its own id: most devices know neither broadcast nor a second id."""
        return asked_id == self.device_id

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Refuse."""
        raise Refusal(ILLEGAL_FUNCTION)

    def read_bits(self, function: int, address: int, count: int) -> Sequence[bool]:
        """Refuse."""
        raise Refusal(ILLEGAL_FUNCTION)

    def write_word(self, address: int, word: int) -> None:
        """Refuse."""
        raise Refusal(ILLEGAL_FUNCTION)

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Refuse."""
        raise Refusal(ILLEGAL_FUNCTION)

    def write_coil(self, address: int, value: int) -> None:
        """Take a value of the standard, which has two."""
        if value not in (0xFF00, 0x0000):
            raise Refusal(ILLEGAL_VALUE)
        self.write_bit(address, value == 0xFF00)

    def write_bit(self, address: int, on: bool) -> None:
        """Refuse."""
        raise Refusal(ILLEGAL_FUNCTION)

    def write_bits(self, address: int, bits: Sequence[bool]) -> None:
        """Refuse."""
        raise Refusal(ILLEGAL_FUNCTION)

    def identification(self) -> Mapping[int, bytes]:
        """Return nothing: function 43 is refused."""
        return {}

    def vendor(self, function: int, body: bytes) -> bytes:
        """Refuse."""
        raise Refusal(ILLEGAL_FUNCTION)


def answer(device: ModbusDevice, request: bytes) -> bytes:
    """Return the reply to a request, empty if there is none; both begin with the function code."""
    if device.is_silent:
        return b""
    function = request[0]
    for fault, code in (
        ("busy", _BUSY),
        ("gateway", _GATEWAY_SILENT),
        ("gateway_path", _GATEWAY_PATH),
        ("device_failure", DEVICE_FAILURE),
    ):
        if fault in device.faults:
            return bytes([function | 0x80, code])
    try:
        if function in _FUNCTIONS:
            return bytes([function]) + _FUNCTIONS[function](device, function, request[1:])
        return bytes([function]) + device.vendor(function, request[1:])
    except Refusal as refusal:
        return bytes([function | 0x80, refusal.code])
    except Silence:
        return b""


def _pair(body: bytes) -> tuple[int, int]:
    if len(body) < 4:
        raise Refusal(ILLEGAL_VALUE)
    return int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")


def _counted(body: bytes, most: int) -> tuple[int, int]:
    address, count = _pair(body)
    if not 1 <= count <= most:
        raise Refusal(ILLEGAL_VALUE)
    if address + count > 0x1_0000:
        raise Refusal(ILLEGAL_ADDRESS)
    return address, count


def _read_bits(device: ModbusDevice, function: int, body: bytes) -> bytes:
    address, count = _counted(body, _BITS_MAX)
    packed = bytearray((count + 7) // 8)
    for place, bit in enumerate(device.read_bits(function, address, count)):
        packed[place // 8] |= bit << place % 8
    return bytes([len(packed)]) + packed


def _read_words(device: ModbusDevice, function: int, body: bytes) -> bytes:
    address, count = _counted(body, _WORDS_MAX)
    words = device.read_words(function, address, count)
    return bytes([2 * count]) + b"".join(word.to_bytes(2, "big") for word in words)


def _write_bit(device: ModbusDevice, function: int, body: bytes) -> bytes:
    address, value = _pair(body)
    device.write_coil(address, value)
    return body[:4]


def _write_word(device: ModbusDevice, function: int, body: bytes) -> bytes:
    address, word = _pair(body)
    device.write_word(address, word)
    return body[:4]


def _write_bits(device: ModbusDevice, function: int, body: bytes) -> bytes:
    address, count = _counted(body, _BITS_MAX)
    packed = body[5:]
    if len(packed) != (count + 7) // 8:
        raise Refusal(ILLEGAL_VALUE)
    bits = [bool(packed[place // 8] >> place % 8 & 1) for place in range(count)]
    device.write_bits(address, bits)
    return body[:4]


def _write_words(device: ModbusDevice, function: int, body: bytes) -> bytes:
    address, count = _counted(body, _WRITE_MAX)
    if len(body) != 5 + 2 * count or body[4] != 2 * count:
        raise Refusal(ILLEGAL_VALUE)
    words = [int.from_bytes(body[at : at + 2], "big") for at in range(5, len(body), 2)]
    device.write_words(address, words)
    return body[:4]


def _identify(device: ModbusDevice, function: int, body: bytes) -> bytes:
    """Answer function 43 / 14: all objects at once (codes 1 to 3), or one (code 4)."""
    objects = device.identification()
    if not objects or len(body) != 3 or body[0] != 0x0E:
        raise Refusal(ILLEGAL_FUNCTION)
    code, first = body[1], body[2]
    if code not in (1, 2, 3, 4):
        raise Refusal(ILLEGAL_VALUE)
    if code == 4 and first not in objects:
        raise Refusal(ILLEGAL_ADDRESS)
    start = first if first in objects else 0
    chosen = [first] if code == 4 else [key for key in sorted(objects) if key >= start]
    listed = b"".join(bytes([key, len(objects[key])]) + objects[key] for key in chosen)
    return bytes([0x0E, code, 1, 0, 0, len(chosen)]) + listed


_FUNCTIONS: Mapping[int, Callable[[ModbusDevice, int, bytes], bytes]] = {
    0x01: _read_bits,
    0x02: _read_bits,
    0x03: _read_words,
    0x04: _read_words,
    0x05: _write_bit,
    0x06: _write_word,
    0x0F: _write_bits,
    0x10: _write_words,
    0x2B: _identify,
}
