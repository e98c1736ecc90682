"""Phrases that several tests ask `default` about."""

from __future__ import annotations

LABELS = (
    "city traffic",
    "an animal outdoors",
    "a man in a suit",
    "food on a plate",
    "a church",
    "a beach",
    "a sports match",
    "paperwork on a desk",
)
"""Of which the first three fit the demo's clips, in this order."""
GIBBERISH = (
    "xqzv wplk trnd", "asdf ghjkl qwer", "blorptang frindle", "zzyzx qqq vvv", "lorem ipsum dolor sit amet",
    "flumph grobnick sazz", "wkjh sdfkj owieur", "%%$ @@ ##!", "aaaaaaaaaaaaaa", "0x3f9a 7b2e",
    "the of and to in", "snorfle glimp dax wug", "vrxtl", "ptoing ptoing ptoing", "qlwke 9987 zmxn",
    "mimsy borogoves outgrabe", "colourless green ideas sleep furiously", "ñññ ßßß ¿¿¿", "uiop[]\\ hjkl;'",
    "brillig toves gyre",
)  # fmt: skip
"""Twenty phrases that mean nothing, or nothing that can be seen."""
