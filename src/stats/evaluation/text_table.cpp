#include "stats/evaluation/text_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace foregate::stats {
namespace {

constexpr size_t kGap = 2;  // blanks between columns
constexpr const char* kCut = "..";

std::vector<size_t> column_widths(const Cells& cells) {
  std::vector<size_t> widths(cells.front().size());
  for (const auto& line : cells) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  return widths;
}

}  // namespace

std::string aligned(const Cells& cells, const Alignment& alignment) {
  const std::vector<size_t> widths = column_widths(cells);
  std::string text;
  for (const auto& line : cells) {
    std::string row;
    for (size_t i = 0; i < line.size(); ++i) {
      row += std::string(i == 0 ? alignment.indent : kGap, ' ');
      row += i < alignment.left ? fmt::format("{:<{}}", line[i], widths[i])
                                : fmt::format("{:>{}}", line[i], widths[i]);
    }
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + '\n';
  }
  return text;
}

size_t aligned_width(const Cells& cells, const Alignment& alignment) {
  const std::vector<size_t> widths = column_widths(cells);
  return std::accumulate(widths.begin(), widths.end(),
                         alignment.indent + kGap * (widths.size() - 1));
}

std::string shortened_in_front(const std::string& text, size_t columns) {
  if (text.size() <= columns) return text;
  const std::string mark = kCut;
  return mark + text.substr(text.size() - (columns - std::min(columns, mark.size())));
}

std::string shortened_behind(const std::string& text, size_t columns) {
  if (text.size() <= columns) return text;
  const std::string mark = kCut;
  return text.substr(0, columns - std::min(columns, mark.size())) + mark;
}

}  // namespace foregate::stats
