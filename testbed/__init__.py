"""A simulated microgrid for laptops and CI: its world, devices, broker and real processes.

This is a composition root: it may import every other package and none imports it.
Whatever it starts says SIMULATION.
"""
