#include "report/sections/token_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace foregate::report {
namespace {

struct Mark {
  std::string_view text, shown;
};

/// Spaces and line ends: as they are, and as vocabularies spell them (imported traces have the
/// vocabulary's spelling).
constexpr Mark kMarks[] = {{" ", "␣"}, {"\n", "⏎"}, {"Ġ", "␣"}, {"▁", "␣"}, {"Ċ", "⏎"}};

}  // namespace

std::string token_label(const ReportInput& input, int32_t id) {
  const std::string text = input.token_text ? input.token_text(id) : std::string();
  if (text.empty()) return fmt::format("#{}", id);
  std::string label;
  for (size_t at = 0; at < text.size();) {
    const auto mark =
        std::find_if(std::begin(kMarks), std::end(kMarks), [&](const Mark& candidate) {
          return std::string_view(text).substr(at).starts_with(candidate.text);
        });
    label += mark == std::end(kMarks) ? std::string_view(text).substr(at, 1) : mark->shown;
    at += mark == std::end(kMarks) ? 1 : mark->text.size();
  }
  return label;
}

}  // namespace foregate::report
