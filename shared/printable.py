"""Text from outside, as it may be shown: a control character could rewrite a terminal's lines or end the printing."""

import re

# C0 and C1 controls but newline and tab, marks that reverse the direction of writing, and halves of surrogate pairs.
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with its control characters as escapes: ESC becomes x1b after a backslash."""
    return HIDDEN.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)
