#include "models/formats/module_patterns.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <new>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace foregate::models {
namespace {

std::string message_of_pcre2(int error) {
  std::array<unsigned char, 256> buffer{};
  pcre2_get_error_message(error, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

std::string shown_pattern(const std::string& pattern) {
  return Json(pattern).dump(-1, ' ', /*ensure_ascii=*/true);
}

std::string quoted_for_regex(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (std::ispunct(static_cast<unsigned char>(c)) != 0) quoted += '\\';
    quoted += c;
  }
  return quoted;
}

}  // namespace

class ModulePatterns::Expression {
 public:
  Expression(const std::string& pattern, const std::string& where, uint32_t options)
      : where_(where), pattern_(pattern) {
    int error = 0;
    size_t offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_ANCHORED | options, &error, &offset, nullptr));
    if (!code_) {
      throw DataError(fmt::format("{}: the regular expression {} is broken at character {}: {}",
                                  where, shown_pattern(pattern), offset, message_of_pcre2(error)));
    }
    // A pattern that backtracks without end is refused instead of waited for.
    limits_.reset(pcre2_match_context_create(nullptr));
    if (!limits_) throw std::bad_alloc();
    constexpr uint32_t kMatchLimit = 1'000'000;
    pcre2_set_match_limit(limits_.get(), kMatchLimit);
  }

  bool matches(std::string_view text) const {
    const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
        pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
    if (!data) throw std::bad_alloc();
    const int result = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                   text.size(), 0, 0, data.get(), limits_.get());
    if (result < 0 && result != PCRE2_ERROR_NOMATCH) {
      throw DataError(fmt::format("{}: the regular expression {} cannot be held against \"{}\": {}",
                                  where_, shown_pattern(pattern_), text, message_of_pcre2(result)));
    }
    return result >= 0;
  }

 private:
  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  };

  std::string where_;
  std::string pattern_;
  std::unique_ptr<pcre2_code, Free> code_;
  std::unique_ptr<pcre2_match_context, Free> limits_;
};

void ModulePatterns::add_name(std::string name) {
  names_.push_back(std::move(name));
}

void ModulePatterns::add_regex(const std::string& pattern, const std::string& where, bool whole) {
  expressions_.push_back(
      std::make_shared<const Expression>(pattern, where, whole ? PCRE2_ENDANCHORED : 0));
}

void ModulePatterns::add_glob(const std::string& pattern, const std::string& where) {
  std::string regex;
  for (const char c : pattern) {
    if (c == '*') {
      regex += ".*";
    } else if (c == '?') {
      regex += '.';
    } else {
      regex += quoted_for_regex({&c, 1});
    }
  }
  add_regex(regex, where, /*whole=*/true);
}

void ModulePatterns::add_skipped(const std::string& entry, const std::string& where) {
  endings_.push_back(entry);
  add_regex(fmt::format("(?:{})(?:(?<=\\.)|(?=\\.|$))", entry), where);
}

void ModulePatterns::add_part(std::string part) {
  parts_.push_back(std::move(part));
}

bool ModulePatterns::matches(std::string_view module) const {
  return std::ranges::find(names_, module) != names_.end() ||
         std::ranges::any_of(endings_,
                             [&](const std::string& entry) { return module.ends_with(entry); }) ||
         std::ranges::any_of(parts_,
                             [&](const std::string& part) {
                               return module.find(part) != std::string_view::npos;
                             }) ||
         std::ranges::any_of(expressions_,
                             [&](const auto& expression) { return expression->matches(module); });
}

}  // namespace foregate::models
