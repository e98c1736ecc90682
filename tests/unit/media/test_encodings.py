"""Bytes to text: each encoding that subtitles come in, and nothing hostile left in the text."""

from __future__ import annotations

import pytest

from framecue.media.encodings import clean, decode_text

SENTENCES = {
    "fr": "Ça alors, où êtes-vous allé cet été ? Le garçon a mangé un gâteau.",
    "de": "Für den schönen Tag grüße ich dich, Mädchen.",
    "pl": "Zażółć gęślą jaźń, dziękuję bardzo za pomoc. Świetnie!",
    "ru": "Привет, как у тебя дела сегодня? Мы идём домой.",
    "el": "Καλημέρα, τι κάνεις σήμερα; Πάμε μια βόλτα στη θάλασσα.",
    "tr": "Merhaba, bugün nasılsınız? Güneşli bir gün, değil mi?",
    "he": "שלום, מה שלומך היום? אנחנו הולכים הביתה.",
    "ar": "مرحبا، كيف حالك اليوم؟ سنذهب إلى البيت معا.",
    "lt": "Labas rytas, kaip šiandien jaučiatės? Ačiū, gerai, einame namo.",
    "th": "สวัสดีครับ วันนี้อากาศดีมาก เราไปเดินเล่นกัน",
    "ja": "こんにちは、今日はいい天気ですね。駅まで歩きましょう。",
    "zh": "你好,今天天气很好,我们一起去公园走走吧。",
    "zh-TW": "你好,今天天氣很好,我們一起去公園走走吧。",
    "ko": "안녕하세요, 오늘 날씨가 정말 좋네요. 같이 걸을까요?",
}
GUESSED = [
    ("cp1252", "fr", "left to all pages it is taken for cp1257"),
    ("cp1252", "de", "western, few accents"),
    ("cp1250", "pl", "central European"),
    ("cp1251", "ru", "Cyrillic of Windows"),
    ("koi8-r", "ru", "Cyrillic of Unix: the same bytes are words in cp1251 too"),
    ("cp1253", "el", "Greek"),
    ("cp1256", "ar", "Arabic"),
    ("cp932", "ja", "Shift JIS as Windows writes it"),
    ("gb18030", "zh", "simplified Chinese"),
    ("big5", "zh-TW", "traditional Chinese: narrowed by the primary language"),
    ("cp949", "ko", "EUC-KR as Windows writes it"),
]
ONLY_WITH_LANGUAGE = [
    ("cp1254", "tr", "differs from cp1252 in six letters"),
    ("cp1255", "he", "one cue is too short to tell"),
    ("cp1257", "lt", "claims other languages' text"),
    ("cp874", "th", "claims other languages' text"),
    ("euc-jp", "ja", "the same bytes are EUC-KR"),
]


def subtitle(language: str) -> str:
    return f"1\n00:00:01,000 --> 00:00:03,000\n{SENTENCES[language]}\n"


@pytest.mark.parametrize(("page", "language", "why"), GUESSED)
def test_decode_text_finds_the_page_without_a_language(page, language, why):
    decoded = decode_text(subtitle(language).encode(page))

    assert (decoded.text, decoded.encoding, decoded.certain) == (subtitle(language), page, False), why


@pytest.mark.parametrize(("page", "language", "why"), GUESSED + ONLY_WITH_LANGUAGE)
def test_decode_text_finds_the_page_among_those_of_the_language(page, language, why):
    decoded = decode_text(subtitle(language).encode(page), language=language)

    assert (decoded.text, decoded.encoding) == (subtitle(language), page), why


@pytest.mark.parametrize(
    ("data", "encoding", "why"),
    [
        ("été".encode(), "utf-8", "strict UTF-8 is hardly ever anything else"),
        (b"plain", "utf-8", "ASCII is UTF-8"),
        ("été".encode("utf-8-sig"), "utf-8", "its mark goes"),
        ("été".encode("utf-16"), "utf-16-le", "marked"),
        ("\ufeffété".encode("utf-16-be"), "utf-16-be", "marked, the other way round"),
        ("\ufeffété".encode("utf-32-le"), "utf-32-le", "its mark begins with that of UTF-16"),
        (subtitle("fr").encode("utf-16-le"), "utf-16-le", "no mark: zeros at odd places"),
        (subtitle("zh").encode("utf-16-be"), "utf-16-be", "no mark, Chinese: zeros of line ends and digits"),
    ],
)
def test_decode_text_is_certain_of_unicode(data, encoding, why):
    decoded = decode_text(data)

    assert (decoded.encoding, decoded.certain) == (encoding, True), why
    assert "\ufeff" not in decoded.text
    assert decoded.text in ("été", "plain", subtitle("fr"), subtitle("zh"))


@pytest.mark.parametrize(
    ("declared", "encoding", "why"),
    [
        ("windows-1251", "cp1251", "a header that says it is believed"),
        ('"KOI8-R"', "koi8-r", "quoted, as in a content-type"),
        ("no-such-page", "cp1251", "unknown: guessed"),
        ("unicode_escape", "cp1251", "a codec of Python that is no code page is not run"),
    ],
)
def test_decode_text_follows_what_is_declared(declared, encoding, why):
    assert decode_text(subtitle("ru").encode("cp1251"), declared=declared).encoding == encoding, why


@pytest.mark.parametrize(
    ("raw", "cleaned", "why"),
    [
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd", "one kind of line end"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m", "no escape reaches a terminal"),
        ("a\x00b\x9bc\x7f", "abc", "NUL, C1 and DEL go"),
        ("abc\u202edcba\u2066\u200f", "abcdcba", "nothing reorders what is around it"),
        ("tab\tkept", "tab\tkept", "harmless"),
        ("\ud800x", "x", "lone surrogates cannot be written as UTF-8"),
    ],
)
def test_clean_leaves_nothing_that_steers(raw, cleaned, why):
    assert clean(raw) == cleaned, why
