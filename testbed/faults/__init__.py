"""What can be done to a running installation: one file for each kind of fault, each of them undone.

    processes   kill, stop, continue, bring back
    cable       swallow everything between a node and its broker
    disk        full, read-only, or failing to sync, for chosen processes
    clock       let the wall clock of chosen processes jump
    leases      relay commands that no guard may obey

Nothing here needs root. Disk and clock need a C compiler (`preload`); `Unplayable` says so.
"""
