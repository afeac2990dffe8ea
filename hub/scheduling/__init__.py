"""Plan a day together by ADMM, off the ledger. Floats and numpy live here; the hub never loads it.

`homes` is a member's side: he alone knows what he has and expects. `coupling` is the aggregator's:
it sees exchanges with the microgrid, says by how much they are wrong, and at what price. `rounds`
lets both talk until the price is right and makes of it what members and aggregator sign:
`messages.scheduling`. Needs the extra `scheduling`.

Source: Boyd et al., *Distributed Optimization and Statistical Learning via the Alternating
Direction Method of Multipliers*, 2011, sections 7.3 (sharing) and 3.4.3 (over-relaxation).
"""
