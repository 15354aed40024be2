#include "text/datasets/csv_layout.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

using Cells = std::vector<std::string>;
using Rows = std::vector<Cells>;

constexpr size_t kMaxNameBytes = 64;

/// A cell as header detection compares it.
std::string cleaned(const std::string& cell) {
  return std::string(trimmed(is_valid_utf8(cell) ? cell : replace_invalid_utf8(cell)));
}

bool is_number(std::string_view cell) {
  double value = 0;
  const auto [stop, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  return error == std::errc() && stop == cell.data() + cell.size();
}

/// One word of letters, digits, "_", "-" and ".", beginning with a letter: what no sentence is.
bool is_identifier(std::string_view cell) {
  const auto is_letter = [](unsigned char c) { return std::isalpha(c) || c >= 0x80; };
  return !cell.empty() && is_letter(static_cast<unsigned char>(cell[0])) &&
         std::ranges::all_of(cell, [&](unsigned char c) {
           return is_letter(c) || std::isdigit(c) || c == '_' || c == '-' || c == '.';
         });
}

/// Short, different from each other, no numbers. Empty names are common: pandas' index has one.
bool look_like_names(const Cells& cells) {
  std::set<std::string> seen;
  for (const std::string& cell : cells) {
    if (cell.size() > kMaxNameBytes || cell.find('\n') != std::string::npos) return false;
    if (is_number(cell)) return false;
    if (!cell.empty() && !seen.insert(cell).second) return false;
  }
  return !seen.empty();
}

/// Whether the rows below differ from the first as data does from names: numbers under a word, or
/// much longer texts under an identifier.
bool rows_differ_from(const Cells& first, const Rows& rows) {
  for (size_t i = 0; i < first.size(); ++i) {
    size_t count = 0, numbers = 0, bytes = 0;
    for (size_t r = 1; r < rows.size(); ++r) {
      if (rows[r].size() != first.size() || rows[r][i].empty()) continue;
      ++count;
      numbers += is_number(cleaned(rows[r][i])) ? 1 : 0;
      bytes += rows[r][i].size();
    }
    if (count == 0 || first[i].empty()) continue;
    if (numbers == count) return true;
    const size_t mean = bytes / count;
    if (is_identifier(first[i]) && mean >= 40 && mean >= 4 * first[i].size()) return true;
  }
  return false;
}

/// The names of a header that runs into the first row: usual names, and a last cell that begins
/// with one and goes on as a text. Empty if it is not that.
Cells glued_names(const Cells& first, bool too_many_cells) {
  Cells names;
  for (const std::string& cell : first) {
    if (is_usual_column_name(cell)) {
      names.push_back(cell);
      continue;
    }
    const std::string_view prefix = usual_name_prefix(cell);
    if (names.empty() || prefix.empty() || (cell.size() <= kMaxNameBytes && !too_many_cells)) break;
    names.emplace_back(prefix);
    return names;
  }
  return {};
}

size_t most_common_size(const Rows& rows) {
  std::map<size_t, size_t> counts;
  for (const Cells& cells : rows) ++counts[cells.size()];
  return std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; })
      ->first;
}

void measure_columns(const Rows& rows, CsvLayout& layout) {
  layout.columns.resize(layout.num_columns);
  size_t count = 0;
  for (size_t r = layout.has_header ? 1 : 0; r < rows.size(); ++r) {
    if (rows[r].size() != layout.num_columns) continue;
    ++count;
    for (size_t i = 0; i < layout.num_columns; ++i) {
      layout.columns[i].mean_size += static_cast<double>(cleaned(rows[r][i]).size());
    }
  }
  for (Column& column : layout.columns)
    column.mean_size /= static_cast<double>(std::max<size_t>(count, 1));
}

}  // namespace

CsvLayout detect_csv_layout(const Rows& rows, const std::string& column) {
  Cells first;
  std::ranges::transform(rows[0], std::back_inserter(first), cleaned);
  const bool size_repeats =
      rows.size() == 1 || std::any_of(rows.begin() + 1, rows.end(), [&](const Cells& cells) {
        return cells.size() == first.size();
      });
  CsvLayout layout;
  const size_t common = most_common_size(rows);
  const Cells glued = glued_names(first, !size_repeats && first.size() > common);
  const bool named = std::ranges::any_of(first, [&](const std::string& cell) {
    return is_usual_column_name(cell) || (!column.empty() && cell == column && !is_number(cell));
  });
  Cells names;
  if (!glued.empty()) {
    layout.has_header = layout.header_runs_into_row = true;
    names = glued;
  } else if (look_like_names(first) && (named || rows_differ_from(first, rows))) {
    layout.has_header = true;
    names = first;
  }
  const bool first_row_counts = layout.has_header && (size_repeats || glued.empty());
  layout.num_columns = first_row_counts ? first.size() : common;
  measure_columns(rows, layout);
  for (size_t i = 0; i < std::min(names.size(), layout.num_columns); ++i) {
    layout.columns[i].name = names[i];
  }
  return layout;
}

}  // namespace foregate::text
