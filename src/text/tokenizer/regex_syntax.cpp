#include "text/tokenizer/regex_syntax.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "text/unicode/unicode_tables.h"

namespace foregate::text {
namespace {

/// Unicode's White_Space, as a character class takes it.
constexpr std::string_view kWhiteSpace =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

/// Without C and Cn, which lose characters with every version of Unicode.
constexpr std::array<std::string_view, 35> kGeneralCategories{
    "Cc", "Cf", "Co", "Cs", "L",  "Ll", "Lm", "Lo", "Lt", "Lu", "M",  "Mc",
    "Me", "Mn", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Pe", "Pf", "Pi",
    "Po", "Ps", "S",  "Sc", "Sk", "Sm", "So", "Z",  "Zl", "Zp", "Zs"};

/// \p{name} as a character class takes it, with the characters that PCRE2 may be too old to know.
std::string class_of_property(std::string_view name) {
  std::string members = fmt::format("\\p{{{}}}", name);
  for (const auto& [range, category] : newer_categories()) {
    if (!std::string_view(category).starts_with(name)) continue;
    members += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", static_cast<uint32_t>(range.first),
                           static_cast<uint32_t>(range.last));
  }
  return members;
}

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
  bool rest_starts_with_repeat() const {
    return position_ < pattern_.size() &&
           std::string_view("*+?{").find(pattern_[position_]) != std::string_view::npos;
  }
  void copy(size_t count) {
    output_.append(pattern_.substr(position_, count));
    position_ += count;
  }
  [[noreturn]] void refuse(std::string_view what) const {
    throw DataError(
        fmt::format("{}: '{}' at byte {} of the pattern \"{}\" is not supported in regular "
                    "expressions; supported: literals, classes, groups, \\s \\d \\p{{}} with "
                    "general categories; outside classes also \\S \\D \\P{{}} and $",
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
    } else if (escape == "\\d" || escape == "\\D") {
      write_property("Nd", escape);
      position_ += 2;
    } else if (escape == "\\p" || escape == "\\P") {
      translate_property();
    } else if (escape.size() == 2 && (std::string_view("rntf").find(escape[1]) != escape.npos ||
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
    write_property(name, property);
    position_ += property.size();
  }

  /// `written`: how the pattern has it, the second character a capital if it is negated.
  void write_property(std::string_view name, std::string_view written) {
    const bool negated = std::isupper(static_cast<unsigned char>(written[1])) != 0;
    if (!in_class_) {
      output_ += fmt::format("[{}{}]", negated ? "^" : "", class_of_property(name));
    } else if (negated) {
      refuse(written);
    } else {
      output_ += class_of_property(name);
    }
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
    } else if (character == '$') {
      // Ruby's: the end of any line, and of the text.
      output_ += "(?![^\\n])";
      ++position_;
      if (rest_starts_with_repeat()) refuse("a repeat of $");
    } else if (character == '^') {
      refuse("^");
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

}  // namespace foregate::text
