"""A simulated microgrid for laptops and CI: the world, its devices, the broker and every real process.

This is a composition root: it may import every other package and none imports it.
Whatever it starts says SIMULATION.
"""
