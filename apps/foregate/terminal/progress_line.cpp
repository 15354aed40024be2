#include "terminal/progress_line.h"

#include <fmt/format.h>

#include <algorithm>

namespace foregate {
namespace {

constexpr int kLongestBar = 24;
constexpr int kShortestBar = 6;
constexpr int kAroundBar = 3;  // brackets and a blank
constexpr int kShortestLabel = 4;

std::string drawn_bar(double share, int cells) {
  const int filled = static_cast<int>(std::clamp(share, 0.0, 1.0) * cells);
  return fmt::format("[{:#<{}}{:.<{}}] ", "", filled, "", cells - filled);
}

std::string joined(const ProgressLine& line, int bar_cells) {
  std::string text = line.label.empty() ? "" : line.label + " ";
  if (bar_cells > 0 && line.share >= 0) text += drawn_bar(line.share, bar_cells);
  text += line.numbers;
  for (const std::string* part : {&line.rate, &line.remark, &line.time}) {
    if (!part->empty()) text += ", " + *part;
  }
  return text;
}

/// "training gate-.." for a label that is too long for so many columns; nothing if those are few.
std::string shortened(const std::string& label, int columns) {
  if (columns < kShortestLabel) return "";
  return label.substr(0, static_cast<size_t>(columns) - 2) + "..";
}

/// The share that is done in whole percent, where there is no room for numbers.
std::string percent_done(double share) {
  return fmt::format("{}%", static_cast<int>(100 * std::clamp(share, 0.0, 1.0)));
}

}  // namespace

std::string ProgressLine::text() const {
  return joined(*this, kLongestBar);
}

std::string ProgressLine::fitted(int columns) const {
  const auto width = [](const std::string& text) { return static_cast<int>(text.size()); };
  std::string shown = joined(*this, 0);
  if (width(shown) <= columns) {
    const int cells = std::min(columns - width(shown) - kAroundBar, kLongestBar);
    return cells >= kShortestBar ? joined(*this, cells) : shown;
  }
  ProgressLine shorter = *this;
  for (std::string ProgressLine::*part :
       {&ProgressLine::remark, &ProgressLine::rate, &ProgressLine::time}) {
    (shorter.*part).clear();
    shown = joined(shorter, 0);
    if (width(shown) <= columns) return shown;
  }
  if (width(numbers) > columns && share >= 0) return percent_done(share);
  shorter.label = shortened(label, columns - width(numbers) - 1);
  return joined(shorter, 0).substr(0, static_cast<size_t>(std::max(columns, 0)));
}

}  // namespace foregate
