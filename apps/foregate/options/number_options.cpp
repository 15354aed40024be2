#include "options/number_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <limits>

#include "base/error.h"
#include "base/number_text.h"

namespace foregate {
namespace {

/// What help texts call the values; tests/cli/test_numbers.py finds the options by these.
constexpr const char* kNumber = "NUMBER";
constexpr const char* kProbability = "PROBABILITY";
constexpr const char* kDecimal = "DECIMAL";

std::string shown(uint64_t value) {
  constexpr auto kLargest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  return value <= kLargest ? with_commas(static_cast<int64_t>(value)) : std::to_string(value);
}

uint64_t parse_number(const std::string& name, const std::string& text, NumberRange range) {
  const std::optional<uint64_t> value = parse_whole_number(text);
  if (value && *value >= range.least && *value <= range.most) return *value;
  throw UsageError(fmt::format("{} is '{}'; expected a whole number from {} to {}", name, text,
                               shown(range.least), shown(range.most)));
}

double parse_decimal_in(const std::string& name, const std::string& text, DecimalRange range) {
  const std::optional<double> value = parse_decimal(text);
  if (value && *value >= range.least && *value <= range.most) return *value;
  throw UsageError(fmt::format("{} is '{}'; expected a number from {} to {}, such as 0.1", name,
                               text, range.least, range.most));
}

/// "-n,--max-tokens" is called "--max-tokens".
std::string long_name(const std::string& names) {
  return names.substr(names.rfind(',') + 1);
}

/// `take` gets the texts of all occurrences.
CLI::Option* add_option(CLI::App& command, const std::string& name, const char* type,
                        const std::string& description,
                        const std::function<void(const CLI::results_t&)>& take) {
  return command
      .add_option(
          name,
          [take](const CLI::results_t& texts) {
            take(texts);
            return true;
          },
          description)
      ->type_name(type)
      ->expected(1);
}

template <typename T>
CLI::Option* add_whole_number(CLI::App& command, const std::string& name, T& value,
                              NumberRange range, const std::string& description) {
  CLI::Option* option =
      add_option(command, name, kNumber, description, [&value, name, range](const auto& texts) {
        value = static_cast<T>(parse_number(long_name(name), texts.back(), range));
      });
  const auto given = static_cast<uint64_t>(value);
  if (given >= range.least && given <= range.most) option->default_str(std::to_string(value));
  return option;
}

}  // namespace

CLI::Option* add_number_option(CLI::App& command, const std::string& name, int64_t& value,
                               NumberRange range, const std::string& description) {
  return add_whole_number(command, name, value, range, description);
}

CLI::Option* add_number_option(CLI::App& command, const std::string& name, int& value,
                               NumberRange range, const std::string& description) {
  return add_whole_number(command, name, value, range, description);
}

CLI::Option* add_number_option(CLI::App& command, const std::string& name,
                               std::optional<int64_t>& value, NumberRange range,
                               const std::string& description) {
  return add_option(
      command, name, kNumber, description, [&value, name, range](const CLI::results_t& texts) {
        value = static_cast<int64_t>(parse_number(long_name(name), texts.back(), range));
      });
}

CLI::Option* add_number_option(CLI::App& command, const std::string& name, std::vector<int>& values,
                               NumberRange range, const std::string& description) {
  return add_option(command, name, kNumber, description,
                    [&values, name, range](const CLI::results_t& texts) {
                      values.clear();
                      for (const std::string& text : texts)
                        values.push_back(static_cast<int>(parse_number(name, text, range)));
                    })
      ->expected(1, CLI::detail::expected_max_vector_size)
      ->allow_extra_args(false);
}

CLI::Option* add_seed_option(CLI::App& command, const std::string& name, uint64_t& value,
                             const std::string& description) {
  return add_whole_number(command, name, value, {0, std::numeric_limits<uint64_t>::max()},
                          description);
}

CLI::Option* add_probability_option(CLI::App& command, const std::string& name,
                                    std::optional<double>& value, const std::string& description) {
  return add_option(command, name, kProbability, description,
                    [&value, name](const CLI::results_t& texts) {
                      value = parse_decimal_in(name, texts.back(), {0, 1});
                    });
}

CLI::Option* add_decimal_option(CLI::App& command, const std::string& name,
                                std::optional<double>& value, DecimalRange range,
                                const std::string& description) {
  return add_option(command, name, kDecimal, description,
                    [&value, name, range](const CLI::results_t& texts) {
                      value = parse_decimal_in(name, texts.back(), range);
                    });
}

}  // namespace foregate
