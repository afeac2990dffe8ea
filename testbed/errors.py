"""What can go wrong in the testbed, each with a sentence for the person who started it."""


class TestbedError(Exception):
    """Base of all testbed errors; its text is one readable sentence."""


class BadHomesFile(TestbedError):
    """A homes file has a missing column, a bad value or a gap (exit code 65)."""


class BadComparison(TestbedError):
    """A comparison was asked for that cannot be made; the text says what can (exit code 64)."""


class BadBook(TestbedError):
    """A book of orders has malformed rows; the text holds all, with their lines (exit code 65)."""


class BrokerRefused(TestbedError):
    """The broker was asked for something it must not do, such as another address than loopback."""


class PortTaken(TestbedError):
    """Another program listens on the port that was asked for."""


class NoDemo(TestbedError):
    """No demo runs whose faults could be switched, or several do (exit code 69)."""


class ChildDied(TestbedError):
    """A started process ended although nobody stopped it."""


class NotReady(TestbedError):
    """A started process did not become ready in time."""


class LedgerDisagrees(TestbedError):
    """The ledger and what the edges wrote down do not say the same."""


class BadDevice(TestbedError):
    """No such simulated device, wire or fault; the text says what there is."""


class BadScenario(TestbedError):
    """A scenario file is wrong; the text holds every finding with file and line (exit code 78)."""


class NotDrained(TestbedError):
    """Something signed did not reach the ledger in time."""


class Unplayable(TestbedError):
    """A fault cannot be played here; the text says what it needs (exit code 69)."""


class BadFault(TestbedError):
    """No such fault; the text says which there are (exit code 64)."""


class PromiseBroken(TestbedError):
    """A fault was played, and what is promised did not hold (exit code 70)."""
