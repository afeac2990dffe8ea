"""A device whose scaling registers say the impossible is not the one that was configured."""

from __future__ import annotations

import pytest

from hardware.catalog import make_meter
from hardware.errors import WrongDevice


class Zeros:
    """A device that answers every register with 0, as many do where they have none."""

    def heed(self, device, manners):
        """Nothing waits here."""

    def read_words(self, device, function, address, count):
        return (0,) * count


def test_a_full_scale_of_nothing_is_another_device():
    meter = make_meter("tristar_mppt", Zeros(), {"address": 1})
    with pytest.raises(WrongDevice, match="full_scale_. = 0, want 1 to 2000"):
        meter.sample()
