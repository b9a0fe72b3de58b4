"""Links in texts that strangers write, and names that are none."""

import pytest

from reservations.entrypoints.web_addresses import holds_web_address, top_level_domains
from tests.worlds.names import HOTELS, PEOPLE

# Selectors, fillers, joiners, a stroke, the frame of a key, a point of Hebrew.
HIDDEN = "\ufe0f\U000e0101\u3164\u115f\u034f\u180b\u200b\u0338\u20e3\u05bf"
ADDRESSES = [
    "Pague ahora en https://pago-seguro.example/x",
    "hxxp://evil",
    "www.evil",
    "WWW.EVIL",
    "ana@evil",
    "ana＠evil",
    "evil.com",
    "Evil.COM.",
    "(evil.com)",
    "evil.com:80",
    "evil.com/x?y=1",
    "evil.com2",
    "a.b.evil.co",
    "bit.ly/x",
    "t.me/x",
    "x.com?y",
    "evil．com",
    "ｅｖｉｌ.ｃｏｍ",
    "ev\u200bil.com",
    "evil.\u00adcom",
    "пример.рф",
    "उदाहरण.भारत",
    "公司.公司",
    "xn--e1afmkfd.xn--p1ai",
    "Hotel Sol, reservas en hotelsol.es",
    "3.li",
    "x.com",
    "mr.black/x",
    "evil.t.me",
    "EVIL.COM",
    "Evil.Com/pay",
    "Gana en evil.com ya",
    "evil.Ru",
    "EVIL.IO",
    "evil.IO",
    "Bit.Ly/x",
    "Evil.Es:80",
    "Evil.No:80/pay",
    "evil.com-oferta",
    "pay.evil.shop",
    "pay.evil.de Ana",
    "evilbank.de Ana",
    "evil.de ya",
    *(f"evil.com{hidden}" for hidden in HIDDEN),
    *(f"evil.c{hidden}om/pay" for hidden in HIDDEN),
    *(f"ev{hidden}il{hidden}.es{hidden}" for hidden in HIDDEN),
    "пример.рф\ufe0f",
    "evil。com",
    "evil｡com/pay",
    "www。evil",
    "www。例子",
    "203.0.113.9/pay",
    "203.0.113.9:8080",
]
NO_ADDRESSES = [
    "evil.example",
    "evil. com",
    "evil .com",
    "192.168.0.1",
    "1.234,56",
    "Hotel Sol. Es el mejor",
    "evil.comunidad",
    "...com",
    ".es",
    "ホテル。ツイン",
    "Hotel Sol。Tokyo",
    "203.0.113.9",
    "Ana.भारती",
    "Gómez.Co\u0301rdoba",
]


@pytest.mark.parametrize("text", ADDRESSES)
def test_a_link_is_found(text: str) -> None:
    assert holds_web_address(text)


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_text_that_no_mail_program_links_is_none(text: str) -> None:
    assert not holds_web_address(text)


def test_no_name_is_refused() -> None:
    assert [name for name in (*PEOPLE, *HOTELS) if holds_web_address(name)] == []


def test_no_word_joined_to_another_by_a_dot_is_taken_for_its_beginning() -> None:
    joined = [f"Ana.{domain}ñáu" for domain in top_level_domains() if domain.isalpha()]
    assert len(joined) > 1000
    assert [name for name in joined if holds_web_address(name)] == []


def test_the_list_has_domains_in_both_forms() -> None:
    assert {"com", "es", "рф", "xn--p1ai"} <= top_level_domains()
