#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace foregate {

// Every number on the command line goes through here: what is no number, or none that can be meant,
// is refused in words with what is allowed, never cut to what fits.

/// Whole numbers that can be meant, both ends among them.
struct NumberRange {
  uint64_t least = 0;
  uint64_t most = 0;
};

/// More texts, tokens or rows than anybody has.
inline constexpr uint64_t kMostCounted = 1'000'000'000'000;
/// More tokens than any machine holds at a time.
inline constexpr uint64_t kMostAtOnce = 1'000'000'000;

/// Options of one whole number. The value that is there is the default, and the help shows it if it
/// is within the range. Parsing throws UsageError.
CLI::Option* add_number_option(CLI::App& command, const std::string& name, int64_t& value,
                               NumberRange range, const std::string& description);
CLI::Option* add_number_option(CLI::App& command, const std::string& name, int& value,
                               NumberRange range, const std::string& description);
/// Without a default.
CLI::Option* add_number_option(CLI::App& command, const std::string& name,
                               std::optional<int64_t>& value, NumberRange range,
                               const std::string& description);
/// One that may be given several times.
CLI::Option* add_number_option(CLI::App& command, const std::string& name, std::vector<int>& values,
                               NumberRange range, const std::string& description);
/// 0 to 2^64 - 1.
CLI::Option* add_seed_option(CLI::App& command, const std::string& name, uint64_t& value,
                             const std::string& description);
/// Numbers with a fraction that can be meant, both ends among them.
struct DecimalRange {
  double least = 0;
  double most = 0;
};
CLI::Option* add_decimal_option(CLI::App& command, const std::string& name,
                                std::optional<double>& value, DecimalRange range,
                                const std::string& description);
/// A probability, 0 to 1.
CLI::Option* add_probability_option(CLI::App& command, const std::string& name,
                                    std::optional<double>& value, const std::string& description);

}  // namespace foregate
