"""Names and captions as a terminal may show them: what breaks a line, steers the terminal or turns its writing is escaped."""

import unicodedata

_HARMLESS = "\u200c\u200d"  # joiners, without which Persian words and families of emojis fall apart
_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: str) -> str:
    r"""One line of text, with escapes such as \n, \x1b and \u202e."""
    if text.isprintable():
        return text
    return "".join(
        ascii(letter)[1:-1] if unicodedata.category(letter) in _STEERING and letter not in _HARMLESS else letter
        for letter in text
    )
