"""What request and reply say, by the names of a register map, in the device's natural units.

Values come as the device means them: nothing is summed, flipped or converted to what the rest of
the house uses. A value of several words counts only if all of them came in one reply, since read
apart it can tear.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Final

from edge.commissioning import frames
from edge.commissioning.errors import BadFrame, BadUsage
from edge.commissioning.frames import Message
from hardware.buses.modbus_frames import EXCEPTIONS
from hardware.modelfile import Model
from hardware.registers import OutOfRange, Register, Value, decode, natural

Shown = float | int | str | bool | Sequence[Mapping[str, Any]] | None
"""A value as JSON has it."""

_OBJECTS: Final = (
    "vendor_name",
    "product_code",
    "revision",
    "vendor_url",
    "product_name",
    "model_name",
    "application_name",
)
_UNKNOWN: Final[Mapping[int, str]] = {1: "coil", 2: "input", 3: "register", 4: "register"}
_CLOCK: Final = ("year", "month", "day", "hour", "minute", "second")
_TOGGLE: Final = 0x5500
_COIL_WORDS: Final[Mapping[int, int]] = {0xFF00: 1, 0x0000: 0, 0x0100: 1, 0x0200: 0}
"""Value of function 5 -> on; the last two are a dialect of relay boards of the R4D8 kind."""

_PLAUSIBLE_SINGLE: Final = (1e-6, 1e9)


@dataclass(frozen=True, slots=True)
class Map:
    """The names behind the addresses of one model.

    Attributes:
        registers: every row.
        singles: whether what has no name is a float of two words, as all that has one.
        blocks: what the model reads at once: function, address, count.
        usual: what registers that scale others say in most devices.
    """

    registers: tuple[Register, ...]
    singles: bool = False
    blocks: tuple[tuple[int, int, int], ...] = ()
    usual: Mapping[str, Fraction] = field(default_factory=dict)

    def named_as(self, function: int) -> int:
        """Return the function whose rows name what this one read.

        Many devices answer functions 3 and 4 alike; their map says it for one of the two.
        """
        other = 7 - function
        functions = {each.function for each in self.registers}
        is_alike = function in frames.READ_WORDS and function not in functions
        return other if is_alike and other in functions else function


@dataclass(frozen=True, slots=True)
class Content:
    """Words (or bits) that went over the wire together; `function` 1 to 4 says of which kind."""

    function: int
    address: int
    words: tuple[int, ...]

    @property
    def end(self) -> int:
        """The address after the last word."""
        return self.address + len(self.words)

    def part(self, register: Register) -> tuple[int, ...] | None:
        """Return the words of a register, if all of them are here."""
        if register.function != self.function or register.address < self.address:
            return None
        if register.end > self.end:
            return None
        offset = register.address - self.address
        return self.words[offset : offset + register.words]


@dataclass(slots=True)
class Said:
    """What exchanges say: values by name, and what a person should know besides."""

    values: dict[str, Shown] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def map_of(model: Model) -> Map:
    """Return the map of a model file, with the registers that identify it."""
    plain = (model.identify.register if model.identify else None, model.serial)
    named = {(each.function, each.address) for each in model.registers}
    extra = [each for each in plain if each and (each.function, each.address) not in named]
    blocks = model.plan(each.name for each in model.registers)
    return Map(
        (*model.registers, *extra),
        singles=model.table.defaults.type == "f32",
        blocks=tuple((each.function, each.address, each.count) for each in blocks),
        usual={row.name: Fraction(row.usual) for row in model.table.register if row.usual},
    )


def read_exchanges(known: Map, exchanges: Iterable[tuple[Message | None, Message]]) -> Said:
    """Name what exchanges say; factors of one may stand in another.

    Raises:
        BadFrame: an identification reply contradicts itself.
        BadUsage: there is no request, and the reply fits none that the model would make.
    """
    said = Said()
    contents: list[Content] = []
    for request, reply in exchanges:
        if reply.stray:
            said.notes.append(f"{reply.stray} stray zero bytes before the reply were dropped")
        if reply.function & frames.EXCEPTION_BIT:
            code = reply.body[0]
            said.values["exception"] = code
            said.notes.append(f"exception {code}: {EXCEPTIONS.get(code, 'unknown')}")
            continue
        asked = request or _guessed(known, reply, said)
        content = _content(known, asked, reply, said)
        if content is not None:
            contents.append(replace(content, function=known.named_as(content.function)))
    _name_all(known, contents, said)
    _add_clock(said.values)
    return said


# --- from frames to words ------------------------------------------------------------------------


def _guessed(known: Map, reply: Message, said: Said) -> Message:
    """Return the request that the model would make for a reply of this function and length."""
    if reply.function not in (*frames.READ_BITS, *frames.READ_WORDS):
        return reply
    held = reply.body[0]
    fits = [
        (function, address, count)
        for function, address, count in known.blocks
        if function == reply.function
        and held == (2 * count if function in frames.READ_WORDS else (count + 7) // 8)
    ]
    if len(fits) != 1:
        raise BadUsage(
            f"reply: {held} bytes of function 0x{reply.function:02X} may be many things; "
            "give the request, too"
        )
    _, address, count = fits[0]
    said.notes.append(f"no request: taken as the {count} from 0x{address:04X}")
    return replace(reply, body=address.to_bytes(2, "big") + count.to_bytes(2, "big"))


def _content(known: Map, request: Message, reply: Message, said: Said) -> Content | None:
    """Return the words that were read or written; what has none is named at once."""
    function = request.function
    address, second = request.pair
    if function in frames.READ_WORDS:
        return Content(function, address, unpack_words(reply.body[1:]))
    if function in frames.READ_BITS:
        return Content(function, address, unpack_bits(reply.body[1:], second))
    if function == frames.WRITE_BIT:
        return _coil(known, address, second, said)
    if function == frames.WRITE_WORD:
        return _word(known, address, second)
    if function in (frames.WRITE_WORDS, frames.WRITE_BITS):
        return _written(request, said)
    said.values |= _unaddressed(reply)
    return None


def _written(request: Message, said: Said) -> Content | None:
    address, count = request.pair
    if len(request.body) < 6:
        said.notes.append(f"{count} written from 0x{address:04X}: the request has the values")
        return None
    if request.function == frames.WRITE_WORDS:
        return Content(3, address, unpack_words(request.body[5:]))
    return Content(1, address, unpack_bits(request.body[5:], count))


def _word(known: Map, address: int, value: int) -> Content:
    """Return the register that was written; a relay behind one takes commands, not 0 and 1."""
    is_relay = any(
        (each.function, each.address, each.type) == (3, address, "bit") for each in known.registers
    )
    return Content(3, address, (_COIL_WORDS.get(value, value) if is_relay else value,))


def _coil(known: Map, address: int, value: int, said: Said) -> Content | None:
    """Return the coil that was written; boards have other words than on and off, too."""
    rows = [each for each in known.registers if (each.function, each.address) == (1, address)]
    if rows and rows[0].type != "bit":
        return Content(1, address, (value,))
    if value in _COIL_WORDS:
        return Content(1, address, (_COIL_WORDS[value],))
    name = rows[0].key if rows else f"coil_0x{address:04X}"
    said.values[name] = "toggle" if value == _TOGGLE else f"0x{value:04X}"
    return None


def _unaddressed(reply: Message) -> dict[str, Shown]:
    """Name a reply that holds neither registers nor coils."""
    if reply.function == frames.RESET_ENERGY:
        return {"energy_reset": True}
    if reply.function == frames.IDENTIFY:
        objects = identification(reply.body)
        return {_object_name(key): text for key, text in objects.items()}
    return {f"function_0x{reply.function:02X}": reply.body.hex(" ").upper()}


def identification(body: bytes) -> dict[int, str]:
    """Return the objects in a reply of function 43 / 14, from `0E` on.

    The body is `0E code level more next count`, then `id length text` for each object.

    Raises:
        BadFrame: it is of another kind.
    """
    if len(body) < 6 or body[0] != 0x0E:
        raise BadFrame(f"reply: identification of kind {body[:1].hex()}, want 0E")
    found: dict[int, str] = {}
    rest = body[6:]
    for _ in range(body[5]):
        key, size = rest[0], rest[1]
        found[key] = rest[2 : 2 + size].decode("latin-1")
        rest = rest[2 + size :]
    return found


def _object_name(key: int) -> str:
    return _OBJECTS[key] if key < len(_OBJECTS) else f"object_0x{key:02X}"


def unpack_words(raw: bytes) -> tuple[int, ...]:
    """Return registers, each most significant byte first."""
    return tuple(int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2))


def unpack_bits(raw: bytes, count: int) -> tuple[int, ...]:
    """Return coils, the least significant bit of each byte first."""
    return tuple(raw[bit // 8] >> bit % 8 & 1 for bit in range(min(count, 8 * len(raw))))


# --- from words to names -------------------------------------------------------------------------


def _name_all(known: Map, contents: Sequence[Content], said: Said) -> None:
    factors = _factors(known, contents)
    assumed = {name: value for name, value in known.usual.items() if name not in factors}
    for content in contents:
        covered: set[int] = set()
        for register in known.registers:
            part = content.part(register)
            if part is not None:
                covered.update(range(register.address, register.end))
                _name(register, part, factors, assumed, said)
        _name_rest(known, content, covered, said)


def _factors(known: Map, contents: Sequence[Content]) -> dict[str, Fraction]:
    """Return the registers that scale others, where they are among what was read."""
    wanted = {name for register in known.registers for name in register.times}
    found: dict[str, Fraction] = {}
    for register in known.registers:
        for content in contents if register.name in wanted else ():
            part = content.part(register)
            value = None if part is None else decode(replace(register, low=None, high=None), part)
            if isinstance(value, Fraction):
                found[register.name] = value
    return found


def _name(
    register: Register,
    part: tuple[int, ...],
    factors: Mapping[str, Fraction],
    assumed: Mapping[str, Fraction],
    said: Said,
) -> None:
    """Add one register under its name; a value out of its range is shown, and said to be so."""
    factor: Fraction | None = Fraction(1)
    for name in register.times:
        one = factors.get(name, assumed.get(name))
        if name not in factors:
            taken = "not known" if one is None else f"taken as {float(one):g}, as in most"
            said.notes.append(
                f"{register.key} is multiplied by {name}, which was not read and is {taken}: give "
                "that exchange, too"
            )
        factor = None if one is None or factor is None else factor * one
    value = None if factor is None else _value(register, part, factor, said)
    shown = natural(register, value)
    said.values[register.key] = shown
    if isinstance(shown, str) and isinstance(value, Fraction):
        said.values[f"{register.key}_code"] = int(value)


def _value(register: Register, part: tuple[int, ...], factor: Fraction, said: Said) -> Value:
    try:
        return decode(register, part, factor)
    except OutOfRange as error:
        said.notes.append(str(error))
    try:
        return decode(replace(register, low=None, high=None), part, factor)
    except OutOfRange:
        return None


def _add_clock(values: dict[str, Shown]) -> None:
    """Put the parts of a device's clock together, if all were read."""
    parts = [values.get(f"clock_{name}") for name in _CLOCK]
    if all(isinstance(part, int) for part in parts):
        year, *rest = (part for part in parts if isinstance(part, int))
        month, day, hour, minute, second = rest
        century = 2000 if year < 100 else 0
        values["clock"] = (
            f"{century + year:04d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}"
        )


def _name_rest(known: Map, content: Content, covered: set[int], said: Said) -> None:
    """Add what has no name under its address."""
    for register in known.registers:
        if register.function == content.function and not covered & {register.address}:
            _note_torn(register, content, said)
    address = content.address
    while address < content.end:
        offset = address - content.address
        if address in covered:
            address += 1
            continue
        key = f"{_UNKNOWN[content.function]}_0x{address:04X}"
        single = None
        if known.singles and content.function in frames.READ_WORDS and address + 1 not in covered:
            single = _single(content.words[offset : offset + 2])
        if single is not None:
            said.values[key] = single
            address += 2
            continue
        word = content.words[offset]
        said.values[key] = bool(word) if content.function in frames.READ_BITS else word
        address += 1


def _note_torn(register: Register, content: Content, said: Said) -> None:
    is_cut = register.address < content.end and register.end > content.address
    if is_cut and content.part(register) is None:
        said.notes.append(
            f"{register.key} has {register.words} registers from 0x{register.address:04X}, and "
            "not all are here: read them in one request"
        )


def _single(words: tuple[int, ...]) -> float | None:
    """Return two words as a float, if they look like one."""
    if len(words) < 2:
        return None
    register = Register("", "", 3, 0, "f32", 2)
    try:
        value: Value = decode(register, words)
    except OutOfRange:
        return None
    if not isinstance(value, Fraction):
        return None
    least, most = _PLAUSIBLE_SINGLE
    if value and not least <= abs(value) <= most:
        return None
    shown = natural(register, value)
    return float(shown) if isinstance(shown, int | float) else None
