"""Our bus against the server of a library that nobody here wrote, and its client against ours."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator

import pytest
from pymodbus import FramerType
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.server import ModbusTcpServer as TheirServer
from pymodbus.simulator import DataType, SimData, SimDevice

from hardware import catalog, errors
from hardware.buses.modbus import ModbusBus
from hardware.mock.meters.eastron import Sdm120Meter
from hardware.mock.points import Feeder
from hardware.mock.wires.loop import LoopThread
from hardware.mock.wires.modbus_server import ModbusRtuServer, ModbusRtuTcpServer, ModbusTcpServer

FRAMERS = {"modbus_tcp": FramerType.SOCKET, "modbus_rtu_tcp": FramerType.RTU}


def meter() -> SimDevice:
    return SimDevice(
        1,
        simdata=(
            [SimData(0, values=[False] * 16, datatype=DataType.BITS)],
            [SimData(0, values=[True, False] * 8, datatype=DataType.BITS)],
            [SimData(0, values=[0] * 64, datatype=DataType.REGISTERS)],
            [SimData(0, values=[230.2, -512.5], datatype=DataType.FLOAT32)],
        ),
    )


@pytest.fixture(params=FRAMERS)
def bus(request: pytest.FixtureRequest) -> Iterator[ModbusBus]:
    """Our bus on their server."""
    with LoopThread() as thread:

        async def serve() -> TheirServer:
            server = TheirServer(meter(), framer=FRAMERS[request.param], address=("127.0.0.1", 0))
            await server.serve_forever(background=True)
            return server

        server = thread.call(serve())
        port = server.transport.sockets[0].getsockname()[1]
        given = {"host": "127.0.0.1", "port": port, "pause_ms": 0}
        bus: ModbusBus = catalog.open_bus(request.param, given)
        yield bus
        bus.close()
        thread.call(server.shutdown())
        thread.call(asyncio.sleep(0))


def test_their_server_answers_every_function_of_our_bus(bus):
    words = bus.read_words(1, 4, 0, 4)
    assert struct.unpack(">ff", struct.pack(">4H", *words)) == pytest.approx((230.2, -512.5))
    assert bus.read_bits(1, 2, 0, 5) == (True, False, True, False, True)
    bus.write_bit(1, 3, True)
    bus.write_bits(1, 8, (True, False, True))
    coils = bus.read_bits(1, 1, 0, 16)
    assert [place for place, on in enumerate(coils) if on] == [3, 8, 10]
    bus.write_word(1, 5, 0xBEEF)
    bus.write_words(1, 6, (1, 2, 65_535))
    assert bus.read_words(1, 3, 5, 4) == (0xBEEF, 1, 2, 65_535)


def test_their_exceptions_are_named(bus):
    with pytest.raises(errors.DeviceRefused, match="exception 2, illegal address"):
        bus.read_words(1, 4, 500, 2)


@pytest.mark.parametrize("wire", ["tcp", "rtu", "rtu_tcp"])
def test_their_client_reads_our_servers(wire):
    devices = {1: Sdm120Meter(Feeder(power_mw=-512_500))}
    match wire:
        case "tcp":
            server = ModbusTcpServer(devices)
            client = ModbusTcpClient("127.0.0.1", port=server.port)
        case "rtu_tcp":
            server = ModbusRtuTcpServer(devices)
            client = ModbusTcpClient("127.0.0.1", port=server.port, framer=FramerType.RTU)
        case _:
            server = ModbusRtuServer(devices, baud=19_200)
            client = ModbusSerialClient(server.device, baudrate=19_200)
    with server:
        assert client.connect()
        reply = client.read_input_registers(0x000C, count=2, device_id=1)
        assert client.convert_from_registers(reply.registers, client.DATATYPE.FLOAT32) == -512.5
        assert client.read_input_registers(0x0001, count=2, device_id=1).exception_code == 2
        client.close()
