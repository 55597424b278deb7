"""The reference venue's arithmetic in integers, bit for bit what its contracts compute (docs/risk-arrays.md).

Only integers and the standard library: nothing here rounds differently on another machine. The contracts were not
read for it; both follow the specification, and tests compare them.
"""
