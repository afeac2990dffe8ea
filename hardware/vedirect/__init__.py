"""Victron VE.Direct, its two protocols on one line: text blocks and HEX frames. Pure: no port here.

Sources: Victron VE.Direct protocol papers; public recordings, as tests/vectors/vedirect*.json say.
"""
