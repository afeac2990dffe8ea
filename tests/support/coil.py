"""A relay without a pin: records how it was switched, and fails on demand."""

from hardware.errors import SwitchFailed


class Coil:
    """A relay that records how it was switched."""

    def __init__(self):
        self.history = []
        self.stuck = False
        self.is_unreadable = False
        self._energised = False

    @property
    def is_energised(self):
        if self.is_unreadable:
            raise SwitchFailed("cannot be read")
        return self._energised

    def switch(self, energised):
        self.history.append(energised)
        if self.stuck:
            raise SwitchFailed("GPIO17: wrote high, reads low")
        self._energised = energised

    def close(self):
        self._energised = False
