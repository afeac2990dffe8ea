"""`gridtally-edge relay test`: does a relay do to its load what the configuration says?

It switches the relay by hand, while agent and guard are stopped, and judges by what the meter of
the load measures. Whatever happens, the relay is left released.
"""
