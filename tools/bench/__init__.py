"""The cost of the product beside its own yardsticks, measured in one run: `python -m tools.bench`.

Handlers run in warm processes. MySQL is real, providers answer over loopback HTTP, and SQS, S3 and SES are in memory.
Contestants take turns in short rounds, so that a busy machine disturbs all of them alike. Each ratio is the median
of the ratios of the rounds.
"""
