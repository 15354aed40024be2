#include "report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/progress.h"

namespace foregate {
namespace {

std::string csv_field(std::string_view text) {
  std::string clean = clean_utf8(text);
  if (clean.find_first_of(",\"\n\r") == std::string::npos) return clean;
  for (size_t at = clean.find('"'); at != std::string::npos; at = clean.find('"', at + 2))
    clean.insert(at, 1, '"');
  return '"' + clean + '"';
}

std::string csv_cell(const Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return csv_field(*text);
  if (const auto* count = std::get_if<int64_t>(&cell)) return std::to_string(*count);
  const double value = std::get<double>(cell);
  return std::isnan(value) ? "" : fmt::format("{}", value);
}

Json json_cell(const Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return clean_utf8(*text);
  if (const auto* count = std::get_if<int64_t>(&cell)) return *count;
  const double value = std::get<double>(cell);
  return std::isnan(value) ? Json(nullptr) : Json(value);
}

std::string html_cell(const Cell& cell, Unit unit) {
  if (const auto* text = std::get_if<std::string>(&cell))
    return fmt::format("<td>{}</td>", escape(*text));
  if (const auto* count = std::get_if<int64_t>(&cell))
    return fmt::format("<td class=\"n\">{}</td>", with_commas(*count));
  return fmt::format("<td class=\"n\">{}</td>", format_value(std::get<double>(cell), unit));
}

}  // namespace

std::string Table::to_csv() const {
  std::string text;
  for (size_t i = 0; i < columns.size(); ++i)
    text += (i == 0 ? "" : ",") + csv_field(columns[i].name);
  text += '\n';
  for (const std::vector<Cell>& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) text += ',';
      text += csv_cell(row[i]);
    }
    text += '\n';
  }
  return text;
}

Json Table::to_json() const {
  Json json = Json::array();
  for (const std::vector<Cell>& row : rows) {
    Json object = Json::object();
    for (size_t i = 0; i < row.size(); ++i) object[clean_utf8(columns[i].name)] = json_cell(row[i]);
    json.push_back(std::move(object));
  }
  return json;
}

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

}  // namespace foregate
