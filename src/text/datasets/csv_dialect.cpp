#include "text/datasets/csv_dialect.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/row_limits.h"
#include "text/datasets/csv_layout.h"

namespace foregate::text {
namespace {

constexpr std::array<char, 4> kSeparators{',', ';', '\t', '|'};
/// Rows that tell the dialect.
constexpr size_t kDialectRows = 1000;
constexpr size_t kDialectBytes = 1 << 20;
/// Titles and notes may stand above a header.
constexpr size_t kMaxRowsBeforeHead = 20;
/// Of the rows, how many must have the number of columns. A header with known names says so much by
/// itself that it may be fewer.
constexpr double kNearlyAll = 0.95;
constexpr double kMostOfNamed = 0.5;

/// How the rows look in a dialect.
struct Fit {
  CsvDialect dialect;
  size_t rows = 0;     ///< from the head on, broken ones included
  size_t columns = 0;  ///< the most common number of cells
  size_t fitting = 0;  ///< rows that have it
  size_t broken = 0;   ///< rows with a quote that is not closed, or where there should be none
  size_t several = 0;  ///< rows of more than one cell, of all rows
  size_t spaced = 0;   ///< rows in which a space follows every separator, as in prose
  size_t above = 0;    ///< rows of one cell before the head
  bool named = false;  ///< the head holds names of columns
  /// For each separator, rows whose every cell holds it.
  std::array<size_t, kSeparators.size()> held{};

  double share() const {
    return rows == 0 ? 0 : static_cast<double>(fitting) / static_cast<double>(rows);
  }
  size_t bad() const { return rows - fitting + broken; }
};

using Cells = std::vector<std::string>;

bool every_cell_holds(const Cells& cells, char separator) {
  return std::ranges::all_of(
      cells, [&](const std::string& cell) { return cell.find(separator) != std::string::npos; });
}

bool is_spaced(const Cells& cells) {
  return std::all_of(cells.begin() + 1, cells.end(),
                     [](const std::string& cell) { return cell.starts_with(' '); });
}

Fit measure(std::string_view text, const CsvDialect& dialect, const std::string& column) {
  Fit fit{.dialect = dialect};
  std::map<size_t, size_t> sizes;
  CsvParser parser(text, dialect);
  size_t all_rows = 0;
  for (CsvRow row;
       all_rows < kDialectRows && parser.position() < kDialectBytes && parser.next(row);) {
    if (row.problem == kBlankRow) continue;
    ++all_rows;
    if (!row.problem.empty() || row.stray_quote) ++fit.broken;
    const Cells& cells = row.cells;
    if (cells.size() > 1) {
      ++fit.several;
      fit.spaced += is_spaced(cells) ? 1 : 0;
      for (size_t i = 0; i < kSeparators.size(); ++i) {
        fit.held[i] += every_cell_holds(cells, kSeparators[i]) ? 1 : 0;
      }
    }
    const bool is_head = fit.rows == 0 && cells.size() > 1;
    if (fit.rows == 0 && !is_head) {
      ++fit.above;
      continue;
    }
    if (is_head) fit.named = names_a_column(cells, column);
    ++fit.rows;
    ++sizes[cells.size()];
  }
  for (const auto& [size, count] : sizes) {
    if (count >= fit.fitting) fit.fitting = count, fit.columns = size;
  }
  return fit;
}

/// The separator with what stands beside quotes, as far as the text gives reason to look for it.
Fit best_fit(std::string_view text, char separator, const std::string& column) {
  Fit best = measure(text, {separator}, column);
  if (best.bad() == 0) return best;
  const std::string_view start = text.substr(0, kDialectBytes);
  const bool spaces = start.find(std::string{separator, ' ', '"'}) != std::string_view::npos ||
                      start.find(std::string{'"', ' ', separator}) != std::string_view::npos;
  const bool escapes = start.find("\\\"") != std::string_view::npos;
  const auto attempt = [&](bool spaces_around_quotes, bool backslash_escapes) {
    Fit fit = measure(text, {separator, spaces_around_quotes, backslash_escapes}, column);
    if (fit.columns > 1 && fit.bad() < best.bad()) best = fit;
  };
  if (spaces) attempt(true, false);
  if (escapes) attempt(false, true);
  if (spaces && escapes) attempt(true, true);
  return best;
}

bool are_nearly_all(size_t count, size_t rows) {
  return static_cast<double>(count) >= kNearlyAll * static_cast<double>(rows);
}

/// Whether the dialect makes a table of the rows.
bool explains(const Fit& fit, bool usual) {
  if (fit.columns < 2 || fit.above > kMaxRowsBeforeHead) return false;
  if (fit.named) return fit.share() >= kMostOfNamed;
  const bool prose = !usual && fit.spaced == fit.several;
  return fit.above == 0 && fit.rows > 1 && !prose && are_nearly_all(fit.fitting, fit.rows) &&
         !are_nearly_all(fit.broken, fit.rows);
}

bool is_better(const Fit& fit, const std::optional<Fit>& than) {
  return !than || fit.share() > than->share() ||
         (fit.share() == than->share() && fit.columns > than->columns);
}

/// Whether the cells make no sense because their separator is a decimal comma: 1;0,5;text.
bool is_held_by(const Fit& fit, char separator) {
  const auto index = std::ranges::find(kSeparators, separator) - kSeparators.begin();
  return fit.rows > 0 && are_nearly_all(fit.held[static_cast<size_t>(index)], fit.rows);
}

/// The separator that a first line "sep=;" names, and that line's size.
std::optional<CsvGuess> separator_line(std::string_view text) {
  std::string_view line = text.substr(0, std::min(text.find_first_of("\r\n"), text.size()));
  size_t start = line.size();
  if (line.size() > 1 && line.front() == '"' && line.back() == '"') {
    line = line.substr(1, line.size() - 2);
  }
  constexpr std::string_view kKey = "sep=";
  if (line.size() != kKey.size() + 1) return std::nullopt;
  for (size_t i = 0; i < kKey.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(line[i])) != kKey[i]) return std::nullopt;
  }
  if (text.substr(start).starts_with("\r\n")) ++start;
  return CsvGuess{{line.back()}, std::min(start + 1, text.size())};
}

}  // namespace

std::string separator_name(char separator) {
  return separator == '\t' ? "tabs" : fmt::format("'{}'", separator);
}

CsvGuess detect_csv_dialect(std::string_view text, char usual, const ColumnRequest& request) {
  if (auto named = separator_line(text)) {
    named->dialect =
        best_fit(text.substr(named->start), named->dialect.separator, request.column).dialect;
    return *named;
  }
  const Fit expected = best_fit(text, usual, request.column);
  const bool explained = explains(expected, true);
  if (explained && expected.named) return {expected.dialect};
  std::optional<Fit> best;
  std::optional<char> in_every_row;
  for (const char separator : kSeparators) {
    if (separator == usual || (explained && !is_held_by(expected, separator))) continue;
    const Fit fit = best_fit(text, separator, request.column);
    if (explains(fit, false)) {
      if (is_better(fit, best)) best = fit;
    } else if (fit.above == 0 && fit.rows > 1 && fit.several == fit.rows && fit.spaced < fit.rows) {
      in_every_row = separator;
    }
  }
  if (best) return {best->dialect};
  const auto refuse = [&](const std::string& what, char separator) {
    throw DataError(fmt::format(
        "{}: one column, but every row holds {}; say in a line before all others what separates "
        "the columns (sep={}), or call the file .txt if every line is a text",
        request.where, what, separator));
  };
  if (!explained && expected.several == 0) {
    if (in_every_row) refuse(separator_name(*in_every_row), *in_every_row);
    const bool quotes = expected.above > 1 && expected.broken == expected.above;
    if (quotes) refuse("quotes inside", ';');
  }
  return {expected.dialect};
}

}  // namespace foregate::text
