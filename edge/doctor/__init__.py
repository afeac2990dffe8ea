"""What is wrong with this machine as a node, why it matters, and the line that mends it.

Every check is a small function of a `Machine`, which reads files below a root: so another
machine's files, or a folder made for a test, can be looked at as well as this one.
"""
