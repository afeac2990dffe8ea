"""A replica: holds the whole log, does all its sums again, and cosigns only what came out right.

A process of its own, for any machine that is not the hub's. It gets tiles from the hub or from any
mirror and believes none of them; it answers the hub as a witness does; and where a member enrolled
it, it proposes block headers when it is that member's turn.
"""
