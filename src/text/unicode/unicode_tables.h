#pragma once

#include <span>

namespace foregate::text {

struct CodePointRange {
  char32_t first, last;
};

/// What the tokenizers package takes for a number, punctuation and a combining mark. Ascending.
std::span<const CodePointRange> number_ranges();
std::span<const CodePointRange> punctuation_ranges();
std::span<const CodePointRange> mark_ranges();

/// Code points newer than the package's normalizers (Unicode 9), which leave them alone where
/// utf8proc decomposes or reorders them. Ascending.
std::span<const CodePointRange> ranges_without_normal_forms();

struct LowercasePair {
  char32_t from, to;
};
/// Where utf8proc's lowercase is older than the package's. Ascending.
std::span<const LowercasePair> lowercase_differences();

struct CategoryRange {
  CodePointRange range;
  const char* category;  ///< "Lu"
};
/// Characters newer than Unicode 14, which the package's regular expressions know and PCRE2 may
/// not. Ascending.
std::span<const CategoryRange> newer_categories();

bool contains(std::span<const CodePointRange> ranges, char32_t code_point);

}  // namespace foregate::text
