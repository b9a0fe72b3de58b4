"""Load on the deployed stack, or on the handlers alone: `python -m tools.stress`.

Arrivals follow a schedule and do not wait for answers (open model). A latency counts from the intended start, so that
a slow service cannot hide behind late requests. After each scenario the ledgers are checked.
"""
