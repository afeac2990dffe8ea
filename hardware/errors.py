"""What can go wrong on a wire. Whether to try again is a property of the class.

`TransientHardwareError` may pass by itself: the caller keeps polling, with one backoff. Any other
`HardwareError` needs a person or a configuration. No driver retries on its own.
"""

from __future__ import annotations


class HardwareError(Exception):
    """Anything that a bus, a meter or a relay can answer with."""


class TransientHardwareError(HardwareError):
    """May pass by itself: drop this sample and try at the next instant."""


class BusTimeout(TransientHardwareError):
    """The device gave no answer in time."""


class BadChecksum(TransientHardwareError):
    """Bytes came, but no whole frame with a right checksum for this request."""


class UnexpectedReply(TransientHardwareError):
    """A valid frame that does not answer this request: it may be an earlier one, come late."""


class BusUnavailable(TransientHardwareError):
    """The port or socket cannot be opened: not there, not ours, or taken."""


class BusStuck(TransientHardwareError):
    """A wire of the bus is held low: every device on it is lost until it is freed."""


class DeviceAbsent(TransientHardwareError):
    """Nobody acknowledged the address: unplugged, without power, or another address."""


class DeviceBusy(TransientHardwareError):
    """The device took the request and asks for time."""


class StaleConversion(TransientHardwareError):
    """No new measurement was ready within its deadline."""


class SensorReset(TransientHardwareError):
    """The chip forgot its settings (brown-out); they were written again, this sample is dropped."""


class DeviceRefused(HardwareError):
    """The device answered with an exception: wrong function, address, length or value.

    `code` is the Modbus exception code, or 0 where the bus has none.
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class WrongDevice(HardwareError):
    """Something answers there, but not the model (or the one meter) that was configured."""


class ImplausibleSample(HardwareError):
    """A value outside what the device can physically measure."""


class SwitchFailed(HardwareError):
    """The level read back from a relay's pin is not the one that was written."""


class LimitRefused(HardwareError):
    """The device cannot be limited so, or not again so soon; the message names what can be done."""


class BadModelFile(HardwareError, ValueError):
    """A model's TOML file is wrong; `findings` are whole sentences, each with file and line."""

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class UnknownModel(HardwareError, LookupError):
    """No such entry in the catalog."""


class BadOption(HardwareError, ValueError):
    """One option of a model or bus is missing, unknown, of a wrong type or out of range."""

    def __init__(self, key: str, value: object, rule: str) -> None:
        super().__init__(f"{key} = {value!r}: {rule}" if value is not None else f"{key}: {rule}")
        self.key = key
        self.value = value
        self.rule = rule


class BadOptions(HardwareError, ValueError):
    """All findings in the options of one device at once."""

    def __init__(self, findings: tuple[BadOption, ...]) -> None:
        super().__init__("; ".join(str(finding) for finding in findings))
        self.findings = findings
