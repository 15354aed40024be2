#include "text/unicode/unicode_forms.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <new>

#include "base/error.h"
#include "text/unicode/unicode_tables.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

/// Characters that NFC leaves alone whatever stands beside them: they have no canonical
/// decomposition that changes them, combining class 0, and never compose with what precedes.
constexpr std::array<CodePointRange, 11> kInertRanges{{{0x0000, 0x02ff},
                                                       {0x0388, 0x0482},
                                                       {0x048a, 0x0590},
                                                       {0x2002, 0x20cf},
                                                       {0x2190, 0x2328},
                                                       {0x232b, 0x2adb},
                                                       {0x3000, 0x3029},
                                                       {0x3030, 0x3098},
                                                       {0x309b, 0x9fff},
                                                       {0xac00, 0xd7a3},
                                                       {0x1f000, 0x1faff}}};

utf8proc_option_t options_of(UnicodeForm form) {
  const bool composes = form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc;
  const bool compatible = form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE |
                                        (composes ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                                        (compatible ? UTF8PROC_COMPAT : 0));
}

void append_form(std::string_view text, UnicodeForm form, std::string& result) {
  if (text.empty()) return;
  utf8proc_uint8_t* output = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &output, options_of(form));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(output, &std::free);
  if (size == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  if (size < 0) {
    throw DataError(fmt::format("a text of {} bytes cannot be normalized: {}", text.size(),
                                utf8proc_errmsg(size)));
  }
  result.append(reinterpret_cast<const char*>(output), static_cast<size_t>(size));
}

}  // namespace

bool contains(std::span<const CodePointRange> ranges, char32_t code_point) {
  const auto range = std::ranges::lower_bound(ranges, code_point, {}, &CodePointRange::last);
  return range != ranges.end() && code_point >= range->first;
}

std::string to_unicode_form(std::string_view text, UnicodeForm form) {
  std::string result;
  size_t done = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t start = i;
    if (!contains(ranges_without_normal_forms(), next_code_point(text, i))) continue;
    append_form(text.substr(done, start - done), form, result);
    result.append(text.substr(start, i - start));
    done = i;
  }
  append_form(text.substr(done), form, result);
  return result;
}

bool is_surely_in_form(std::string_view text, UnicodeForm form) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
    } else if (form != UnicodeForm::kNfc || !contains(kInertRanges, next_code_point(text, i))) {
      return false;
    }
  }
  return true;
}

void append_lowercase(char32_t code_point, std::string& text) {
  if (code_point == 0x130) {  // The only one whose lowercase is two characters.
    text += "i\xcc\x87";
    return;
  }
  const auto other =
      std::ranges::lower_bound(lowercase_differences(), code_point, {}, &LowercasePair::from);
  const bool differs = other != lowercase_differences().end() && other->from == code_point;
  append_utf8(
      differs ? other->to : static_cast<char32_t>(utf8proc_tolower(static_cast<int>(code_point))),
      text);
}

bool is_word_character(char32_t code_point) {
  // Letter-like symbols that Unicode counts as alphabetic: the circled and squared letters.
  constexpr std::array<CodePointRange, 4> kAlphabeticSymbols{
      {{0x24b6, 0x24e9}, {0x1f130, 0x1f149}, {0x1f150, 0x1f169}, {0x1f170, 0x1f189}}};
  switch (utf8proc_category(static_cast<int>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return code_point == 0x200c || code_point == 0x200d ||
             contains(kAlphabeticSymbols, code_point);
  }
}

}  // namespace foregate::text
