"""The HTML of a mail: tables and inline styles, no image. The colors of the dark are in the head."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The texts of a page, not escaped. `guest` is put into the greeting."""

    language: str
    issuer: str | None
    headline: str
    greeting: str
    guest: str
    paragraphs: Sequence[str]
    details: Sequence[tuple[str, str]]
    button: tuple[str, str] | None  # its words and its address
    help: str
    automatic: str


_FONT = "font-family:Helvetica,Arial,sans-serif"
_BREAKS = "word-break:break-word;overflow-wrap:anywhere"  # a long word would widen every paragraph
_PAGE = """\
<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">
<title>{headline}</title>
<style>
@media (max-width:480px){{.pad{{padding-left:18px!important;padding-right:18px!important}}\
.button{{display:block!important}}\
.row,.row th,.row td{{display:block!important;width:auto!important}}\
.row th{{border-bottom:0!important;padding-bottom:0!important}}}}
@media (prefers-color-scheme:dark){{.page{{background:#0f1a1d!important}}.card{{background:#17252a!important}}\
.text,.row td{{color:#e6eef0!important}}.row th,.small{{color:#a9bcc2!important}}\
.row th,.row td,.lines{{border-color:#33474e!important}}.foot{{background:#1d3036!important}}\
.text a{{color:#8fd3e0!important}}.text a.button{{background:#8fd3e0!important;color:#0f1a1d!important}}}}
</style>
</head>
<body class="page" style="margin:0;padding:0;background:#eef5f6">
<table role="presentation" class="page" width="100%" cellpadding="0" cellspacing="0" style="background:#eef5f6">
<tr><td align="center" style="padding:24px 12px">
<table role="presentation" class="card" width="600" cellpadding="0" cellspacing="0"
 style="width:100%;max-width:600px;background:#ffffff">
<tr><td class="pad" style="padding:24px 32px;background:#0b4f5c;color:#ffffff;{font};{breaks}">{issuer}\
<h1 style="margin:0;font-size:22px;line-height:1.3;font-weight:bold;color:#ffffff">{headline}</h1></td></tr>
<tr><td class="pad text" style="padding:24px 32px 8px;color:#17252a;{font};font-size:16px;\
line-height:1.5;{breaks}">{paragraphs}{button}</td></tr>
<tr><td class="pad" style="padding:8px 32px 24px">
<table class="lines" width="100%" cellpadding="0" cellspacing="0" style="border-top:1px solid #c9d8db">
{details}</table>
</td></tr>
<tr><td class="pad text foot" style="padding:18px 32px;background:#f6fafb;color:#17252a;{font};font-size:15px;\
line-height:1.5;{breaks}">{help}</td></tr>
</table>
<p class="small" style="margin:14px 0 0;color:#5b6b73;{font};font-size:12px">{automatic}</p>
</td></tr>
</table>
</body>
</html>
"""
_ISSUER = '<p style="margin:0 0 6px;font-size:14px;color:#cfe6ea">{}</p>'
_PARAGRAPH = '<p style="margin:0 0 14px">{}</p>'
_BUTTON = """\
<p style="margin:20px 0"><a class="button" href="{url}" style="display:inline-block;padding:13px 22px;\
background:#0b4f5c;color:#ffffff;font-weight:bold;text-align:center;text-decoration:none">{label}</a></p>"""
_DETAIL = """\
<tr class="row"><th scope="row" width="38%" align="left" style="padding:9px 8px 9px 0;\
border-bottom:1px solid #c9d8db;color:#5b6b73;{font};font-size:14px;font-weight:normal;vertical-align:top">{label}</th>
<td style="padding:9px 0;border-bottom:1px solid #c9d8db;color:#17252a;{font};font-size:15px;\
font-weight:bold;{breaks}"><bdi>{value}</bdi></td></tr>
"""
# An address or a telephone in a text that is escaped already.
_CONTACT = re.compile(
    r"(?P<mail>[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)|(?P<phone>\+[0-9](?:[ .-]?[0-9]){6,14})"
)


def render(page: Page) -> str:
    guest = f"<bdi>{escape(page.guest)}</bdi>"
    texts = [escape(page.greeting).format(guest=guest), *map(escape, page.paragraphs)]
    return _PAGE.format(
        font=_FONT,
        breaks=_BREAKS,
        language=page.language,
        issuer=_ISSUER.format(escape(page.issuer)) if page.issuer else "",
        headline=escape(page.headline),
        paragraphs="".join(map(_PARAGRAPH.format, texts)),
        button=_button(*page.button) if page.button else "",
        details="".join(
            _DETAIL.format(font=_FONT, breaks=_BREAKS, label=escape(label), value=escape(value))
            for label, value in page.details
        ),
        help=_CONTACT.sub(_linked, escape(page.help)),
        automatic=escape(page.automatic),
    )


def _button(label: str, url: str) -> str:
    return _BUTTON.format(label=escape(label), url=escape(url))


def _linked(found: re.Match[str]) -> str:
    text = found[0]
    target = f"mailto:{text}" if found["mail"] else "tel:" + re.sub(r"[^+0-9]", "", text)
    style = "color:#0b4f5c" if found["mail"] else "color:#0b4f5c;white-space:nowrap"
    return f'<a href="{target}" style="{style}">{text}</a>'
