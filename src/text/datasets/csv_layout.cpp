#include "text/datasets/csv_layout.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <map>
#include <set>
#include <span>

#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

using Cells = std::vector<std::string>;
using Rows = std::span<const Cells>;

constexpr size_t kMaxNameBytes = 64;
/// Forms export whole questions as names, some on several lines; believed beside a usual name.
constexpr size_t kMaxQuestionBytes = 256;
/// A title and notes may stand above a header.
constexpr size_t kMaxRowsAbove = 20;

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

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

/// Whether `cell` is what COLUMN, or a part of it between '+', asks for by name.
bool is_asked_for(std::string_view cell, const std::string& column) {
  if (cell.empty() || is_number(cell)) return false;
  const std::string name = lower_case(cell);
  const std::string wanted = lower_case(column);
  if (name == wanted) return true;
  for (size_t begin = 0; begin <= wanted.size();) {
    const size_t plus = std::min(wanted.find('+', begin), wanted.size());
    if (std::string_view(wanted).substr(begin, plus - begin) == name) return true;
    begin = plus + 1;
  }
  return false;
}

bool holds_asked_for(const Cells& cells, const std::string& column) {
  return std::ranges::any_of(
      cells, [&](const std::string& cell) { return is_asked_for(cleaned(cell), column); });
}

/// Short, no numbers, and different from each other unless one of them is `named`, a known name.
/// Empty names are common: pandas' index has one.
bool look_like_names(const Cells& cells, bool named) {
  std::set<std::string> seen;
  for (const std::string& cell : cells) {
    if (cell.size() > (named ? kMaxQuestionBytes : kMaxNameBytes)) return false;
    if (!named && cell.find('\n') != std::string::npos) return false;
    if (is_number(cell)) return false;
    if (!cell.empty() && !seen.insert(cell).second && !named) return false;
  }
  return !seen.empty();
}

/// What tools call columns that have no names: column_1 (polars), V2 (R), _c0 (Spark), Column3
/// (Excel), f0.
bool are_made_up_names(const Cells& cells) {
  constexpr std::array<std::string_view, 7> kStems{"column_", "column", "col", "v", "_c", "f", "x"};
  return std::ranges::all_of(cells, [&](const std::string& cell) {
    const std::string name = lower_case(cell);
    const size_t digits = std::min(name.find_first_of("0123456789"), name.size());
    return digits < name.size() &&
           name.find_first_not_of("0123456789", digits) == std::string::npos &&
           std::ranges::find(kStems, name.substr(0, digits)) != kStems.end();
  });
}

/// pandas' header of columns without names, 0,1,2, perhaps behind that of an index, which is empty;
/// told from a row of numbers by what stands below: in some column no number at all.
bool are_numbered(const Cells& first, const Rows& rows) {
  const size_t begin = first[0].empty() ? 1 : 0;
  if (first.size() <= begin) return false;
  for (size_t i = begin; i < first.size(); ++i) {
    if (first[i] != std::to_string(i - begin)) return false;
  }
  for (size_t i = begin; i < first.size(); ++i) {
    size_t count = 0, numbers = 0;
    for (size_t r = 1; r < rows.size(); ++r) {
      if (rows[r].size() != first.size() || rows[r][i].empty()) continue;
      ++count;
      numbers += is_number(cleaned(rows[r][i])) ? 1 : 0;
    }
    if (count > 0 && numbers == 0) return true;
  }
  return false;
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
    if (!fits_columns(rows[r], layout.num_columns)) continue;
    if (++count == 1 && !layout.has_header) {
      for (size_t i = 0; i < layout.num_columns; ++i) layout.columns[i].example = rows[r][i];
    }
    for (size_t i = 0; i < layout.num_columns; ++i) {
      layout.columns[i].mean_size += static_cast<double>(cleaned(rows[r][i]).size());
    }
  }
  for (Column& column : layout.columns)
    column.mean_size /= static_cast<double>(std::max<size_t>(count, 1));
}

/// A row that holds one cell's worth: a title, a note, or cells that a spreadsheet left empty.
bool is_title(const Cells& cells, size_t columns) {
  const auto filled =
      std::ranges::count_if(cells, [](const std::string& cell) { return !cleaned(cell).empty(); });
  return cells.size() != columns || filled <= 1;
}

/// How many rows stand above the header: none unless they are titles and it has a known name.
size_t count_rows_above(const Rows& rows, const std::string& column) {
  const size_t columns = most_common_size(rows);
  if (columns < 2 || names_a_column(rows[0], column)) return 0;
  for (size_t r = 0; r < std::min(rows.size(), kMaxRowsAbove + 1); ++r) {
    if (r > 0 && rows[r].size() == columns && names_a_column(rows[r], column)) {
      return look_like_names(rows[r], true) ? r : 0;
    }
    if (!is_title(rows[r], columns)) return 0;
  }
  return 0;
}

/// Whether the rows have one cell more than the header because R's row names stand in front: 1, 2,
/// 3 to the last row. Texts with a comma that nobody quoted look alike but for that.
bool have_row_names(const Rows& rows) {
  constexpr size_t kEnoughRows = 3;
  const size_t columns = rows[0].size() + 1;
  if (rows.size() <= kEnoughRows) return false;
  for (size_t r = 1; r < rows.size(); ++r) {
    if (rows[r].size() != columns || rows[r][0] != std::to_string(r)) return false;
    if (std::ranges::any_of(rows[r], [](const std::string& cell) { return cell.starts_with(' '); }))
      return false;
  }
  return true;
}

}  // namespace

bool names_a_column(const Cells& cells, const std::string& column) {
  return std::ranges::any_of(cells, [&](const std::string& cell) {
    const std::string name = cleaned(cell);
    return is_usual_column_name(name) || is_asked_for(name, column);
  });
}

bool fits_columns(const Cells& cells, size_t columns) {
  return cells.size() >= columns &&
         std::all_of(cells.begin() + static_cast<long>(columns), cells.end(),
                     [](const std::string& cell) {
                       return cell.find_first_not_of(" \t") == std::string::npos;
                     });
}

CsvLayout detect_csv_layout(const std::vector<Cells>& all_rows, const std::string& column) {
  CsvLayout layout;
  layout.rows_above = count_rows_above(all_rows, column);
  const Rows rows = Rows(all_rows).subspan(layout.rows_above);
  Cells first;
  std::ranges::transform(rows[0], std::back_inserter(first), cleaned);
  const bool size_repeats =
      rows.size() == 1 || std::any_of(rows.begin() + 1, rows.end(), [&](const Cells& cells) {
        return cells.size() == first.size();
      });
  const size_t common = most_common_size(rows);
  const Cells glued = glued_names(first, !size_repeats && first.size() > common);
  const bool named = names_a_column(first, column);
  const bool like_names = look_like_names(first, named) &&
                          (named || are_made_up_names(first) || rows_differ_from(first, rows));
  Cells names;
  if (!glued.empty()) {
    layout.has_header = layout.header_runs_into_row = true;
    names = glued;
  } else if (like_names || holds_asked_for(first, column) || are_numbered(first, rows)) {
    layout.has_header = true;
    names = first;
    if (have_row_names(rows)) names.insert(names.begin(), "");
  }
  const bool first_row_counts = layout.has_header && (size_repeats || glued.empty());
  layout.num_columns = first_row_counts ? names.size() : common;
  measure_columns(rows, layout);
  for (size_t i = 0; i < std::min(names.size(), layout.num_columns); ++i) {
    layout.columns[i].name = names[i];
  }
  return layout;
}

}  // namespace foregate::text
