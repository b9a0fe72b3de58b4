"""Write the list of top-level domains that names may not end in.

    uv run --with publicsuffixlist python -m tools.top_level_domains

The Public Suffix List has every domain of IANA's list in its ICANN section, and PyPI carries it.
"""

import re
from importlib.resources import files
from pathlib import Path

LIST = Path("layers/core/reservations/entrypoints/top_level_domains.txt")
_HEAD = """\
# IANA's top-level domains, in Unicode and in ASCII, as of {date} (Public Suffix List, ICANN section).
# Written by `python -m tools.top_level_domains`.
"""


def main() -> None:
    suffixes = files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text("utf-8")
    [date] = re.findall(r"^// VERSION: ([0-9-]{10})", suffixes, re.MULTILINE)
    official = suffixes[: suffixes.index("===END ICANN DOMAINS===")]
    rules = [line.split()[0] for line in official.splitlines() if line and line[:2] != "//"]
    unicode = {rule.rpartition(".")[2] for rule in rules}
    ascii_forms = {domain.encode("idna").decode() for domain in unicode}
    LIST.write_text(_HEAD.format(date=date) + "\n".join(sorted(unicode | ascii_forms)) + "\n")


if __name__ == "__main__":
    main()
