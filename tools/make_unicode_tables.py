"""Writes src/text/unicode/unicode_tables.cpp: what the tokenizers package takes for a number, punctuation, a mark and so on.

    .venv/bin/python tools/make_unicode_tables.py > src/text/unicode/unicode_tables.cpp

Needs a Python whose unicodedata is of the Unicode version that PCRE2 has, or of an older one (Python 3.11 has 14.0).

The package is built from several Unicode versions at once (its normalizers know Unicode 9, its digits a much later
one), so no library's tables give its results. Every code point is asked; run it again for a newer tokenizers.
"""
import ctypes
import ctypes.util
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

CATEGORIES = "Cc Cf Co Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs".split()
MOVED = {0x1171E}  # Mn until Unicode 15, Mc since; foregate counts it as both
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
UTF8PROC = ctypes.CDLL(ctypes.util.find_library("utf8proc"))
UTF8PROC.utf8proc_tolower.restype = ctypes.c_int32
STABLE, COMPAT, DECOMPOSE = 1 << 1, 1 << 2, 1 << 4


def utf8proc_nfkd(text):
    data = text.encode()
    output = ctypes.c_char_p()
    size = UTF8PROC.utf8proc_map(data, ctypes.c_ssize_t(len(data)), ctypes.byref(output), STABLE | COMPAT | DECOMPOSE)
    return ctypes.string_at(output, size).decode()


def ranges(code_points):
    result = []
    for c in code_points:
        if result and result[-1][1] == c - 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def split_off(pre_tokenizer):
    """Code points that the pre-tokenizer cuts off from a letter before them."""
    return [c for c in CODE_POINTS if len(pre_tokenizer.pre_tokenize_str("a" + chr(c))) == 2]


def unknown_to_normalizers():
    """Code points that utf8proc decomposes or reorders and the package leaves alone."""
    package = normalizers.NFKD()

    def reacts(nfkd, char):
        # U+0345 has combining class 240, above all others: a mark of any class moves in front of it.
        return nfkd(char) != char or nfkd("a\u0345" + char) != "a\u0345" + char

    return [c for c in CODE_POINTS if c and reacts(utf8proc_nfkd, chr(c)) and not reacts(package.normalize_str, chr(c))]


def lowercase_differences():
    """(code point, the package's lowercase) where utf8proc's is another; longer ones (U+0130) are left out."""
    lower = normalizers.Lowercase().normalize_str
    pairs = [(c, lower(chr(c))) for c in CODE_POINTS if c]
    return [(c, ord(text)) for c, text in pairs if len(text) == 1 and UTF8PROC.utf8proc_tolower(c) != ord(text)]


def newer_categories():
    """(first, last, general category) of what the package's regular expressions know and unicodedata does not."""
    found = []
    for category in CATEGORIES:
        isolate = pre_tokenizers.Split(Regex(rf"\p{{{category}}}"), "isolated")
        other = "1" if category[0] == "L" else "a"
        has = {c for c in CODE_POINTS if len(isolate.pre_tokenize_str(other + chr(c))) == 2}
        known = {c for c in CODE_POINTS if unicodedata.category(chr(c)) == category}
        assert known - has <= MOVED, f"{category} has lost {sorted(known - has)[:5]}"
        found += [(first, last, category) for first, last in ranges(sorted(has - known))]
    return sorted(found)


def wrapped(items):
    lines = [""]
    for item in items:
        if len(lines[-1]) + len(item) + 1 > 96:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + item
    return "\n".join("    " + line for line in lines)


def table(function, code_points):
    found = ranges(code_points)
    body = wrapped(f"{{{first:#06x}, {last:#06x}}}," for first, last in found)
    return f"""
std::span<const CodePointRange> {function}() {{
  static constexpr std::array<CodePointRange, {len(found)}> table{{{{
{body}
  }}}};
  return table;
}}
"""


def main():
    marks = [c for c in CODE_POINTS if normalizers.StripAccents().normalize_str("a" + chr(c)) == "a"]
    lower = lowercase_differences()
    body = wrapped(f"{{{c:#06x}, {to:#06x}}}," for c, to in lower)
    newer = newer_categories()
    newer_body = wrapped(f'{{{{{first:#06x}, {last:#06x}}}, "{category}"}},' for first, last, category in newer)
    print("// Made by tools/make_unicode_tables.py.\n#include \"text/unicode_tables.h\"\n\n#include <array>\n\n"
          "namespace foregate {"
          + table("number_ranges", split_off(pre_tokenizers.Digits(individual_digits=True)))
          + table("punctuation_ranges", split_off(pre_tokenizers.Punctuation()))
          + table("mark_ranges", marks)
          + table("ranges_without_normal_forms", unknown_to_normalizers())
          + f"""
std::span<const LowercasePair> lowercase_differences() {{
  static constexpr std::array<LowercasePair, {len(lower)}> table{{{{
{body}
  }}}};
  return table;
}}

std::span<const CategoryRange> newer_categories() {{
  static constexpr std::array<CategoryRange, {len(newer)}> table{{{{
{newer_body}
  }}}};
  return table;
}}

}}  // namespace foregate""")


if __name__ == "__main__":
    main()
