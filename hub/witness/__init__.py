"""A C2SP witness: cosigns the heads of logs that only ever grew, and keeps what contradicts them.

A process of its own, for any machine that is not the hub's. It speaks tlog-witness v1.0.0, holds
one key and, for each log, what it cosigned last; it reads no entry.
"""
