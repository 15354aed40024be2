#include "text/regex_syntax.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"

namespace foregate {
namespace {

/// Unicode's White_Space, as a character class takes it.
constexpr std::string_view kWhiteSpace =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

constexpr std::array<std::string_view, 37> kGeneralCategories{
    "C",  "Cc", "Cf", "Cn", "Co", "Cs", "L",  "Ll", "Lm", "Lo", "Lt", "Lu", "M",
    "Mc", "Me", "Mn", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Pe", "Pf", "Pi",
    "Po", "Ps", "S",  "Sc", "Sk", "Sm", "So", "Z",  "Zl", "Zp", "Zs"};

constexpr std::array<std::string_view, 7> kGroups{"(?:",  "(?=",  "(?!", "(?>",
                                                  "(?<=", "(?<!", "(?i:"};

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {}

  std::string translate() {
    while (position_ < pattern_.size()) {
      if (pattern_[position_] == '\\') {
        translate_escape();
      } else if (in_class_) {
        translate_in_class();
      } else {
        translate_outside_class();
      }
    }
    return std::move(output_);
  }

 private:
  bool rest_starts_with(std::string_view text) const {
    return pattern_.substr(position_).starts_with(text);
  }
  void copy(size_t count) {
    output_.append(pattern_.substr(position_, count));
    position_ += count;
  }
  [[noreturn]] void refuse(std::string_view what) const {
    throw DataError(
        fmt::format("{}: '{}' at byte {} of the pattern \"{}\" is not supported in regular "
                    "expressions; supported: literals, classes, groups, \\s \\S \\d \\D \\p{{}} "
                    "\\P{{}} with general categories",
                    where_, what, position_, pattern_));
  }

  void translate_escape() {
    const std::string_view escape = pattern_.substr(position_, 2);
    if (escape == "\\s") {
      output_ += in_class_ ? std::string(kWhiteSpace) : fmt::format("[{}]", kWhiteSpace);
      position_ += 2;
    } else if (escape == "\\S" && !in_class_) {
      output_ += fmt::format("[^{}]", kWhiteSpace);
      position_ += 2;
    } else if (escape == "\\p" || escape == "\\P") {
      translate_property();
    } else if (escape.size() == 2 && (std::string_view("rntfdD").find(escape[1]) != escape.npos ||
                                      std::ispunct(static_cast<unsigned char>(escape[1])))) {
      copy(2);
    } else {
      refuse(escape);
    }
  }

  void translate_property() {
    const size_t close = pattern_.find('}', position_);
    const std::string_view property = pattern_.substr(position_, close - position_ + 1);
    if (close == std::string_view::npos || property.size() < 4 || property[2] != '{') {
      refuse(pattern_.substr(position_, 4));
    }
    const std::string_view name = property.substr(3, property.size() - 4);
    if (std::ranges::find(kGeneralCategories, name) == kGeneralCategories.end()) refuse(property);
    copy(property.size());
  }

  void translate_in_class() {
    // Oniguruma nests classes and intersects them; PCRE2 takes the same characters literally.
    if (pattern_[position_] == '[') refuse("[ inside a class");
    if (rest_starts_with("&&")) refuse("&&");
    in_class_ = pattern_[position_] != ']';
    copy(1);
  }

  void translate_outside_class() {
    const char character = pattern_[position_];
    if (character == '[') {
      in_class_ = true;
      copy(rest_starts_with("[^") ? 2 : 1);
      if (rest_starts_with("]")) refuse("] first in a class");
    } else if (character == '(') {
      translate_group();
    } else if (character == '^' || character == '$') {
      refuse(std::string_view(&character, 1));
    } else if (rest_starts_with("}+")) {
      refuse("}+");  // Possessive in PCRE2, a repeated repeat in Ruby's syntax.
    } else {
      copy(1);
    }
  }

  void translate_group() {
    if (rest_starts_with("(*")) refuse("(*");
    if (!rest_starts_with("(?")) return copy(1);
    for (const std::string_view group : kGroups) {
      if (rest_starts_with(group)) return copy(group.size());
    }
    refuse(pattern_.substr(position_, 4));
  }

  std::string_view pattern_;
  const std::string& where_;
  std::string output_;
  size_t position_ = 0;
  bool in_class_ = false;
};

}  // namespace

std::string to_pcre2_pattern(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).translate();
}

}  // namespace foregate
