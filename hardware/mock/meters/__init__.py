"""Simulated energy meters: what each answers to every request its vendor documents."""
