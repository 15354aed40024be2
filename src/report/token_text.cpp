#include "report/token_text.h"

#include <fmt/format.h>

namespace foregate {

std::string token_label(const ReportInput& input, int32_t id) {
  const std::string text = input.token_text ? input.token_text(id) : std::string();
  if (text.empty()) return fmt::format("#{}", id);
  std::string label;
  for (const char c : text) {
    if (c == ' ') {
      label += "␣";
    } else if (c == '\n') {
      label += "⏎";
    } else {
      label += c;
    }
  }
  return label;
}

}  // namespace foregate
