"""A simulated Modbus device, asked in hex: request and reply without id and checksum."""

from __future__ import annotations

from hardware.mock.wires.modbus_pdu import ModbusDevice, answer


def ask(device: ModbusDevice, pdu: str) -> str:
    """Return the reply to a request, both as hex with spaces."""
    return answer(device, bytes.fromhex(pdu)).hex(" ").upper()


def words(device: ModbusDevice, function: int, address: int, count: int) -> str:
    """Return registers as hex words; a refusal is "exception 2"."""
    request = bytes([function]) + address.to_bytes(2, "big") + count.to_bytes(2, "big")
    reply = answer(device, request)
    if reply[0] & 0x80:
        return f"exception {reply[1]}"
    return " ".join(reply[at : at + 2].hex().upper() for at in range(2, len(reply), 2))


def number(device: ModbusDevice, function: int, address: int, count: int = 1) -> int:
    """Return registers as one signed number, high word first."""
    raw = bytes.fromhex(words(device, function, address, count))
    return int.from_bytes(raw, "big", signed=True)


def low_first(device: ModbusDevice, address: int) -> int:
    """Return two input registers as one signed number, low word first."""
    raw = bytes.fromhex(words(device, 4, address, 2))
    return int.from_bytes(raw[2:] + raw[:2], "big", signed=True)
