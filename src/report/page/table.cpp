#include "report/page/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/number_text.h"

namespace foregate::report {
namespace {

std::string html_cell(const Cell& cell, Unit unit) {
  if (const auto* text = std::get_if<std::string>(&cell))
    return fmt::format("<td>{}</td>", escape(*text));
  if (const auto* count = std::get_if<int64_t>(&cell))
    return fmt::format("<td class=\"n\">{}</td>", with_commas(*count));
  return fmt::format("<td class=\"n\">{}</td>", format_value(std::get<double>(cell), unit));
}

}  // namespace

std::string Table::to_html(size_t max_cells) const {
  std::string html = "<table><thead><tr>";
  for (const Column& column : columns)
    html += fmt::format("<th scope=\"col\">{}</th>", escape(column.name));
  html += "</tr></thead><tbody>\n";
  const size_t shown = std::min(rows.size(), 1 + max_cells / std::max<size_t>(1, columns.size()));
  for (size_t r = 0; r < shown; ++r) {
    html += "<tr>";
    for (size_t i = 0; i < rows[r].size(); ++i) html += html_cell(rows[r][i], columns[i].unit);
    html += "</tr>\n";
  }
  html += "</tbody></table>\n";
  if (shown < rows.size()) {
    html += fmt::format("<p class=\"note\">The first {} of {} rows; --tables writes all.</p>\n",
                        with_commas(static_cast<int64_t>(shown)),
                        with_commas(static_cast<int64_t>(rows.size())));
  }
  return html;
}

std::vector<double> numbers_of(const Table& table, size_t index) {
  std::vector<double> values;
  for (const std::vector<Cell>& row : table.rows) values.push_back(std::get<double>(row[index]));
  return values;
}

}  // namespace foregate::report
